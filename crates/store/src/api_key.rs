//! API keys, found by the digest of their secret.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

macro_rules! keys {
    ($rest:literal) => {
        concat!(
            "select k.id, k.account_id, k.workspace_id, k.name, k.prefix, k.digest, k.error_dialect, k.created_at,
                k.created_by, k.expires_at, k.last_used_at, k.revoked_at
            from api_key k ",
            $rest
        )
    };
}

statements! {
    KEYS = keys!("where k.account_id = $1 order by k.created_at desc, k.id desc");
    KEYS_OF_WORKSPACE = keys!("where k.account_id = $1 and k.workspace_id = $2 order by k.created_at desc, k.id desc");
    KEY = keys!("where k.account_id = $1 and k.id = $2");
    USABLE_KEYS = keys!(
        "join workspace w on w.id = k.workspace_id
        where k.revoked_at is null and w.archived_at is null
        order by k.id"
    );
    COUNT_KEYS = "select count(*)
        from api_key
        where workspace_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)";
    INSERT_KEY = "insert into api_key (id, account_id, workspace_id, name, prefix, digest, error_dialect, created_at,
            created_by, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    UPDATE_KEY = "update api_key
        set name = $1, error_dialect = $2, expires_at = $3
        where account_id = $4 and id = $5 and revoked_at is null";
    REVOKE_KEY = "update api_key set revoked_at = $1 where account_id = $2 and id = $3 and revoked_at is null";
    KEY_USED = "update api_key
        set last_used_at = $1
        where id = $2 and (last_used_at is null or last_used_at < $1)";
}

/// One key; never its secret.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct KeyRow {
    /// Its identity.
    pub id: String,
    /// Its account.
    pub account_id: String,
    /// The workspace its calls count for.
    pub workspace_id: String,
    /// What people call it.
    pub name: String,
    /// The secret's first characters, by which people tell keys apart.
    pub prefix: String,
    /// SHA-256 of the secret.
    pub digest: Vec<u8>,
    /// `dashscope` or `openai`.
    pub error_dialect: String,
    /// When it was made.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// From when it is refused.
    pub expires_at: Option<i64>,
    /// When a call last used it.
    pub last_used_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

impl Conn {
    /// An account's keys, the newest first, revoked ones included.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn keys(&mut self, account: &str) -> Result<Vec<KeyRow>> {
        all!(self, KeyRow, KEYS, account)
    }

    /// A workspace's keys, the newest first, revoked ones included.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn keys_of_workspace(&mut self, account: &str, workspace: &str) -> Result<Vec<KeyRow>> {
        all!(self, KeyRow, KEYS_OF_WORKSPACE, account, workspace)
    }

    /// One key of an account.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn key(&mut self, account: &str, id: &str) -> Result<Option<KeyRow>> {
        optional!(self, KeyRow, KEY, account, id)
    }

    /// Every account's keys that are neither revoked nor of an archived workspace. Whether one has expired is judged
    /// at each call.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn usable_keys(&mut self) -> Result<Vec<KeyRow>> {
        all!(self, KeyRow, USABLE_KEYS)
    }

    /// How many keys of a workspace can be used.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_keys(&mut self, workspace: &str, now_ms: i64) -> Result<i64> {
        scalar!(self, i64, COUNT_KEYS, workspace, now_ms)
    }
}

impl Tx {
    /// Makes a key.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn insert_key(&mut self, row: &KeyRow) -> Result<u64> {
        run!(
            self,
            INSERT_KEY,
            &row.id,
            &row.account_id,
            &row.workspace_id,
            &row.name,
            &row.prefix,
            row.digest.as_slice(),
            &row.error_dialect,
            row.created_at,
            &row.created_by,
            row.expires_at,
        )
    }

    /// Changes name, error dialect and expiry of a key that is not revoked.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn update_key(&mut self, row: &KeyRow) -> Result<u64> {
        run!(self, UPDATE_KEY, &row.name, &row.error_dialect, row.expires_at, &row.account_id, &row.id)
    }

    /// Revokes a key for good; 0 if it was.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn revoke_key(&mut self, account: &str, id: &str, at_ms: i64) -> Result<u64> {
        run!(self, REVOKE_KEY, at_ms, account, id)
    }

    /// Notes that a call used a key.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn key_used(&mut self, id: &str, at_ms: i64) -> Result<u64> {
        run!(self, KEY_USED, at_ms, id)
    }
}
