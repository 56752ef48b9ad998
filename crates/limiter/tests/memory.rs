//! What a cell costs: nothing new for each call, little for each entry, nothing when idle.
#![allow(unsafe_code, reason = "an allocator that counts can be written in no other way")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::VecDeque,
    sync::Arc,
};

use common::{MINUTE, SECOND, World, limits};
use domain::{AccountId, ModelCode};
use limiter::{CellLimits, Clock, Decision, Demand, Keeping, Ledger, ManualClock, Micros, Permit, Settlement, Surge};

thread_local! {
    // Each test runs on a thread of its own, so these are the test's own numbers.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count(allocations: u64, bytes: i64) {
    ALLOCATIONS.with(|it| it.set(it.get() + allocations));
    LIVE.with(|it| it.set(it.get() + bytes));
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("no such machine")
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

fn live() -> i64 {
    LIVE.with(Cell::get)
}

/// 500 calls a second, each open for 20 ms, with a flush every tenth of a second and a sweep every five: the allocations
/// of the calls themselves, those of the flush left out.
fn allocations_of_calls(world: &World, open: &mut VecDeque<Permit>, seconds: u64) -> u64 {
    let (mut allocated, mut journal) = (0, Vec::new());
    for call in 0..seconds * 500 {
        world.clock.advance(2_000);
        let before = allocations();
        open.push_back(world.admit(10, 90).0);
        if open.len() > 10 {
            let permit = open.pop_front().expect("not empty");
            permit.settle(Settlement::Exact { prompt: Some(11), total: 60, ended_well: true });
        }
        allocated += allocations() - before;
        if call % 50 == 0 {
            world.ledger.drain(|_, _| ());
            world.ledger.drain_journal(0, &mut journal);
            journal.clear();
        }
        if call % 2500 == 0 {
            world.ledger.sweep();
        }
    }
    allocated
}

#[test]
fn an_admitted_call_allocates_nothing_in_the_steady_state() {
    let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
    for (charges, journal) in [(false, false), (true, false), (true, true)] {
        let ledger = Ledger::keeping(clock.clone(), Surge::default(), Keeping { charges, journal });
        let world = World::of(ledger, clock.clone(), limits(60_000, 60_000_000), limits(50_000, 50_000_000));
        let mut open = VecDeque::with_capacity(64);
        let growing = allocations_of_calls(&world, &mut open, 130);
        assert!(growing > 0, "the allocator counts");
        assert_eq!(allocations_of_calls(&world, &mut open, 20), 0, "{ledger:?}", ledger = world.ledger);
    }
}

#[test]
fn a_cell_that_is_called_now_and_then_allocates_nothing_either() {
    let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
    let ledger = Ledger::keeping(clock.clone(), Surge::default(), BOTH);
    // Each has a call every two seconds, ten of them in a tick: buffers for what is kept go from hand to hand.
    let cells: Vec<_> = (0..200).map(|it| ledger.cell(&common::account(), &model(it))).collect();
    let limits = CellLimits { account: limits(600, 1_000_000), ..CellLimits::default() };
    let (mut journal, mut open) = (Vec::new(), VecDeque::with_capacity(128));
    let mut allocations_of = |seconds: usize| {
        let mut allocated = 0;
        for tick in 0..seconds * 10 {
            clock.advance(SECOND / 10);
            for cell in cells.iter().skip(tick % 20).step_by(20) {
                let before = allocations();
                let Decision::Admitted(permit, _) = cell.admit(limiter::WorkspaceSlot(1), &limits, Demand::default())
                else {
                    panic!("it fits");
                };
                allocated += allocations() - before;
                open.push_back(permit);
            }
            // Each ends seven tenths of a second later, in a tick in which its cell begins none.
            while open.len() > 70 {
                let permit = open.pop_front().expect("not empty");
                let before = allocations();
                permit.settle(Settlement::Exact { prompt: None, total: 900, ended_well: true });
                allocated += allocations() - before;
            }
            ledger.drain(|_, _| ());
            ledger.drain_journal(0, &mut journal);
            journal.clear();
            if tick % 50 == 0 {
                ledger.sweep();
            }
        }
        allocated
    };
    assert!(allocations_of(130) > 0, "the allocator counts");
    assert_eq!(allocations_of(20), 0);
}

#[test]
fn a_call_of_the_last_minute_costs_its_entry() {
    let world = World::new(limits(None, None), limits(None, None));
    let calls = 200_000;
    let before = live();
    for _ in 0..calls {
        world.clock.advance(MINUTE / calls);
        world.admit(10, 90).0.settle(Settlement::Nothing);
    }
    let each = (live() - before) as f64 / calls as f64;
    assert!(each <= 32.0, "{each} bytes for a call of the last minute");
    world.clock.advance(MINUTE);
    world.ledger.sweep();
    assert!(live() - before < 1_000, "room that a busier minute needed is given back");
}

/// What the process has its ledger keep.
const BOTH: Keeping = Keeping { charges: true, journal: true };

fn model(number: u32) -> ModelCode {
    ModelCode::parse(&format!("qwen-plus-{number}")).expect("a name")
}

fn one_call(ledger: &Ledger, cell: u32) {
    let account = AccountId::new("01890a5d-ac96-774b-bcce-b302099a8057");
    let model = model(cell);
    let limits = CellLimits { account: limits(600, 1_000_000), ..CellLimits::default() };
    let demand = Demand { ascii_bytes: 100, ..Demand::default() };
    let decision = ledger.cell(&account, &model).admit(limiter::WorkspaceSlot(1), &limits, demand);
    assert!(matches!(decision, Decision::Admitted(..)));
}

#[test]
fn a_cell_costs_less_than_half_a_kilobyte_between_calls_and_nothing_when_idle() {
    // Beside its name and its calls. A cell that is called in every tick has the buffers for what is kept all the time: 640
    // bytes, beside some 20,000 bytes of calls.
    let charges = Keeping { charges: true, journal: false };
    let journal = Keeping { charges: false, journal: true };
    for (keeping, called_every, most) in
        [(Keeping::default(), 20, 410), (charges, 20, 415), (journal, 20, 425), (BOTH, 20, 435), (BOTH, 1, 640)]
    {
        let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
        let ledger = Ledger::keeping(clock.clone(), Surge::default(), keeping);
        let cells = 14_000; // just below a doubling of the map, so that its room is used
        let mut journal = Vec::with_capacity(4_000_000);
        let before = live();
        let mut flush = || {
            ledger.drain(|_, _| ());
            ledger.drain_journal(0, &mut journal);
            journal.clear();
        };
        for tick in 0..2 * called_every {
            (0..cells).filter(|it| it % called_every == tick % called_every).for_each(|cell| one_call(&ledger, cell));
            flush();
            clock.advance(SECOND / 10);
        }
        let each = (live() - before) / i64::from(cells);
        let (name, calls) = (64 + 36 + 15, 2 * (28 + 8));
        assert!(each - name - calls <= most, "{} bytes beside its name and two calls", each - name - calls);

        (0..2).for_each(|_| flush());
        clock.advance(118 * SECOND);
        ledger.sweep();
        assert!(live() - before > i64::from(cells) * 200);
        clock.advance(2 * SECOND);
        ledger.sweep();
        let left = (live() - before) / i64::from(cells);
        assert!(left <= 40, "{left} bytes for an idle cell");
    }
}

#[test]
fn twenty_thousand_cells_and_ten_thousand_calls_a_second_fit_into_64_mb() {
    let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
    let ledger = Ledger::keeping(clock.clone(), Surge::default(), BOTH);
    let mut journal = Vec::with_capacity(1_000_000);
    let before = live();
    let cells = 20_000;
    for call in 0..600_000 {
        clock.advance(100);
        one_call(&ledger, call % cells);
        if call % 1_000 == 0 {
            ledger.drain(|_, _| ());
            ledger.drain_journal(0, &mut journal);
            journal.clear();
        }
    }
    let megabytes = (live() - before) as f64 / 1e6;
    assert!(megabytes < 48.0, "{megabytes} MB");
}

#[test]
fn a_cell_that_is_held_keeps_what_it_learned_and_forgets_its_charges() {
    let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
    let world =
        World::of(Ledger::new(clock.clone(), Surge::default()), clock.clone(), limits(600, None), limits(600, None));
    world.admit(10, None).0.settle(Settlement::Exact { prompt: None, total: 60, ended_well: true });
    let (open, _) = world.admit(10, 20);
    let before = live();
    clock.advance(120 * SECOND);
    world.ledger.sweep();
    assert!(live() < before);
    assert_eq!(world.cell.learned().output, Some(963));
    assert!(Arc::ptr_eq(&world.cell, &world.ledger.cell(&common::account(), &common::model())));
    let (_newer, _) = world.admit(10, 90);
    open.settle(Settlement::Exact { prompt: None, total: 45, ended_well: true });
    assert_eq!(
        world.used(),
        [1, 115, 1, 10],
        "a call that outlived it owes its excess, and is not taken for a newer one"
    );
    assert_eq!(clock.now(), Micros(320 * SECOND));
}
