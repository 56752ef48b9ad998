//! `ratelimit-policy`, prepared for each grant: it depends on limits alone, not on use.

use limiter::CellLimits;

/// The policies of one grant, by the tighter scope of requests and of tokens.
#[derive(Debug)]
pub(crate) struct Policies;

impl Policies {
    pub(crate) fn of(_limits: &CellLimits) -> Self {
        Self
    }
}
