//! The promised instant: one retry then succeeds, and one microsecond earlier it fails.

mod common;

use common::{MINUTE, SECOND, World, limits};
use domain::{Cause, Scope, Window, WorkspaceId};
use limiter::{BucketCharge, CellLimits, Decision, Micros, ScopeCharge, Settlement, Surge};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Step {
    pause: u64,
    calls: u32,
    other: bool,
    prompt: u64,
    max_output: Option<u64>,
    /// `None`: stays open.
    total: Option<u64>,
}

fn step() -> impl Strategy<Value = Step> {
    let pause = prop_oneof![3 => 0..2_000u64, 3 => 0..300_000u64, 2 => 900_000..1_100_000u64, 1 => 0..30_000_000u64];
    let max_output = proptest::option::of(0..50u64);
    (pause, 1..40u32, any::<bool>(), 1..30u64, max_output, proptest::option::of(0..200u64)).prop_map(
        |(pause, calls, other, prompt, max_output, total)| Step { pause, calls, other, prompt, max_output, total },
    )
}

proptest! {
    #![proptest_config(common::histories(600))]

    #[test]
    fn is_exact(
        account in (prop_oneof![1..130u64, 200..2000u64], 100..20_000u64),
        own in (1..130u64, 100..2_000u64),
        surge in (1..8u64, 1..60u64, 0..400u64),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let surge = Surge { least: surge.0, share_percent: surge.1, growth_percent: surge.2 };
        let world = World::with(limits(account.0, account.1), limits(own.0, own.1), surge);
        let other = world.ledger.workspace(&WorkspaceId::new("other"));
        let mut open = Vec::new();
        for it in steps {
            world.clock.advance(it.pause);
            for _ in 0..it.calls {
                let slot = if it.other { other } else { world.slot };
                let ask = || world.decide_as(slot, world.limits(), it.prompt, it.max_output);
                let denial = match ask() {
                    Decision::Admitted(permit, _) => {
                        match it.total {
                            Some(total) => permit.settle(Settlement::Exact { prompt: None, total, ended_well: true }),
                            None => open.push(permit),
                        }
                        continue;
                    }
                    Decision::Denied(denial, _) => denial,
                    Decision::Undecided => panic!("undecided"),
                };
                let Some(retry_after) = denial.retry_after_us else { break };
                prop_assert!((1..=MINUTE).contains(&retry_after));
                let longest = denial.violations().map(|it| it.retry_after_us.unwrap()).max().unwrap();
                prop_assert_eq!(denial.named.retry_after_us, Some(longest));
                prop_assert!(longest <= retry_after);
                let now = world.now();
                world.clock.set(Micros(now + retry_after - 1));
                prop_assert!(matches!(ask(), Decision::Denied(..)), "one microsecond early");
                world.clock.set(Micros(now + retry_after));
                match ask() {
                    Decision::Admitted(permit, _) => open.push(permit),
                    refused => prop_assert!(false, "not at the promised instant: {refused:?}"),
                }
            }
        }
    }
}

#[test]
fn a_refusal_names_the_exact_instant_of_return() {
    let world = World::new(limits(120, None), limits(None, None));
    let _first = world.admit(1, 0);
    world.clock.advance(250_000);
    let _second = world.admit(1, 0);
    let (denial, _) = world.refuse(1, 0);
    assert_eq!((denial.named.cause, denial.named.window), (Cause::Requests, Window::Second));
    assert_eq!((denial.named.used, denial.named.limit, denial.named.needed), (2, 2, 1));
    assert_eq!(denial.retry_after_us, Some(750_000));
}

