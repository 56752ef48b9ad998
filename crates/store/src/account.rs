//! Accounts, their settings, and the installation's revision.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

statements! {
    REVISION = "select revision from installation where id = 1";
    BUMP_REVISION = "update installation set revision = revision + 1 where id = 1";
    LOCK_INSTALLATION = "update installation set revision = revision where id = 1";
    KEY_CHECK = "select key_check from installation where id = 1";
    SET_KEY_CHECK = "update installation set key_check = $1 where id = 1";
    ACCOUNTS = "select id, name, created_at, increase_validity_days, inactivity_days, max_workspaces, max_keys,
            max_name_length, revision
        from account
        order by created_at, id";
    ACCOUNT = "select id, name, created_at, increase_validity_days, inactivity_days, max_workspaces, max_keys,
            max_name_length, revision
        from account
        where id = $1";
    INSERT_ACCOUNT = "insert into account (id, name, name_key, created_at, increase_validity_days, inactivity_days,
            max_workspaces, max_keys, max_name_length, revision)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)";
    UPDATE_SETTINGS = "update account
        set increase_validity_days = $1, inactivity_days = $2, max_workspaces = $3, max_keys = $4,
            max_name_length = $5, revision = revision + 1
        where id = $6 and revision = $7";
}

/// One customer of the installation, with its settings.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AccountRow {
    /// Its identity.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: i64,
    /// How long a temporary increase holds.
    pub increase_validity_days: i64,
    /// After how many days without use an increase is withdrawn.
    pub inactivity_days: i64,
    /// Workspaces allowed, the default one included.
    pub max_workspaces: i64,
    /// Keys allowed in a workspace.
    pub max_keys: i64,
    /// Characters allowed in a workspace's name.
    pub max_name_length: i64,
    /// Counts changes of the settings, for optimistic locking.
    pub revision: i64,
}

impl AccountRow {
    /// An account with the settings everyone begins with.
    pub fn with_defaults(id: &str, name: &str, created_at: i64) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            created_at,
            increase_validity_days: 30,
            inactivity_days: 7,
            max_workspaces: 20,
            max_keys: 20,
            max_name_length: 30,
            revision: 1,
        }
    }
}

impl Conn {
    /// Counts committed edits; a process that sees another number than before reads what is configured anew.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn revision(&mut self) -> Result<i64> {
        scalar!(self, i64, REVISION)
    }

    /// What the key file is known by: a text sealed under it. `None` until there was one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn key_check(&mut self) -> Result<Option<Vec<u8>>> {
        scalar!(self, Option<Vec<u8>>, KEY_CHECK)
    }

    /// Every account, the first one made first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn accounts(&mut self) -> Result<Vec<AccountRow>> {
        all!(self, AccountRow, ACCOUNTS)
    }

    /// One account.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn account(&mut self, id: &str) -> Result<Option<AccountRow>> {
        optional!(self, AccountRow, ACCOUNT, id)
    }
}

impl Tx {
    pub(crate) async fn bump_revision(&mut self) -> Result<u64> {
        run!(self, BUMP_REVISION)
    }

    /// Takes turns with edits, and with whatever else only one process may do at a time; counts as no edit.
    pub(crate) async fn lock_installation(&mut self) -> Result<u64> {
        run!(self, LOCK_INSTALLATION)
    }

    /// Sets what the key file is known by.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn set_key_check(&mut self, sealed: Option<&[u8]>) -> Result<u64> {
        run!(self, SET_KEY_CHECK, sealed)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] when the name is taken.
    pub async fn insert_account(&mut self, row: &AccountRow) -> Result<u64> {
        run!(
            self,
            INSERT_ACCOUNT,
            &row.id,
            &row.name,
            row.name.to_lowercase(),
            row.created_at,
            row.increase_validity_days,
            row.inactivity_days,
            row.max_workspaces,
            row.max_keys,
            row.max_name_length,
        )
    }

    /// Changes an account's settings if nobody did since `row.revision`; 0 if somebody did.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn update_settings(&mut self, row: &AccountRow) -> Result<u64> {
        run!(
            self,
            UPDATE_SETTINGS,
            row.increase_validity_days,
            row.inactivity_days,
            row.max_workspaces,
            row.max_keys,
            row.max_name_length,
            &row.id,
            row.revision,
        )
    }
}
