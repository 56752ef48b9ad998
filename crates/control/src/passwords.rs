//! Passwords: Argon2id, off the async threads, and never more at once than there are cores.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::Secret;

/// Shortest password taken, in characters.
const SHORTEST: usize = 8;
/// Longest password taken, in bytes: a bound on what a stranger can make the server hash.
const LONGEST: usize = 1024;

/// Hashes and verifies passwords.
#[derive(Clone, Debug)]
pub struct Passwords {
    params: Params,
    /// Each hash takes 19 MiB: a flood of sign-ins must queue, or it eats the memory.
    at_once: Arc<Semaphore>,
    /// Verified for unknown addresses, so that they take as long as known ones.
    nobody: Arc<str>,
}

impl Default for Passwords {
    /// 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self::with(Params::new(19 * 1024, 2, 1, None).expect("within what Argon2 allows"))
    }
}

impl Passwords {
    /// Weak and quick, for tests alone: a sign-in must not cost a test 50 ms.
    pub fn cheap_for_tests() -> Self {
        Self::with(Params::new(8, 1, 1, None).expect("within what Argon2 allows"))
    }

    fn with(params: Params) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let nobody = hash(&params, "nobody's password").into();
        Self { params, at_once: Arc::new(Semaphore::new(cores)), nobody }
    }

    /// Whether a password may be chosen; the message otherwise.
    pub fn check(password: &Secret<String>) -> Result<(), String> {
        let password = password.expose();
        if password.chars().count() < SHORTEST {
            return Err(format!("a password has at least {SHORTEST} characters"));
        }
        if password.len() > LONGEST {
            return Err(format!("a password has at most {LONGEST} bytes"));
        }
        Ok(())
    }

    /// The hash to store, in PHC form.
    pub async fn hash(&self, password: Secret<String>) -> String {
        let params = self.params.clone();
        self.run(move || hash(&params, password.expose())).await
    }

    /// Whether `password` is the one of `stored`. Without a stored hash the answer is no, after the same time.
    pub async fn verify(&self, password: Secret<String>, stored: Option<String>) -> bool {
        let known = stored.is_some();
        let stored: Arc<str> = stored.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let right = self
            .run(move || {
                let Ok(parsed) = PasswordHash::new(&stored) else { return false };
                let within = &password.expose().as_bytes()[..password.expose().len().min(LONGEST)];
                // The parameters are those of the stored hash.
                Argon2::default().verify_password(within, &parsed).is_ok()
            })
            .await;
        right & known
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _permit = self.at_once.acquire().await.expect("the semaphore is never closed");
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn hash(params: &Params, password: &str) -> String {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password(password.as_bytes())
        .expect("Argon2 with valid parameters does not fail")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_alone() {
        let passwords = Passwords::default();
        let secret = |text: &str| Secret::new(text.to_owned());
        let stored = passwords.hash(secret("correct horse")).await;
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify(secret("correct horse"), Some(stored.clone())).await);
        assert!(!passwords.verify(secret("correct hors"), Some(stored)).await);
        assert!(!passwords.verify(secret("nobody's password"), None).await);
        assert!(!passwords.verify(secret("x"), Some("no hash".to_owned())).await);
    }

    #[test]
    fn too_short_and_too_long_are_said() {
        let check = |text: String| Passwords::check(&Secret::new(text));
        assert!(check("12345678".to_owned()).is_ok());
        assert_eq!(check("1234567".to_owned()), Err("a password has at least 8 characters".to_owned()));
        assert!(check("x".repeat(1025)).is_err());
    }
}
