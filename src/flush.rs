//! Turns finished calls into rows: takes the gateway's records ten times a second, adds them up, writes one
//! transaction. What cannot be written waits, merged, and is written once when the store is back.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use control::{SystemWallClock, WallClock};
use domain::Cause;
use gateway::{CallRecord, Lane as CallLane, Outcome, Record, Records, StoppedRecord};
use limiter::Ledger;
use store::{
    Store,
    call_log::CallRow,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Peak, SeriesKey},
    usage::UsageFlush,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{journal::Journal, usage::Usage};

/// A crash loses at most this much of the statistics.
pub const EVERY: Duration = Duration::from_millis(100);

/// Calls without refusal or failure that one flush writes to the log; a thousand a second keeps a small file small.
const LOGGED_A_FLUSH: usize = 100;

/// Refused and failed calls that one flush writes to the log.
const NOTABLE_A_FLUSH: usize = 500;

/// Log rows that wait while the store cannot be written; the statistics themselves are merged and stay small.
const LOGGED_WAITING: usize = 20_000;

const MINUTE_MS: i64 = 60_000;

const HOUR_MS: i64 = 3_600_000;

/// Beyond it a blackout no longer covers what a flush may have missed.
const LAG: Duration = Duration::from_secs(1);

/// Flushes between two looks at what changes slowly.
const SLOW: u64 = 30;

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Waiting {
    deltas: BTreeMap<(SeriesKey, i64), CallDelta>,
    calls: Vec<CallRow>,
    keys_used: HashMap<String, i64>,
    peaks: Vec<Peak>,
}

impl Waiting {
    /// Adds records.
    pub fn add(&mut self, records: impl IntoIterator<Item = Record>) {
        let (mut logged, mut notable) = (0, 0);
        for record in records {
            match record {
                Record::Call(call) => {
                    let count = if call.outcome.failed() { &mut notable } else { &mut logged };
                    *count += 1;
                    let room = if call.outcome.failed() { *count <= NOTABLE_A_FLUSH } else { *count <= LOGGED_A_FLUSH };
                    self.call(&call, room && self.calls.len() < LOGGED_WAITING);
                }
                Record::Stopped(stopped) => self.stopped(&stopped),
            }
        }
    }

    fn call(&mut self, call: &CallRecord, log: bool) {
        let lane = match call.lane {
            CallLane::Limited => Lane::Limited,
            CallLane::Batch => Lane::Batch,
            CallLane::Free => return,
        };
        let series = SeriesKey {
            account: call.caller.account.as_str().to_owned(),
            lane,
            workspace: call.caller.workspace.as_str().to_owned(),
            model: call.model.as_str().to_owned(),
        };
        let delta = self.delta(series, call.started_at_ms);
        delta.figures.add(&figures(call));
        if matches!(call.outcome, Outcome::Ok) {
            delta.latency.count(call.latency_us);
        }
        if let Some(ttft_us) = call.ttft_us {
            delta.ttft.count(ttft_us);
        }
        self.used(call.caller.key.as_str(), call.started_at_ms);
        if log {
            self.calls.push(row(call, lane));
        }
    }

    fn stopped(&mut self, stopped: &StoppedRecord) {
        let series = SeriesKey {
            account: stopped.caller.account.as_str().to_owned(),
            lane: Lane::Stopped,
            workspace: stopped.caller.workspace.as_str().to_owned(),
            model: String::new(),
        };
        self.delta(series, stopped.at_ms).figures.calls += 1;
        self.used(stopped.caller.key.as_str(), stopped.at_ms);
    }

    fn delta(&mut self, series: SeriesKey, at_ms: i64) -> &mut CallDelta {
        let minute = at_ms.div_euclid(MINUTE_MS);
        let delta = self.deltas.entry((series.clone(), minute)).or_insert_with(|| CallDelta {
            series,
            first_at_ms: at_ms,
            figures: Figures::default(),
            latency: Histogram::default(),
            ttft: Histogram::default(),
        });
        delta.first_at_ms = delta.first_at_ms.min(at_ms);
        delta
    }

    fn used(&mut self, key: &str, at_ms: i64) {
        match self.keys_used.get_mut(key) {
            Some(last) => *last = at_ms.max(*last),
            None => {
                self.keys_used.insert(key.to_owned(), at_ms);
            }
        }
    }

