//! What a call is charged from its admission to its end, and long after.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{MINUTE, SECOND, World, limits};
use limiter::{CellLimits, Decision, Learned, Reserved, Settlement};
use proptest::prelude::*;

fn exact(total: u64) -> Settlement {
    Settlement::Exact { prompt: None, total, ended_well: false }
}

/// Tokens in the minute of the account and of the workspace.
fn tokens(world: &World) -> (u64, u64) {
    let live = world.cell.live();
    (live.account.tokens_minute, live.workspaces.first().map_or(0, |it| it.1.tokens_minute))
}

#[test]
fn a_scope_is_bounded_by_its_own_limit_and_reserves_for_itself() {
    let check = |account, own, prompt, max_output, expected: (u64, u64)| {
        let world = World::new(limits(None, account), limits(None, own));
        let (permit, _) = world.admit(prompt, max_output);
        let Reserved { account, workspace } = permit.reserved();
        assert_eq!((account, workspace), expected);
        assert_eq!(tokens(&world), expected);
    };
    check(Some(1000), Some(500), 12, Some(64), (76, 76));
    check(Some(1000), Some(50), 12, Some(64), (76, 50)); // bounded in the account only
    check(Some(1000), None, 12, Some(5000), (1000, 5012)); // nowhere bounded; no limit, no clamp
    check(Some(1000), None, 12, None, (1000, 1036)); // 1024 expected
    check(None, Some(2000), 12, None, (1036, 1036));
    check(Some(100), Some(500), 12, Some(88), (100, 100)); // exactly full
    check(None, None, 12, Some(u64::MAX), (u64::MAX, u64::MAX));
}

#[test]
fn a_call_without_a_bound_takes_the_room_that_is_left() {
    let world = World::new(limits(None, 1000), limits(None, None));
    let _first = world.admit(10, 790);
    world.clock.advance(SECOND);
    let (second, standing) = world.admit(10, None);
    assert_eq!(second.reserved().account, 200);
    assert_eq!(standing.tokens.unwrap().remaining, 0);
    world.refuse(1, None);
}

#[test]
fn a_prompt_bigger_than_a_second_joins_a_second_that_is_not_full_and_closes_it() {
    // 600 in a minute, 10 in a second.
    let world = World::new(limits(None, 600), limits(None, None));
    let _small = world.admit(9, 0);
    let (big, _) = world.admit(50, 0);
    let (denial, _) = world.refuse(1, 0);
    assert_eq!((denial.named.used, denial.named.limit, denial.named.needed), (59, 10, 1));
    assert_eq!(denial.retry_after_us, Some(SECOND));
    world.clock.advance(300_000);
    big.settle(exact(0));
    world.admit(1, 0); // it settled within the second
    world.refuse(1, 0);
    world.clock.advance(700_000);
    world.admit(8, 0);
}

#[test]
fn a_settlement_within_the_second_corrects_the_second_and_a_later_one_does_not() {
    let world = World::new(limits(None, 600), limits(None, None));
    let (permit, _) = world.admit(4, 0);
    world.clock.advance(SECOND - 1);
    permit.settle(exact(7));
    assert_eq!(world.used(), [1, 7, 1, 7]);
    let (permit, _) = world.admit(3, 0);
    world.clock.advance(SECOND);
    permit.settle(exact(7));
    assert_eq!(world.used(), [2, 14, 0, 0]);
}

#[test]
fn a_refund_after_the_minute_is_nothing_and_an_excess_is_a_debt_of_now() {
    let world = World::new(limits(1, 1000), limits(None, 800));
    let (refunded, _) = world.admit(10, 500);
    world.clock.advance(MINUTE);
    let (running, _) = world.admit(10, 90);
    refunded.settle(exact(0));
    assert_eq!(tokens(&world), (100, 100));

    world.clock.advance(MINUTE);
    running.settle(exact(150));
    assert_eq!(tokens(&world), (50, 50));
    assert_eq!(world.used(), [0, 50, 0, 0], "no request, and nothing in the second");
    let (denial, _) = world.refuse(10, 750);
    assert_eq!(denial.retry_after_us, Some(MINUTE));
    world.clock.advance(MINUTE - 1);
    assert_eq!(tokens(&world), (50, 50));
    world.clock.advance(1);
    assert_eq!(tokens(&world), (0, 0));
}

