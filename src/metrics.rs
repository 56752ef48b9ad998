//! Counters for `/metrics`. Fed by the flush with the records it writes anyway, so that a call pays nothing; put together
//! when somebody asks. Knows ids; the names in the labels are looked up then.

mod text;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use control::{Control, secret};
use domain::{Cause, ModelCode, WorkspaceId};
use gateway::{CallRecord, Gateway, Lane, Outcome, Record, Records};
use limiter::Ledger;

/// Upper bounds of the latency histogram, in microseconds: from an answer that is refused at once to a long completion.
const BOUNDS_US: [u64; 10] =
    [100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000, 120_000_000];

/// How a call can end, in the label's words.
const OUTCOMES: [&str; 9] =
    ["ok", "refused", "undecided", "provider_4xx", "provider_5xx", "unreachable", "broken", "timeout", "hang_up"];

/// What is counted of one workspace's calls on one model, since the process started.
#[derive(Clone, Debug, Default)]
struct Counts {
    outcomes: [u64; OUTCOMES.len()],
    causes: [u64; 3],
    prompt: u64,
    output: u64,
    /// Not cumulated: the number in each bucket, the last one without a bound.
    latency: [u64; BOUNDS_US.len() + 1],
    latency_sum_us: u64,
}

impl Counts {
    fn add(&mut self, call: &CallRecord) {
        self.outcomes[outcome(call.outcome)] += 1;
        if let Outcome::Refused(refused) = call.outcome {
            self.causes[cause(refused.cause)] += 1;
        }
        self.prompt += call.tokens.prompt;
        self.output += call.tokens.output;
        if matches!(call.outcome, Outcome::Ok) {
            self.latency[BOUNDS_US.partition_point(|bound| *bound < call.latency_us)] += 1;
            self.latency_sum_us = self.latency_sum_us.saturating_add(call.latency_us);
        }
    }
}

const fn outcome(it: Outcome) -> usize {
    match it {
        Outcome::Ok => 0,
        Outcome::Refused(_) => 1,
        Outcome::Undecided => 2,
        Outcome::Provider { status: 500.., .. } => 4,
        Outcome::Provider { .. } => 3,
        Outcome::Unreachable => 5,
        Outcome::Broken => 6,
        Outcome::Timeout => 7,
        Outcome::HangUp => 8,
    }
}

const fn cause(it: Cause) -> usize {
    match it {
        Cause::Requests => 0,
        Cause::Tokens => 1,
        Cause::Surge => 2,
    }
}

/// Which lane a call took, in the label's words; `None` for one that is not counted.
const fn lane(it: Lane) -> Option<usize> {
    match it {
        Lane::Limited => Some(0),
        Lane::Batch => Some(1),
        Lane::Free => None,
    }
}

const LANES: [&str; 2] = ["limited", "batch"];

/// Nested, so that a record finds its counters without a key being made for it.
type ByWorkspace = HashMap<WorkspaceId, HashMap<ModelCode, [Counts; LANES.len()]>>;

/// The counters of a process.
#[derive(Debug)]
pub struct Metrics {
    calls: Mutex<ByWorkspace>,
    flush: Mutex<FlushTimes>,
    store_errors: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct FlushTimes {
    written_at: Instant,
    took: Duration,
}

impl Default for Metrics {
    fn default() -> Self {
        let flush = FlushTimes { written_at: Instant::now(), took: Duration::ZERO };
        Self { calls: Mutex::default(), flush: Mutex::new(flush), store_errors: AtomicU64::new(0) }
    }
}

impl Metrics {
    /// Counts finished calls.
    pub fn count(&self, records: &[Record]) {
        if records.is_empty() {
            return;
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        for same in records.chunk_by(Record::is_like) {
            let Some(Record::Call(first)) = same.first() else { continue };
            let Some(lane) = lane(first.lane) else { continue };
            let models = match calls.get_mut(&first.caller.workspace) {
                Some(known) => known,
                None => calls.entry(first.caller.workspace.clone()).or_default(),
            };
            let counts = match models.get_mut(&*first.model) {
                Some(known) => known,
                None => models.entry((*first.model).clone()).or_default(),
            };
            for record in same {
                if let Record::Call(call) = record {
                    counts[lane].add(call);
                }
            }
        }
    }

    /// Notes that nothing waits to be written.
    pub fn up_to_date(&self) {
        self.flush.lock().unwrap_or_else(PoisonError::into_inner).written_at = Instant::now();
    }

    /// Notes how long a write of statistics took, and whether the store took it.
    pub fn flushed(&self, took: Duration, written: bool) {
        let mut flush = self.flush.lock().unwrap_or_else(PoisonError::into_inner);
        flush.took = took;
        if written {
            flush.written_at = Instant::now();
        } else {
            self.store_errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Everything that an answer to `/metrics` is made of.
#[derive(Clone)]
pub struct Scrape {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// What runs and waits.
    pub gateway: Arc<Gateway>,
    /// What could not be recorded, and who was not known.
    pub records: Arc<Records>,
    /// What is used at this moment.
    pub ledger: Arc<Ledger>,
    /// Where the names are.
    pub control: Control,
    /// The bearer token that opens the door to other machines; empty: none does.
    pub token: String,
}

impl Scrape {
    /// Whether somebody at `peer` may read. Through a proxy everybody comes from the loopback address: what a proxy passed
    /// on needs the token.
    pub fn allows(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let passed_on = ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|it| headers.contains_key(*it));
        let bearer = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        let given = bearer.and_then(|it| it.strip_prefix("Bearer ")).map(str::trim);
        // Digests are compared: how long that takes tells nothing of the token.
        let right = given.is_some_and(|it| secret::digest(it) == secret::digest(&self.token));
        (peer.is_loopback() && !passed_on) || (!self.token.is_empty() && right)
    }

    /// The answer, in Prometheus' text format.
    pub async fn text(&self) -> String {
        text::write(self, &text::Names::read(&self.control).await)
    }
}
