//! Whose the files, batches and tasks are that were made at a provider.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

statements! {
    PROVIDER_OBJECT = "select kind, object_id, provider_id, model_code, checked, created_at
        from provider_object
        where workspace_id = $1 and kind = $2 and object_id = $3";
    PROVIDER_OBJECTS = "select kind, object_id, provider_id, model_code, checked, created_at
        from provider_object
        where workspace_id = $1 and kind = $2
        order by created_at desc, object_id desc";
    KEEP_PROVIDER_OBJECT = "insert into provider_object (workspace_id, kind, object_id, provider_id, model_code, checked,
            created_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (workspace_id, kind, object_id) do update
        set provider_id = excluded.provider_id, model_code = excluded.model_code, checked = excluded.checked";
    FORGET_PROVIDER_OBJECT = "delete from provider_object where workspace_id = $1 and kind = $2 and object_id = $3";
    FORGET_TASKS = "delete from provider_object where kind = 'task' and created_at < $1";
    COUNT_BATCH = "update provider_object
        set counted_at = $1
        where workspace_id = $2 and kind = 'batch' and object_id = $3 and counted_at is null";
}

/// Something that a workspace made at a provider.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ProviderObjectRow {
    /// `file`, `batch` or `task`.
    pub kind: String,
    /// The provider's id of it.
    pub object_id: String,
    /// Where it is.
    pub provider_id: String,
    /// The one model it is of; `None` where that is none or several.
    pub model_code: Option<String>,
    /// Of a file: whether each of its lines was checked, so that a batch may be made of it.
    pub checked: bool,
    /// When it was made.
    pub created_at: i64,
}

impl Conn {
    /// One of a workspace's own.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn provider_object(
        &mut self,
        workspace: &str,
        kind: &str,
        object: &str,
    ) -> Result<Option<ProviderObjectRow>> {
        optional!(self, ProviderObjectRow, PROVIDER_OBJECT, workspace, kind, object)
    }

    /// All of a kind that are a workspace's own, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn provider_objects(&mut self, workspace: &str, kind: &str) -> Result<Vec<ProviderObjectRow>> {
        all!(self, ProviderObjectRow, PROVIDER_OBJECTS, workspace, kind)
    }
}

impl Tx {
    /// Makes an object a workspace's own.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn keep_provider_object(&mut self, workspace: &str, row: &ProviderObjectRow) -> Result<u64> {
        run!(
            self,
            KEEP_PROVIDER_OBJECT,
            workspace,
            &row.kind,
            &row.object_id,
            &row.provider_id,
            row.model_code.as_deref(),
            row.checked,
            row.created_at,
        )
    }

    /// The object is no more.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn forget_provider_object(&mut self, workspace: &str, kind: &str, object: &str) -> Result<u64> {
        run!(self, FORGET_PROVIDER_OBJECT, workspace, kind, object)
    }

    /// Forgets tasks made before `before_ms`: providers keep their results for a day.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn forget_tasks(&mut self, before_ms: i64) -> Result<u64> {
        run!(self, FORGET_TASKS, before_ms)
    }

    /// Notes that a batch's usage is counted; 0 if it was already.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn count_batch(&mut self, workspace: &str, batch: &str, at_ms: i64) -> Result<u64> {
        run!(self, COUNT_BATCH, at_ms, workspace, batch)
    }
}
