//! Stops and starts: what is flushed, what comes back, and what no crash can free.

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{MINUTE, SECOND, World, limits};
use domain::{Limits, WorkspaceId};
use limiter::{
    BUCKET, BucketCharge, Decision, Ledger, ManualClock, Micros, ScopeCharge, Settlement, Surge, WorkspaceSlot,
};
use proptest::prelude::*;

fn world(clock: &Arc<ManualClock>, account: Limits, own: Limits) -> World {
    World::of(Ledger::flushed(clock.clone(), Surge::default()), clock.clone(), account, own)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Micros(200 * SECOND)))
}

/// What a store keeps: a sum for each bucket and workspace.
#[derive(Default)]
struct Stored(BTreeMap<(Micros, WorkspaceSlot), BucketCharge>);

impl Stored {
    fn flush(&mut self, world: &World) {
        world.ledger.drain(|key, change| {
            assert_eq!((&key.account, &key.model), (&common::account(), &common::model()));
            let nothing = ScopeCharge::default();
            let empty = BucketCharge { account: nothing, workspace: nothing, ..change };
            let sum = self.0.entry((change.end, change.slot)).or_insert(empty);
            for (sum, it) in [(&mut sum.account, change.account), (&mut sum.workspace, change.workspace)] {
                sum.requests += it.requests;
                sum.tokens += it.tokens;
            }
        });
    }

    fn restore(&self, world: &World) {
        self.0.values().for_each(|it| world.cell.restore(*it));
    }

    fn sums(&self) -> Vec<(u64, ScopeCharge, ScopeCharge)> {
        self.0.values().map(|it| (it.end.0 - 200 * SECOND, it.account, it.workspace)).collect()
    }
}

fn charge(requests: i64, tokens: i64) -> ScopeCharge {
    ScopeCharge { requests, tokens }
}

#[test]
fn charges_are_flushed_by_bucket_and_corrected_in_their_own() {
    let clock = clock();
    let world = world(&clock, limits(None, 6000), limits(None, 600));
    let mut stored = Stored::default();
    let (first, _) = world.admit(5, 0);
    clock.advance(30_000);
    let (second, _) = world.admit(5, 900); // 905 in the account, the 595 that are left in the workspace
    let _elsewhere = world.decide_as(WorkspaceSlot(7), world.limits(), 1, 1);
    clock.advance(70_000);
    let _next = world.decide_as(WorkspaceSlot(7), world.limits(), 2, 2);
    stored.flush(&world);
    let others = [(BUCKET, charge(1, 2), charge(1, 2)), (2 * BUCKET, charge(1, 4), charge(1, 4))];
    assert_eq!(stored.sums(), [(BUCKET, charge(2, 910), charge(2, 600)), others[0], others[1]]);

    clock.advance(SECOND);
    second.settle(Settlement::Exact { prompt: None, total: 12, ended_well: true });
    first.settle(Settlement::Nothing);
    stored.flush(&world);
    assert_eq!(stored.sums(), [(BUCKET, charge(2, 12), charge(2, 12)), others[0], others[1]]);
    let mut quiet = true;
    world.ledger.drain(|_, _| quiet = false);
    assert!(quiet, "nothing changed, nothing flushed");
}

#[test]
fn a_debt_is_flushed_where_it_was_made() {
    let clock = clock();
    let world = world(&clock, limits(None, 1000), limits(None, None));
    let mut stored = Stored::default();
    let (permit, _) = world.admit(10, 0);
    clock.advance(MINUTE);
    permit.settle(Settlement::Exact { prompt: None, total: 25, ended_well: true });
    stored.flush(&world);
    assert_eq!(stored.sums()[1], (MINUTE + BUCKET, charge(0, 15), charge(0, 15)));
}

#[test]
fn a_cell_is_not_forgotten_before_it_is_flushed() {
    let clock = clock();
    let ledger = Ledger::flushed(clock.clone(), Surge::default());
    let slot = ledger.workspace(&WorkspaceId::new("search"));
    let cell = ledger.cell(&common::account(), &common::model());
    drop(cell.admit(slot, &limiter::CellLimits::default(), limiter::Demand::default()));
    drop(cell);
    clock.advance(3 * MINUTE);
    ledger.sweep();
    let mut requests = 0;
    ledger.drain(|_, change| requests += change.account.requests);
    assert_eq!(requests, 1);
    ledger.sweep();
    assert!(ledger.cells().is_empty());
}

#[test]
fn a_clean_restart_frees_nothing() {
    let clock = clock();
    let before = world(&clock, limits(10, 1000), limits(10, 500));
    for _ in 0..3 {
        before.admit(10, 90).0.settle(Settlement::Exact { prompt: None, total: 100, ended_well: true });
        clock.advance(SECOND);
    }
    let mut stored = Stored::default();
    stored.flush(&before);
    let after = world(&clock, limits(10, 1000), limits(10, 500));
    stored.restore(&after);
    assert_eq!(after.used()[..2], before.used()[..2]);
    let (denial, _) = after.refuse(10, 250);
    assert_eq!((denial.named.used, denial.named.scope), (300, domain::Scope::Workspace));
    // The first bucket ended 100 ms after its start.
    assert_eq!(denial.retry_after_us, Some(57 * SECOND + BUCKET));
    clock.advance(57 * SECOND + BUCKET);
    after.admit(10, 250);
}

