//! Turns finished calls into rows. The gateway's records are added up as they come, and ten times a second made durable as
//! one packet; once a second what waits is added to the roll-ups. While the store does not answer, packets wait in a file.

mod fold;
mod kept;
mod logged;
mod outbox;
mod waiting;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use control::{SystemWallClock, WallClock};
use gateway::{Outcome, Record, Records};
use limiter::Ledger;
use store::{Store, rollup::Peak, usage::UsageFlush};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use fold::Fold;
use fold::fold;
pub use kept::Kept;
pub use outbox::Outbox;
use waiting::Waiting;

use crate::{
    freshness::Freshness,
    journal::Journal,
    metrics::Metrics,
    seconds::{Seconds, Whose},
    usage::Usage,
};

/// A crash loses at most this much of the statistics.
pub const EVERY: Duration = Duration::from_millis(100);

/// Beyond it a blackout no longer covers what a flush may have missed, and packets go to the spool.
const LAG: Duration = Duration::from_secs(1);

/// Records are added up so often between two flushes: in parts, so that no call waits for the processor while thousands are
/// gone through at once.
const PARTS: u32 = 5;

/// Records that keep their room when they are added up: a part's at a hundred thousand calls a second.
const ROOM: usize = 2_000;

/// Flushes between two looks at what changes slowly.
const SLOW: u64 = 30;

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
    /// What of its learning is kept already.
    pub kept: Arc<Kept>,
    /// Where packets wait.
    pub outbox: Outbox,
    /// Told up to when everything is durable.
    pub freshness: Arc<Freshness>,
    /// What `/metrics` counts.
    pub metrics: Arc<Metrics>,
    /// Where refusals are counted by the second; charges come there with `usage`.
    pub seconds: Arc<Seconds>,
}

/// Packets on their way, and the charges with them.
struct Attempt {
    writing: Pin<Box<dyn Future<Output = store::Result<()>> + Send>>,
    usage: Option<UsageFlush>,
    began: Instant,
    at_ms: i64,
}

/// What is known of the store's trouble, so that the log tells beginnings and ends only.
#[derive(Default)]
struct Trouble {
    failing: bool,
    lagging: bool,
    spool: bool,
    unreadable: bool,
    lost: u64,
}

impl Flush {
    /// Writes the first sign of life.
    ///
    /// # Errors
    /// When the store cannot be written: then nothing may be admitted either.
    pub async fn begin(&mut self) -> store::Result<()> {
        let usage = self.usage.flush(WallClock::now_ms(&SystemWallClock), false);
        self.store.append(&[], usage.as_ref()).await?;
        if let Some(usage) = &usage {
            self.usage.written(usage);
        }
        Ok(())
    }

    /// Flushes until `stop`, then once more.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut waiting = Waiting::default();
        let mut taken = Vec::new();
        let mut ticks = tokio::time::interval(EVERY / PARTS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = Trouble::default();
        // Charges whose commit was not answered: handed in again as they were, until it is known.
        let mut doubtful: Option<UsageFlush> = None;
        let mut attempt: Option<Attempt> = None;
        let (mut flushed, mut tick) = (Instant::now(), 0_u64);
        loop {
            let last = loop {
                tokio::select! {
                    _ = ticks.tick() => break false,
                    () = stop.cancelled() => break true,
                    outcome = outcome(&mut attempt), if attempt.is_some() => {
                        if let Some(ended) = attempt.take() {
                            self.done(&outcome, ended, &mut doubtful, &mut trouble);
                        }
                    }
                }
            };
            self.records.take(&mut taken);
            self.metrics.count(&taken);
            refusals(&taken, &self.seconds);
            waiting.add(&taken);
            taken.clear();
            taken.shrink_to(ROOM);
            // By time, not by count: parts that come late must not add up.
            let time = flushed.elapsed();
            if !last && time + EVERY / (2 * PARTS) < EVERY {
                continue;
            }
            let now_ms = WallClock::now_ms(&SystemWallClock);
            flushed += time;
            waiting.pass(time);
            tick += 1;
            if last || tick.is_multiple_of(SLOW) {
                waiting.peaks(peaks(&self.ledger, now_ms));
                self.seconds.sweep(now_ms);
            }
            // A few thousand bytes into the page cache; the thread is this task's own.
            let usage = self.gather(now_ms, last);
            trouble.lost(waiting.lost() + self.records.lost());
            // Of the last sign of life that is kept, not of the last answer: a write that took long was old when it ended.
            let lagging = self.usage.lag() > LAG;
            trouble.lags(lagging, &self.usage);
            if (attempt.is_none() || lagging || last)
                && (self.outbox.has_room() || last)
                && let Some(body) = waiting.pack()
            {
                self.outbox.push(body, now_ms);
            }
            if lagging {
                self.spill(false, &mut trouble);
            }
            if attempt.is_none() {
                attempt = self.attempt(now_ms, doubtful.take().or(usage), &mut trouble);
            }
            if last {
                return self.end(attempt, doubtful, trouble).await;
            }
        }
    }

