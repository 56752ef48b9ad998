//! The threshold that keeps a caller from rising too quickly. Knows two counts and a limit, nothing else.

use domain::ceil60;

/// The three numbers of surge protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surge {
    /// Requests in a second that never are a surge; [`u64::MAX`] switches the protection off.
    pub least: u64,
    /// Share of the per-second limit that never is a surge, in percent.
    pub share_percent: u64,
    /// How far a second may lie above the mean of the preceding minute, in percent.
    pub growth_percent: u64,
}

impl Default for Surge {
    fn default() -> Self {
        Self { least: 10, share_percent: 50, growth_percent: 300 }
    }
}

impl Surge {
    /// What a second may hold whatever the preceding minute was.
    pub(crate) fn base(&self, rpm: u64) -> u64 {
        self.least.max(ceil60(rpm).saturating_mul(self.share_percent).div_ceil(100)).max(1)
    }

    /// What a second may hold after `before` requests in the 59 seconds ahead of it; at least 1.
    pub(crate) fn threshold(&self, rpm: u64, before: u64) -> u64 {
        self.base(rpm).max(before.saturating_mul(self.growth_percent) / 5900)
    }
}
