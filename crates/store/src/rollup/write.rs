//! Adding to the roll-ups: what a batch of calls changes, in one transaction.

use std::{
    collections::{BTreeMap, HashMap},
    sync::PoisonError,
};

use super::{
    Figures, Histogram, Lane, Level, SeriesKey,
    parts::{Cell, Lanes, Parts},
    strip,
};
use crate::{Conn, Result, Store, Tx, call_log::CallRow, increase::PEAK_BUCKET_MS, refusal::Gap, usage::UsageFlush};

statements! {
    MAKE_SERIES = "insert into series (account_id, lane, workspace_id, model_code)
        values ($1, $2, $3, $4)
        on conflict (account_id, lane, workspace_id, model_code) do update set lane = excluded.lane
        returning id";
    EVERY_SERIES = "select id from series order by id";
    LANES = "select distinct account_id, lane from series order by account_id, lane";
    FORGET_SERIES = "delete from call_series where series_id = $1 and level_ms = $2 and at_ms < $3";
    FORGET_STRIPS = "delete from call_strip where series_id = $1 and level_ms = $2 and at_ms < $3";
    FORGET_SUMS = "delete from call_sum where account_id = $1 and lane = $2 and level_ms = $3 and at_ms < $4";
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
    /// Calls that the log has no room for.
    pub gaps: Vec<Gap>,
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
            && self.gaps.is_empty()
            && self.keys_used.is_empty()
            && self.peaks.is_empty()
            && self.usage.is_none()
    }
}

impl Store {
    /// Adds a batch to the roll-ups in one transaction: all of it, or nothing and it can be handed in again.
    ///
    /// # Errors
    /// When the database cannot; then nothing was written.
    pub async fn record(&self, batch: &Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.number(&batch.deltas).await?;
        let mut kept = self.parts().lock().await;
        // Taken: if this fails on the way, the next one reads anew what is committed.
        let mut parts = std::mem::take(&mut *kept);
        let mut tx = self.begin().await?;
        // Whoever hands in a batch at once has not let it wait.
        self.add(&mut tx, &mut parts, batch, i64::MIN).await?;
        if let Some(usage) = &batch.usage {
            tx.flush_usage(usage).await?;
        }
        tx.commit().await?;
        parts.keep_latest();
        *kept = parts;
        Ok(())
    }

    /// Adds everything of `batch` but its usage; the numbers of its series are known.
    pub(super) async fn add(&self, tx: &mut Tx, parts: &mut Parts, batch: &Batch, now_ms: i64) -> Result<()> {
        let numbered = self.numbered(&batch.deltas);
        let pairs = numbered.iter().map(|(number, it)| (*number, (it.series.account.clone(), it.series.lane.as_str())));
        let pairs: HashMap<i64, Lanes> = pairs.collect();
        let cells = self.with_sums(&numbered);
        parts.add(tx, (self.writer_number(), now_ms), self.newest(), &cells, &pairs).await?;
        // Rows that several processes change are taken in one order by all of them: otherwise two would wait for each other.
        let mut keys: BTreeMap<&str, i64> = BTreeMap::new();
        for (key, at_ms) in &batch.keys_used {
            keys.entry(key).and_modify(|last| *last = (*last).max(*at_ms)).or_insert(*at_ms);
        }
        for (key, at_ms) in keys {
            tx.key_used(key, at_ms).await?;
        }
        for ((account, model, hour_ms), tokens) in peaks(&batch.peaks) {
            tx.raise_peak(account, model, hour_ms, tokens).await?;
        }
        for gap in gaps(&batch.gaps) {
            tx.add_gap(&gap).await?;
        }
        tx.log_calls(&batch.calls).await
    }