    /// Notes peaks of use.
    pub fn peaks(&mut self, peaks: Vec<Peak>) {
        // Of the same hour the store keeps the highest, so those that could not be written are only merged.
        for peak in peaks {
            let same = |it: &&mut Peak| {
                (&it.account, &it.model, it.at_ms / HOUR_MS) == (&peak.account, &peak.model, peak.at_ms / HOUR_MS)
            };
            match self.peaks.iter_mut().find(same) {
                Some(known) => known.tokens = known.tokens.max(peak.tokens),
                None => self.peaks.push(peak),
            }
        }
    }

    fn batch(&mut self, usage: Option<UsageFlush>) -> Batch {
        Batch {
            deltas: self.deltas.values().cloned().collect(),
            calls: std::mem::take(&mut self.calls),
            keys_used: self.keys_used.iter().map(|(key, at_ms)| (key.clone(), *at_ms)).collect(),
            peaks: std::mem::take(&mut self.peaks),
            usage,
        }
    }

    /// Writes everything, and `usage`, in one transaction; keeps everything when that fails.
    ///
    /// # Errors
    /// What the store said.
    pub async fn write(&mut self, store: &Store, usage: Option<UsageFlush>) -> store::Result<Option<UsageFlush>> {
        let batch = self.batch(usage);
        match store.record(&batch).await {
            Ok(()) => {
                self.deltas.clear();
                self.keys_used.clear();
                Ok(batch.usage)
            }
            Err(error) => {
                self.calls = batch.calls;
                self.peaks = batch.peaks;
                Err(error)
            }
        }
    }
}

/// What a flush takes from.
pub struct Flush {
    /// Where it goes.
    pub store: Store,
    /// Finished calls.
    pub records: Arc<Records>,
    /// Charges.
    pub usage: Usage,
    /// Admissions, if they are journalled.
    pub journal: Option<Journal>,
    /// Whose peaks and learning are kept.
    pub ledger: Arc<Ledger>,
}

impl Flush {
    /// Writes the first sign of life.
    ///
    /// # Errors
    /// When the store cannot be written: then nothing may be admitted either.
    pub async fn begin(&mut self) -> store::Result<()> {
        let batch = Batch { usage: self.usage.flush(WallClock::now_ms(&SystemWallClock), false), ..Batch::default() };
        self.store.record(&batch).await?;
        if let Some(usage) = &batch.usage {
            self.usage.written(usage);
        }
        Ok(())
    }

    /// Flushes until `stop`, then once more.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut waiting = Waiting::default();
        let mut taken = Vec::new();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut failing, mut lost, mut tick) = (false, 0, 0_u64);
        loop {
            let last = tokio::select! {
                _ = ticks.tick() => false,
                () = stop.cancelled() => true,
            };
            let now_ms = WallClock::now_ms(&SystemWallClock);
            self.records.take(&mut taken);
            waiting.add(taken.drain(..));
            if last || tick.is_multiple_of(SLOW) {
                waiting.peaks(peaks(&self.ledger, now_ms));
            }
            if let Some(journal) = &mut self.journal {
                // A few thousand bytes into the page cache.
                tokio::task::block_in_place(|| journal.write());
            }
            let usage = self.usage.flush(now_ms, last);
            let began = Instant::now();
            let outcome = waiting.write(&self.store, usage).await;
            if began.elapsed() > LAG {
                let lag_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::error!(
                    lag_ms,
                    "the store lags: a crash now could grant more than the limits until a minute has passed"
                );
            }
            match &outcome {
                Ok(_) if failing => tracing::warn!("the store takes statistics again; what waited is written"),
                Err(error) if !failing => tracing::error!(
                    error = error as &dyn std::error::Error,
                    "statistics cannot be written and wait in memory"
                ),
                _ => {}
            }
            failing = outcome.is_err();
            if let Ok(Some(usage)) = outcome {
                self.usage.written(&usage);
            }
            if self.records.lost() > lost {
                tracing::error!(
                    calls = self.records.lost() - lost,
                    "calls were not recorded: more ended at once than fit"
                );
                lost = self.records.lost();
            }
            if last || tick % (SLOW * 10) == SLOW {
                keep_learned(&self.store, &self.ledger, now_ms).await;
            }
            if last {
                if failing {
                    tracing::error!("the store took nothing until the end: what waited in memory is lost");
                }
                return;
            }
            tick += 1;
        }
    }
}

/// The highest use of each model since this was last asked.
fn peaks(ledger: &Ledger, now_ms: i64) -> Vec<Peak> {
    let cells = ledger.cells();
    let peaks = cells.iter().map(|cell| Peak {
        account: cell.key().account.as_str().to_owned(),
        model: cell.key().model.as_str().to_owned(),
        at_ms: now_ms,
        tokens: signed(cell.take_peak_tokens()),
    });
    peaks.filter(|it| it.tokens > 0).collect()
}

