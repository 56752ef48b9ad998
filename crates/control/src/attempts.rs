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

    /// Begins an attempt if there may be one now. It counts as a failure from the beginning, so that guesses side by side
    /// are as few as guesses one after the other.
    pub(crate) fn begin<'a>(&'a self, email: &'a str, origin: &'a str) -> Result<Attempt<'a>> {
        let too_many = |wait_ms: i64| ControlError::TooManyAttempts {
            retry_after_s: u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000).max(1),
        };
        self.emails.take(email).map_err(too_many)?;
        self.origins.take(origin).map_err(|wait_ms| {
            self.emails.give_back(email);
            too_many(wait_ms)
        })?;
        Ok(Attempt { attempts: self, email, origin })
    }
}

/// An attempt that is being looked at.
#[must_use]
pub(crate) struct Attempt<'a> {
    attempts: &'a Attempts,
    email: &'a str,
    origin: &'a str,
}

impl Attempt<'_> {
    /// A success counts for nothing, so that who knows the password is never locked out by using it.
    pub(crate) fn succeeded(self) {
        self.attempts.emails.give_back(self.email);
        self.attempts.origins.give_back(self.origin);
    }
}

type Limiter = RateLimiter<String, HashMapStateStore<String>, Wall, NoOpMiddleware<Millis>>;

struct Kept {
    limiter: Limiter,
    /// What was given back, by key: until when each can be taken again. By then the limiter has made up for it itself.
    given_back: Mutex<HashMap<String, Vec<i64>>>,
    every_ms: i64,
    clock: Arc<dyn WallClock>,
}

impl Kept {
    fn new(at_once: u32, then_every: Duration, clock: Arc<dyn WallClock>) -> Self {
        let at_once = NonZeroU32::new(at_once).expect("it is not zero");
        let quota = Quota::with_period(then_every).expect("it is not zero").allow_burst(at_once);
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), Wall(Arc::clone(&clock)));
        let every_ms = i64::try_from(then_every.as_millis()).unwrap_or(i64::MAX);
        Self { limiter, given_back: Mutex::default(), every_ms, clock }
    }

    /// Takes one, or says for how many milliseconds there is none.
    fn take(&self, key: &str) -> std::result::Result<(), i64> {
        let now = self.clock.now_ms();
        let mut given_back = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = given_back.get_mut(key) {
            times.retain(|until| *until > now);
            if times.pop().is_some() {
                return Ok(());
            }
            given_back.remove(key);
        }
        // Strangers choose the keys: those whose time is over are dropped before they fill the memory.
        if self.limiter.len() > 10_000 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&key.to_owned()).map_err(|refused| {
            let wait = refused.wait_time_from(Millis(now));
            i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
        })
    }

    fn give_back(&self, key: &str) {
        let now = self.clock.now_ms();
        let mut given_back = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        given_back.retain(|_, times| times.iter().any(|until| *until > now));
        given_back.entry(key.to_owned()).or_default().push(now.saturating_add(self.every_ms));
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

    fn attempts() -> (Attempts, Arc<ManualWallClock>) {
        let clock = Arc::new(ManualWallClock::at(1_000_000));
        (Attempts::new(Arc::clone(&clock) as Arc<dyn WallClock>), clock)
    }

    #[test]
    fn after_some_failures_an_address_waits_and_others_do_not() {
        let (attempts, clock) = attempts();
        for _ in 0..FOR_EMAIL {
            drop(attempts.begin("ann", "::1").unwrap());
        }
        let Err(ControlError::TooManyAttempts { retry_after_s }) = attempts.begin("ann", "::1").map(drop) else {
            panic!("one more failure in a row must wait");
        };
        assert!((1..=30).contains(&retry_after_s), "{retry_after_s}");
        drop(attempts.begin("bob", "::1").unwrap());
        clock.advance(31_000);
        drop(attempts.begin("ann", "::1").unwrap());
        assert!(attempts.begin("ann", "::1").is_err(), "then one at a time");
    }

    #[test]
    fn successes_count_for_nothing_and_are_no_store_of_guesses() {
        let (attempts, clock) = attempts();
        for _ in 0..10 * FOR_ORIGIN {
            attempts.begin("ann", "::1").unwrap().succeeded();
        }
        clock.advance(3_600_000);
        let begun: Vec<_> = (0..10 * FOR_EMAIL).filter_map(|_| attempts.begin("ann", "::1").ok()).collect();
        assert_eq!(begun.len(), usize::try_from(FOR_EMAIL).unwrap(), "side by side there are no more");
    }

    #[test]
    fn an_origin_that_waits_takes_nothing_from_an_address() {
        let (attempts, _) = attempts();
        for i in 0..FOR_ORIGIN {
            drop(attempts.begin(&format!("{i}"), "::1").unwrap());
        }
        for _ in 0..FOR_EMAIL {
            assert!(attempts.begin("ann", "::1").is_err());
        }
        drop(attempts.begin("ann", "::2").unwrap());
    }
}
