//! Failed sign-ins: a few in a row are free, then one at a time. Kept for each address signed in with, and for each
//! address of the network.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    ops::Add,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::keyed::HashMapStateStore,
};

use crate::{ControlError, Result, WallClock};

/// Failures at once for one sign-in address; then one in half a minute.
const FOR_EMAIL: u32 = 8;
/// Failures at once from one network address, behind which many people may sit.
const FOR_ORIGIN: u32 = 40;

pub(crate) struct Attempts {
    emails: Kept,
    origins: Kept,
}

impl Attempts {
    pub(crate) fn new(clock: Arc<dyn WallClock>) -> Self {
        Self {
            emails: Kept::new(FOR_EMAIL, Duration::from_secs(30), Arc::clone(&clock)),
            origins: Kept::new(FOR_ORIGIN, Duration::from_secs(5), clock),
        }
    }

    /// Whether an attempt may be looked at now.
    pub(crate) fn allow(&self, email: &str, origin: &str) -> Result<()> {
        let wait = self.emails.blocked_for_ms(email).max(self.origins.blocked_for_ms(origin));
        if wait <= 0 {
            return Ok(());
        }
        Err(ControlError::TooManyAttempts { retry_after_s: u64::try_from(wait).unwrap_or(0).div_ceil(1000) })
    }

    /// Counts a failure. A success counts for nothing, so that who knows the password is never locked out by using it.
    pub(crate) fn failed(&self, email: &str, origin: &str) {
        self.emails.count(email);
        self.origins.count(origin);
    }
}

type Limiter = RateLimiter<String, HashMapStateStore<String>, Wall, NoOpMiddleware<Millis>>;

struct Kept {
    limiter: Limiter,
    until_ms: Mutex<HashMap<String, i64>>,
    clock: Arc<dyn WallClock>,
}

impl Kept {
    fn new(at_once: u32, then_every: Duration, clock: Arc<dyn WallClock>) -> Self {
        let at_once = NonZeroU32::new(at_once).expect("it is not zero");
        let quota = Quota::with_period(then_every).expect("it is not zero").allow_burst(at_once);
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), Wall(Arc::clone(&clock)));
        Self { limiter, until_ms: Mutex::default(), clock }
    }

    fn blocked_for_ms(&self, key: &str) -> i64 {
        let until = self.until_ms.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(key).map_or(0, |until| until - self.clock.now_ms())
    }

    fn count(&self, key: &str) {
        // Strangers choose the keys: those whose time is over are dropped before they fill the memory.
        if self.limiter.len() > 10_000 {
            self.limiter.retain_recent();
        }
        let Err(refused) = self.limiter.check_key(&key.to_owned()) else { return };
        let wait = refused.wait_time_from(Millis(self.clock.now_ms()));
        let now = self.clock.now_ms();
        let mut until = self.until_ms.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, it| *it > now);
        until.insert(
            key.to_owned(),
            now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)).saturating_add(1),
        );
    }
}

#[derive(Clone)]
struct Wall(Arc<dyn WallClock>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Millis(i64);

fn millis(nanos: Nanos) -> i64 {
    i64::try_from(nanos.as_u64() / 1_000_000).unwrap_or(i64::MAX)
}

impl Add<Nanos> for Millis {
    type Output = Self;
    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(millis(nanos)))
    }
}

impl Reference for Millis {
    fn duration_since(&self, earlier: Self) -> Nanos {
        let ms = u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0);
        Nanos::from(ms.saturating_mul(1_000_000))
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

impl Clock for Wall {
    type Instant = Millis;
    fn now(&self) -> Millis {
        Millis(self.0.now_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualWallClock;

    #[test]
    fn after_some_failures_an_address_waits_and_others_do_not() {
        let clock = Arc::new(ManualWallClock::at(1_000_000));
        let attempts = Attempts::new(Arc::clone(&clock) as Arc<dyn WallClock>);
        for _ in 0..FOR_EMAIL {
            attempts.allow("ann", "::1").unwrap();
            attempts.failed("ann", "::1");
        }
        attempts.allow("ann", "::1").unwrap();
        attempts.failed("ann", "::1");
        let Err(ControlError::TooManyAttempts { retry_after_s }) = attempts.allow("ann", "::1") else {
            panic!("the ninth failure in a row must block");
        };
        assert!((1..=31).contains(&retry_after_s), "{retry_after_s}");
        attempts.allow("bob", "::1").unwrap();
        clock.advance(31_000);
        attempts.allow("ann", "::1").unwrap();
    }
}
