//! Monotonic time as an argument: an instant, the trait that tells it, and a clock that tests move by hand.

use std::sync::atomic::{AtomicU64, Ordering};

/// A monotonic instant in whole microseconds since an origin that the process chooses.
///
/// The origin should lie some minutes before the start of the process, so that charges restored from before the start
/// have an instant too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Micros(pub u64);

impl Micros {
    /// This instant and `us` microseconds, saturating.
    #[must_use]
    pub const fn plus(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Microseconds since `earlier`, 0 if that lies later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether a charge of `window_us` made at this instant still counts at `now`: the window is `(now − window, now]`,
    /// and an instant later than `now` counts already.
    pub(crate) const fn counts(self, window_us: u64, now: Self) -> bool {
        self.0.saturating_add(window_us) > now.0
    }
}

/// Tells the monotonic time. Read inside a cell's lock; a reading before the last one is taken as the last one.
pub trait Clock: Send + Sync {
    /// The instant of now.
    fn now(&self) -> Micros;
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Micros) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves on by `us` microseconds.
    pub fn advance(&self, us: u64) {
        self.0.fetch_add(us, Ordering::Relaxed);
    }

    /// Moves to `instant`, which may lie earlier.
    pub fn set(&self, instant: Micros) {
        self.0.store(instant.0, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::Relaxed))
    }
}
