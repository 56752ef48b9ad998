//! What a decision says: admitted or refused, why, until when, and where the caller stands.

use domain::{Cause, Scope, Window};

use crate::Permit;

/// The answer to one call. `P` is how an admission is held: a permit, or its bare charge inside a cell's lock.
#[derive(Debug)]
#[must_use = "a dropped permit settles at once"]
pub enum Decision<P = Permit> {
    /// It may run; the permit settles its charge.
    Admitted(P, Standing),
    /// It may not, and nothing was charged.
    Denied(Denial, Standing),
    /// Nothing was asked and nothing charged: what is charged cannot be kept for a restart, and [`crate::Ledger::admit_until`]
    /// says that then no call is admitted.
    Undecided,
}

/// One limit that a call would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What ran out.
    pub cause: Cause,
    /// Whose limit it is.
    pub scope: Scope,
    /// Over which time it counts.
    pub window: Window,
    /// The limit in force; for a surge its threshold.
    pub limit: u64,
    /// What is charged in the window.
    pub used: u64,
    /// 1 request, or the tokens that were checked.
    pub needed: u64,
    /// Microseconds until this limit alone would hold, nothing else happening; `None`: never.
    pub retry_after_us: Option<u64>,
}

/// Why a call was refused and when it would be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The violation that stays longest: the one the refusal names.
    pub named: Violation,
    /// All others: requests, tokens, surge; account before workspace; minute before second. Rarely any.
    pub others: Vec<Violation>,
    /// Microseconds until all limits hold together, nothing else happening: one retry then succeeds, one microsecond
    /// earlier it fails. `None`: never.
    pub retry_after_us: Option<u64>,
}

impl Denial {
    /// Whether no wait can help: the call is larger than a limit, or a limit is 0.
    pub fn permanent(&self) -> bool {
        self.retry_after_us.is_none()
    }

    /// Every violation, the named one first.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        std::iter::once(&self.named).chain(&self.others)
    }
}

/// Where the caller stands after a decision, for the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests, in the tighter scope; `None` if neither scope limits them.
    pub requests: Option<Quota>,
    /// Tokens, in the tighter scope; `None` if neither scope limits them.
    pub tokens: Option<Quota>,
}

/// One dimension in its tighter scope: the one with less remaining in the minute; equal: the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The tighter scope.
    pub scope: Scope,
    /// Its limit in 60 s.
    pub limit: u64,
    /// What is left of it, after this call's own charge; never below 0.
    pub remaining: u64,
    /// Microseconds until `remaining` next grows, 0 if nothing is charged; on a refusal by this limit, until the call fits.
    pub reset_us: u64,
    /// The limit of the same scope in one second.
    pub per_second: u64,
}
