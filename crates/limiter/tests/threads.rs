//! Two threads on one cell are one after the other: together they never pass a limit.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use common::limits;
use domain::{AccountId, ModelCode, WorkspaceId};
use limiter::{CellLimits, Clock, Decision, Demand, Ledger, Micros, Settlement, Surge};

/// A clock that runs on by a random step with every reading, and sometimes back, whoever reads it.
struct Jumping(AtomicU64);

impl Clock for Jumping {
    fn now(&self) -> Micros {
        let read = self.0.fetch_add(700, Ordering::Relaxed);
        let back = if read.is_multiple_of(7) { 5_000 } else { 0 };
        Micros(read - back)
    }
}

/// A clock that notices whether two threads read it at once.
#[derive(Default)]
struct Alone {
    readers: AtomicU64,
    met: AtomicU64,
}

impl Clock for Alone {
    fn now(&self) -> Micros {
        self.met.fetch_max(self.readers.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::yield_now();
        self.readers.fetch_sub(1, Ordering::SeqCst);
        Micros(200_000_000)
    }
}

#[test]
fn the_clock_of_a_cell_is_read_inside_its_lock() {
    let clock = Arc::new(Alone::default());
    let ledger = Ledger::new(clock.clone(), Surge::default());
    let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").unwrap());
    let slot = ledger.workspace(&WorkspaceId::new("w"));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    drop(cell.admit(slot, &CellLimits::default(), Demand::default()));
                }
            });
        }
    });
    assert_eq!(clock.met.load(Ordering::SeqCst), 1, "readers at once");
}

#[test]
fn threads_never_pass_a_limit_together() {
    let clock = Arc::new(Jumping(AtomicU64::new(200_000_000)));
    let ledger = Ledger::new(clock, Surge { least: u64::MAX, ..Surge::default() });
    let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").unwrap());
    let slots = ["one", "two"].map(|it| ledger.workspace(&WorkspaceId::new(it)));
    let limits = CellLimits { account: limits(3000, 90_000), workspace: limits(2000, 60_000), default_output: 40 };
    let mut admitted: Vec<(Micros, usize, u64)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4usize)
            .map(|thread| {
                let (cell, limits, slots) = (&cell, &limits, &slots);
                scope.spawn(move || {
                    let mut admitted = Vec::new();
                    let mut open = Vec::new();
                    for call in 0..30_000u64 {
                        let slot = (thread + usize::from(call % 5 == 0)) % 2;
                        let demand =
                            Demand { token_ids: 1 + call % 9, max_output: Some(call % 30), ..Demand::default() };
                        if let Decision::Admitted(permit, _) = cell.admit(slots[slot], limits, demand) {
                            admitted.push((permit.admitted_at(), slot, permit.reserved().account));
                            open.push(permit);
                        }
                        // Some end here, some on the way, some when the thread does: all by what they reserved.
                        if call % 3 == 0
                            && let Some(permit) = open.pop()
                        {
                            let total = permit.reserved().account;
                            permit.settle(Settlement::Exact { prompt: None, total, ended_well: true });
                        }
                    }
                    for permit in open {
                        let total = permit.reserved().account;
                        permit.settle(Settlement::Exact { prompt: None, total, ended_well: true });
                    }
                    admitted
                })
            })
            .collect();
        threads.into_iter().flat_map(|it| it.join().unwrap()).collect()
    });
    admitted.sort();
    assert!(admitted.len() > 3000, "{} admitted", admitted.len());
    let check = |here: Vec<(Micros, u64)>, length: u64, most: u64, most_tokens: Option<u64>| {
        let mut first = 0;
        for (last, end) in here.iter().enumerate() {
            while here[first].0.plus(length) <= end.0 {
                first += 1;
            }
            assert!(((last - first) as u64) < most, "{} in a window", last - first + 1);
            if let Some(most) = most_tokens {
                assert!(here[first..=last].iter().map(|it| it.1).sum::<u64>() <= most);
            }
        }
    };
    let of = |slot: Option<usize>| {
        let here = admitted.iter().filter(|it| slot.is_none_or(|slot| it.1 == slot));
        here.map(|it| (it.0, it.2)).collect::<Vec<_>>()
    };
    check(of(None), 60_000_000, 3000, Some(90_000));
    check(of(None), 1_000_000, 50, None);
    for slot in [0, 1] {
        check(of(Some(slot)), 60_000_000, 2000, Some(60_000));
        check(of(Some(slot)), 1_000_000, 34, None);
    }
}