    /// Forgets minutes before `minutes_before_ms` and hours before `hours_before_ms`, a series at a time so that
    /// nobody waits long for the writer.
    ///
    /// # Errors
    /// When the database cannot; what was forgotten until then stays forgotten.
    pub async fn forget(&self, minutes_before_ms: i64, hours_before_ms: i64) -> Result<()> {
        let before = [(Level::Minute, minutes_before_ms), (Level::Hour, hours_before_ms)];
        let (every, lanes) = {
            let mut conn = self.read().await?;
            (conn.every_series().await?, conn.lanes().await?)
        };
        for series in every {
            let mut tx = self.begin().await?;
            for (level, before_ms) in before {
                run!(tx, FORGET_SERIES, series, level.ms(), before_ms)?;
                // A strip goes when nothing in it is kept.
                let ended_ms = before_ms.saturating_sub(strip::unit(level).ms() - 1);
                run!(tx, FORGET_STRIPS, series, level.ms(), ended_ms)?;
            }
            tx.commit().await?;
        }
        for (account, lane) in lanes {
            let mut tx = self.begin().await?;
            for (level, before_ms) in before {
                run!(tx, FORGET_SUMS, &account, &lane, level.ms(), before_ms)?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Makes the numbers known of every series that `deltas` add to.
    pub(super) async fn number(&self, deltas: &[CallDelta]) -> Result<()> {
        for delta in deltas {
            if self.known_number(&delta.series).is_some() {
                continue;
            }
            // Its own comes last: once it is known, the others are.
            for series in with_sums(&delta.series).into_iter().rev() {
                self.series_number(&series).await?;
            }
        }
        Ok(())
    }

    fn known_number(&self, series: &SeriesKey) -> Option<i64> {
        self.series_cache().lock().unwrap_or_else(PoisonError::into_inner).get(series).copied()
    }

    fn numbered<'a>(&self, deltas: &'a [CallDelta]) -> Vec<(i64, &'a CallDelta)> {
        deltas.iter().filter_map(|it| Some((self.known_number(&it.series)?, it))).collect()
    }

    /// What is added by (series number, minute), those of the sums over workspaces and models included.
    fn with_sums(&self, deltas: &[(i64, &CallDelta)]) -> BTreeMap<(i64, i64), Cell> {
        // A series is met in many minutes: its sums are looked up once.
        let mut sums: HashMap<i64, Vec<i64>> = HashMap::new();
        let mut cells: BTreeMap<(i64, i64), Cell> = BTreeMap::new();
        for (number, delta) in deltas {
            let cell = Cell::of(delta);
            let minute = Level::Minute.floor(delta.first_at_ms);
            let numbers = sums
                .entry(*number)
                .or_insert_with(|| with_sums(&delta.series).iter().filter_map(|it| self.known_number(it)).collect());
            for series in numbers {
                cells.entry((*series, minute)).and_modify(|it| it.add(&cell)).or_insert(cell);
            }
        }
        cells
    }

    /// Made in a transaction of its own: a number that is known to this process must not vanish with a roll-back.
    async fn series_number(&self, series: &SeriesKey) -> Result<i64> {
        if let Some(id) = self.known_number(series) {
            return Ok(id);
        }
        let (account, lane) = (&series.account, series.lane.as_str());
        let found = {
            let mut conn = self.read().await?;
            conn.find_series(series).await?
        };
        let id = match found {
            Some(id) => id,
            None => {
                let mut tx = self.begin().await?;
                let id = scalar!(tx, i64, MAKE_SERIES, account, lane, &series.workspace, &series.model)?;
                tx.commit().await?;
                id
            }
        };
        self.series_cache().lock().unwrap_or_else(PoisonError::into_inner).insert(series.clone(), id);
        Ok(id)
    }
}

impl Conn {
    /// The number of every series.
    pub(super) async fn every_series(&mut self) -> Result<Vec<i64>> {
        Ok(all!(self, (i64,), EVERY_SERIES)?.into_iter().map(|it| it.0).collect())
    }

    /// Every account and lane that has series.
    pub(super) async fn lanes(&mut self) -> Result<Vec<(String, String)>> {
        all!(self, (String, String), LANES)
    }
}

/// The highest of each model and hour, in the order of their rows.
fn peaks(all: &[Peak]) -> BTreeMap<(&str, &str, i64), i64> {
    let mut highest: BTreeMap<(&str, &str, i64), i64> = BTreeMap::new();
    for Peak { account, model, at_ms, tokens } in all {
        let key = (account.as_str(), model.as_str(), at_ms.div_euclid(PEAK_BUCKET_MS) * PEAK_BUCKET_MS);
        highest.entry(key).and_modify(|it| *it = (*it).max(*tokens)).or_insert(*tokens);
    }
    highest
}

/// Those of one minute, workspace and kind as one, in the order of their rows.
fn gaps(all: &[Gap]) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = all.to_vec();
    gaps.sort();
    gaps.dedup_by(|later, kept| {
        let same = (&later.account, later.at_ms, &later.workspace, later.notable)
            == (&kept.account, kept.at_ms, &kept.workspace, kept.notable);
        if same {
            kept.calls = kept.calls.saturating_add(later.calls);
        }
        same
    });
    gaps
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
