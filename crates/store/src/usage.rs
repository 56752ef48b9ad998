//! The charges of the last minute, kept so that a restart grants no second quota.

use std::collections::BTreeMap;

use sqlx::FromRow;

use crate::{
    Conn, Result, Store, StoreError, Tx,
    rollup::bytes::{Bytes, Reading, Texts},
    transfer::ALIVE_MS,
};

/// What ended longer ago left no charges that still count.
pub const ADOPTED_MS: i64 = 120_000;

statements! {
    ADD_USAGE = "insert into usage_packet (node, at_us, until_us, body)
        values ($1, $2, $3, $4)
        on conflict (node, at_us) do nothing";
    FORGET_USAGE = "delete from usage_packet where node = $1 and until_us < $2";
    FORGET_ALL_USAGE = "delete from usage_packet where node = $1";
    USAGE = "select body from usage_packet where node = $1 order by at_us";
    // What versions before packets have left, for the minute after a change of version.
    OLD_USAGE = "select end_us, account_id, model_code, workspace_id, requests, tokens, workspace_requests,
            workspace_tokens
        from usage_bucket
        where node = $1
        order by end_us, account_id, model_code, workspace_id";
    FORGET_OLD_USAGE = "delete from usage_bucket where node = $1 and end_us < $2";
    BEAT = "insert into usage_heartbeat (node, boot, at_us, at_ms, clean)
        values ($1, $2, $3, $4, $5)
        on conflict (node) do update
        set boot = excluded.boot, at_us = excluded.at_us, at_ms = excluded.at_ms, clean = excluded.clean";
    HEARTBEAT = "select boot, at_us, at_ms, clean from usage_heartbeat where node = $1";
    FORGET_BEATS = "delete from usage_heartbeat where at_ms < $1 returning node";
    // Of processes that ended lately: cleanly, or so that no sign of life came since.
    ENDED = "select node, boot, at_us, at_ms, clean
        from usage_heartbeat
        where node <> $1 and at_ms >= $2 and (clean or at_ms <= $3)
        order by at_ms desc, node";
    // Whoever renames the sign of life has what belongs to it; one that came back to life meanwhile keeps its own.
    TAKE_BEAT = "update usage_heartbeat set node = $1, at_ms = $4, clean = $5 where node = $2 and at_us = $3";
    TAKE_USAGE = "update usage_packet set node = $1 where node = $2";
    TAKE_OLD_USAGE = "update usage_bucket set node = $1 where node = $2";
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

#[derive(FromRow)]
struct Ended {
    node: String,
    #[sqlx(flatten)]
    beat: Heartbeat,
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
        let mut rows: BTreeMap<(i64, String, String, String), UsageRow> = BTreeMap::new();
        let packets = all!(self, (Vec<u8>,), USAGE, node)?;
        let packed = packets.iter().map(|(body,)| unpack(body).ok_or_else(damaged)).collect::<Result<Vec<_>>>()?;
        for row in packed.into_iter().flatten().chain(all!(self, UsageRow, OLD_USAGE, node)?) {
            let key = (row.end_us, row.account_id.clone(), row.model_code.clone(), row.workspace_id.clone());
            match rows.get_mut(&key) {
                Some(known) => known.add(&row),
                None => {
                    rows.insert(key, row);
                }
            }
        }
        Ok(rows.into_values().collect())
    }
}

