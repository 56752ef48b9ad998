//! The call log played again: the limiter itself decides each call at its own instant, with the log's clock.

use std::{collections::BTreeMap, sync::Arc};

use domain::{AccountId, Cause, Limits, ModelCode, WorkspaceId};
use limiter::{CellLimits, Decision, Demand, Ledger, ManualClock, Micros, Permit, Settlement, Surge};
use store::call_log::CallRow;

use super::{Effect, count};

/// Where the trace begins on the limiter's clock, so that the minute before it exists.
const ORIGIN_US: u64 = 120_000_000;

/// One call of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) at_ms: i64,
    pub(super) workspace: WorkspaceId,
    pub(super) prompt: u64,
    pub(super) total: u64,
    /// How long its tokens were held before they were known.
    pub(super) held_us: u64,
    /// Refused then: what it would have used is not known.
    pub(super) refused: bool,
}

impl Call {
    pub(super) fn of(row: &CallRow) -> Self {
        Self {
            at_ms: row.at_ms,
            workspace: WorkspaceId::new(row.workspace_id.as_str()),
            prompt: count(row.tokens_prompt),
            total: count(row.tokens_total),
            held_us: row.latency_us.map_or(0, count),
            refused: row.outcome == "refused",
        }
    }
}

/// The calls of one model, and everything that was not changed.
pub(super) struct Trace {
    pub(super) account_id: AccountId,
    pub(super) model: Option<ModelCode>,
    pub(super) account: Limits,
    pub(super) default_output: u64,
    pub(super) surge: Surge,
    /// The other workspaces' limits: they share the account's.
    pub(super) others: BTreeMap<WorkspaceId, Limits>,
    /// Whose limits are asked about, and whose refusals are counted.
    pub(super) workspace: WorkspaceId,
    pub(super) from_ms: i64,
    pub(super) calls: Vec<Call>,
}

impl Trace {
    /// What would have been refused of the workspace's calls if its own limits had been `own`. A call that was refused then
    /// is taken for one of the mean size; what a call allowed itself as a maximum is not in the log, so each is taken for
    /// one without.
    pub(super) fn run(&self, own: Limits) -> Effect {
        let mut effect = Effect::default();
        let Some(model) = &self.model else { return effect };
        let clock = Arc::new(ManualClock::at(Micros(ORIGIN_US)));
        let ledger = Ledger::new(clock.clone(), self.surge);
        let cell = ledger.cell(&self.account_id, model);
        let (prompt, total) = self.mean();
        let mut minute = (i64::MIN, 0);
        // What runs, by the instant of its end.
        let mut running: BTreeMap<(u64, usize), (Permit, u64)> = BTreeMap::new();
        for (number, call) in self.calls.iter().enumerate() {
            let now = ORIGIN_US + count(call.at_ms - self.from_ms) * 1_000;
            while let Some(entry) = running.first_entry().filter(|it| it.key().0 <= now) {
                let (ends_at, _) = *entry.key();
                let (permit, total) = entry.remove();
                clock.set(Micros(ends_at));
                permit.settle(Settlement::Exact { prompt: None, total, ended_well: true });
            }
            clock.set(Micros(now));
            let mine = call.workspace == self.workspace;
            let workspace = if mine { own } else { self.others.get(&call.workspace).copied().unwrap_or_default() };
            let limits = CellLimits { account: self.account, workspace, default_output: self.default_output };
            let (prompt, total) = if call.refused { (prompt, total) } else { (call.prompt, call.total) };
            let demand = Demand { token_ids: prompt, ..Demand::default() };
            match cell.admit(ledger.workspace(&call.workspace), &limits, demand) {
                Decision::Admitted(permit, _) => {
                    running.insert((now.saturating_add(call.held_us), number), (permit, total));
                }
                Decision::Denied(denial, _) if mine => {
                    let of = &mut effect.refused;
                    match denial.named.cause {
                        Cause::Requests => of.requests += 1,
                        Cause::Tokens => of.tokens += 1,
                        Cause::Surge => of.surge += 1,
                    }
                    let at = call.at_ms.div_euclid(60_000) * 60_000;
                    minute = if minute.0 == at { (at, minute.1 + 1) } else { (at, 1) };
                    effect.note(minute.0, minute.1);
                }
                // Undecided: what is played again keeps no journal, so there is nothing that could fail.
                Decision::Denied(..) | Decision::Undecided => {}
            }
        }
        effect
    }

