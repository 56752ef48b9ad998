//! Which limits a call would break, which of them is named, and the least instant at which all hold together.

use domain::{Cause, Limits, Rpm, Scope, Window};

use crate::{
    Denial, Micros, Surge, Violation, WorkspaceSlot,
    ask::Ask,
    log::{Log, MINUTE, Of, SECOND},
};

/// Explains why `ask` does not fit; at least one limit must be violated.
#[cold]
pub(crate) fn explain(
    log: &mut Log,
    now: Micros,
    slot: WorkspaceSlot,
    limits: [Limits; 2],
    surge: &Surge,
    ask: Ask,
) -> Denial {
    let mut found = Found::default();
    let scopes = [(Scope::Account, None, limits[0]), (Scope::Workspace, Some(slot), limits[1])];
    for (scope, of, Limits { rpm, .. }) in scopes {
        let Some(rpm) = rpm else { continue };
        let sums = log.sums(of);
        let minute = Check { limit: rpm.get(), used: sums.r60.into(), needed: 1, allowed: rpm.get().checked_sub(1) };
        let rps = rpm.per_second();
        let second = Check { limit: rps, used: sums.r1.into(), needed: 1, allowed: Some(rps - 1) };
        found.add(minute.violation(log, now, (Cause::Requests, scope, Window::Minute), of));
        found.add(second.violation(log, now, (Cause::Requests, scope, Window::Second), of));
    }
    for (scope, of, Limits { tpm, .. }) in scopes {
        let Some(tpm) = tpm else { continue };
        let sums = log.sums(of);
        let needed = ask.needed(tpm.get());
        let allowed = if ask.never_fits(tpm.get()) { None } else { Some(tpm.get() - needed) };
        let minute = Check { limit: tpm.get(), used: sums.t60, needed, allowed };
        let tps = tpm.per_second();
        let second = Check { limit: tps, used: sums.t1, needed: ask.prompt, allowed: Some(ask.second_allows(tps)) };
        found.add(minute.violation(log, now, (Cause::Tokens, scope, Window::Minute), of));
        found.add(second.violation(log, now, (Cause::Tokens, scope, Window::Second), of));
    }
    found.add(limits[0].rpm.and_then(|rpm| surge_violation(log, now, rpm, surge)));

    let Found { named, mut others } = found;
    let named = named.expect("a refused call violates a limit");
    others.sort_by_key(|it| (it.cause, it.scope, it.window));
    let retry_after_us = named.retry_after_us.map(|us| match limits[0].rpm {
        // All but the surge's threshold can only get better while nothing happens, so from here on they hold.
        Some(rpm) => surge_holds(log, rpm, surge, now.plus(us)).since(now),
        None => us,
    });
    Denial { named, others, retry_after_us }
}

/// The violations so far. One is usual, and costs no memory of its own.
#[derive(Default)]
struct Found {
    named: Option<Violation>,
    others: Vec<Violation>,
}

impl Found {
    /// Adds the next one in the order in which ties are broken: it is named if it stays longer than all before it.
    fn add(&mut self, violation: Option<Violation>) {
        let Some(violation) = violation else { return };
        let longest = |it: &Violation| it.retry_after_us.unwrap_or(u64::MAX);
        match &mut self.named {
            None => self.named = Some(violation),
            Some(named) if longest(named) >= longest(&violation) => self.others.push(violation),
            Some(named) => self.others.push(std::mem::replace(named, violation)),
        }
    }
}

/// One sum against one limit.
struct Check {
    limit: u64,
    used: u128,
    needed: u64,
    /// The most that may be in the window for the call to join it; `None`: it never can.
    allowed: Option<u64>,
}

impl Check {
    fn violation(
        self,
        log: &mut Log,
        now: Micros,
        (cause, scope, window): (Cause, Scope, Window),
        of: Of,
    ) -> Option<Violation> {
        let retry_after_us = match self.allowed.map(u128::from) {
            Some(allowed) if self.used <= allowed => return None,
            Some(allowed) => Some(log.leaves(of, cause, window, self.used - allowed).since(now)),
            None => None,
        };
        let used = u64::try_from(self.used).unwrap_or(u64::MAX);
        Some(Violation { cause, scope, window, limit: self.limit, used, needed: self.needed, retry_after_us })
    }
}

fn surge_violation(log: &Log, now: Micros, rpm: Rpm, surge: &Surge) -> Option<Violation> {
    let sums = log.sums(None);
    surge.refuses(rpm, sums.r1, sums.r60).then(|| Violation {
        cause: Cause::Surge,
        scope: Scope::Account,
        window: Window::Second,
        limit: surge.threshold(rpm, sums.r60 - sums.r1),
        used: sums.r1,
        needed: 1,
        retry_after_us: Some(surge_holds(log, rpm, surge, now).since(now)),
    })
}

/// The least instant from `from` on at which the surge threshold lets a request pass, nothing else happening.
///
/// The threshold falls when requests leave the minute, so what holds now may not hold later. It can begin to hold only
/// where a request leaves the second: these instants are tried one after the other.
fn surge_holds(log: &Log, rpm: Rpm, surge: &Surge, from: Micros) -> Micros {
    let sums = log.sums(None);
    let (mut r1, mut r60) = (sums.r1, sums.r60);
    if r1 < surge.base(rpm) {
        return from;
    }
    let mut second = log.all_charges(None, Cause::Requests, Window::Second).peekable();
    let mut minute = log.all_charges(None, Cause::Requests, Window::Minute).peekable();
    let mut at = from;
    loop {
        while let Some((_, requests)) = second.next_if(|it| !it.0.counts(SECOND, at)) {
            r1 -= requests;
        }
        while let Some((_, requests)) = minute.next_if(|it| !it.0.counts(MINUTE, at)) {
            r60 -= requests;
        }
        match second.peek() {
            Some(charged) if surge.refuses(rpm, r1, r60) => at = charged.0.plus(SECOND),
            _ => return at,
        }
    }
}
