//! Calls at a fixed rate, whatever their answers take.
//!
//! A call's latency counts from the instant it was due, so that a server which falls behind is not spared the calls that
//! would have been made meanwhile.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use crate::{
    Order,
    lanes::{Lanes, News},
};

/// Calls of the first part of a run are made and not counted: caches are cold.
const WARM_UP: f64 = 0.2;
/// Calls that are due within this time go out together: above 10,000 a second, to wake for each alone would be a load of its
/// own on a machine that the generator shares with what it measures. So a call may be late by as much, whatever is
/// measured.
const GRAIN: Duration = Duration::from_micros(100);
/// How long after the last call was due its answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The calls, as they are made.
struct Run {
    lanes: Lanes,
    start: Instant,
    step: Duration,
    counted_from: Instant,
    /// Lanes without a call, the longest idle first.
    free: VecDeque<usize>,
    /// When the calls were due that are still to be made.
    waiting: VecDeque<Instant>,
    /// When the call of each lane was due.
    due: Vec<Instant>,
    seen: Seen,
}

/// What has come of them.
#[derive(Default)]
struct Seen {
    ended: u32,
    failed: u32,
    whole_us: Vec<u64>,
    first_us: Vec<u64>,
}

/// Makes the calls; one line of JSON. `made` are all that ended, `calls` those that were counted.
pub(crate) fn at_a_rate(order: &Order) -> io::Result<String> {
    let step = Duration::from_secs_f64(1.0 / order.rate);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls")]
    let calls = (order.rate * order.seconds) as u32;
    let mut lanes = Lanes::new(order.address, order.request())?;
    if let Some(address) = order.provide {
        lanes.provide(address)?;
    }
    for _ in 0..order.connections {
        let lane = lanes.add();
        lanes.connect(lane)?;
    }
    let before = Duration::from_millis(50);
    let start = Instant::now() + before;
    // Never before a call is due, or that one would wait for the next alarm.
    lanes.every(before, step.max(GRAIN))?;
    let mut run = Run {
        lanes,
        start,
        step,
        counted_from: start + Duration::from_secs_f64(order.seconds * WARM_UP),
        free: (0..order.connections).collect(),
        waiting: VecDeque::new(),
        due: vec![start; order.connections],
        seen: Seen::default(),
    };
    run.make(calls)?;
    Ok(run.seen.told(order.seconds * (1.0 - WARM_UP)))
}

impl Run {
    fn make(&mut self, calls: u32) -> io::Result<()> {
        let (mut made, mut news) = (0, Vec::new());
        let give_up = self.start + self.step * calls + PATIENCE;
        while self.seen.ended < calls {
            let now = Instant::now();
            while made < calls && self.start + self.step * made <= now {
                self.waiting.push_back(self.start + self.step * made);
                made += 1;
            }
            self.send();
            if now > give_up {
                self.seen.failed += calls - self.seen.ended;
                break;
            }
            self.lanes.wait(&mut news)?;
            for it in news.drain(..) {
                match it {
                    News::Alarm => {}
                    News::Begun(lane, at) => self.count(lane, at, |seen| &mut seen.first_us),
                    News::Whole(lane, at) => {
                        self.count(lane, at, |seen| &mut seen.whole_us);
                        self.seen.ended += 1;
                        self.free.push_back(lane);
                    }
                    News::Failed(lane) => self.fail(lane),
                }
            }
        }
        Ok(())
    }

    /// Makes the calls that are due, as long as lanes are free.
    fn send(&mut self) {
        while !self.free.is_empty()
            && let Some(due) = self.waiting.pop_front()
            && let Some(lane) = self.free.pop_front()
        {
            self.due[lane] = due;
            if self.lanes.send(lane).is_err() {
                self.fail(lane);
            }
        }
    }

    fn fail(&mut self, lane: usize) {
        self.seen.failed += 1;
        self.seen.ended += 1;
        self.free.push_back(lane);
    }

    fn count(&mut self, lane: usize, at: Instant, column: impl FnOnce(&mut Seen) -> &mut Vec<u64>) {
        if self.due[lane] >= self.counted_from {
            let us = (at - self.due[lane]).as_micros();
            column(&mut self.seen).push(u64::try_from(us).unwrap_or(u64::MAX));
        }
    }
}

impl Seen {
    fn told(mut self, seconds: f64) -> String {
        let part = |of: &mut Vec<u64>, part: f64| {
            of.sort_unstable();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
            let index = (of.len() as f64 * part) as usize;
            of.get(index.min(of.len().saturating_sub(1))).copied().unwrap_or(0)
        };
        format!(
            r#"{{"made":{},"calls":{},"seconds":{seconds},"p50_us":{},"p99_us":{},"p999_us":{},"first_p50_us":{},"first_p99_us":{},"failed":{}}}"#,
            self.ended,
            self.whole_us.len(),
            part(&mut self.whole_us, 0.5),
            part(&mut self.whole_us, 0.99),
            part(&mut self.whole_us, 0.999),
            part(&mut self.first_us, 0.5),
            part(&mut self.first_us, 0.99),
            self.failed
        )
    }
}
