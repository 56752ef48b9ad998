//! When a call that stands in a queue would be admitted: the cell's own rules, run ahead on a copy of its log.

use std::collections::VecDeque;

use domain::{Cause, Scope, Window};

use crate::{
    Ask, CellHandle, CellLimits, Decision, Demand, Denial, Micros, Standing, Surge, Violation, WorkspaceSlot,
    cell::Cell,
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
    /// Why it is not admitted now, in its own numbers: its own denial, or the limit that holds up those ahead of it, and
    /// where its workspace stands. `None` if it is admitted.
    pub held_by: Option<(Denial, Standing)>,
}

impl CellHandle {
    /// Looks ahead: first come, first served, except that a call waiting for its own workspace alone holds up only calls
    /// of that workspace. Costs a copy of the log and a decision for each call of the queue, so it is for calls that wait
    /// and for those behind them.
    pub fn forecast(&self, queue: &[Waiting]) -> Forecast {
        let surge = self.surge();
        let (scratch, now) = self.scratch();
        run(scratch, now, &surge, queue)
    }
}

/// The queue as lines of one workspace each, so that a line that stands is passed at once.
struct Lines<'a> {
    queue: &'a [Waiting],
    lines: Vec<Line>,
}

struct Line {
    slot: WorkspaceSlot,
    calls: VecDeque<usize>,
    held: bool,
}

impl<'a> Lines<'a> {
    fn new(queue: &'a [Waiting]) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        for (index, Waiting { slot, .. }) in queue.iter().enumerate() {
            match lines.iter_mut().find(|it| it.slot == *slot) {
                Some(line) => line.calls.push_back(index),
                None => lines.push(Line { slot: *slot, calls: VecDeque::from([index]), held: false }),
            }
        }
        Self { queue, lines }
    }

    /// The first call whose line is not held up.
    fn first(&mut self) -> Option<(&mut Line, usize, &'a Waiting)> {
        let free = self.lines.iter_mut().filter(|it| !it.held);
        let (index, line) = free.filter_map(|it| Some((*it.calls.front()?, it))).min_by_key(|it| it.0)?;
        Some((line, index, &self.queue[index]))
    }

    fn release(&mut self) {
        self.lines.iter_mut().for_each(|it| it.held = false);
    }
}

fn run(mut cell: Cell, start: Micros, surge: &Surge, queue: &[Waiting]) -> Forecast {
    let learned = cell.learned();
    let ask = |it: &Waiting| Ask::estimate(it.demand, &learned, it.limits.default_output);
    let Some((last, own)) = queue.len().checked_sub(1).map(|it| (it, &queue[it])) else {
        return Forecast { after_us: Some(0), held_by: None };
    };
    let mut lines = Lines::new(queue);
    let (mut now, mut held_by) = (start, None);
    loop {
        let (mut wake, mut holding): (Option<Micros>, Option<Violation>) = (None, None);
        lines.release();
        while let Some((line, index, call)) = lines.first() {
            let (denial, standing) = match cell.admit(now, call.slot, &call.limits, surge, ask(call)) {
                Decision::Admitted(..) if index == last => {
                    return Forecast { after_us: Some(now.since(start)), held_by };
                }
                Decision::Admitted(..) => {
                    line.calls.pop_front();
                    continue;
                }
                Decision::Denied(denial, standing) => (denial, standing),
                Decision::Undecided => unreachable!("a bare cell decides whether or not its charges are kept"),
            };
            let Some(us) = denial.retry_after_us else {
                // A limit that was lowered meanwhile: it leaves the queue refused.
                if index == last {
                    return Forecast { after_us: None, held_by: held_by.or(Some((denial, standing))) };
                }
                line.calls.pop_front();
                continue;
            };
            // What it waits for in the account may clear long before what it waits for in its own workspace.
            let of_account = denial.violations().filter(|it| it.scope == Scope::Account);
            let of_account = of_account.max_by_key(|it| it.retry_after_us).copied();
            let until = of_account.and_then(|it| it.retry_after_us).unwrap_or(us).min(us);
            let again = now.plus(until.max(1));
            wake = Some(wake.map_or(again, |it| it.min(again)));
            if of_account.is_some() || line.slot == own.slot {
                holding = holding.or(of_account).or(Some(denial.named));
            }
            line.held = true;
            if of_account.is_some() {
                break;
            }
        }
        if now == start
            && let Some(holding) = holding
        {
            held_by = Some(held(&mut cell, now, surge, own, ask(own), holding));
        }
        let Some(next) = wake else { return Forecast { after_us: None, held_by } };
        now = next;
    }
}

