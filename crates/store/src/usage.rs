//! The charges of the last minute, kept so that a restart grants no second quota.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

statements! {
    ADD_USAGE = "insert into usage_bucket (node, end_us, account_id, model_code, workspace_id, requests, tokens,
            workspace_requests, workspace_tokens)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (node, end_us, account_id, model_code, workspace_id) do update
        set requests = usage_bucket.requests + excluded.requests,
            tokens = usage_bucket.tokens + excluded.tokens,
            workspace_requests = usage_bucket.workspace_requests + excluded.workspace_requests,
            workspace_tokens = usage_bucket.workspace_tokens + excluded.workspace_tokens";
    FORGET_USAGE = "delete from usage_bucket where node = $1 and end_us < $2";
    FORGET_ALL_USAGE = "delete from usage_bucket where node = $1";
    USAGE = "select end_us, account_id, model_code, workspace_id, requests, tokens, workspace_requests,
            workspace_tokens
        from usage_bucket
        where node = $1
        order by end_us, account_id, model_code, workspace_id";
    BEAT = "insert into usage_heartbeat (node, boot, at_us, at_ms, clean)
        values ($1, $2, $3, $4, $5)
        on conflict (node) do update
        set boot = excluded.boot, at_us = excluded.at_us, at_ms = excluded.at_ms, clean = excluded.clean";
    HEARTBEAT = "select boot, at_us, at_ms, clean from usage_heartbeat where node = $1";
}

/// What one workspace was charged in one bucket of one model; as a change, or as the sum of all changes.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct UsageRow {
    /// The bucket's end in µs of the monotonic clock.
    pub end_us: i64,
    /// Whose limits.
    pub account_id: String,
    /// Of which model.
    pub model_code: String,
    /// Whose calls.
    pub workspace_id: String,
    /// Requests charged to the account.
    pub requests: i64,
    /// Tokens charged to the account.
    pub tokens: i64,
    /// Requests charged to the workspace.
    pub workspace_requests: i64,
    /// Tokens charged to the workspace.
    pub workspace_tokens: i64,
}

/// The last sign of life of a process.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Heartbeat {
    /// The boot whose monotonic clock `at_us` is of.
    pub boot: String,
    /// When, by the monotonic clock, in µs.
    pub at_us: i64,
    /// When, by the wall clock.
    pub at_ms: i64,
    /// Whether the process stopped after writing everything.
    pub clean: bool,
}

/// One flush of a process's charges.
#[derive(Clone, Debug)]
pub struct UsageFlush {
    /// Which process.
    pub node: String,
    /// Its sign of life; everything charged before it is written.
    pub beat: Heartbeat,
    /// Changes since the last flush.
    pub changes: Vec<UsageRow>,
    /// Buckets that ended before this instant are forgotten; `None` leaves that to another flush.
    pub forget_before_us: Option<i64>,
}

impl Conn {
    /// The last sign of life of `node`, if it ever gave one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn heartbeat(&mut self, node: &str) -> Result<Option<Heartbeat>> {
        optional!(self, Heartbeat, HEARTBEAT, node)
    }

    /// Everything that `node` keeps.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn usage(&mut self, node: &str) -> Result<Vec<UsageRow>> {
        all!(self, UsageRow, USAGE, node)
    }
}

impl Tx {
    /// Adds the changes and gives the sign of life.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn flush_usage(&mut self, flush: &UsageFlush) -> Result<()> {
        for it in &flush.changes {
            run!(
                self,
                ADD_USAGE,
                &flush.node,
                it.end_us,
                &it.account_id,
                &it.model_code,
                &it.workspace_id,
                it.requests,
                it.tokens,
                it.workspace_requests,
                it.workspace_tokens,
            )?;
        }
        if let Some(before_us) = flush.forget_before_us {
            run!(self, FORGET_USAGE, &flush.node, before_us)?;
        }
        let beat = &flush.beat;
        run!(self, BEAT, &flush.node, &beat.boot, beat.at_us, beat.at_ms, beat.clean)?;
        Ok(())
    }

    /// Forgets everything that `node` keeps: its clock began anew.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn forget_usage(&mut self, node: &str) -> Result<u64> {
        run!(self, FORGET_ALL_USAGE, node)
    }
}
