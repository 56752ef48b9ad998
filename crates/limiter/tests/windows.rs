//! What was promised of every sliding window, checked over the recorded admissions alone and by counting.

mod common;

use common::{MINUTE, SECOND, World, limits};
use domain::WorkspaceId;
use limiter::{Decision, Settlement, WorkspaceSlot};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Admission {
    at: u64,
    slot: WorkspaceSlot,
    reserved: u64,
    actual: u64,
}

/// What any window of `length` that ends at an admission holds, of one workspace or of all.
fn highest(admissions: &[Admission], slot: Option<WorkspaceSlot>, length: u64, of: impl Fn(&Admission) -> u64) -> u64 {
    let here: Vec<&Admission> = admissions.iter().filter(|it| slot.is_none_or(|slot| slot == it.slot)).collect();
    let held =
        |end: &Admission| here.iter().filter(|it| it.at <= end.at && it.at + length > end.at).map(|it| of(it)).sum();
    here.iter().map(|it| held(it)).max().unwrap_or(0)
}

#[derive(Clone, Debug)]
struct Try {
    pause: u64,
    calls: u32,
    second_workspace: bool,
    prompt: u64,
    max_output: Option<u64>,
    /// In hundredths of what the call may use at most.
    used: u64,
    settled_after: u64,
}

fn tries(bounded: bool) -> impl Strategy<Value = Vec<Try>> {
    let pause = prop_oneof![0..20_000u64, 0..1_100_000u64, Just(SECOND), Just(MINUTE), 58_000_000..61_000_000u64];
    let max_output = (0..60u64, any::<bool>()).prop_map(move |(it, stated)| (bounded || stated).then_some(it));
    let one = (pause, 1..12u32, any::<bool>(), 1..40u64, max_output, 0..=100u64, 0..90_000_000u64).prop_map(
        |(pause, calls, second_workspace, prompt, max_output, used, settled_after)| Try {
            pause,
            calls,
            second_workspace,
            prompt,
            max_output,
            used,
            settled_after,
        },
    );
    proptest::collection::vec(one, 1..120)
}

/// Runs the tries; `worst` is the most a call without a bound uses.
fn run(world: &World, tries: Vec<Try>, worst: u64) -> Vec<Admission> {
    let other = world.ledger.workspace(&WorkspaceId::new("other"));
    let mut admissions: Vec<Admission> = Vec::new();
    let mut open: Vec<(u64, limiter::Permit, u64)> = Vec::new();
    for it in tries {
        world.clock.advance(it.pause);
        for _ in 0..it.calls {
            for index in (0..open.len()).rev().filter(|index| open[*index].0 <= world.now()).collect::<Vec<_>>() {
                let (_, permit, total) = open.swap_remove(index);
                permit.settle(Settlement::Exact { prompt: None, total, ended_well: true });
            }
            let slot = if it.second_workspace { other } else { world.slot };
            if let Decision::Admitted(permit, _) = world.decide_as(slot, world.limits(), it.prompt, it.max_output) {
                let most = it.prompt + it.max_output.unwrap_or(worst);
                let (reserved, actual) = (permit.reserved().account, most * it.used / 100);
                admissions.push(Admission { at: world.now(), slot, reserved, actual });
                open.push((world.now() + it.settled_after, permit, actual));
            }
        }
    }
    admissions
}

proptest! {
    #![proptest_config(common::histories(256))]

    #[test]
    fn requests_never_pass_their_limits(
        (account, own) in (prop_oneof![0..130u64, 100..700u64], 0..130u64),
        tries in tries(false),
    ) {
        let world = World::new(limits(account, None), limits(own, None));
        let admissions = run(&world, tries, 500);
        let own = own.min(account);
        for (slot, limit) in [(None, account), (Some(world.slot), own)] {
            prop_assert!(highest(&admissions, slot, MINUTE, |_| 1) <= limit);
            prop_assert!(highest(&admissions, slot, SECOND, |_| 1) <= domain::ceil60(limit));
        }
    }

    /// With a bound that is kept, what was really used stays within the limit, not only what was reserved.
    #[test]
    fn actual_tokens_of_bounded_calls_never_pass_their_limits(
        (account, own) in (100..3000u64, 100..1500u64),
        tries in tries(true),
    ) {
        let world = World::new(limits(None, account), limits(None, own));
        let admissions = run(&world, tries, 0);
        prop_assert!(highest(&admissions, None, MINUTE, |it| it.actual) <= account);
        prop_assert!(highest(&admissions, Some(world.slot), MINUTE, |it| it.actual) <= own.min(account));
    }

    /// Without bounds, by no more than what calls used beyond what they had reserved.
    #[test]
    fn the_excess_is_that_of_the_calls_and_no_more(account in 100..3000u64, tries in tries(false)) {
        let world = World::new(limits(None, account), limits(None, None));
        let admissions = run(&world, tries, 500);
        let excess: u64 = admissions.iter().map(|it| it.actual.saturating_sub(it.reserved)).sum();
        prop_assert!(highest(&admissions, None, MINUTE, |it| it.actual) <= account + excess);
        prop_assert!(highest(&admissions, None, MINUTE, |it| it.reserved.min(it.actual)) <= account);
    }

    /// The charges at each admission, whatever else happened, are within the limit.
    #[test]
    fn charges_are_within_the_limit_at_every_admission(account in 1..3000u64, tries in tries(false)) {
        let world = World::new(limits(None, account), limits(None, None));
        for it in tries {
            world.clock.advance(it.pause);
            if let Decision::Admitted(permit, standing) = world.decide(it.prompt, it.max_output) {
                prop_assert!(world.used()[1] <= account);
                prop_assert_eq!(standing.tokens.unwrap().remaining, account - world.used()[1]);
                permit.settle(Settlement::Exact { prompt: None, total: it.used * 20, ended_well: true });
            }
        }
    }
}
