//! The threshold that keeps a caller from rising too quickly. Knows two counts and a limit, nothing else.

use crate::in_force::NONE;

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
    /// What a second of `rps` may hold whatever the preceding minute was; at least 1.
    pub(crate) fn base(&self, rps: u64) -> u64 {
        self.least.max(rps.saturating_mul(self.share_percent).div_ceil(100)).max(1)
    }

    /// What a second may hold after `before` requests in the 59 seconds ahead of it; at least 1.
    pub(crate) fn threshold(&self, rps: u64, before: u64) -> u64 {
        self.base(rps).max(before.saturating_mul(self.growth_percent) / 5900)
    }

    /// Whether one more request is a surge. Looked at only where the threshold lies below the second's own limit, which
    /// says it otherwise.
    #[inline]
    pub(crate) fn refuses(&self, rps: u64, r1: u64, r60: u64) -> bool {
        if r1 < self.least || rps == NONE {
            return false;
        }
        let threshold = self.threshold(rps, r60 - r1);
        threshold < rps && r1 >= threshold
    }
}