/// Why a call is not admitted that stands behind one which waits for `holding`: its own denial if it has one, else that
/// limit with what this call needs of it.
fn held(
    cell: &mut Cell,
    now: Micros,
    surge: &Surge,
    call: &Waiting,
    ask: Ask,
    holding: Violation,
) -> (Denial, Standing) {
    let (denial, standing) = cell.look(now, call.slot, &call.limits, surge, ask);
    let denial = denial.unwrap_or_else(|| {
        let needed = match (holding.cause, holding.window) {
            (Cause::Tokens, Window::Minute) => ask.needed(holding.limit),
            (Cause::Tokens, Window::Second) => ask.prompt,
            (Cause::Requests | Cause::Surge, _) => 1,
        };
        let named = Violation { needed, ..holding };
        Denial { named, others: Vec::new(), retry_after_us: named.retry_after_us }
    });
    (denial, standing)
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

    #[test]
    fn what_is_foretold_of_a_long_queue_behind_a_busy_second_comes_true() {
        let clock = Arc::new(ManualClock::at(Micros(600_000_000)));
        let surge = Surge { least: u64::MAX, ..Surge::default() };
        let ledger = Ledger::new(Arc::clone(&clock) as _, surge);
        let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").unwrap());
        let slots = ["v", "w"].map(|it| ledger.workspace(&WorkspaceId::new(it)));
        // Two thousand in a second.
        let limits = limits(120_000, None);
        let demand = Demand { max_output: Some(1), ..Demand::default() };
        let admit = |n: usize| match cell.admit(slots[n % 2], &limits, demand) {
            Decision::Admitted(permit, _) => {
                permit.settle(crate::Settlement::Nothing);
                None
            }
            Decision::Denied(denial, _) => Some(denial.retry_after_us.expect("there is room some time")),
            Decision::Undecided => panic!("nothing has to be kept"),
        };
        for n in 0..5_000 {
            clock.advance(600);
            assert_eq!(admit(n), None, "below both limits");
        }
        for waiting in [3, 700, 3_000] {
            let queue: Vec<_> = (0..waiting).map(|n| Waiting { slot: slots[n % 2], limits, demand }).collect();
            let foretold = cell.forecast(&queue).after_us.expect("there is room some time");
            let mut waited = 0;
            for n in 0..waiting {
                while let Some(us) = admit(n) {
                    clock.advance(us);
                    waited += us;
                }
            }
            assert_eq!(foretold, waited, "{waiting} waiting");
            clock.advance(1_500_000);
        }
    }

    #[test]
    fn a_call_behind_others_is_told_its_own_numbers() {
        let ledger = Ledger::new(Arc::new(ManualClock::at(Micros(600_000_000))), Surge::default());
        let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").unwrap());
        let [a, b] = ["a", "b"].map(|it| ledger.workspace(&WorkspaceId::new(it)));
        let tokens = CellLimits {
            account: Limits { rpm: Rpm::new(60_000), tpm: Tpm::new(6000) },
            workspace: Limits { rpm: None, tpm: Tpm::new(5500) },
            default_output: 10,
        };
        let asking = |slot, most| Waiting {
            slot,
            limits: tokens,
            demand: Demand { ascii_bytes: 4, max_output: Some(most), ..Demand::default() },
        };
        let large = asking(a, 4999);
        let Decision::Admitted(permit, _) = cell.admit(a, &large.limits, large.demand) else { panic!("it was empty") };
        // Of a's calls one waits for account and workspace; b's would fit, and stands behind it.
        let forecast = cell.forecast(&[asking(a, 2999), asking(b, 9)]);
        let (denial, standing) = forecast.held_by.unwrap();
        let expected = Violation {
            cause: Cause::Tokens,
            scope: Scope::Account,
            window: Window::Minute,
            limit: 6000,
            used: 5000,
            needed: 10,
            retry_after_us: Some(60_000_000),
        };
        assert_eq!((denial.named, denial.others), (expected, Vec::new()));
        assert_eq!(standing.tokens.map(|it| (it.limit, it.remaining)), Some((6000, 1000)));
        assert_eq!(forecast.after_us, Some(60_000_000));
        // One that does not fit by itself says why.
        let (denial, _) = cell.forecast(&[asking(a, 2999), asking(b, 1999)]).held_by.unwrap();
        assert_eq!((denial.named.needed, denial.named.scope), (2000, Scope::Account));
        drop(permit);
    }

    #[test]
    fn lines_keep_the_order_of_the_queue() {
        let ledger = Ledger::new(Arc::new(ManualClock::at(Micros(600_000_000))), Surge::default());
        let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").unwrap());
        let slots = ["u", "v", "w"].map(|it| ledger.workspace(&WorkspaceId::new(it)));
        let call = |n: usize| Waiting { slot: slots[n], limits: limits(60, None), demand: Demand::default() };
        // One in a second: each stands behind all that came before it, whatever their workspaces are.
        let queue: Vec<_> = [0, 1, 1, 0, 2, 0, 1].map(call).into();
        for length in 1..=queue.len() {
            let after = cell.forecast(&queue[..length]).after_us;
            assert_eq!(after, Some(1_000_000 * (length as u64 - 1)));
        }
    }
}
