//! The journal proves what was decided, and tells when it was too much.

mod common;

use std::sync::Arc;

use common::{MINUTE, SECOND, World, limits};
use domain::{Cause, Scope, Window, WorkspaceId};
use limiter::{
    CellLimits, Decision, Keeping, Ledger, ManualClock, Micros, Settlement, Surge, WorkspaceSlot,
    verify::{Report, Row, VerifyError, run},
};
use proptest::prelude::*;

/// The wall clock minus the process's.
const OFFSET: i64 = 1_700_000_000_000_000;

fn journaled(clock: &Arc<ManualClock>, account: domain::Limits, own: domain::Limits) -> World {
    let keeping = Keeping { charges: false, journal: true };
    World::of(Ledger::keeping(clock.clone(), Surge::default(), keeping), clock.clone(), account, own)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Micros(200 * SECOND)))
}

fn verify(journal: &[u8]) -> Report {
    run(journal, None).expect("a whole journal")
}

fn row(report: &Report, scope: Scope, cause: Cause, window: Window) -> &Row {
    let here = |it: &&Row| (it.scope, it.cause, it.window) == (scope, cause, window);
    report.rows.iter().find(here).expect("a row of each limit")
}

#[test]
fn the_highest_use_of_each_limit_is_told_with_its_instant() {
    let clock = clock();
    let world = journaled(&clock, limits(90, 6000), limits(60, None));
    let mut journal = Vec::new();
    let (permit, _) = world.admit(10, 40);
    clock.advance(400_000);
    permit.settle(Settlement::Exact { prompt: None, total: 30, ended_well: true });
    world.ledger.drain_journal(OFFSET, &mut journal);
    let _elsewhere =
        world.decide_as(WorkspaceSlot(9), CellLimits { workspace: limits(None, None), ..world.limits() }, 20, 0);
    clock.advance(2 * SECOND);
    let _open = world.admit(5, 5);
    world.ledger.drain_journal(OFFSET, &mut journal);

    let report = verify(&journal);
    assert!(report.holds() && !report.torn);
    assert_eq!(report.admissions, 3);
    let told = |scope, cause, window| {
        let it = row(&report, scope, cause, window);
        (it.highest, it.limit, it.at_us - OFFSET, it.workspace.clone())
    };
    let (start, second) = (200_000_000, 200_400_000);
    assert_eq!(told(Scope::Account, Cause::Requests, Window::Minute), (3, 90, second + 2_000_000, None));
    assert_eq!(told(Scope::Account, Cause::Requests, Window::Second), (2, 2, second, None));
    assert_eq!(told(Scope::Account, Cause::Tokens, Window::Minute), (60, 6000, second + 2_000_000, None));
    assert_eq!(told(Scope::Account, Cause::Tokens, Window::Second), (50, 100, second, None));
    let own = Some("search".to_owned());
    assert_eq!(told(Scope::Workspace, Cause::Requests, Window::Minute), (2, 60, second + 2_000_000, own.clone()));
    assert_eq!(told(Scope::Workspace, Cause::Requests, Window::Second), (1, 1, start, own));
    assert_eq!(report.rows.len(), 6, "no rows where there is no limit");

    let later = run(&journal[..], Some(OFFSET + second + 1)).expect("a whole journal");
    assert_eq!(later.admissions, 1);
    assert_eq!(row(&later, Scope::Account, Cause::Requests, Window::Minute).highest, 3, "what came before counts");
}

#[test]
fn a_second_that_a_bigger_prompt_joined_is_told_with_all_of_it() {
    let clock = clock();
    let world = journaled(&clock, limits(None, 60_000), limits(None, None));
    let mut journal = Vec::new();
    let second = |journal: &[u8]| {
        let report = verify(journal);
        let it = row(&report, Scope::Account, Cause::Tokens, Window::Second).clone();
        (it.highest, it.limit, it.exceeded, it.bigger, report.notes().len())
    };
    let _small = world.admit(999, 0);
    world.ledger.drain_journal(OFFSET, &mut journal);
    assert_eq!(second(&journal), (999, 1_000, 0, 0, 0));
    let _bigger = world.admit(30_000, 0);
    world.ledger.drain_journal(OFFSET, &mut journal);
    assert_eq!(second(&journal), (30_999, 1_000, 0, 1, 1));

    // One that joins a full second is over: two processes that do not know of each other.
    let mut twice = Vec::new();
    for offset in [OFFSET, OFFSET + 1] {
        let world = journaled(&clock, limits(None, 60_000), limits(None, None));
        let _open = world.admit(if offset == OFFSET { 1_000 } else { 1_001 }, 0);
        world.ledger.drain_journal(offset, &mut twice);
    }
    assert_eq!(second(&twice), (2_001, 1_000, 1, 1, 1));
}