/// When requests leave the minute the threshold falls: it holds now, and no longer at the instant at which the
/// workspace has room again. The promise is the least instant at which both hold.
#[test]
fn the_threshold_may_fall_while_another_limit_is_waited_for() {
    let surge = Surge { least: 1, share_percent: 1, growth_percent: 300 };
    let world = World::with(limits(6_000, None), limits(1, None), surge);
    let other = world.ledger.workspace(&WorkspaceId::new("other"));
    let before = |age: u64, slot, requests| {
        let charge = ScopeCharge { requests, tokens: 0 };
        let end = Micros(world.now() - age);
        world.cell.restore(BucketCharge { end, slot, account: charge, workspace: charge });
    };
    before(59_800_000, other, 590);
    before(59_700_000, world.slot, 1);
    let unlimited = CellLimits { workspace: limits(None, None), ..world.limits() };
    let _others: Vec<_> = (0..10).map(|_| world.decide_as(other, unlimited, 1, 0)).collect();
    assert_eq!(world.used()[2], 10);

    let (denial, _) = world.refuse(1, 0);
    assert_eq!((denial.named.scope, denial.named.retry_after_us), (Scope::Workspace, Some(300_000)));
    assert_eq!(denial.violations().filter(|it| it.cause == Cause::Surge).count(), 0);
    assert_eq!(denial.retry_after_us, Some(SECOND));
    world.clock.advance(SECOND - 1);
    world.refuse(1, 0);
    world.clock.advance(1);
    world.admit(1, 0);
}

#[test]
fn several_limits_name_the_longest_and_ties_go_by_order() {
    // Both scopes are full since the same instant, in requests and in tokens.
    let world = World::new(limits(1, 50), limits(1, 50));
    let _permit = world.admit(10, 40);
    world.clock.advance(10 * SECOND);
    let (denial, _) = world.refuse(10, 40);
    let found: Vec<_> = denial.violations().map(|it| (it.cause, it.scope, it.window)).collect();
    let minute = |cause, scope| (cause, scope, Window::Minute);
    let (requests, tokens) = (Cause::Requests, Cause::Tokens);
    assert_eq!(
        found,
        [
            minute(requests, Scope::Account),
            minute(requests, Scope::Workspace),
            minute(tokens, Scope::Account),
            minute(tokens, Scope::Workspace),
        ]
    );
    assert_eq!(denial.retry_after_us, Some(50 * SECOND));

    // The workspace's tokens are waited for longer than the account's requests.
    let world = World::new(limits(2, 1000), limits(2, 100));
    let other = world.ledger.workspace(&WorkspaceId::new("other"));
    let _early = world.decide_as(other, world.limits(), 1, 0);
    world.clock.advance(10 * SECOND);
    let _late = world.admit(10, 85);
    world.clock.advance(10 * SECOND);
    let (denial, _) = world.refuse(10, 0);
    assert_eq!((denial.named.cause, denial.named.scope), (Cause::Tokens, Scope::Workspace));
    assert_eq!((denial.named.used, denial.named.limit, denial.named.needed), (95, 100, 10));
    assert_eq!(denial.retry_after_us, Some(50 * SECOND));
    assert_eq!(denial.others.len(), 1);
    assert_eq!((denial.others[0].cause, denial.others[0].retry_after_us), (Cause::Requests, Some(40 * SECOND)));
}

#[test]
fn what_can_never_fit_is_refused_for_good() {
    let check = |account, own, prompt, expected: (Cause, Scope, u64, u64)| {
        let world = World::new(account, own);
        let (denial, _) = world.refuse(prompt, None);
        assert!(denial.permanent() && denial.named.retry_after_us.is_none());
        assert_eq!(denial.named.window, Window::Minute);
        let it = denial.named;
        assert_eq!((it.cause, it.scope, it.limit, it.needed), expected);
    };
    check(limits(10, 100), limits(None, None), 101, (Cause::Tokens, Scope::Account, 100, 101));
    check(limits(10, 100), limits(10, 50), 51, (Cause::Tokens, Scope::Workspace, 50, 51));
    check(limits(0, 100), limits(None, None), 1, (Cause::Requests, Scope::Account, 0, 1));
    check(limits(10, 0), limits(None, None), 1, (Cause::Tokens, Scope::Account, 0, 1));
    check(limits(10, 100), limits(0, 50), 101, (Cause::Requests, Scope::Workspace, 0, 1));
    check(limits(10, 100), limits(9, 0), 101, (Cause::Tokens, Scope::Account, 100, 101));
}

#[test]
fn a_wait_that_helps_is_never_named_before_one_that_does_not() {
    let world = World::new(limits(1, 100), limits(None, None));
    let _permit = world.admit(1, 0);
    let (denial, _) = world.refuse(101, None);
    assert_eq!(denial.named.cause, Cause::Tokens);
    assert!(denial.permanent());
    assert_eq!(denial.others.len(), 2, "the requests of the minute and of the second are listed too");
}
