//! Failed sign-ins, counted for all processes together: an instant for each address that the next attempt must keep to.

use crate::{Conn, Result, Tx};

statements! {
    // Each attempt moves the instant on; while it lies too far ahead, nothing is changed.
    TAKE_ATTEMPT = "insert into sign_in_attempt (digest, until_ms)
        values ($1, cast($2 as bigint) + $3)
        on conflict (digest) do update
        set until_ms = case when sign_in_attempt.until_ms < $2 then $2 else sign_in_attempt.until_ms end + $3
        where sign_in_attempt.until_ms <= cast($2 as bigint) + $4 - $3";
    GIVE_ATTEMPT_BACK = "update sign_in_attempt set until_ms = until_ms - $2 where digest = $1";
    ATTEMPT = "select until_ms from sign_in_attempt where digest = $1";
    FORGET_ATTEMPTS = "delete from sign_in_attempt where until_ms < $1";
}

/// How many attempts may follow each other.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time after which there may be one more.
    pub every_ms: i64,
    /// As many at once.
    pub at_once: i64,
}

impl Conn {
    /// Until when the next attempt under `digest` waits; an instant in the past if it need not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn attempt_waits_until(&mut self, digest: &[u8], pace: Pace) -> Result<i64> {
        let until = optional!(self, (i64,), ATTEMPT, digest)?.map_or(0, |it| it.0);
        Ok(until - (pace.at_once - 1) * pace.every_ms)
    }
}

impl Tx {
    /// Takes one attempt, if there may be one at `now_ms`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn take_attempt(&mut self, digest: &[u8], pace: Pace, now_ms: i64) -> Result<bool> {
        let taken = run!(self, TAKE_ATTEMPT, digest, now_ms, pace.every_ms, pace.at_once * pace.every_ms)?;
        Ok(taken > 0)
    }

    /// Gives one back that turned out well.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn give_attempt_back(&mut self, digest: &[u8], pace: Pace) -> Result<u64> {
        run!(self, GIVE_ATTEMPT_BACK, digest, pace.every_ms)
    }

    /// Forgets attempts that hold nobody up any more.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn forget_attempts(&mut self, now_ms: i64) -> Result<u64> {
        run!(self, FORGET_ATTEMPTS, now_ms)
    }
}