#[test]
fn two_processes_that_do_not_know_of_each_other_are_found_out() {
    let clock = clock();
    let mut journal = Vec::new();
    for offset in [OFFSET, OFFSET + 1] {
        let world = journaled(&clock, limits(1, 100), limits(None, None));
        let _open = world.admit(1, 80);
        world.ledger.drain_journal(offset, &mut journal);
    }
    let report = verify(&journal);
    assert!(!report.holds());
    let requests = row(&report, Scope::Account, Cause::Requests, Window::Minute);
    assert_eq!((requests.highest, requests.limit, requests.exceeded), (2, 1, 1));
    let tokens = row(&report, Scope::Account, Cause::Tokens, Window::Minute);
    assert_eq!((tokens.highest, tokens.limit, tokens.exceeded), (162, 100, 1));
    assert_eq!(row(&report, Scope::Account, Cause::Tokens, Window::Second).exceeded, 0);
}

#[test]
fn a_lowered_limit_is_judged_from_the_next_admission_on() {
    let clock = clock();
    let mut world = journaled(&clock, limits(6000, None), limits(None, None));
    let mut journal = Vec::new();
    for _ in 0..40 {
        drop(world.admit(1, 0));
    }
    clock.advance(30 * SECOND);
    world.account = limits(41, None);
    drop(world.admit(1, 0));
    world.refuse(1, 0);
    clock.advance(30 * SECOND);
    world.account = limits(1_000, None);
    drop(world.admit(1, 0));
    world.ledger.drain_journal(OFFSET, &mut journal);
    let report = verify(&journal);
    assert!(report.holds());
    let requests = row(&report, Scope::Account, Cause::Requests, Window::Minute);
    assert_eq!((requests.highest, requests.limit), (41, 41));

    // The highest share is told, not the highest number.
    clock.advance(MINUTE);
    world.account = limits(2, None);
    for _ in 0..2 {
        clock.advance(2 * SECOND);
        drop(world.admit(1, 0));
    }
    let mut rest = Vec::new();
    world.account = limits(6000, None);
    (0..9).for_each(|_| drop(world.admit(1, 0)));
    world.ledger.drain_journal(OFFSET, &mut rest);
    let requests = verify(&rest);
    let requests = row(&requests, Scope::Account, Cause::Requests, Window::Minute);
    assert_eq!((requests.highest, requests.limit), (2, 2));
}

#[test]
fn a_run_of_the_process_settles_its_own_calls_only() {
    let clock = clock();
    let mut journal = Vec::new();
    let first = journaled(&clock, limits(None, 6000), limits(None, None));
    let _killed = first.admit(1, 49);
    first.ledger.drain_journal(OFFSET, &mut journal);

    clock.advance(SECOND);
    let second = journaled(&clock, limits(None, 6000), limits(None, None));
    let (permit, _) = second.admit(1, 9);
    permit.settle(Settlement::Exact { prompt: None, total: 60, ended_well: true });
    clock.advance(SECOND);
    let _open = second.admit(1, 0);
    second.ledger.drain_journal(OFFSET + 1, &mut journal);
    let tokens = verify(&journal);
    let tokens = row(&tokens, Scope::Account, Cause::Tokens, Window::Minute);
    assert_eq!(tokens.highest, 50 + 60 + 1);
}

#[test]
fn a_charge_as_old_as_its_window_has_left_it() {
    let clock = clock();
    let world = journaled(&clock, limits(2, None), limits(None, None));
    let mut journal = Vec::new();
    for pause in [SECOND, MINUTE - SECOND, SECOND] {
        drop(world.admit(1, 0));
        clock.advance(pause);
    }
    drop(world.admit(1, 0));
    world.ledger.drain_journal(OFFSET, &mut journal);
    let report = verify(&journal);
    assert!(report.holds(), "{:?}", report.rows);
    assert_eq!(row(&report, Scope::Account, Cause::Requests, Window::Minute).highest, 2);
    assert_eq!(row(&report, Scope::Account, Cause::Requests, Window::Second).highest, 1);
}