#[test]
fn a_debt_is_the_excess_over_each_scopes_own_reservation() {
    let world = World::new(limits(None, 1000), limits(None, 100));
    let (permit, _) = world.admit(10, 190); // 200 in the account, 100 in the workspace
    world.clock.advance(MINUTE);
    permit.settle(exact(250));
    assert_eq!(tokens(&world), (50, 150));
}

#[test]
fn a_running_call_raises_its_charge_when_it_has_outgrown_it() {
    let world = World::new(limits(None, 1000), limits(None, 1000));
    let (mut permit, _) = world.admit(10, 20);
    permit.counted(20);
    assert_eq!(tokens(&world), (30, 30));
    permit.counted(25);
    assert_eq!(tokens(&world), (35, 35));
    permit.counted(5);
    assert_eq!(tokens(&world), (35, 35));
    world.clock.advance(MINUTE);
    permit.counted(40);
    assert_eq!(tokens(&world), (15, 15), "what was counted in the next minute is charged there");
    permit.settle(exact(45));
    assert_eq!(tokens(&world), (10, 10), "and corrected there");
}

#[test]
fn a_dropped_permit_settles_at_what_was_counted_also_in_a_panic() {
    let world = World::new(limits(None, 1000), limits(None, 1000));
    let (mut permit, _) = world.admit(10, 500);
    permit.counted(7);
    drop(permit);
    assert_eq!(tokens(&world), (17, 17));

    world.clock.advance(SECOND);
    let (permit, _) = world.admit(20, 500);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _held = permit;
        panic!("a call that fails in the middle");
    }));
    assert!(panicked.is_err());
    assert_eq!(tokens(&world), (37, 37));
    world.clock.advance(SECOND);
    world.admit(1, 0);
}

#[test]
fn each_kind_of_end_charges_what_it_should() {
    let check = |settlement, counted, expected| {
        let world = World::new(limits(None, 1000), limits(None, 1000));
        let (mut permit, _) = world.admit(10, 100);
        permit.counted(counted);
        permit.settle(settlement);
        assert_eq!(tokens(&world), (expected, expected), "{settlement:?} after {counted}");
        assert_eq!(world.used()[0], 1, "the request stays");
    };
    check(exact(40), 0, 40);
    check(exact(5), 60, 5); // what the provider reports is the truth
    check(exact(4000), 0, 4000);
    check(exact(u64::MAX), 0, u64::MAX);
    check(Settlement::AtLeast { output: 30 }, 0, 40);
    check(Settlement::AtLeast { output: 30 }, 50, 60);
    check(Settlement::Nothing, 50, 0);
}

#[test]
fn use_above_any_limit_neither_underflows_nor_lasts() {
    let mut world = World::new(limits(1000, 100_000), limits(1000, 100_000));
    let permits: Vec<_> = (0..9).map(|_| world.admit(10, 400).0).collect();
    world.account = limits(3, 500);
    let (denial, standing) = world.refuse(10, 400);
    assert_eq!(standing.requests.unwrap().remaining, 0);
    assert_eq!(standing.tokens.unwrap().remaining, 0);
    assert!(denial.violations().any(|it| it.used == 9 && it.limit == 3));
    for permit in permits {
        permit.settle(exact(u64::MAX));
    }
    assert_eq!(world.used()[1], u64::MAX);
    world.refuse(1, 0);
    world.clock.advance(MINUTE);
    assert_eq!(world.used(), [0; 4]);
    world.admit(1, 0);
}

#[test]
fn a_limit_set_later_starts_from_the_truth() {
    let mut world = World::new(limits(None, None), limits(None, None));
    for _ in 0..5 {
        world.admit(10, 0).0.settle(exact(10));
    }
    world.own = limits(5, 1000);
    let (denial, standing) = world.refuse(1, 0);
    assert_eq!((denial.named.used, denial.named.limit), (5, 5));
    assert_eq!(standing.tokens.unwrap().remaining, 950);
    world.account = limits(4, None);
    world.own = limits(9, None);
    assert_eq!(world.refuse(1, 0).0.violations().map(|it| it.limit).collect::<Vec<_>>(), [4, 1, 4, 1]);
}

