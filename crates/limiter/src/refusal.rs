//! Which limits a call would break, which of them is named, and the least instant at which all hold together.

use domain::{Cause, Scope, Window};

use crate::{
    Denial, Micros, Surge, Violation,
    ask::Ask,
    in_force::{InForce, NONE},
    log::{Log, MINUTE, Of, Place, SECOND},
};

/// Explains why `ask` does not fit; at least one limit must be violated.
pub(crate) fn explain(
    log: &mut Log,
    now: Micros,
    place: Place,
    limits: &[InForce; 2],
    surge: &Surge,
    ask: &Ask,
) -> Denial {
    let rps = limits[0].rps;
    let mut found = Found { log, now, named: None, others: Vec::new() };
    let scopes = [(Scope::Account, None, &limits[0]), (Scope::Workspace, Some(place), &limits[1])];
    for (scope, of, &InForce { rpm, rps, .. }) in scopes {
        let sums = found.log.sums(of);
        let (r60, r1) = (sums.r60, sums.r1);
        let mut over = |window, limit: u64| {
            found.exceeded((Cause::Requests, scope, window), of, limit, 1, limit.checked_sub(1));
        };
        // Without a limit neither is: no sum comes near it.
        if r60 >= rpm {
            over(Window::Minute, rpm);
        }
        if r1 >= rps {
            over(Window::Second, rps);
        }
    }
    for (scope, of, &InForce { tpm, tps, .. }) in scopes {
        if tpm == NONE {
            continue;
        }
        let sums = found.log.sums(of);
        let (t60, t1, never) = (sums.t60, sums.t1, ask.never_fits(tpm));
        let (needed, second) = (ask.needed(tpm), ask.second_allows(tps));
        if never || t60 > u128::from(tpm - needed) {
            let allowed = if never { None } else { Some(tpm - needed) };
            found.exceeded((Cause::Tokens, scope, Window::Minute), of, tpm, needed, allowed);
        }
        if t1 > u128::from(second) {
            found.exceeded((Cause::Tokens, scope, Window::Second), of, tps, ask.prompt, Some(second));
        }
    }
    if let Some(violation) = surge_violation(found.log, now, rps, surge) {
        found.add(violation);
    }

    let Found { named, mut others, .. } = found;
    let named = named.expect("a refused call violates a limit");
    if others.len() > 1 {
        others.sort_by_key(|it| (it.cause, it.scope, it.window));
    }
    // All but the surge's threshold can only get better while nothing happens, so from the longest wait on they hold.
    let together = |us| surge_holds(log, rps, surge, now.plus(us)).since(now);
    let retry_after_us = named.retry_after_us.map(together);
    Denial { named, others, retry_after_us }
}

/// The violations so far. One is usual, and costs no memory of its own.
struct Found<'a> {
    log: &'a mut Log,
    now: Micros,
    named: Option<Violation>,
    others: Vec<Violation>,
}

impl Found<'_> {
    /// Adds that a scope is charged more in a window than `allowed`, the most that may be in it for the call to join it;
    /// `None`: it never can.
    #[inline(never)]
    fn exceeded(
        &mut self,
        (cause, scope, window): (Cause, Scope, Window),
        of: Of,
        limit: u64,
        needed: u64,
        allowed: Option<u64>,
    ) {
        let used = self.log.sums(of).used(cause, window);
        let excess = allowed.map(|it| used - u128::from(it));
        let retry_after_us = excess.map(|it| self.log.leaves(of, cause, window, it).since(self.now));
        let used = u64::try_from(used).unwrap_or(u64::MAX);
        self.add(Violation { cause, scope, window, limit, used, needed, retry_after_us });
    }

    /// Adds the next one in the order in which ties are broken: it is named if it stays longer than all before it.
    fn add(&mut self, violation: Violation) {
        let longest = |it: &Violation| it.retry_after_us.unwrap_or(u64::MAX);
        match &mut self.named {
            None => self.named = Some(violation),
            Some(named) if longest(named) >= longest(&violation) => self.others.push(violation),
            Some(named) => self.others.push(std::mem::replace(named, violation)),
        }
    }
}

fn surge_violation(log: &Log, now: Micros, rps: u64, surge: &Surge) -> Option<Violation> {
    let sums = log.sums(None);
    surge.refuses(rps, sums.r1, sums.r60).then(|| Violation {
        cause: Cause::Surge,
        scope: Scope::Account,
        window: Window::Second,
        limit: surge.threshold(rps, sums.r60 - sums.r1),
        used: sums.r1,
        needed: 1,
        retry_after_us: Some(surge_holds(log, rps, surge, now).since(now)),
    })
}

/// The least instant from `from` on at which the surge threshold lets a request pass, nothing else happening.
///
/// The threshold falls when requests leave the minute, so what holds now may not hold later. It can begin to hold only
/// where a request leaves the second: these instants are tried one after the other.
fn surge_holds(log: &Log, rps: u64, surge: &Surge, from: Micros) -> Micros {
    let sums = log.sums(None);
    let (mut r1, mut r60) = (sums.r1, sums.r60);
    if r1 < surge.least || r1 < surge.base(rps) || log.second_is_over(from) {
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
            Some(charged) if surge.refuses(rps, r1, r60) => at = charged.0.plus(SECOND),
            _ => return at,
        }
    }
}
