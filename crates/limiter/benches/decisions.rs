//! What a decision costs, in the steady state: limits of account and workspace, minute and second, and surge.
//!
//! The cell holds a minute of 6,000 calls; each round lets one leave and one join. Without lock and clock it keeps neither
//! charges for the store nor a journal; with both, it is said which. The process keeps both.

use std::{hint::black_box, io::Write as _, sync::Arc, time::Instant};

use divan::{Bencher, counter::ItemsCount};
use domain::{AccountId, Limits, ModelCode, Rpm, Tpm, WorkspaceId};
use limiter::{
    Ask, Cell, CellHandle, CellLimits, Clock, Decision, Demand, Keeping, Ledger, ManualClock, Micros, Settlement,
    Surge, WorkspaceSlot, simulate,
};

fn main() {
    divan::main();
}

const SETTLED: Settlement = Settlement::Exact { prompt: Some(28), total: 90, ended_well: true };
const SLOT: WorkspaceSlot = WorkspaceSlot(3);

fn limits(rpm: u64, tpm: u64) -> CellLimits {
    let of = |rpm, tpm| Limits { rpm: Rpm::new(rpm), tpm: Tpm::new(tpm) };
    CellLimits { account: of(rpm, tpm), workspace: of(rpm / 2, tpm / 2), default_output: 1024 }
}

fn demand() -> Demand {
    Demand { ascii_bytes: 100, max_output: Some(100), ..Demand::default() }
}

/// A cell after a minute of one call every 10 ms.
fn warm(limits: &CellLimits) -> (Cell, Micros) {
    let mut cell = Cell::default();
    let mut now = Micros(200_000_000);
    for _ in 0..6_001 {
        now = now.plus(10_000);
        pass(&mut cell, now, limits);
    }
    (cell, now)
}

fn pass(cell: &mut Cell, now: Micros, limits: &CellLimits) {
    let ask = Ask::estimate(demand(), &cell.learned(), limits.default_output);
    match cell.admit(now, SLOT, limits, &Surge::default(), ask) {
        Decision::Admitted(charge, standing) => {
            black_box(standing);
            cell.settle(now, &charge, SETTLED);
        }
        refused => panic!("{refused:?}"),
    }
}

#[divan::bench(sample_size = 1000)]
fn admit_and_settle_without_lock_and_clock(bencher: Bencher<'_, '_>) {
    let limits = limits(100_000, 100_000_000);
    let (mut cell, mut now) = warm(&limits);
    bencher.counter(ItemsCount::new(1u64)).bench_local(|| {
        now = now.plus(10_000);
        pass(&mut cell, now, black_box(&limits));
    });
}

/// The workspace's requests of the minute are used up: the one limit that is violated.
#[divan::bench(sample_size = 1000)]
fn refuse_without_lock_and_clock(bencher: Bencher<'_, '_>) {
    let (cell, now) = warm(&limits(100_000, 100_000_000));
    refuse(bencher, cell, now.plus(900_000), |limits, used| limits.workspace.rpm = used);
}

/// The account's are, in the minute and in the second, so the workspace's are too, and the threshold is to be looked at.
#[divan::bench(sample_size = 1000)]
fn refuse_by_four_limits_without_lock_and_clock(bencher: Bencher<'_, '_>) {
    let (cell, now) = warm(&limits(100_000, 100_000_000));
    refuse(bencher, cell, now, |limits, used| limits.account.rpm = used);
}

fn refuse(bencher: Bencher<'_, '_>, mut cell: Cell, now: Micros, lower: impl Fn(&mut CellLimits, Option<Rpm>)) {
    let mut limits = limits(1_000_000, 100_000_000);
    lower(&mut limits, Rpm::new(cell.live(now).account.requests_minute));
    let ask = Ask::estimate(demand(), &cell.learned(), 1024);
    bencher.counter(ItemsCount::new(1u64)).bench_local(|| {
        let decision = cell.admit(now, SLOT, black_box(&limits), &Surge::default(), black_box(ask));
        assert!(matches!(black_box(&decision), Decision::Denied(..)));
    });
}

/// The real monotonic clock.
struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> Micros {
        Micros(200_000_000 + u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// What a ledger may keep.
const KEPT: [&str; 3] = ["nothing", "charges", "charges and journal"];

fn shared(kept: &str) -> (Ledger, Arc<CellHandle>, CellLimits) {
    let keeping = Keeping { charges: kept != KEPT[0], journal: kept == KEPT[2] };
    let ledger = Ledger::keeping(Arc::new(Monotonic(Instant::now())), Surge::default(), keeping);
    let cell = ledger.cell(&AccountId::new("account"), &ModelCode::parse("model").expect("a name"));
    ledger.workspace(&WorkspaceId::new("workspace"));
    (ledger, cell, limits(500_000_000_000, 500_000_000_000))
}

fn pass_shared(cell: &Arc<CellHandle>, limits: &CellLimits) {
    match cell.admit(SLOT, limits, demand()) {
        Decision::Admitted(permit, standing) => {
            black_box(standing);
            permit.settle(SETTLED);
        }
        refused => panic!("{refused:?}"),
    }
}

/// Hands over what was kept, as a flush does.
fn drain(ledger: &Ledger, journal: &mut Vec<u8>) {
    ledger.drain(|_, _| ());
    ledger.drain_journal(0, journal);
    journal.clear();
}

/// A flush after every thousand calls, which is not counted in.
#[divan::bench(args = KEPT, sample_count = 400, sample_size = 1)]
fn a_thousand_admitted_and_settled_with_lock_and_clock(bencher: Bencher<'_, '_>, kept: &str) {
    let (ledger, cell, limits) = shared(kept);
    let mut journal = Vec::new();
    bencher
        .counter(ItemsCount::new(1_000u64))
        .with_inputs(|| drain(&ledger, &mut journal))
        .bench_local_values(|()| (0..1_000).for_each(|_| pass_shared(&cell, &limits)));
}

/// Twenty thousand admissions and settlements on each thread, at once, on one cell.
#[divan::bench(args = [1, 2], consts = [false, true], sample_count = 20, sample_size = 1)]
fn threads_on_one_cell<const JOURNAL: bool>(bencher: Bencher<'_, '_>, threads: u64) {
    const EACH: u64 = 20_000;
    let (ledger, cell, limits) = shared(KEPT[1 + usize::from(JOURNAL)]);
    let mut journal = Vec::new();
    bencher.counter(ItemsCount::new(EACH * threads)).bench_local(|| {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..EACH).for_each(|_| pass_shared(&cell, &limits)));
            }
        });
        drain(&ledger, &mut journal);
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn simulate_a_million_events(bencher: Bencher<'_, '_>) {
    let mut trace = Vec::new();
    for call in 0..500_000u64 {
        let (at, end) = (call * 10_000, call * 10_000 + 5_000);
        writeln!(
            trace,
            r#"{{"t_us":{at},"event":"call","id":"{call}","workspace":"w1","prompt_tokens":12,"max_tokens":64}}"#
        )
        .expect("memory");
        writeln!(trace, r#"{{"t_us":{end},"event":"settle","id":"{call}","total_tokens":40}}"#).expect("memory");
    }
    let limits = r#"{"account":{"rpm":6000,"tpm":1000000},"workspaces":{"w1":{"rpm":5000,"tpm":300000}}}"#;
    bencher.counter(ItemsCount::new(1_000_000u64)).bench_local(|| {
        simulate::run(limits, &trace[..], std::io::sink(), None).expect("well formed");
    });
    black_box(ManualClock::default());
}