#[test]
fn what_is_older_than_a_minute_is_not_taken_back() {
    let clock = clock();
    let world = world(&clock, limits(10, 1000), limits(None, None));
    let bucket = |age| BucketCharge {
        end: Micros(200 * SECOND - age),
        slot: world.slot,
        account: charge(1, 1),
        workspace: charge(1, 1),
    };
    world.cell.restore(bucket(MINUTE));
    assert_eq!(world.used(), [0; 4]);
    world.cell.restore(bucket(MINUTE - 1));
    world.cell.restore(bucket(SECOND));
    world.cell.restore(bucket(SECOND - 1));
    assert_eq!(world.used(), [3, 3, 1, 1]);
}

#[test]
fn after_an_unclean_stop_a_seconds_worth_of_every_limit_is_taken() {
    let clock = clock();
    let world = world(&clock, limits(90, 6000), limits(30, 600));
    let last_flush = world.now() - 300_000;
    world.cell.black_out(Micros(last_flush + SECOND), world.account, &[(world.slot, world.own)]);
    let live = world.cell.live();
    let numbers = |it: limiter::Use| [it.requests_minute, it.tokens_minute, it.requests_second, it.tokens_second];
    assert_eq!(numbers(live.account), [2, 100, 2, 100], "stamped later than now, and counts already");
    assert_eq!(numbers(live.workspaces[0].1), [1, 10, 1, 10]);
    let (denial, _) = world.refuse(1, 0);
    assert_eq!(denial.retry_after_us, Some(700_000 + SECOND));
    clock.advance(700_000 + SECOND);
    world.admit(1, 0);
    clock.advance(59 * SECOND - 1);
    assert_eq!(world.used()[0], 3);
    clock.advance(1);
    assert_eq!(world.used()[0], 1);
}

#[test]
fn no_call_is_admitted_later_than_its_charge_can_be_kept() {
    let clock = clock();
    let world = world(&clock, limits(90, 6000), limits(None, None));
    let (running, _) = world.admit(1, 9);
    world.ledger.admit_until(Micros(world.now() + SECOND));
    clock.advance(SECOND);
    world.admit(1, 9).0.settle(Settlement::Nothing);
    clock.advance(1);
    let before = world.used();
    for prompt in [1, 7000] {
        assert!(matches!(world.decide(prompt, 0), Decision::Undecided), "not even what can never be is looked at");
    }
    assert_eq!(world.used(), before, "nothing is charged");
    running.settle(Settlement::Exact { prompt: None, total: 40, ended_well: true });
    assert_eq!(world.used()[1], 40, "what runs goes on and is settled");
    world.ledger.admit_until(Micros(world.now() + SECOND));
    world.admit(1, 9);
}

#[test]
fn a_blackout_is_flushed_too() {
    let clock = clock();
    let first = world(&clock, limits(90, 6000), limits(30, None));
    first.cell.black_out(Micros(first.now()), first.account, &[(first.slot, first.own)]);
    let mut stored = Stored::default();
    stored.flush(&first);
    let second = world(&clock, limits(90, 6000), limits(30, None));
    stored.restore(&second);
    assert_eq!(second.cell.live(), first.cell.live());
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Calls(u32, bool),
    Flush,
    /// Unflushed charges are lost; the process is back after so long.
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![0..40_000u64, 0..1_200_000u64, 0..20_000_000u64, 58_000_000..60_000_000u64].prop_map(Step::Advance),
        6 => (1..6u32, any::<bool>()).prop_map(|(calls, other)| Step::Calls(calls, other)),
        2 => Just(Step::Flush),
        1 => prop_oneof![0..200_000u64, 0..5_000_000u64].prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(common::histories(1500))]

    #[test]
    fn no_window_that_spans_crashes_goes_over_its_request_limit(
        account in 1..200u64,
        own in 1..100u64,
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let clock = clock();
        let (account, own) = (limits(account, None), limits(own, None));
        let mut world = world(&clock, account, own);
        let mut stored = Stored::default();
        let mut last_flush = world.now();
        let mut admitted = Vec::new();
        for step in steps {
            match step {
                Step::Advance(by) => clock.advance(by),
                Step::Calls(calls, other) => {
                    // The process flushes every 100 ms; up to a second late it goes on without.
                    if world.now() >= last_flush + SECOND {
                        stored.flush(&world);
                        last_flush = world.now();
                    }
                    for _ in 0..calls {
                        let slot = if other { WorkspaceSlot(7) } else { world.slot };
                        if let Decision::Admitted(..) = world.decide_as(slot, world.limits(), 1, 0) {
                            admitted.push((world.now(), slot));
                        }
                    }
                }
                Step::Flush => {
                    stored.flush(&world);
                    last_flush = world.now();
                }
                Step::Crash(away) => {
                    clock.advance(away);
                    world = self::world(&clock, account, own);
                    stored.restore(&world);
                    let workspaces = [(world.slot, own), (WorkspaceSlot(7), own)];
                    world.cell.black_out(Micros(last_flush + SECOND), account, &workspaces);
                    stored.flush(&world);
                    last_flush = world.now();
                }
            }
        }
        for (end, slot) in &admitted {
            for (length, ceil) in [(MINUTE, false), (SECOND, true)] {
                let held = |other: bool| {
                    let here = |it: &&(u64, WorkspaceSlot)| it.0 <= *end && it.0 + length > *end && (other || it.1 == *slot);
                    admitted.iter().filter(here).count() as u64
                };
                let limit = |it: Limits| it.rpm.map(|it| if ceil { it.per_second() } else { it.get() }).unwrap();
                prop_assert!(held(true) <= limit(account));
                prop_assert!(held(false) <= limit(own.lower(account)));
            }
        }
        prop_assert!(world.ledger.workspace_id(world.slot) == Some(WorkspaceId::new("search")));
    }
}
