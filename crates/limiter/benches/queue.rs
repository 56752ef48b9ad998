//! What it costs to say when a call behind a queue would be admitted, with a full minute in the log.

use std::sync::Arc;

use divan::Bencher;
use domain::{AccountId, Limits, ModelCode, Rpm, Tpm, WorkspaceId};
use limiter::{CellLimits, Decision, Demand, Ledger, ManualClock, Micros, Settlement, Surge, Waiting};

fn main() {
    divan::main();
}

/// Half of the queue in one workspace, the rest in ten others; all wait for the account's next minute.
#[divan::bench(args = [10, 100, 1_000, 4_000], sample_count = 20, sample_size = 1)]
fn forecast_behind(bencher: Bencher<'_, '_>, waiting: usize) {
    let clock = Arc::new(ManualClock::at(Micros(600_000_000)));
    let surge = Surge { least: u64::MAX, ..Surge::default() };
    let ledger = Ledger::new(Arc::clone(&clock) as _, surge);
    let cell = ledger.cell(&AccountId::new("account"), &ModelCode::parse("model").expect("a name"));
    let slots: Vec<_> = (0..11).map(|n| ledger.workspace(&WorkspaceId::new(format!("w{n}")))).collect();
    let limits = |rpm| CellLimits {
        account: Limits { rpm: Rpm::new(rpm), tpm: Tpm::new(100_000_000) },
        workspace: Limits { rpm: None, tpm: None },
        default_output: 100,
    };
    for _ in 0..6_000 {
        clock.advance(9_000);
        match cell.admit(slots[0], &limits(1_000_000), Demand::default()) {
            Decision::Admitted(permit, _) => permit.settle(Settlement::Nothing),
            refused => panic!("{refused:?}"),
        }
    }
    let slot = |n: usize| if n.is_multiple_of(2) { slots[0] } else { slots[1 + n / 2 % 10] };
    let queue: Vec<_> =
        (0..waiting).map(|n| Waiting { slot: slot(n), limits: limits(6_000), demand: Demand::default() }).collect();
    bencher.bench_local(|| {
        let forecast = cell.forecast(&queue);
        assert!(forecast.after_us.is_some_and(|it| it > 0));
    });
}
