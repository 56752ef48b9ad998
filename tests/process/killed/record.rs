//! The provider's own record of what it received, and what was in each sliding window of it.

use std::time::Instant;

use serde_json::Value;
use testkit::provider::Received;

pub(super) const SECOND: u64 = 1_000_000;
pub(super) const MINUTE: u64 = 60 * SECOND;

/// One call as the provider saw it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) model: String,
    pub(super) workspace: String,
    /// When it was admitted, by the clock that decided.
    pub(super) at: u64,
    pub(super) prompt: u64,
    /// All it used, whether or not its answer could be delivered.
    pub(super) tokens: u64,
}

/// Everything that was received, in the order in which it was admitted; and a way to tell other instants by that clock.
pub(super) struct Record {
    pub(super) calls: Vec<Call>,
    kills: Vec<u64>,
}

impl Record {
    pub(super) fn of(received: &[Received], kills: &[Instant]) -> Self {
        let mut calls: Vec<_> = received.iter().map(read).collect();
        calls.sort_by_key(|it| it.at);
        // What came quickest tells how the two clocks lie to each other.
        let quickest = received.iter().min_by_key(|it| us_since(it.at, received[0].at) - signed(read(it).at));
        let quickest = quickest.expect("calls were received");
        let by_that_clock = |at: &Instant| {
            u64::try_from(signed(read(quickest).at) + us_since(*at, quickest.at)).expect("after the machine was booted")
        };
        Self { calls, kills: kills.iter().map(by_that_clock).collect() }
    }

    /// The calls of one cell, or of one workspace in it.
    pub(super) fn within(&self, model: &str, workspace: Option<&str>) -> Vec<&Call> {
        let here = |it: &&Call| it.model == model && workspace.is_none_or(|of| it.workspace == of);
        self.calls.iter().filter(here).collect()
    }

    /// The kills that a window of so long which ends at `end` still feels: what they made up for is stamped up to a second
    /// later.
    pub(super) fn felt(&self, length: u64, end: u64) -> impl Iterator<Item = u64> {
        self.kills.iter().copied().filter(move |kill| *kill <= end && kill + SECOND + length > end)
    }

    /// Whether the store may not have known of this call when the process was killed: it lags a second at most, for else
    /// no call is admitted.
    pub(super) fn may_be_lost(&self, call: &Call) -> bool {
        self.kills.iter().any(|kill| may_be_lost_at(*kill, call))
    }
}

pub(super) fn may_be_lost_at(kill: u64, call: &Call) -> bool {
    call.at <= kill && call.at + SECOND > kill
}

/// What was in the window that ends with each admission, that one included.
pub(super) fn windows<'a>(calls: &'a [&'a Call], length: u64) -> impl Iterator<Item = &'a [&'a Call]> {
    calls.iter().enumerate().map(move |(last, call)| {
        let first = calls.partition_point(|it| it.at + length <= call.at);
        &calls[first..=last]
    })
}

fn read(call: &Received) -> Call {
    let header = |name: &str| call.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let body: Value = serde_json::from_slice(&call.body).expect("the body came as it was sent");
    let text = |name: &str| body[name].as_str().expect("it was sent").to_owned();
    let told = |name: &str| {
        let part = header("x-stand-in").split("; ").find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
        part.and_then(|it| it.parse::<u64>().ok()).expect("the wish came as it was sent")
    };
    Call {
        model: text("model"),
        workspace: text("user"),
        at: header("x-sluice-admitted-us").parse().expect("admissions are stamped for this test"),
        prompt: told("prompt"),
        tokens: told("prompt") + told("output"),
    }
}

fn us_since(at: Instant, origin: Instant) -> i64 {
    let us = |it: std::time::Duration| i64::try_from(it.as_micros()).expect("not that long");
    us(at.saturating_duration_since(origin)) - us(origin.saturating_duration_since(at))
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).expect("not that long")
}