#[test]
fn headers_say_the_tighter_scope_after_this_calls_own_charge() {
    let world = World::new(limits(600, 10_000), limits(100, 20_000));
    let (_permit, standing) = world.admit(100, 200);
    let requests = standing.requests.unwrap();
    assert_eq!((requests.scope, requests.limit, requests.remaining), (domain::Scope::Workspace, 100, 99));
    assert_eq!((requests.per_second, requests.reset_us), (2, MINUTE));
    let tokens = standing.tokens.unwrap();
    assert_eq!((tokens.scope, tokens.limit, tokens.remaining), (domain::Scope::Account, 10_000, 9_700));
    assert_eq!((tokens.per_second, tokens.reset_us), (167, MINUTE));
    world.clock.advance(20 * SECOND);
    let (_permit, standing) = world.admit(1, 0);
    assert_eq!(standing.tokens.unwrap().reset_us, 40 * SECOND, "when the oldest charge leaves");
    let calls = World::new(limits(600, None), limits(None, None));
    assert!(calls.admit(1, 0).1.tokens.is_none(), "metered in calls");
}

#[test]
fn the_output_expected_rises_at_once_and_falls_by_sixteenths() {
    let world = World::new(limits(None, 1_000_000), limits(None, None));
    let end = |total, ended_well| {
        world.admit(10, None).0.settle(Settlement::Exact { prompt: None, total, ended_well });
        world.cell.learned().output
    };
    assert_eq!(end(50, false), None, "a call that broke off says nothing");
    assert_eq!(end(2010, true), Some(2000));
    assert_eq!(end(10, true), Some(1875));
    assert_eq!(end(1880, true), Some(1874)); // 1875 − ceil(5/16)
    assert_eq!(end(5, true), Some(1756)); // less than the prompt is an output of 0
    assert_eq!(world.admit(10, None).0.reserved().account, 1766);
}

#[test]
fn a_prompt_is_estimated_from_its_bytes_and_the_ratio_is_learned() {
    let world = World::new(limits(None, None), limits(None, None));
    let prompt = |ascii_bytes, other_bytes, token_ids| {
        let demand = limiter::Demand { ascii_bytes, other_bytes, token_ids, max_output: Some(0) };
        match world.cell.admit(world.slot, &world.limits(), demand) {
            Decision::Admitted(permit, _) => permit,
            refused => panic!("{refused:?}"),
        }
    };
    let estimate = |ascii, other, ids| prompt(ascii, other, ids).prompt();
    assert_eq!(estimate(0, 0, 0), 1);
    assert_eq!(estimate(1, 0, 0), 1);
    assert_eq!(estimate(8, 0, 0), 2);
    assert_eq!(estimate(9, 3, 0), 4); // 2.25 + 1
    assert_eq!(estimate(3, 1, 0), 2); // 0.75 + 0.33…
    assert_eq!(estimate(0, 0, 50), 50);
    assert_eq!(estimate(u64::MAX, u64::MAX, u64::MAX), u64::MAX);

    let report = |permit: limiter::Permit, prompt| {
        permit.settle(Settlement::Exact { prompt: Some(prompt), total: prompt, ended_well: true });
        world.cell.learned().ratio
    };
    // Expected to the last bit: all numbers here are sums of powers of two.
    assert_eq!(report(prompt(400, 0, 0), 200), 1.0 + 1.0 / 16.0);
    assert_eq!(estimate(400, 0, 0), 107); // 106.25
    assert_eq!(report(prompt(0, 0, 30), 90), 1.0625, "token ids teach nothing about bytes");
    for _ in 0..400 {
        report(prompt(400, 0, 0), 1_000_000);
    }
    assert_eq!(world.cell.learned().ratio, 4.0);
    assert_eq!(estimate(400, 0, 10), 410, "nor does the ratio apply to them");
    for _ in 0..400 {
        report(prompt(400, 0, 0), 0);
    }
    assert_eq!(world.cell.learned().ratio, 0.5);
    world.cell.set_learned(Learned { ratio: 2.0, output: Some(3) });
    assert_eq!(estimate(400, 0, 0), 200);
}

