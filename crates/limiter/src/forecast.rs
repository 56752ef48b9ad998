//! When a call that stands in a queue would be admitted: the cell's own rules, run ahead on a copy of its log.

use domain::Scope;

use crate::{
    Ask, CellHandle, CellLimits, Decision, Demand, Denial, Micros, Standing, Surge, WorkspaceSlot, cell::Cell,
};

/// One call of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The workspace it is charged to.
    pub slot: WorkspaceSlot,
    /// The limits it is checked against.
    pub limits: CellLimits,
    /// What it asks for.
    pub demand: Demand,
}

/// What a queue looks like from its end.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// Microseconds until the last call of the queue is admitted if nothing else happens; `None`: never.
    pub after_us: Option<u64>,
    /// Why it is not admitted now: its own denial, or that of the call ahead which holds it up, with that call's standing.
    /// `None` if it is admitted.
    pub held_by: Option<(Denial, Standing)>,
}

impl CellHandle {
    /// Looks ahead: first come, first served, except that a call waiting for its own workspace alone holds up only calls
    /// of that workspace. Costs a copy of the log, so it is for calls that ask to wait.
    pub fn forecast(&self, queue: &[Waiting]) -> Forecast {
        let surge = self.surge();
        let (scratch, now) = self.scratch();
        run(scratch, now, &surge, queue)
    }
}

fn run(mut cell: Cell, start: Micros, surge: &Surge, queue: &[Waiting]) -> Forecast {
    let learned = cell.learned();
    let mut waiting: Vec<usize> = (0..queue.len()).collect();
    let last = queue.len().saturating_sub(1);
    let (mut now, mut held_by) = (start, None);
    loop {
        let (mut wake, mut held_slots, mut gone): (Option<Micros>, Vec<WorkspaceSlot>, Vec<usize>) = Default::default();
        for index in &waiting {
            let Waiting { slot, limits, demand } = queue[*index];
            if held_slots.contains(&slot) {
                continue;
            }
            let (denial, standing) =
                match cell.admit(now, slot, &limits, surge, Ask::estimate(demand, &learned, limits.default_output)) {
                    Decision::Admitted(..) if *index == last => {
                        return Forecast { after_us: Some(now.since(start)), held_by };
                    }
                    Decision::Admitted(..) => {
                        gone.push(*index);
                        continue;
                    }
                    Decision::Denied(denial, standing) => (denial, standing),
                    Decision::Undecided => unreachable!("a bare cell decides whether or not its charges are kept"),
                };
            let Some(us) = denial.retry_after_us else {
                // A limit that was lowered meanwhile: it leaves the queue refused.
                if *index == last {
                    return Forecast { after_us: None, held_by: held_by.or(Some((denial, standing))) };
                }
                gone.push(*index);
                continue;
            };
            // What it waits for in the account may clear long before what it waits for in its own workspace.
            let of_account = || denial.violations().filter(|it| it.scope == Scope::Account);
            let holds_all = of_account().next().is_some();
            let until = of_account().filter_map(|it| it.retry_after_us).max().unwrap_or(us).min(us);
            let again = now.plus(until.max(1));
            wake = Some(wake.map_or(again, |it| it.min(again)));
            if now == start && (*index == last || holds_all || slot == queue[last].slot) {
                held_by.get_or_insert((denial.clone(), standing));
            }
            if holds_all {
                break;
            }
            held_slots.push(slot);
        }
        waiting.retain(|it| !gone.contains(it));
        let Some(next) = wake else { return Forecast { after_us: None, held_by } };
        now = next;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::{AccountId, Limits, ModelCode, Rpm, Tpm, WorkspaceId};

    use super::*;
    use crate::{Ledger, ManualClock};

    fn limits(rpm: u64, own: Option<u64>) -> CellLimits {
        CellLimits {
            account: Limits { rpm: Rpm::new(rpm), tpm: Tpm::new(1_000_000) },
            workspace: Limits { rpm: own.and_then(Rpm::new), tpm: None },
            default_output: 10,
        }
    }

    #[test]
    fn those_ahead_are_counted_in() {
        let ledger = Ledger::new(Arc::new(ManualClock::at(Micros(600_000_000))), Surge::default());
        let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").unwrap());
        let slot = |name: &str| ledger.workspace(&WorkspaceId::new(name));
        let call = |name, own| Waiting { slot: slot(name), limits: limits(60, own), demand: Demand::default() };
        let after = |queue: &[Waiting]| cell.forecast(queue).after_us;
        assert_eq!(after(&[call("w", None)]), Some(0));
        // One in a second for the account: the second and third wait for the first.
        assert_eq!(after(&[call("w", None); 3]), Some(2_000_000));
        let Decision::Admitted(permit, _) = cell.admit(slot("w"), &limits(60, None), Demand::default()) else {
            panic!("the cell was empty")
        };
        assert_eq!(after(&[call("w", None); 3]), Some(3_000_000));
        assert_eq!(cell.forecast(&[call("w", None)]).held_by.map(|it| it.0.retry_after_us), Some(Some(1_000_000)));
        // One that waits a minute for its own workspace holds up no other, but those of its own.
        let own = call("w", Some(1));
        assert_eq!(after(&[own]), Some(60_000_000));
        assert_eq!(after(&[own, call("x", None)]), Some(1_000_000));
        assert_eq!(after(&[own, call("w", None)]), Some(61_000_000));
        assert_eq!(after(&[call("w", Some(0))]), None);
        assert_eq!(after(&[call("w", Some(0)), call("w", None)]), Some(1_000_000));
        drop(permit);
    }
}
