//! Failed sign-ins: a few in a row are free, then one at a time. Counted for each address signed in with, and for each
//! address of the network; in the store, so that several processes do not allow several times as many.

use sha2::{Digest as _, Sha256};
use store::sign_in::Pace;

use crate::{Control, ControlError, Result};

/// Failures for one sign-in address: so many at once, then one in half a minute.
const FOR_EMAIL: Pace = Pace { every_ms: 30_000, at_once: 8 };
/// Failures from one network address, behind which many people may sit.
const FOR_ORIGIN: Pace = Pace { every_ms: 5_000, at_once: 40 };

/// An attempt that is being looked at.
#[must_use]
pub(crate) struct Attempt {
    /// What stands for the two addresses: strangers choose them, and none is kept in the clear.
    counted: [(Pace, [u8; 32]); 2],
}

/// Begins an attempt if there may be one now. It counts as a failure from the beginning, so that guesses side by side are
/// as few as guesses one after the other.
pub(crate) async fn begin(control: &Control, email: &str, origin: &str) -> Result<Attempt> {
    let digest = |kind: &str, address: &str| -> [u8; 32] { Sha256::digest(format!("{kind} {address}")).into() };
    let counted = [(FOR_EMAIL, digest("email", email)), (FOR_ORIGIN, digest("origin", origin))];
    let now_ms = control.now_ms();
    let mut tx = control.store().begin().await?;
    for (pace, digest) in &counted {
        if !tx.take_attempt(digest, *pace, now_ms).await? {
            // Dropped, the transaction takes nothing from the other address.
            let wait_ms = tx.attempt_waits_until(digest, *pace).await? - now_ms;
            let retry_after_s = u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000).max(1);
            return Err(ControlError::TooManyAttempts { retry_after_s });
        }
    }
    tx.commit().await?;
    Ok(Attempt { counted })
}

impl Attempt {
    /// A success counts for nothing, so that who knows the password is never locked out by using it.
    pub(crate) async fn succeeded(self, control: &Control) -> Result<()> {
        let mut tx = control.store().begin().await?;
        for (pace, digest) in &self.counted {
            tx.give_attempt_back(digest, *pace).await?;
        }
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{ManualWallClock, Passwords, Store, Vault, WallClock};

    /// Two processes on one database.
    async fn processes() -> (tempfile::TempDir, [Control; 2], Arc<ManualWallClock>) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualWallClock::at(1_000_000));
        let mut controls = Vec::new();
        for _ in 0..2 {
            let store = Store::open(&format!("sqlite://{}/x.db", folder.path().display())).await.unwrap();
            store.migrate().await.unwrap();
            let vault = Vault::from_key(&[1; 32]).unwrap();
            let clock = Arc::clone(&clock) as Arc<dyn WallClock>;
            controls.push(Control::new(store, vault, clock, Passwords::cheap_for_tests()));
        }
        (folder, controls.try_into().unwrap(), clock)
    }

    #[tokio::test]
    async fn after_some_failures_an_address_waits_in_every_process_and_others_do_not() {
        let (_folder, [one, two], clock) = processes().await;
        for n in 0..FOR_EMAIL.at_once {
            let process = if n % 2 == 0 { &one } else { &two };
            drop(begin(process, "ann", "::1").await.unwrap());
        }
        for process in [&one, &two] {
            let Err(ControlError::TooManyAttempts { retry_after_s }) = begin(process, "ann", "::1").await.map(drop)
            else {
                panic!("one more failure in a row must wait");
            };
            assert_eq!(retry_after_s, 30);
        }
        drop(begin(&two, "bob", "::1").await.unwrap());
        clock.advance(30_000);
        drop(begin(&one, "ann", "::1").await.unwrap());
        assert!(begin(&two, "ann", "::1").await.is_err(), "then one at a time");
    }

    #[tokio::test]
    async fn successes_count_for_nothing_and_are_no_store_of_guesses() {
        let (_folder, [one, two], clock) = processes().await;
        for _ in 0..3 * FOR_EMAIL.at_once {
            begin(&one, "ann", "::1").await.unwrap().succeeded(&one).await.unwrap();
        }
        clock.advance(3_600_000);
        let mut begun = 0;
        for _ in 0..3 * FOR_EMAIL.at_once {
            begun += i64::from(begin(&two, "ann", "::1").await.is_ok());
        }
        assert_eq!(begun, FOR_EMAIL.at_once, "side by side there are no more");
    }

    #[tokio::test]
    async fn an_origin_that_waits_takes_nothing_from_an_address() {
        let (_folder, [one, _], _) = processes().await;
        for i in 0..FOR_ORIGIN.at_once {
            drop(begin(&one, &format!("{i}"), "::1").await.unwrap());
        }
        for _ in 0..FOR_EMAIL.at_once {
            assert!(begin(&one, "ann", "::1").await.is_err());
        }
        drop(begin(&one, "ann", "::2").await.unwrap());
    }
}
