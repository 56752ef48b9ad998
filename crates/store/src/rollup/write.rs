//! The flush: everything that happened since the last one, in one transaction.

use std::collections::BTreeMap;

use super::{
    Figures, Histogram, Lane, Level, SeriesKey, text,
    text::Placeholder::{Bare, Numbered},
};
use crate::{Result, Store, Tx, call_log::CallRow, connect::Engine, usage::UsageFlush};

macro_rules! names {
    ([] $($(#[$doc:meta])* $name:ident;)*) => { concat!($(", ", stringify!($name)),*) };
}
macro_rules! count {
    ([] $($(#[$doc:meta])* $name:ident;)*) => { [$(stringify!($name)),*].len() };
}
macro_rules! additions {
    ([$table:expr] $($(#[$doc:meta])* $name:ident;)*) => {
        concat!($(", ", stringify!($name), " = ", $table, ".", stringify!($name), " + excluded.", stringify!($name)),*)
    };
}
macro_rules! head {
    ($table:literal) => {
        concat!(
            "insert into ",
            $table,
            " (series_id, at_ms, first_at_ms",
            for_figures!(names),
            for_buckets!(names),
            ") values "
        )
    };
}
macro_rules! tail {
    ($table:literal) => {
        concat!(
            " on conflict (series_id, at_ms) do update set first_at_ms = case when excluded.first_at_ms < ",
            $table,
            ".first_at_ms then excluded.first_at_ms else ",
            $table,
            ".first_at_ms end",
            for_figures!(additions, $table),
            for_buckets!(additions, $table)
        )
    };
}

/// Columns of a row: series, instant, first call, figures, buckets.
const COLUMNS: usize = 3 + for_figures!(count) + for_buckets!(count);

/// Rows of one statement. Handing a statement to SQLite's thread costs more than a row does.
const ROWS: usize = 32;

/// An upsert of some rows, written out when the crate is compiled: a statement must be a text that never changes.
macro_rules! upsert {
    ($table:literal, $rows:expr, $placeholder:expr) => {{
        const BYTES: [u8; text::length(head!($table), COLUMNS, $rows, tail!($table), $placeholder)] =
            text::insert(head!($table), COLUMNS, $rows, tail!($table), $placeholder);
        match std::str::from_utf8(&BYTES) {
            Ok(sql) => sql,
            Err(_) => panic!("it is made of texts and digits"),
        }
    }};
}

/// One table's upserts.
struct Upsert {
    level: Level,
    /// Of one row and of [`ROWS`], for PostgreSQL.
    numbered: [&'static str; 2],
    /// The same for SQLite.
    bare: [&'static str; 2],
}

const UPSERTS: [Upsert; 3] = [
    Upsert {
        level: Level::Minute,
        numbered: [ADD_TO_MINUTE, ADD_MANY_TO_MINUTE],
        bare: [upsert!("call_minute", 1, Bare), upsert!("call_minute", ROWS, Bare)],
    },
    Upsert {
        level: Level::Hour,
        numbered: [ADD_TO_HOUR, ADD_MANY_TO_HOUR],
        bare: [upsert!("call_hour", 1, Bare), upsert!("call_hour", ROWS, Bare)],
    },
    Upsert {
        level: Level::Day,
        numbered: [ADD_TO_DAY, ADD_MANY_TO_DAY],
        bare: [upsert!("call_day", 1, Bare), upsert!("call_day", ROWS, Bare)],
    },
];

statements! {
    ADD_TO_MINUTE = upsert!("call_minute", 1, Numbered);
    ADD_TO_HOUR = upsert!("call_hour", 1, Numbered);
    ADD_TO_DAY = upsert!("call_day", 1, Numbered);
    ADD_MANY_TO_MINUTE = upsert!("call_minute", ROWS, Numbered);
    ADD_MANY_TO_HOUR = upsert!("call_hour", ROWS, Numbered);
    ADD_MANY_TO_DAY = upsert!("call_day", ROWS, Numbered);
    FIND_SERIES = "select id
        from series
        where account_id = $1 and lane = $2 and workspace_id = $3 and model_code = $4";
    MAKE_SERIES = "insert into series (account_id, lane, workspace_id, model_code)
        values ($1, $2, $3, $4)
        on conflict (account_id, lane, workspace_id, model_code) do update set lane = excluded.lane
        returning id";
    EVERY_SERIES = "select id from series order by id";
    FORGET_MINUTES = "delete from call_minute where series_id = $1 and at_ms < $2";
    FORGET_HOURS = "delete from call_hour where series_id = $1 and at_ms < $2";
}

/// What calls of one series that were admitted (or refused) in the same minute add to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallDelta {
    /// Workspace and model are both named (in the lane of stopped calls, the model is empty); sums over them are made
    /// here.
    pub series: SeriesKey,
    /// When the first of these calls was admitted or refused; its minute is the row.
    pub first_at_ms: i64,
    /// What is added.
    pub figures: Figures,
    /// Latencies of calls answered to the end.
    pub latency: Histogram,
    /// Times to the first token.
    pub ttft: Histogram,
}

/// The tokens of a sliding 60 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Whose.
    pub account: String,
    /// Of which model.
    pub model: String,
    /// When the 60 s ended.
    pub at_ms: i64,
    /// Tokens charged in them.
    pub tokens: i64,
}

/// What one flush writes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What calls add to the statistics.
    pub deltas: Vec<CallDelta>,
    /// Rows for the call log.
    pub calls: Vec<CallRow>,
    /// Keys that were used, and when last.
    pub keys_used: Vec<(String, i64)>,
    /// Peaks of use since the last flush.
    pub peaks: Vec<Peak>,
    /// Charges of the ledger, and a sign of life.
    pub usage: Option<UsageFlush>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.deltas.is_empty()
            && self.calls.is_empty()
            && self.keys_used.is_empty()
            && self.peaks.is_empty()
            && self.usage.is_none()
    }
}

#[derive(Clone, Copy)]
struct Row {
    first_at_ms: i64,
    figures: Figures,
    latency: Histogram,
    ttft: Histogram,
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.first_at_ms = self.first_at_ms.min(other.first_at_ms);
        self.figures.add(&other.figures);
        self.latency.add(&other.latency);
        self.ttft.add(&other.ttft);
    }
}

impl Store {
    /// Writes a batch in one transaction: all of it, or nothing and it can be handed in again.
    ///
    /// # Errors
    /// When the database cannot; then nothing was written.
    pub async fn record(&self, batch: &Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let rows = self.numbered(&batch.deltas).await?;
        let mut tx = self.begin().await?;
        for upsert in &UPSERTS {
            let mut merged: BTreeMap<(i64, i64), Row> = BTreeMap::new();
            for (&(series, minute_ms), row) in &rows {
                merged.entry((series, upsert.level.floor(minute_ms))).and_modify(|it| it.add(row)).or_insert(*row);
            }
            // In order of their keys: two processes that write the same rows then wait instead of deadlocking.
            let merged: Vec<_> = merged.iter().collect();
            let (full, rest) = merged.as_chunks::<ROWS>();
            for rows in full {
                tx.add(upsert, rows).await?;
            }
            for row in rest {
                tx.add(upsert, std::slice::from_ref(row)).await?;
            }
        }
        for (key, at_ms) in &batch.keys_used {
            tx.key_used(key, *at_ms).await?;
        }
        for peak in &batch.peaks {
            tx.raise_peak(&peak.account, &peak.model, peak.at_ms, peak.tokens).await?;
        }
        tx.log_calls(&batch.calls).await?;
        if let Some(usage) = &batch.usage {
            tx.flush_usage(usage).await?;
        }
        tx.commit().await
    }

    /// Forgets minutes before `minutes_before_ms` and hours before `hours_before_ms`, a series at a time so that
    /// nobody waits long for the writer.
    ///
    /// # Errors
    /// When the database cannot; what was forgotten until then stays forgotten.
    pub async fn forget(&self, minutes_before_ms: i64, hours_before_ms: i64) -> Result<()> {
        let every = {
            let mut conn = self.read().await?;
            all!(conn, (i64,), EVERY_SERIES)?
        };
        for (series,) in every {
            let mut tx = self.begin().await?;
            run!(tx, FORGET_MINUTES, series, minutes_before_ms)?;
            run!(tx, FORGET_HOURS, series, hours_before_ms)?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Deltas by (series number, minute), those of the sums over workspaces and models included.
    async fn numbered(&self, deltas: &[CallDelta]) -> Result<BTreeMap<(i64, i64), Row>> {
        let mut by_key: BTreeMap<(SeriesKey, i64), Row> = BTreeMap::new();
        for delta in deltas {
            let row = Row {
                first_at_ms: delta.first_at_ms,
                figures: delta.figures,
                latency: delta.latency,
                ttft: delta.ttft,
            };
            let minute = Level::Minute.floor(delta.first_at_ms);
            for series in with_sums(&delta.series) {
                by_key.entry((series, minute)).and_modify(|it| it.add(&row)).or_insert(row);
            }
        }
        let mut rows = BTreeMap::new();
        for ((series, minute), row) in by_key {
            rows.insert((self.series_number(&series).await?, minute), row);
        }
        Ok(rows)
    }

    /// Made in a transaction of its own: a number that is known to this process must not vanish with a roll-back.
    async fn series_number(&self, series: &SeriesKey) -> Result<i64> {
        let known = self.series_cache().lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(series).copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let (account, lane) = (&series.account, series.lane.as_str());
        let found = {
            let mut conn = self.read().await?;
            optional!(conn, (i64,), FIND_SERIES, account, lane, &series.workspace, &series.model)?
        };
        let id = match found {
            Some((id,)) => id,
            None => {
                let mut tx = self.begin().await?;
                let id = scalar!(tx, i64, MAKE_SERIES, account, lane, &series.workspace, &series.model)?;
                tx.commit().await?;
                id
            }
        };
        self.series_cache().lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(series.clone(), id);
        Ok(id)
    }
}

/// The series itself, and those that sum it over workspaces, models, and both.
fn with_sums(series: &SeriesKey) -> Vec<SeriesKey> {
    let over = |workspace: &str, model: &str| SeriesKey {
        account: series.account.clone(),
        lane: series.lane,
        workspace: workspace.to_owned(),
        model: model.to_owned(),
    };
    let mut all = vec![series.clone(), over("", &series.model)];
    if series.lane != Lane::Stopped {
        all.extend([over(&series.workspace, ""), over("", "")]);
    }
    all
}

impl Tx {
    /// Adds one row, or [`ROWS`] of them.
    async fn add(&mut self, upsert: &Upsert, rows: &[(&(i64, i64), &Row)]) -> Result<()> {
        let which = usize::from(rows.len() > 1);
        let values = rows.iter().flat_map(|&(&(series, at_ms), row)| {
            let counts = row.figures.values().chain(row.latency.0).chain(row.ttft.0);
            [series, at_ms, row.first_at_ms].into_iter().chain(counts)
        });
        match self.engine() {
            Engine::Sqlite(it) => {
                let query = sqlx::query(upsert.bare[which]);
                values.fold(query, |query, value| query.bind(value)).execute(it).await?;
            }
            Engine::Postgres(it) => {
                let query = sqlx::query(upsert.numbered[which]);
                values.fold(query, |query, value| query.bind(value)).execute(it).await?;
            }
        }
        Ok(())
    }
}