    /// Takes the charges, then writes the journal; the charges are stored last, see [`Ledger::drain_journal`].
    fn gather(&mut self, now_ms: i64, last: bool) -> Option<UsageFlush> {
        let usage = self.usage.flush(now_ms, last);
        if let Some(journal) = &mut self.journal {
            journal.write();
        }
        usage
    }

    /// Begins to write what waits, if anything does.
    fn attempt(&mut self, now_ms: i64, usage: Option<UsageFlush>, trouble: &mut Trouble) -> Option<Attempt> {
        let next = self.outbox.next();
        if let Err(error) = &next
            && !trouble.unreadable
        {
            tracing::error!(%error, "the spool cannot be read; what lies in it waits, and so does what came after it");
        }
        trouble.unreadable = next.is_err();
        let packets = next.unwrap_or_default();
        if packets.is_empty() {
            // What cannot be read is not written: then figures get stale, and pages say so.
            if !trouble.unreadable {
                self.freshness.stored(now_ms);
                self.metrics.up_to_date();
            }
            usage.as_ref()?;
        }
        let (store, charges) = (self.store.clone(), usage.clone());
        let writing = Box::pin(async move { store.append(&packets, charges.as_ref()).await });
        Some(Attempt { writing, usage, began: Instant::now(), at_ms: now_ms })
    }

    /// Takes note of how an attempt ended; whether it ended well.
    fn done(
        &mut self,
        outcome: &store::Result<()>,
        ended: Attempt,
        doubtful: &mut Option<UsageFlush>,
        trouble: &mut Trouble,
    ) -> bool {
        self.metrics.flushed(ended.began.elapsed(), outcome.is_ok());
        match outcome {
            Ok(()) => {
                if let Err(error) = self.outbox.sent() {
                    tracing::warn!(%error, "a file of the spool cannot be removed; its packets are known by their numbers");
                }
                if self.outbox.is_empty() {
                    self.freshness.stored(ended.at_ms);
                }
                if let Some(usage) = &ended.usage {
                    self.usage.written(usage);
                }
                if trouble.failing {
                    tracing::warn!("the store takes statistics again; what waited is being written");
                }
            }
            Err(error) => {
                *doubtful = ended.usage;
                if !trouble.failing {
                    tracing::error!(
                        error = error as &dyn std::error::Error,
                        "statistics cannot be written and wait in memory, then in the spool"
                    );
                }
            }
        }
        trouble.failing = outcome.is_err();
        outcome.is_ok()
    }

    /// Whether nothing is left in memory alone.
    fn spill(&mut self, durably: bool, trouble: &mut Trouble) -> bool {
        let outcome = self.outbox.spill(durably);
        if let Err(error) = &outcome
            && !trouble.spool
        {
            tracing::error!(%error, "the spool cannot be written; statistics wait in memory alone");
        }
        trouble.spool = outcome.is_err();
        outcome.unwrap_or(false)
    }

