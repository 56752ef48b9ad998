//! Buffers go from cell to cell, and what each cell keeps stays its own.

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{SECOND, account, limits};
use domain::{Cause, ModelCode, Scope, Window};
use limiter::{
    CellLimits, Decision, Demand, Keeping, Ledger, ManualClock, Micros, Settlement, Surge, WorkspaceSlot, verify,
};
use proptest::prelude::*;

const OFFSET: i64 = 1_700_000_000_000_000;

/// What was handed over, by cell.
#[derive(Default)]
struct Taken {
    charges: BTreeMap<String, (i64, i64)>,
    journal: Vec<u8>,
}

impl Taken {
    fn tick(&mut self, ledger: &Ledger) {
        ledger.drain(|cell, change| {
            let sum = self.charges.entry(cell.model.to_string()).or_default();
            sum.0 += change.account.requests;
            sum.1 += change.account.tokens;
        });
        ledger.drain_journal(OFFSET, &mut self.journal);
    }
}

proptest! {
    #![proptest_config(common::histories(256))]

    /// Histories of less than a minute, in which every change of a charge reaches its bucket: the sums are those of the calls.
    #[test]
    fn what_a_cell_keeps_is_its_own(
        steps in proptest::collection::vec((0..8u32, 0..5usize, 0..200_000u64, 1..300u64), 1..200),
    ) {
        let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
        let ledger = Ledger::keeping(clock.clone(), Surge::default(), Keeping { charges: true, journal: true });
        let limits = CellLimits { account: limits(1_000_000, 1_000_000_000), ..CellLimits::default() };
        let name = |cell: usize| format!("model-{cell}");
        let slot = ledger.workspace(&domain::WorkspaceId::new("search"));
        prop_assert_eq!(slot, WorkspaceSlot(0));
        let (mut taken, mut open, mut made) = (Taken::default(), Vec::new(), BTreeMap::<_, (i64, i64)>::new());
        for (what, cell, pause, tokens) in steps {
            match what {
                0..=2 => {
                    let code = ModelCode::parse(&name(cell)).expect("a name");
                    let demand = Demand { token_ids: 1, max_output: Some(tokens), ..Demand::default() };
                    let decision = ledger.cell(&account(), &code).admit(slot, &limits, demand);
                    let Decision::Admitted(permit, _) = decision else { panic!("it fits") };
                    let sum = made.entry(name(cell)).or_default();
                    (sum.0, sum.1) = (sum.0 + 1, sum.1 + 1 + tokens.cast_signed());
                    open.push((cell, 1 + tokens.cast_signed(), permit));
                }
                3 | 4 if !open.is_empty() => {
                    let (cell, reserved, permit) = open.swap_remove(cell % open.len());
                    permit.settle(Settlement::Exact { prompt: None, total: tokens, ended_well: true });
                    made.entry(name(cell)).or_default().1 += tokens.cast_signed() - reserved;
                }
                5 | 6 => taken.tick(&ledger),
                7 => ledger.sweep(),
                _ => {}
            }
            clock.advance(pause);
        }
        taken.tick(&ledger);
        prop_assert_eq!(&taken.charges, &made);
        let report = verify::run(&taken.journal[..], None).expect("a whole journal");
        let of_minute = report.rows.iter().filter(|it| {
            (it.scope, it.cause, it.window) == (Scope::Account, Cause::Requests, Window::Minute)
        });
        let journaled: BTreeMap<_, _> = of_minute.map(|it| (it.model.clone(), it.highest.cast_signed())).collect();
        prop_assert_eq!(journaled, made.into_iter().map(|(model, (requests, _))| (model, requests)).collect());
    }
}