    /// Prompt and all tokens of a call of the workspace that was admitted, in the mean.
    fn mean(&self) -> (u64, u64) {
        let mine = || self.calls.iter().filter(|it| it.workspace == self.workspace && !it.refused);
        let calls = u64::try_from(mine().count()).unwrap_or(u64::MAX);
        if calls == 0 {
            return (1, 1 + self.default_output);
        }
        let sum = |of: fn(&Call) -> u64| mine().map(of).fold(0_u64, u64::saturating_add);
        (sum(|it| it.prompt) / calls, sum(|it| it.total) / calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foresight::Refused;
    use domain::{Rpm, Tpm};

    fn call(at_ms: i64, workspace: &str, total: u64) -> Call {
        Call { at_ms, workspace: WorkspaceId::new(workspace), prompt: 1, total, held_us: 0, refused: false }
    }

    fn trace(calls: Vec<Call>) -> Trace {
        Trace {
            account_id: AccountId::new("a"),
            model: ModelCode::parse("m").ok(),
            account: Limits { rpm: Rpm::new(600), tpm: Tpm::new(60_000) },
            default_output: 10,
            surge: Surge::default(),
            others: BTreeMap::new(),
            workspace: WorkspaceId::new("mine"),
            from_ms: 0,
            calls,
        }
    }

    fn own(rpm: Option<u64>, tpm: Option<u64>) -> Limits {
        Limits { rpm: rpm.and_then(Rpm::new), tpm: tpm.and_then(Tpm::new) }
    }

    #[test]
    fn a_burst_is_refused_that_the_minute_alone_would_let_through() {
        // Thirty calls in one second: a limit of 60 a minute allows one in any second.
        let calls = (0..30).map(|it| call(61_000 + it, "mine", 10)).collect();
        let effect = trace(calls).run(own(Some(60), None));
        assert_eq!(effect.refused, Refused { requests: 29, ..Refused::default() });
        assert_eq!(effect.worst, Some((60_000, 29)));
    }

    #[test]
    fn a_surge_is_what_the_installation_calls_one() {
        // Ten a second are allowed; eight at once after nothing are more than five, which never are a surge here.
        let calls: Vec<_> = (0..8).map(|it| call(61_000 + it, "mine", 10)).collect();
        assert_eq!(trace(calls.clone()).run(Limits::default()).refused.total(), 0);
        let strict = Trace { surge: Surge { least: 5, ..Surge::default() }, ..trace(calls) };
        assert_eq!(strict.run(Limits::default()).refused, Refused { surge: 3, ..Refused::default() });
    }

    #[test]
    fn others_use_the_account_and_only_the_own_refusals_count() {
        let calls = (0..12).map(|it| call(it, if it < 10 { "other" } else { "mine" }, 10)).collect();
        // Ten in a second are the account's share of 600 a minute: the others have taken them.
        let effect = trace(calls).run(Limits::default());
        assert_eq!(effect.refused, Refused { requests: 2, ..Refused::default() });
        let calls = (0..12).map(|it| call(it, if it < 10 { "mine" } else { "other" }, 10)).collect();
        assert_eq!(trace(calls).run(Limits::default()), Effect::default());
    }

    #[test]
    fn tokens_are_held_until_the_call_ended_and_count_for_a_minute() {
        let spaced = |it: i64| call(it * 2_000, "mine", 400);
        let effect = trace((0..20).map(spaced).collect()).run(own(None, Some(2_000)));
        assert!(effect.refused.tokens >= 10 && effect.refused.requests == 0, "{effect:?}");
        let free = trace((0..20).map(spaced).collect()).run(own(None, Some(20_000)));
        assert_eq!(free.refused.total(), 0);
    }

    #[test]
    fn a_limit_of_nothing_refuses_everything_and_what_was_refused_then_can_pass() {
        let mut calls: Vec<_> = (0..5).map(|it| call(it * 10_000, "mine", 10)).collect();
        calls[4].refused = true;
        (calls[4].prompt, calls[4].total) = (0, 0);
        assert_eq!(trace(calls.clone()).run(own(Some(0), None)).refused.requests, 5);
        assert_eq!(trace(calls).run(Limits::default()).refused.total(), 0);
    }
}