impl Tx {
    /// Adds the changes and gives the sign of life.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn flush_usage(&mut self, flush: &UsageFlush) -> Result<()> {
        if let Some(last_us) = flush.changes.iter().map(|it| it.end_us).max() {
            let body = pack(&flush.changes);
            let mut at_us = flush.beat.at_us;
            // Processes of one name may meet in one microsecond; none of their charges may get lost.
            while run!(self, ADD_USAGE, &flush.node, at_us, last_us.max(at_us), body.as_slice())? == 0 {
                at_us += 1;
            }
        }
        if let Some(before_us) = flush.forget_before_us {
            run!(self, FORGET_USAGE, &flush.node, before_us)?;
            run!(self, FORGET_OLD_USAGE, &flush.node, before_us)?;
        }
        let beat = &flush.beat;
        run!(self, BEAT, &flush.node, &beat.boot, beat.at_us, beat.at_ms, beat.clean)?;
        Ok(())
    }

    /// Gives `node`, which has no sign of life of its own, what the process kept that was the last to end, if one ended
    /// within [`ADOPTED_MS`]: as after a move to another database, machine or address. Answers whose it was and its last
    /// sign of life; from now on it is that of `node`, which runs.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn adopt_usage(&mut self, node: &str, now_ms: i64) -> Result<Option<(String, Heartbeat)>> {
        let ended = all!(self, Ended, ENDED, node, now_ms - ADOPTED_MS, now_ms - ALIVE_MS)?;
        for Ended { node: former, beat } in ended {
            self.forget_usage(node).await?;
            if run!(self, TAKE_BEAT, node, &former, beat.at_us, now_ms, false)? > 0 {
                run!(self, TAKE_USAGE, node, &former)?;
                run!(self, TAKE_OLD_USAGE, node, &former)?;
                return Ok(Some((former, beat)));
            }
        }
        Ok(None)
    }

    /// Forgets everything that `node` keeps: its clock began anew.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn forget_usage(&mut self, node: &str) -> Result<u64> {
        run!(self, FORGET_OLD_USAGE, node, i64::MAX)?;
        run!(self, FORGET_ALL_USAGE, node)
    }
}

impl Store {
    /// Forgets processes that gave no sign of life since `before_ms`, and what they kept.
    ///
    /// # Errors
    /// When the database cannot; then nothing was forgotten.
    pub async fn forget_nodes(&self, before_ms: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        for (node,) in all!(tx, (String,), FORGET_BEATS, before_ms)? {
            tx.forget_usage(&node).await?;
        }
        tx.commit().await
    }
}

impl UsageRow {
    /// Adds what another change says of the same bucket.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.workspace_requests = self.workspace_requests.saturating_add(other.workspace_requests);
        self.workspace_tokens = self.workspace_tokens.saturating_add(other.workspace_tokens);
    }

    /// What takes this change back.
    pub fn negated(&self) -> Self {
        Self {
            requests: -self.requests,
            tokens: -self.tokens,
            workspace_requests: -self.workspace_requests,
            workspace_tokens: -self.workspace_tokens,
            ..self.clone()
        }
    }

    /// Whether it changes nothing.
    pub const fn is_nothing(&self) -> bool {
        self.requests == 0 && self.tokens == 0 && self.workspace_requests == 0 && self.workspace_tokens == 0
    }
}

/// The changes of one flush in one value: a row for each would be hundreds of statements ten times a second.
fn pack(rows: &[UsageRow]) -> Vec<u8> {
    let mut texts = Texts::default();
    let mut body = Bytes::default();
    let mut before_us = 0;
    body.length(rows.len());
    for row in rows {
        body.number(row.end_us - before_us);
        for text in [&row.account_id, &row.model_code, &row.workspace_id] {
            body.length(texts.number(text));
        }
        for number in [row.requests, row.tokens, row.workspace_requests, row.workspace_tokens] {
            body.number(number);
        }
        before_us = row.end_us;
    }
    let mut all = Bytes::default();
    texts.write(&mut all);
    all.0.append(&mut body.0);
    all.0
}

fn unpack(body: &[u8]) -> Option<Vec<UsageRow>> {
    let mut from = Reading(body);
    let texts = from.many(Reading::text)?;
    let text = |from: &mut Reading<'_>| texts.get(from.length()?).map(|it| (*it).to_owned());
    let mut end_us = 0;
    from.many(|from| {
        end_us += from.number()?;
        Some(UsageRow {
            end_us,
            account_id: text(from)?,
            model_code: text(from)?,
            workspace_id: text(from)?,
            requests: from.number()?,
            tokens: from.number()?,
            workspace_requests: from.number()?,
            workspace_tokens: from.number()?,
        })
    })
}

fn damaged() -> StoreError {
    StoreError::Refused(sqlx::Error::Decode("the charges of a flush are damaged".into()))
}