proptest! {
    #![proptest_config(common::histories(256))]

    /// Whatever becomes of one minute's calls after it has passed, nobody gets more in the next than the limit.
    #[test]
    fn nothing_leaks_into_another_minute(
        totals in proptest::collection::vec((1..100u64, 0..100u64, 0..1500u64, 0..130_000_000u64), 1..40),
    ) {
        let world = World::new(limits(None, 2000), limits(None, None));
        let mut open = Vec::new();
        for (prompt, output, total, later) in totals {
            if let Decision::Admitted(permit, _) = world.decide(prompt, output) {
                open.push((world.now() + later, permit, total));
            }
        }
        open.sort_by_key(|it| it.0);
        let admitted = world.now();
        for (when, permit, total) in open {
            world.clock.set(limiter::Micros(when));
            let (before, reserved) = (world.used()[1], permit.reserved().account);
            permit.settle(exact(total));
            let after = world.used()[1];
            if when - admitted >= MINUTE {
                prop_assert_eq!(after, before + total.saturating_sub(reserved), "late: only an excess counts");
            } else {
                prop_assert_eq!(after, before - reserved + total);
            }
        }
        world.clock.advance(MINUTE);
        prop_assert_eq!(world.used(), [0; 4], "and no debt outlives its window");
    }
}

#[test]
fn a_clock_that_steps_back_changes_no_decision() {
    let world = World::new(limits(2, None), limits(None, None));
    let _first = world.admit(1, 0);
    world.clock.advance(10 * SECOND);
    let _second = world.admit(1, 0);
    let now = world.now();
    world.clock.set(limiter::Micros(now - 9 * SECOND));
    assert_eq!(world.refuse(1, 0).0.retry_after_us, Some(50 * SECOND));
    world.clock.set(limiter::Micros(now));
    assert_eq!(world.refuse(1, 0).0.retry_after_us, Some(50 * SECOND));
}

#[test]
fn reset_says_when_remaining_grows_and_on_a_refusal_when_the_call_fits() {
    let mut world = World::new(limits(600, None), limits(None, None));
    for _ in 0..4 {
        drop(world.admit(1, 0));
        world.clock.advance(10 * SECOND);
    }
    world.account = limits(2, 1_000);
    // Four calls of 0, 10, 20 and 30 s, at 40 s: with the third gone, one of two is left.
    let (denial, standing) = world.refuse(1, 0);
    assert_eq!((denial.retry_after_us, standing.requests.unwrap().reset_us), (Some(40 * SECOND), 40 * SECOND));
    assert_eq!(standing.tokens.unwrap().reset_us, 20 * SECOND, "tokens are not what it was refused by");
    world.account = limits(5, 3);
    world.refuse(2, 0);
    let (_, standing) = world.refuse(2, 0);
    assert_eq!(standing.requests.unwrap().reset_us, 20 * SECOND);
    assert_eq!(standing.tokens.unwrap().reset_us, 40 * SECOND, "above the limit of 3, and 2 are needed");
    world.account = limits(600, None);
    world.own = limits(3, None);
    let other = world.ledger.workspace(&domain::WorkspaceId::new("other"));
    let lowered = CellLimits { account: limits(3, None), workspace: limits(None, None), default_output: 0 };
    let Decision::Denied(_, standing) = world.decide_as(other, lowered, 1, 0) else { panic!("four are above three") };
    assert_eq!(standing.requests.unwrap().reset_us, 30 * SECOND);
}

#[test]
fn limits_of_one_workspace_leave_another_alone() {
    let world = World::new(limits(10, 1000), limits(1, 100));
    let other = world.ledger.workspace(&domain::WorkspaceId::new("other"));
    let _permit = world.admit(1, 0);
    world.clock.advance(SECOND);
    world.refuse(1, 0);
    let free = CellLimits { workspace: limits(None, None), ..world.limits() };
    assert!(matches!(world.decide_as(other, free, 1, 0), Decision::Admitted(..)));
}
