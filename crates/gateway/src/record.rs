//! What is remembered of a call, and the bounded buffer it waits in until it is flushed. Holds no prompt, no
//! completion and no secret.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use domain::{AccountId, BrokenLimit, Cause, KeyId, ModelCode, Scope, Window, WorkspaceId};
use parking_lot::Mutex;
use uuid::Uuid;

/// One thing to be counted.
#[derive(Clone, Debug)]
pub enum Record {
    /// A call that reached the limiter, or went through the batch lane.
    Call(CallRecord),
    /// A call that one of the checks before the limiter stopped; it counts for nothing but its own number.
    Stopped(StoppedRecord),
}

impl Record {
    /// Whether both are calls of one key on one model in one lane, as far as addresses tell: after a change of the
    /// configuration calls of the same key may look different.
    pub fn is_like(&self, other: &Self) -> bool {
        let (Self::Call(a), Self::Call(b)) = (self, other) else { return false };
        Arc::ptr_eq(&a.caller, &b.caller) && Arc::ptr_eq(&a.model, &b.model) && a.lane == b.lane
    }
}

/// Who called: the part of a key that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's account.
    pub account: AccountId,
    /// The key's workspace.
    pub workspace: WorkspaceId,
    /// The key.
    pub key: KeyId,
}

/// How a call was metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Checked against every limit.
    Limited,
    /// Answered or passed on without being limited, and in no row (models, task results).
    Free,
    /// Files and batches: exempt, counted apart.
    Batch,
}

/// One call on one model. A call that fell back makes two, with the same request id.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// Who called.
    pub caller: Arc<Caller>,
    /// The model it was checked against, as the account names it.
    pub model: Arc<ModelCode>,
    /// The `x-request-id` of the answer.
    pub request_id: Uuid,
    /// Its lane.
    pub lane: Lane,
    /// Wall clock at admission or refusal, in milliseconds since the epoch.
    pub started_at_ms: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// From the request's head to the answer's end, in microseconds.
    pub latency_us: u64,
    /// From the request's head to the first event with content; `None` where nothing was streamed.
    pub ttft_us: Option<u64>,
    /// Of a refusal: the limits it would have broken beside the one that [`Refused`] names. Rarely any.
    pub also_broken: Vec<BrokenLimit>,
    /// Tokens, 0 for a refusal.
    pub tokens: Tokens,
    /// Whether the client asked for a stream.
    pub streamed: bool,
    /// Whether this model gave the call up to its backup.
    pub fell_back: bool,
    /// `x-stainless-retry-count`: how often the client's SDK had tried before; 0 if it did not say.
    pub client_retries: u32,
}

/// The tokens a call was settled at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Prompt, as reported, else as estimated.
    pub prompt: u64,
    /// Output, as reported, else as counted.
    pub output: u64,
    /// What was charged.
    pub total: u64,
    /// Whether the provider reported nothing, so that these are Sluice's own counts.
    pub estimated: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered to the end.
    Ok,
    /// A limit refused it: 429.
    Refused(Refused),
    /// The limiter could not decide, or there was no room for the call: 503.
    Undecided,
    /// The provider answered with an error, in the status line or inside a stream.
    Provider {
        /// The provider's status.
        status: u16,
        /// Which of its limits a 429 named, where that was recognised.
        cause: Option<Cause>,
    },
    /// The provider could not be reached, refused the gateway's credential or redirected: 502.
    Unreachable,
    /// The provider's answer broke off, or the gateway's own end cut it off.
    Broken,
    /// The provider sent nothing for too long: 504.
    Timeout,
    /// The client went away: 499. In the totals, but no failure.
    HangUp,
}

impl Outcome {
    /// The status it is listed under.
    pub const fn status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Refused(_) => 429,
            Self::Undecided => 503,
            Self::Provider { status, .. } => status,
            Self::Unreachable | Self::Broken => 502,
            Self::Timeout => 504,
            Self::HangUp => 499,
        }
    }

    /// Whether it counts as a failed call.
    pub const fn failed(self) -> bool {
        !matches!(self, Self::Ok | Self::HangUp)
    }

    /// Whether a limit let it through.
    pub const fn admitted(self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Undecided)
    }
}

/// The limit a refusal named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What ran out.
    pub cause: Cause,
    /// Whose limit.
    pub scope: Scope,
    /// Over which time.
    pub window: Window,
    /// The limit.
    pub limit: u64,
    /// What was charged against it.
    pub used: u64,
    /// What this call needed.
    pub needed: u64,
    /// When it would have been admitted, in microseconds; `None` if never.
    pub retry_after_us: Option<u64>,
}

/// A call that did not reach the limiter.
#[derive(Clone, Debug)]
pub struct StoppedRecord {
    /// Who called. A stranger makes no record, see [`Records::push_stranger`].
    pub caller: Arc<Caller>,
    /// Wall clock at the refusal, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The status it was answered with.
    pub status: u16,
}

/// Where records wait until they are taken. Writing never blocks and wakes nobody; what does not fit is counted.
#[derive(Debug)]
pub struct Records {
    // One buffer for each core's runtime, so that they do not meet at one lock.
    buffers: Box<[Mutex<Vec<Record>>]>,
    capacity: usize,
    lost: AtomicU64,
    strangers: AtomicU64,
}

const BUFFERS: usize = 8;

impl Records {
    /// Room for about `capacity` records.
    pub fn new(capacity: usize) -> Self {
        Self {
            buffers: (0..BUFFERS).map(|_| Mutex::default()).collect(),
            capacity: capacity.div_ceil(BUFFERS).max(1),
            lost: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
        }
    }

    /// Keeps `record`, or counts it as lost when there is no room.
    pub fn push(&self, record: Record) {
        let mut buffer = self.buffers[own_buffer()].lock();
        if buffer.len() < self.capacity {
            buffer.push(record);
        } else {
            drop(buffer);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a call without a known key or route: it belongs to no account, and a flood of them must not crowd out records.
    pub fn push_stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// Moves everything kept so far to the end of `into`, oldest first within each core.
    pub fn take(&self, into: &mut Vec<Record>) {
        for buffer in &self.buffers {
            let length = buffer.lock().len();
            if length == 0 {
                continue;
            }
            // The first changes places with `into`, and nothing is copied; no room is made or copied into under the lock.
            let mut full = if into.is_empty() { std::mem::take(into) } else { Vec::with_capacity(length) };
            std::mem::swap(&mut *buffer.lock(), &mut full);
            if into.is_empty() { *into = full } else { into.append(&mut full) }
        }
    }

    /// Records that did not fit, ever.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Calls without a known key or route, ever.
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }
}

fn own_buffer() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % BUFFERS;
    }
    OWN.with(|own| *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(status: u16) -> Record {
        let (account, workspace, key) = (AccountId::new("a"), WorkspaceId::new("w"), KeyId::new("k"));
        Record::Stopped(StoppedRecord { caller: Arc::new(Caller { account, workspace, key }), at_ms: 0, status })
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let records = Records::new(16);
        for status in 0..5 {
            records.push(stopped(status));
        }
        assert_eq!(records.lost(), 3, "one thread fills one of the buffers, which holds two");
        let mut taken = Vec::new();
        records.take(&mut taken);
        let statuses: Vec<_> = taken.iter().map(|it| matches!(it, Record::Stopped(it) if it.status < 2)).collect();
        assert_eq!(statuses, [true, true]);
        records.push(stopped(7));
        records.take(&mut taken);
        assert_eq!((taken.len(), records.lost()), (3, 3));
    }
}
