//! The process's clocks: the monotonic one that decides, and the wall clock that stamps.

use limiter::{Clock, Micros};
use rustix::time::{ClockId, clock_gettime};

/// Microseconds since the machine was booted, sleep included. It goes on over a restart of the process, and no step of
/// the wall clock moves it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Micros(START_US + seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000)
    }
}

/// Added to the machine's clock, so that charges from before a reboot have an instant too.
const START_US: u64 = 3_600_000_000;

/// What tells one boot of the machine from another; empty where the system does not say.
pub fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|it| it.trim().to_owned()).unwrap_or_default()
}

/// The gateway's view of the wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWallClock;

impl gateway::WallClock for SystemWallClock {
    fn now_ms(&self) -> i64 {
        control::WallClock::now_ms(&control::SystemWallClock)
    }
}
