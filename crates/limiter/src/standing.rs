//! Where a caller stands after a decision: limit, remaining and reset of the tighter scope, for each dimension.

use domain::{Cause, Limits, Scope, Window};

use crate::{
    Denial, Micros, Quota, Standing, WorkspaceSlot,
    log::{Log, Of},
};

/// The standing of the workspace `slot` at `now`. `denial` is the refusal that was just made, if there was one.
pub(crate) fn after(
    log: &mut Log,
    now: Micros,
    slot: WorkspaceSlot,
    limits: [Limits; 2],
    denial: Option<&Denial>,
) -> Standing {
    let rpm = limits.map(|it| it.rpm.map(|rpm| (rpm.get(), rpm.per_second())));
    let tpm = limits.map(|it| it.tpm.map(|tpm| (tpm.get(), tpm.per_second())));
    Standing {
        requests: quota(log, now, slot, Cause::Requests, rpm, denial),
        tokens: quota(log, now, slot, Cause::Tokens, tpm, denial),
    }
}

fn quota(
    log: &mut Log,
    now: Micros,
    slot: WorkspaceSlot,
    cause: Cause,
    limits: [Option<(u64, u64)>; 2],
    denial: Option<&Denial>,
) -> Option<Quota> {
    let used = |of: Of| {
        let sums = log.sums(of);
        if cause == Cause::Tokens { sums.t60 } else { sums.r60.into() }
    };
    let stand = |scope, of: Of, limit: Option<(u64, u64)>| {
        let (limit, per_second) = limit?;
        let used = used(of);
        let remaining = limit.saturating_sub(u64::try_from(used).unwrap_or(u64::MAX));
        let quota = Quota { scope, limit, remaining, reset_us: 0, per_second };
        Some((quota, of, used))
    };
    let account = stand(Scope::Account, None, limits[0]);
    let workspace = stand(Scope::Workspace, Some(slot), limits[1]);
    let (mut quota, of, used) = match (account, workspace) {
        (Some(account), Some(workspace)) if workspace.0.remaining < account.0.remaining => workspace,
        (account, workspace) => account.or(workspace)?,
    };
    let refused_here = |it: &&crate::Violation| (it.cause, it.scope, it.window) == (cause, quota.scope, Window::Minute);
    let fits_again = denial.and_then(|it| it.violations().find(refused_here)).and_then(|it| it.retry_after_us);
    quota.reset_us = match fits_again {
        Some(us) => us,
        None if used == 0 => 0,
        // Above a lowered limit, the remaining 0 grows when the use has come below the limit.
        None => {
            let excess = (used.saturating_sub(quota.limit.into()) + 1).min(used);
            log.leaves(of, cause, Window::Minute, excess).since(now)
        }
    };
    Some(quota)
}