    /// The last flush: everything in the store, or else in the spool.
    async fn end(mut self, mut attempt: Option<Attempt>, mut doubtful: Option<UsageFlush>, mut trouble: Trouble) {
        let now_ms = WallClock::now_ms(&SystemWallClock);
        while let Some(mut writing) = attempt {
            let outcome = writing.writing.as_mut().await;
            if !self.done(&outcome, writing, &mut doubtful, &mut trouble) {
                break;
            }
            attempt = self.attempt(now_ms, None, &mut trouble);
        }
        if trouble.failing || !self.outbox.is_empty() {
            if self.spill(true, &mut trouble) {
                tracing::error!("not all was stored until the end: what waited lies in the spool for the next start");
            } else {
                tracing::error!(
                    "not all was stored until the end, and there is no spool or no room in it: the last statistics are lost"
                );
            }
        }
        if trouble.failing {
            return;
        }
        let last = async {
            if let Some(usage) = self.usage.flush(now_ms, true) {
                self.store.append(&[], Some(&usage)).await?;
            }
            fold(&self.store).await.map(drop)
        };
        if let Err(error) = last.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what is stored is added up by the next start");
        }
        self.kept.keep(&self.store, &self.ledger, now_ms).await;
    }
}

async fn outcome(attempt: &mut Option<Attempt>) -> store::Result<()> {
    match attempt {
        Some(attempt) => attempt.writing.as_mut().await,
        None => std::future::pending().await,
    }
}

impl Trouble {
    fn lags(&mut self, lagging: bool, usage: &Usage) {
        if lagging && !self.lagging {
            let lag_ms = u64::try_from(usage.lag().as_millis()).unwrap_or(u64::MAX);
            let meanwhile = usage.meanwhile();
            tracing::error!(lag_ms, "the store lags and does not keep the use of limits: {meanwhile}");
        }
        if self.lagging && !lagging {
            tracing::warn!("the store keeps the use of limits again");
        }
        self.lagging = lagging;
    }

    fn lost(&mut self, lost: u64) {
        if lost > self.lost {
            tracing::error!(calls = lost - self.lost, "calls were not recorded: more ended at once than fit");
            self.lost = lost;
        }
    }
}

