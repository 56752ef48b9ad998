//! What surge protection does and does not do, property by property.

#![allow(clippy::cast_possible_truncation, reason = "instants of at most minutes")]

mod common;

use common::{MINUTE, SECOND, World, limits};
use domain::Cause;
use limiter::{Decision, Settlement};
use proptest::prelude::*;

/// Sends a call at each instant; tells which were admitted, and whether any refusal was, or was also, a surge.
fn send(world: &World, instants: impl IntoIterator<Item = u64>) -> (Vec<(u64, bool)>, bool) {
    let start = world.now();
    let mut surged = false;
    let decided = instants.into_iter().map(|at| {
        world.clock.set(limiter::Micros(start + at));
        match world.decide(1, 0) {
            Decision::Admitted(permit, _) => {
                permit.settle(Settlement::Nothing);
                (at, true)
            }
            Decision::Denied(denial, _) => {
                surged |= denial.violations().any(|it| it.cause == Cause::Surge);
                (at, false)
            }
            Decision::Undecided => panic!("undecided"),
        }
    });
    (decided.collect(), surged)
}

fn world(rpm: u64) -> World {
    World::new(limits(rpm, None), limits(None, None))
}

/// Evenly, `per_minute` calls a minute for `seconds`.
fn evenly(per_minute: u64, seconds: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |n| n * MINUTE / per_minute).take_while(move |at| *at < seconds * SECOND)
}

/// From nothing to `rpm` in a straight line over `seconds`: the n-th call where n calls are due.
fn ramp(rpm: u64, seconds: u64) -> impl Iterator<Item = u64> {
    let (rpm, seconds) = (rpm as f64, seconds as f64);
    (1..)
        .map(move |n| (120.0 * seconds * f64::from(n) / rpm).sqrt())
        .take_while(move |at| *at < seconds)
        .map(|at| (at * 1e6) as u64)
}

/// From one call a second to `rpm`, twice as many every `doubling` seconds.
fn growth(rpm: u64, doubling: f64) -> impl Iterator<Item = u64> {
    let rate = std::f64::consts::LN_2 / doubling;
    let end = (rpm as f64 / 60.0).log2() * doubling;
    (1..)
        .map(move |n| (1.0 + f64::from(n) * rate).ln() / rate)
        .take_while(move |at| *at < end)
        .map(|at| (at * 1e6) as u64)
}

proptest! {
    #![proptest_config(common::histories(256))]

    #[test]
    fn it_never_fires_at_600_or_below(
        rpm in 1..=600u64,
        pauses in proptest::collection::vec((prop_oneof![Just(0u64), 0..2_000_000u64, 0..70_000_000u64], 1..20u32), 1..60),
    ) {
        let world = world(rpm);
        let mut at = 0;
        let instants: Vec<u64> = pauses.iter().flat_map(|(pause, calls)| {
            at += pause;
            (0..*calls).map(move |_| at)
        }).collect();
        prop_assert!(!send(&world, instants).1);
    }

    /// Refusals charge nothing: whoever hammers in between is admitted exactly as if he had not.
    #[test]
    fn refusals_do_not_delay_recovery(
        rpm in 601..3000u64,
        pauses in proptest::collection::vec((0..1_500_000u64, 1..80u32), 1..60),
    ) {
        let hammering = world(rpm);
        let mut at = 0;
        let instants: Vec<u64> = pauses.iter().flat_map(|(pause, calls)| {
            at += pause;
            (0..*calls).map(move |_| at)
        }).collect();
        let (decided, _) = send(&hammering, instants);
        let admitted: Vec<u64> = decided.iter().filter(|it| it.1).map(|it| it.0).collect();
        let (again, _) = send(&world(rpm), admitted);
        prop_assert!(again.iter().all(|it| it.1));
    }
}

#[test]
fn it_fires_from_601_on() {
    let (decided, surged) = send(&world(601), [0; 12]);
    assert_eq!(decided.iter().filter(|it| it.1).count(), 10);
    assert!(surged);
}

#[test]
fn steady_traffic_passes_at_every_rate_it_has_reached() {
    for rpm in [601, 1_200, 6_000, 15_000] {
        let world = world(rpm);
        assert!(!send(&world, ramp(rpm, 90)).1, "up to {rpm}");
        let (_, surged) = send(&world, evenly(rpm, 150));
        assert!(!surged, "{rpm} a minute, steadily");
    }
}

#[test]
fn half_of_the_limit_passes_from_nothing() {
    for rpm in [1_200, 6_000, 15_000] {
        let (decided, surged) = send(&world(rpm), evenly(rpm / 2, 150));
        assert!(!surged && decided.iter().all(|it| it.1), "{rpm}");
    }
}

#[test]
fn a_linear_ramp_over_90_seconds_or_longer_passes() {
    for rpm in [700, 1_200, 6_000, 15_000, 60_000] {
        for seconds in [90, 120, 300] {
            assert!(!send(&world(rpm), ramp(rpm, seconds)).1, "{rpm} over {seconds} s");
        }
    }
}

#[test]
fn growth_that_doubles_every_20_seconds_or_slower_passes() {
    for rpm in [700, 1_200, 6_000, 15_000] {
        for doubling in [20.0, 30.0, 60.0] {
            assert!(!send(&world(rpm), growth(rpm, doubling)).1, "{rpm}, doubling in {doubling} s");
        }
    }
    assert!(send(&world(15_000), growth(15_000, 5.0)).1, "doubling every 5 s is a surge");
}

#[test]
fn a_step_above_half_the_limit_fires() {
    for rpm in [1_200, 6_000, 15_000] {
        let from_idle = send(&world(rpm), evenly(rpm / 100 * 55, 10)).1;
        assert!(from_idle, "{rpm}, from idle");
        let world = world(rpm);
        assert!(!send(&world, evenly(rpm / 10, 90)).1);
        assert!(send(&world, evenly(rpm / 100 * 55, 10)).1, "{rpm}, from a tenth");
    }
}

#[test]
fn a_hammering_client_has_its_full_rate_after_about_34_seconds() {
    for rpm in [6_000, 15_000] {
        let (decided, surged) = send(&world(rpm), evenly(rpm * 4, 60));
        assert!(surged);
        let admitted: Vec<u64> = decided.iter().filter(|it| it.1).map(|it| it.0).collect();
        let full = rpm / 60;
        let in_second = |end: u64| admitted.iter().filter(|at| **at <= end && **at + SECOND > end).count() as u64;
        let reached = admitted.iter().find(|at| in_second(**at) == full).map(|at| *at as f64 / 1e6);
        let reached = reached.expect("the full rate is reached");
        assert!((33.0..35.0).contains(&reached), "{rpm}: full rate after {reached} s");
        assert!(in_second(SECOND - 1) <= full.div_ceil(2), "half of it in the first second");
    }
}

#[test]
fn only_the_account_is_protected() {
    let world = World::new(limits(60_000, None), limits(1_200, None));
    let (decided, surged) = send(&world, [0; 20]);
    assert!(!surged && decided.iter().all(|it| it.1), "20 of a workspace's 20 at once, under an account of 1000");
}
