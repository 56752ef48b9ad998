//! Workspaces, and which models each may call within which limits.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

statements! {
    WORKSPACES = "select w.id, w.account_id, w.name, w.is_default, w.created_at, w.archived_at, w.revision,
            (select count(*) from workspace_limit l where l.workspace_id = w.id) as models,
            (select count(*) from api_key k where k.workspace_id = w.id and k.revoked_at is null) as keys
        from workspace w
        where w.account_id = $1
        order by w.is_default desc, w.name_key, w.id";
    ALL_WORKSPACES = "select w.id, w.account_id, w.name, w.is_default, w.created_at, w.archived_at, w.revision,
            cast(0 as bigint) as models, cast(0 as bigint) as keys
        from workspace w
        where w.archived_at is null
        order by w.account_id, w.id";
    WORKSPACE = "select w.id, w.account_id, w.name, w.is_default, w.created_at, w.archived_at, w.revision,
            (select count(*) from workspace_limit l where l.workspace_id = w.id) as models,
            (select count(*) from api_key k where k.workspace_id = w.id and k.revoked_at is null) as keys
        from workspace w
        where w.account_id = $1 and w.id = $2";
    INSERT_WORKSPACE = "insert into workspace (id, account_id, name, name_key, is_default, created_at, archived_at,
            revision)
        values ($1, $2, $3, $4, $5, $6, null, 1)";
    TOUCH_WORKSPACE = "update workspace
        set revision = revision + 1
        where account_id = $1 and id = $2 and revision = $3 and archived_at is null";
    RENAME_WORKSPACE = "update workspace
        set name = $1, name_key = $2, revision = revision + 1
        where account_id = $3 and id = $4 and revision = $5 and archived_at is null";
    ARCHIVE_WORKSPACE = "update workspace
        set archived_at = $1, revision = revision + 1
        where account_id = $2 and id = $3 and revision = $4 and archived_at is null and not is_default";
    WORKSPACE_LIMITS = "select workspace_id, account_id, model_code, rpm, tpm
        from workspace_limit
        where account_id = $1 and workspace_id = $2
        order by model_code";
    ACCOUNT_LIMITS = "select l.workspace_id, l.account_id, l.model_code, l.rpm, l.tpm
        from workspace_limit l
        join workspace w on w.id = l.workspace_id
        where l.account_id = $1 and w.archived_at is null
        order by l.model_code, w.name_key";
    ALL_LIMITS = "select workspace_id, account_id, model_code, rpm, tpm
        from workspace_limit
        order by workspace_id, model_code";
    SET_LIMIT = "insert into workspace_limit (workspace_id, model_code, account_id, rpm, tpm)
        values ($1, $2, $3, $4, $5)
        on conflict (workspace_id, model_code) do update
        set rpm = excluded.rpm, tpm = excluded.tpm";
    DELETE_LIMIT = "delete from workspace_limit where account_id = $1 and workspace_id = $2 and model_code = $3";
}

/// A team's share of an account.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct WorkspaceRow {
    /// Its identity.
    pub id: String,
    /// Its account.
    pub account_id: String,
    /// What people call it.
    pub name: String,
    /// Whether it is the account's default one, which has the account's limits and every model.
    pub is_default: bool,
    /// When it was made.
    pub created_at: i64,
    /// When it was put away; its keys are refused since.
    pub archived_at: Option<i64>,
    /// Counts changes of its name and limits, for optimistic locking.
    pub revision: i64,
    /// Models granted.
    pub models: i64,
    /// Keys not revoked.
    pub keys: i64,
}

impl WorkspaceRow {
    /// What commands call it: the default one is `default` whatever its display name.
    pub fn command_name(&self) -> &str {
        if self.is_default { domain::names::DEFAULT_WORKSPACE } else { &self.name }
    }
}

/// The permission to call a model, with optional limits.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LimitRow {
    /// Who may call.
    pub workspace_id: String,
    /// The account of both.
    pub account_id: String,
    /// What may be called.
    pub model_code: String,
    /// Requests in 60 s; `None` for the account's limit.
    pub rpm: Option<i64>,
    /// Tokens in 60 s; `None` for the account's limit.
    pub tpm: Option<i64>,
}

impl Conn {
    /// An account's workspaces, the default one first, archived ones included.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn workspaces(&mut self, account: &str) -> Result<Vec<WorkspaceRow>> {
        all!(self, WorkspaceRow, WORKSPACES, account)
    }

    /// Every account's workspaces that are not archived; models and keys are not counted.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn all_workspaces(&mut self) -> Result<Vec<WorkspaceRow>> {
        all!(self, WorkspaceRow, ALL_WORKSPACES)
    }

    /// One workspace of an account.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn workspace(&mut self, account: &str, id: &str) -> Result<Option<WorkspaceRow>> {
        optional!(self, WorkspaceRow, WORKSPACE, account, id)
    }

    /// What a workspace may call.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn workspace_limits(&mut self, account: &str, workspace: &str) -> Result<Vec<LimitRow>> {
        all!(self, LimitRow, WORKSPACE_LIMITS, account, workspace)
    }

    /// What all workspaces of an account may call, by model, without archived workspaces.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn account_limits(&mut self, account: &str) -> Result<Vec<LimitRow>> {
        all!(self, LimitRow, ACCOUNT_LIMITS, account)
    }

    /// What every workspace of every account may call.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn all_limits(&mut self) -> Result<Vec<LimitRow>> {
        all!(self, LimitRow, ALL_LIMITS)
    }
}

impl Tx {
    /// Makes a workspace.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] when the name is taken, or a second default one.
    pub async fn insert_workspace(&mut self, row: &WorkspaceRow) -> Result<u64> {
        run!(
            self,
            INSERT_WORKSPACE,
            &row.id,
            &row.account_id,
            &row.name,
            row.name.to_lowercase(),
            row.is_default,
            row.created_at,
        )
    }

    /// Counts a change of its limits if nobody changed it since `revision`; 0 if somebody did.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn touch_workspace(&mut self, account: &str, id: &str, revision: i64) -> Result<u64> {
        run!(self, TOUCH_WORKSPACE, account, id, revision)
    }

    /// Renames it if nobody changed it since `revision`; 0 if somebody did.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] when the name is taken.
    pub async fn rename_workspace(&mut self, account: &str, id: &str, name: &str, revision: i64) -> Result<u64> {
        run!(self, RENAME_WORKSPACE, name, name.to_lowercase(), account, id, revision)
    }

    /// Puts it away if nobody changed it since `revision` and it is not the default one; 0 otherwise.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn archive_workspace(&mut self, account: &str, id: &str, at_ms: i64, revision: i64) -> Result<u64> {
        run!(self, ARCHIVE_WORKSPACE, at_ms, account, id, revision)
    }

    /// Grants a model, or changes the limits of one granted.
    ///
    /// # Errors
    /// [`crate::StoreError::Reference`] when workspace or model does not exist.
    pub async fn set_limit(&mut self, row: &LimitRow) -> Result<u64> {
        run!(self, SET_LIMIT, &row.workspace_id, &row.model_code, &row.account_id, row.rpm, row.tpm)
    }

    /// Takes a permission away.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_limit(&mut self, account: &str, workspace: &str, model: &str) -> Result<u64> {
        run!(self, DELETE_LIMIT, account, workspace, model)
    }
}