/// Counts refused calls by the second.
fn refusals(records: &[Record], seconds: &Seconds) {
    for record in records {
        let Record::Call(call) = record else { continue };
        if matches!(call.outcome, Outcome::Refused(_)) {
            let caller = &call.caller;
            let whose = Whose { account: &caller.account, model: &call.model, workspace: &caller.workspace };
            seconds.refuse(whose, call.started_at_ms);
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

/// Far above any real count, and far enough below 2^63 that sums over years stay within it.
const LARGEST: i64 = 1_000_000_000_000;

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(LARGEST).min(LARGEST)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::atomic::{AtomicBool, AtomicU64, Ordering},
    };

    use domain::{AccountId, Limits, ModelCode, Tpm, WorkspaceId};
    use limiter::{BucketCharge, CellLimits, Decision, Demand, Keeping, ScopeCharge, Settlement, Surge, verify};

    use super::*;
    use crate::{
        clock::SystemClock,
        config::Durability,
        journal::{Whole, offset_us},
    };

    fn cell(ledger: &Ledger, model: &str) -> Arc<limiter::CellHandle> {
        ledger.cell(&AccountId::new("a"), &ModelCode::parse(model).expect("a name"))
    }

    fn flush(store: &Store, ledger: &Arc<Ledger>, folder: &std::path::Path, outbox: Outbox) -> Flush {
        let seconds = Arc::new(Seconds::new(0));
        Flush {
            store: store.clone(),
            records: Arc::new(Records::new(1)),
            usage: Usage::new(Arc::clone(ledger), Arc::clone(&seconds), "this".to_owned(), Durability::Relaxed),
            seconds,
            journal: Some(Journal::new(Arc::clone(ledger), folder, 1).expect("a folder can be made")),
            ledger: Arc::clone(ledger),
            kept: Arc::default(),
            outbox,
            freshness: Arc::new(Freshness::new(0)),
            metrics: Arc::default(),
        }
    }

    #[tokio::test]
    async fn figures_get_stale_while_the_spool_cannot_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&format!("sqlite://{}/sluice.db", folder.path().display())).await.expect("it opens");
        let spool = folder.path().join("spool");
        std::fs::create_dir(&spool).expect("it is new");
        std::fs::write(spool.join("earlier.spool"), "cut off").expect("it can be written");
        let outbox = Outbox::open("this", Some(&spool), 1 << 20).expect("it can be read");
        let ledger = Arc::new(Ledger::new(Arc::new(SystemClock), Surge::default()));
        let mut flush = flush(&store, &ledger, &folder.path().join("journal"), outbox);
        flush.freshness.folded(10_000);
        std::fs::remove_dir_all(&spool).expect("it is there");
        let mut trouble = Trouble::default();
        assert!(flush.attempt(10_000, None, &mut trouble).is_none());
        assert_eq!((trouble.unreadable, flush.freshness.stale_since(10_000)), (true, Some(0)));
        assert!(flush.attempt(10_000, None, &mut trouble).is_none());
        assert_eq!((trouble.unreadable, flush.freshness.stale_since(10_000)), (false, None));
    }

    /// A call ends while a flush goes on, and at that very moment the process is killed: what the next one frees because
    /// of it must be in the journal, or the proof would claim an excess.
    #[tokio::test]
    async fn the_journal_knows_of_every_settlement_that_the_store_knows_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&format!("sqlite://{}/sluice.db", folder.path().display())).await.expect("it opens");
        let limits = |tpm: u64| {
            let account = Limits { rpm: None, tpm: Tpm::new(tpm) };
            CellLimits { account, default_output: 1, ..CellLimits::default() }
        };
        let demand = Demand { token_ids: 1, max_output: Some(999), ..Demand::default() };
        let keeping = Keeping { charges: true, journal: true };
        let begin = || Arc::new(Ledger::keeping(Arc::new(SystemClock), Surge::default(), keeping));
        for round in 0..60 {
            let before = begin();
            let slot = before.workspace(&WorkspaceId::new("w"));
            let folder = folder.path().join(round.to_string());
            let outbox = Outbox::open("this", None, 0).expect("it needs no folder");
            let mut flush = flush(&store, &before, &folder, outbox);
            let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
            let usage = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let decision = cell(&before, "m").admit(slot, &limits(1_000_000_000_000), demand);
                        let Decision::Admitted(permit, _) = decision else { panic!("there is room for years") };
                        calls.fetch_add(1, Ordering::Relaxed);
                        permit.settle(Settlement::Exact { prompt: None, total: 10, ended_well: true });
                    }
                });
                while calls.load(Ordering::Relaxed) < 20 {
                    std::thread::yield_now();
                }
                let usage = flush.gather(0, false).expect("there are charges");
                stop.store(true, Ordering::Relaxed);
                usage
            });

            let after = begin();
            let mut known = 0;
            for row in &usage.changes {
                let charge = ScopeCharge { requests: row.requests, tokens: row.tokens };
                known += u64::try_from(row.tokens).expect("no bucket is given back more than it has");
                let end = limiter::Micros(u64::try_from(row.end_us).expect("after the start"));
                cell(&after, "m").restore(BucketCharge { end, slot, account: charge, workspace: charge });
            }
            after.workspace(&WorkspaceId::new("w"));
            let filling = Demand { token_ids: 1, max_output: Some(1_000_000), ..Demand::default() };
            let filled = cell(&after, "m").admit(slot, &limits(known + 1_000), filling);
            let mut rest = Vec::new();
            after.drain_journal(offset_us(&folder).expect("it is there"), &mut rest);
            let whole = Whole::open(&folder, None).expect("it was written");
            let report = verify::run(io::Read::chain(whole, &rest[..]), None).expect("it is whole");
            assert!(report.holds(), "round {round}: {:?}", report.rows);
            drop(filled);
        }
    }
}
