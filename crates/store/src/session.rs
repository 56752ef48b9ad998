//! Console sessions, kept under a digest of their id.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

statements! {
    SESSION = "select expires_at, content from session where digest = $1 and expires_at > $2";
    INSERT_SESSION = "insert into session (digest, member_id, expires_at, content)
        values ($1, $2, $3, $4)
        on conflict (digest) do nothing";
    UPDATE_SESSION = "update session set member_id = $1, expires_at = $2, content = $3 where digest = $4";
    DELETE_SESSION = "delete from session where digest = $1";
    DELETE_SESSIONS_OF = "delete from session where member_id = $1";
    DELETE_EXPIRED = "delete from session where expires_at <= $1";
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct SessionRow {
    /// When it ends.
    pub expires_at: i64,
    /// What it holds, as JSON.
    pub content: String,
}

impl Conn {
    /// A session that has not ended.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn session(&mut self, digest: &[u8], now_ms: i64) -> Result<Option<SessionRow>> {
        optional!(self, SessionRow, SESSION, digest, now_ms)
    }
}

impl Tx {
    /// Makes a session; `false` if there is one with this digest.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn insert_session(&mut self, digest: &[u8], member: Option<&str>, row: &SessionRow) -> Result<bool> {
        Ok(run!(self, INSERT_SESSION, digest, member, row.expires_at, &row.content)? > 0)
    }

    /// Changes a session; 0 if it was ended meanwhile: a request that was still running must not bring it back.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn update_session(&mut self, digest: &[u8], member: Option<&str>, row: &SessionRow) -> Result<u64> {
        run!(self, UPDATE_SESSION, member, row.expires_at, &row.content, digest)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_session(&mut self, digest: &[u8]) -> Result<u64> {
        run!(self, DELETE_SESSION, digest)
    }

    /// Ends every session of a member.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_sessions_of(&mut self, member: &str) -> Result<u64> {
        run!(self, DELETE_SESSIONS_OF, member)
    }

    /// Removes sessions whose time is over.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_expired_sessions(&mut self, now_ms: i64) -> Result<u64> {
        run!(self, DELETE_EXPIRED, now_ms)
    }
}
