//! Where a caller stands after a decision: limit, remaining and reset of the tighter scope, for each dimension.

use domain::{Cause, Scope, Window};

use crate::{
    Denial, Micros, Quota, Standing, Violation,
    in_force::{InForce, NONE},
    log::{Log, Place},
};

/// The standing of the workspace at `place` at `now`. `denial` is the refusal that was just made, if there was one.
pub(crate) fn after(
    log: &mut Log,
    now: Micros,
    place: Place,
    limits: &[InForce; 2],
    denial: Option<&Denial>,
) -> Standing {
    Standing {
        requests: quota(log, now, place, Cause::Requests, limits.each_ref().map(|it| (it.rpm, it.rps)), denial),
        tokens: quota(log, now, place, Cause::Tokens, limits.each_ref().map(|it| (it.tpm, it.tps)), denial),
    }
}

// Inlined, so that each dimension has code of its own: this is on every call's way.
#[inline(always)]
fn quota(
    log: &mut Log,
    now: Micros,
    place: Place,
    cause: Cause,
    [account, workspace]: [(u64, u64); 2],
    denial: Option<&Denial>,
) -> Option<Quota> {
    // The sums of tokens may be wider than any limit; what is told of them is not.
    let used = |of| match cause {
        Cause::Tokens => u64::try_from(log.sums(of).t60).unwrap_or(u64::MAX),
        _ => log.sums(of).r60,
    };
    let (of_account, of_workspace) = (used(None), used(Some(place)));
    let left = [account.0.saturating_sub(of_account), workspace.0.saturating_sub(of_workspace)];
    let tighter = workspace.0 != NONE && (account.0 == NONE || left[1] < left[0]);
    let (scope, of, used, (limit, per_second), remaining) = if tighter {
        (Scope::Workspace, Some(place), of_workspace, workspace, left[1])
    } else if account.0 != NONE {
        (Scope::Account, None, of_account, account, left[0])
    } else {
        return None;
    };
    let refused_here = |it: &&Violation| (it.cause, it.scope, it.window) == (cause, scope, Window::Minute);
    let fits_again = denial.and_then(|it| {
        let found = Some(&it.named).filter(refused_here).or_else(|| it.others.iter().find(refused_here));
        found.and_then(|it| it.retry_after_us)
    });
    let reset_us = match fits_again {
        Some(us) => us,
        None if used == 0 => 0,
        // Some of what is charged has to leave: all of what is above a lowered limit, for only then the remaining 0 grows.
        None if used <= limit => log.leaves(of, cause, Window::Minute, 1).since(now),
        None => {
            let used = log.sums(of).used(cause, Window::Minute);
            let excess = (used - u128::from(limit) + 1).min(used);
            log.leaves(of, cause, Window::Minute, excess).since(now)
        }
    };
    Some(Quota { scope, limit, remaining, reset_us, per_second })
}