#[test]
fn each_chunk_can_be_read_alone() {
    let clock = clock();
    let world = journaled(&clock, limits(2, 600), limits(1, None));
    for _ in 0..2 {
        let mut chunk = Vec::new();
        drop(world.admit(1, 0));
        world.ledger.drain_journal(OFFSET, &mut chunk);
        let report = verify(&chunk);
        assert_eq!((report.admissions, report.rows.len()), (1, 4 + 2));
        clock.advance(MINUTE);
    }
}

#[test]
fn a_torn_end_is_told_and_damage_is_an_error() {
    let clock = clock();
    let world = journaled(&clock, limits(600, None), limits(None, None));
    let (mut journal, mut chunks) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        drop(world.admit(1, 0));
        world.ledger.drain_journal(OFFSET, &mut journal);
        chunks.push(journal.len());
    }
    assert_eq!((verify(&journal).admissions, verify(&journal).torn), (2, false));
    for cut in chunks[0] + 1..journal.len() {
        let report = verify(&journal[..cut]);
        assert_eq!((report.admissions, report.torn), (1, true));
    }
    assert_eq!(verify(&journal[..0]), Report::default());
    for byte in chunks[0] + 4..journal.len() {
        journal[byte] ^= 0x10;
        assert!(matches!(run(&journal[..], None), Err(VerifyError::Damaged { chunk: 2 })), "byte {byte}");
        journal[byte] ^= 0x10;
    }
}

proptest! {
    #![proptest_config(common::histories(256))]

    /// Whatever happens, the journal of one process holds, and what it says of the end is what the cell says.
    #[test]
    fn a_journal_of_any_history_holds(
        account in (1..130u64, 50..2000u64),
        own in (1..130u64, 50..2000u64),
        steps in proptest::collection::vec((0..9u32, 0..4_000_000u64, 1..60u64, proptest::option::of(0..200u64)), 1..150),
    ) {
        let clock = clock();
        let mut world = journaled(&clock, limits(account.0, account.1), limits(own.0, own.1));
        let mut journal = Vec::new();
        let mut open = Vec::new();
        let mut admitted = 0;
        for (what, pause, number, maximum) in steps {
            match what {
                0..=3 => {
                    let slot = world.ledger.workspace(&WorkspaceId::new(format!("workspace {}", number % 2)));
                    if let Decision::Admitted(permit, _) = world.decide_as(slot, world.limits(), number, maximum) {
                        admitted += 1;
                        open.push(permit);
                    }
                }
                4 if !open.is_empty() => {
                    let permit = open.swap_remove(usize::try_from(number).expect("small") % open.len());
                    let total = maximum.unwrap_or(1) * 2;
                    permit.settle(Settlement::Exact { prompt: None, total, ended_well: true });
                }
                5 => {
                    if let Some(permit) = open.first_mut() {
                        permit.counted(number * 5);
                    }
                }
                6 => world.account = limits(number, maximum.map(|it| it + 1)),
                7 => world.ledger.drain_journal(OFFSET, &mut journal),
                8 => clock.advance(MINUTE - 3 * SECOND),
                _ => {}
            }
            clock.advance(pause);
        }
        world.ledger.drain_journal(OFFSET, &mut journal);
        let before = world.used();
        // One more admission, without limits but the account's, so that its row says what the end was.
        world.account = limits(1_000_000_000, 1_000_000_000_000);
        let free = CellLimits { workspace: limits(None, None), ..world.limits() };
        let last = world.decide_as(world.slot, free, 1, 0);
        prop_assert!(matches!(last, Decision::Admitted(..)));
        world.ledger.drain_journal(OFFSET, &mut journal);
        let report = verify(&journal);
        prop_assert!(report.holds(), "{:?}", report.rows);
        prop_assert_eq!(report.admissions, admitted + 1);
        let end = run(&journal[..], Some(OFFSET + i64::try_from(world.now()).expect("small"))).expect("whole");
        let of = |cause, window| row(&end, Scope::Account, cause, window).highest;
        prop_assert_eq!(of(Cause::Requests, Window::Minute), before[0] + 1);
        prop_assert_eq!(of(Cause::Tokens, Window::Minute), before[1] + 1);
        prop_assert_eq!(of(Cause::Requests, Window::Second), before[2] + 1);
        prop_assert_eq!(of(Cause::Tokens, Window::Second), before[3] + 1);
    }
}