/// What was learned of each model's prompts and answers survives a restart.
async fn keep_learned(store: &Store, ledger: &Ledger, now_ms: i64) {
    let outcome = async {
        let mut tx = store.begin().await?;
        for cell in ledger.cells() {
            let learned = cell.learned();
            let Some(output) = learned.output else { continue };
            #[expect(clippy::cast_possible_truncation, reason = "the ratio lies within 0.5 and 4")]
            let factor_ppm = (learned.ratio * 1e6).round() as i64;
            let key = cell.key();
            tx.set_learned(key.account.as_str(), key.model.as_str(), factor_ppm, signed(output), now_ms).await?;
        }
        tx.commit().await
    };
    if let Err(error) = outcome.await {
        tracing::warn!(%error, "what was learned of the models is not stored");
    }
}

fn figures(call: &CallRecord) -> Figures {
    let mut it = Figures {
        calls: 1,
        estimated: i64::from(call.tokens.estimated && call.outcome.admitted()),
        fell_back: i64::from(call.fell_back),
        tokens_prompt: signed(call.tokens.prompt),
        tokens_output: signed(call.tokens.output),
        tokens_total: signed(call.tokens.total),
        ..Figures::default()
    };
    match call.outcome {
        Outcome::Ok => {
            it.latency_sum_us = signed(call.latency_us);
            it.latency_count = 1;
        }
        Outcome::Refused(refused) => match refused.cause {
            Cause::Requests => it.refused_requests = 1,
            Cause::Tokens => it.refused_tokens = 1,
            Cause::Surge => it.refused_surge = 1,
        },
        Outcome::Provider { status: 500.., .. } => it.upstream_5xx = 1,
        Outcome::Provider { .. } => it.upstream_4xx = 1,
        Outcome::Undecided | Outcome::Unreachable => it.unreachable = 1,
        Outcome::Broken => it.broken = 1,
        Outcome::Timeout => it.timed_out = 1,
        Outcome::HangUp => it.hung_up = 1,
    }
    if let Some(ttft_us) = call.ttft_us {
        it.ttft_sum_us = signed(ttft_us);
        it.ttft_count = 1;
    }
    it
}

fn row(call: &CallRecord, lane: Lane) -> CallRow {
    let refused = match call.outcome {
        Outcome::Refused(refused) => Some(refused),
        _ => None,
    };
    let cause = refused.map(|it| it.cause).or(match call.outcome {
        Outcome::Provider { cause, .. } => cause,
        _ => None,
    });
    CallRow {
        account_id: call.caller.account.as_str().to_owned(),
        at_ms: call.started_at_ms,
        id: call.request_id.to_string(),
        workspace_id: call.caller.workspace.as_str().to_owned(),
        key_id: call.caller.key.as_str().to_owned(),
        model_code: call.model.as_str().to_owned(),
        lane: lane.as_str().to_owned(),
        outcome: word(&call.outcome).to_owned(),
        status: i64::from(call.outcome.status()),
        cause: cause.map(|it| it.as_str().to_owned()),
        scope: refused.map(|it| it.scope.as_str().to_owned()),
        window_s: refused.map(|it| signed(it.window.seconds())),
        explanation: refused.map(|it| {
            serde_json::json!({
                "limit": it.limit, "used": it.used, "needed": it.needed, "retry_after_us": it.retry_after_us,
            })
            .to_string()
        }),
        tokens_prompt: signed(call.tokens.prompt),
        tokens_output: signed(call.tokens.output),
        tokens_total: signed(call.tokens.total),
        estimated: call.tokens.estimated,
        streamed: call.streamed,
        latency_us: matches!(call.outcome, Outcome::Ok).then_some(signed(call.latency_us)),
        ttft_us: call.ttft_us.map(signed),
        upstream_id: None,
        notable: call.outcome.failed(),
    }
}

/// The outcome in the call log's words.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Refused(_) => "refused",
        Outcome::Undecided => "undecided",
        Outcome::Provider { .. } => "provider",
        Outcome::Unreachable => "unreachable",
        Outcome::Broken => "broken",
        Outcome::Timeout => "timeout",
        Outcome::HangUp => "hang-up",
    }
}

/// Far above any real count, and far enough below 2^63 that sums over years stay within it.
const LARGEST: i64 = 1_000_000_000_000;

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(LARGEST).min(LARGEST)
}
