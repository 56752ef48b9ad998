//! How old the figures are: up to when every call that ended is durable, and up to when it is in the roll-ups.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use app::ssr::FigureAge;
use control::{SystemWallClock, WallClock};

/// Figures are called stale when they are this much older than usual.
const STALE_MS: i64 = 5_000;

/// The two instants, in epoch milliseconds.
#[derive(Debug)]
pub struct Freshness {
    stored: AtomicI64,
    folded: AtomicI64,
}

impl Freshness {
    /// Everything is up to date at `now_ms`.
    pub const fn new(now_ms: i64) -> Self {
        Self { stored: AtomicI64::new(now_ms), folded: AtomicI64::new(now_ms) }
    }

    /// Every call that ended before `at_ms` is durable.
    pub fn stored(&self, at_ms: i64) {
        self.stored.store(at_ms, Ordering::Relaxed);
    }

    /// Every call that was durable at `at_ms` is in the roll-ups.
    pub fn folded(&self, at_ms: i64) {
        self.folded.store(at_ms, Ordering::Relaxed);
    }

    /// Since when calls are missing from the figures; `None` while they are as fresh as they should be.
    pub fn stale_since(&self, now_ms: i64) -> Option<i64> {
        let since = self.stored.load(Ordering::Relaxed).min(self.folded.load(Ordering::Relaxed));
        (now_ms.saturating_sub(since) > STALE_MS).then_some(since)
    }
}

/// How the console asks for it.
pub struct Age(pub Arc<Freshness>);

impl FigureAge for Age {
    fn stale_since(&self) -> Option<i64> {
        self.0.stale_since(WallClock::now_ms(&SystemWallClock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_old_as_the_slower_of_the_two_steps() {
        let freshness = Freshness::new(1_000);
        assert_eq!(freshness.stale_since(6_000), None);
        assert_eq!(freshness.stale_since(6_001), Some(1_000));
        freshness.stored(6_000);
        assert_eq!(freshness.stale_since(7_000), Some(1_000));
        freshness.folded(6_000);
        assert_eq!(freshness.stale_since(7_000), None);
        freshness.folded(60_000);
        assert_eq!(freshness.stale_since(60_000), Some(6_000));
    }
}
