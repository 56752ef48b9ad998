//! Limits that change while hundreds of calls run: use is state, a limit is only read.

mod common;

use common::{MINUTE, SECOND, World, limits};
use domain::{Cause, Scope, Window};
use limiter::{Decision, Permit, Settlement};

/// 400 calls in 40 s, each holding 1,000 tokens.
fn busy() -> (World, Vec<Permit>) {
    let world = World::new(limits(60_000, 1_000_000), limits(30_000, 500_000));
    let running = (0..400)
        .map(|_| {
            world.clock.advance(SECOND / 10);
            world.admit(100, 900).0
        })
        .collect();
    assert_eq!(world.used()[..2], [400, 400_000]);
    (world, running)
}

fn ended(total: u64) -> Settlement {
    Settlement::Exact { prompt: None, total, ended_well: true }
}

#[test]
fn a_limit_below_what_is_used_refuses_until_enough_has_left_or_was_given_back() {
    let (mut world, mut running) = busy();
    // An increase that ends: the account's default returns, and the workspace's own limit is the higher one now.
    world.account = limits(60_000, 100_000);
    let (denial, standing) = world.refuse(100, 900);
    assert_eq!(
        (denial.named.cause, denial.named.scope, denial.named.window),
        (Cause::Tokens, Scope::Account, Window::Minute)
    );
    assert_eq!((denial.named.used, denial.named.limit), (400_000, 100_000));
    assert_eq!(standing.tokens.unwrap().remaining, 0, "never huge");
    // 301 of 400 have to leave; the first was admitted 39.9 s ago.
    assert_eq!(denial.retry_after_us, Some(MINUTE - 39_900_000 + 300 * SECOND / 10));
    // What is given back makes room at once: 350 of them used 10 tokens each.
    for permit in running.drain(..350) {
        permit.settle(ended(10));
    }
    assert_eq!(world.used()[1], 50_000 + 3_500);
    let (late, _) = world.admit(100, 900);
    // And those that used more than they held are counted beyond the limit, without an end to it.
    for permit in running.drain(..25) {
        permit.settle(ended(1_000_000));
    }
    assert_eq!(world.used()[1], 25_000_000 + 25_000 + 3_500 + 1_000);
    assert_eq!(world.refuse(1, 0).1.tokens.unwrap().remaining, 0);
    world.clock.advance(MINUTE);
    assert_eq!(world.used(), [0; 4]);
    // What runs still is settled in a minute that is over: refunds are nothing, excess is owed.
    drop(late);
    running.drain(..20).for_each(|it| it.settle(ended(1)));
    assert_eq!(world.used(), [0; 4]);
    running.drain(..).for_each(|it| it.settle(ended(1_007)));
    assert_eq!(world.used(), [0, 35, 0, 0]);
}

#[test]
fn every_edit_holds_from_the_next_decision_and_resets_nothing() {
    let (mut world, running) = busy();
    world.clock.advance(2 * SECOND);
    let admits = |world: &World| {
        let decision = world.decide(100, 0);
        let admitted = matches!(decision, Decision::Admitted(..));
        if let Decision::Admitted(permit, _) = decision {
            permit.settle(Settlement::Nothing);
        }
        admitted
    };
    for (account, own, admitted) in [
        (limits(60_000, 1_000_000), limits(400, None), false),
        (limits(60_000, 1_000_000), limits(401, None), true),
        (limits(401, 1_000_000), limits(60_000, None), false),
        (limits(402, 1_000_000), limits(60_000, None), true),
        (limits(None, None), limits(None, None), true),
        (limits(None, 0), limits(None, None), false),
        (limits(0, None), limits(None, None), false),
        (limits(None, None), limits(None, 400_000), false),
        (limits(None, None), limits(None, 400_100), true),
        (limits(None, 400_099), limits(None, 9_000_000), false),
        (limits(60_000, 2_000_000), limits(None, None), true),
    ] {
        (world.account, world.own) = (account, own);
        assert_eq!(admits(&world), admitted, "{account:?} {own:?}");
        world.clock.advance(SECOND / 10);
    }
    assert_eq!(world.used()[..2], [405, 400_000]);
    drop(running);
    assert_eq!(world.used()[1], 400 * 100, "each was hung up, and had its prompt");
}
