//! Charges from before the start of the process, each of many calls at once. They lie beside the log, because one
//! may be stamped later than the first calls after the start.

use domain::{Cause, Window};

use crate::{
    Micros, WorkspaceSlot,
    log::{MINUTE, SECOND},
};

/// Requests and tokens of one scope at one instant, in the minute and, if it lies in it, in the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoredCharge {
    pub(crate) at: Micros,
    /// `None`: the account.
    pub(crate) of: Option<WorkspaceSlot>,
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// In order of time, with a cursor for each window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restored {
    charges: Vec<RestoredCharge>,
    minute: usize,
    second: usize,
}

impl Restored {
    pub(crate) fn is_empty(&self) -> bool {
        self.minute == self.charges.len()
    }

    pub(crate) fn insert(&mut self, charge: RestoredCharge, now: Micros) {
        let place = self.charges.partition_point(|it| it.at <= charge.at).max(self.minute);
        self.charges.insert(place, charge);
        if !charge.at.counts(SECOND, now) {
            self.second += 1;
        }
    }

    /// The next charge that has left the second at `now`.
    pub(crate) fn leaving_second(&mut self, now: Micros) -> Option<RestoredCharge> {
        let charge = *self.charges.get(self.second).filter(|it| !it.at.counts(SECOND, now))?;
        self.second += 1;
        Some(charge)
    }

    /// The next charge that has left the minute at `now`.
    pub(crate) fn leaving_minute(&mut self, now: Micros) -> Option<RestoredCharge> {
        let charge = *self.charges.get(self.minute).filter(|it| !it.at.counts(MINUTE, now))?;
        self.minute += 1;
        Some(charge)
    }

    /// The charges above 0 of a scope to a window, in order of time.
    pub(crate) fn charges(
        &self,
        of: Option<WorkspaceSlot>,
        cause: Cause,
        window: Window,
    ) -> impl Iterator<Item = (Micros, u64)> {
        let first = if window == Window::Minute { self.minute } else { self.second };
        self.charges[first..].iter().filter(move |it| it.of == of).filter_map(move |it| {
            let charge = if cause == Cause::Tokens { it.tokens } else { it.requests };
            (charge > 0).then_some((it.at, charge))
        })
    }
}
