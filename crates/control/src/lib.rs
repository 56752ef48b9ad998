//! Use cases: each authorises, validates, and writes rows, audit event and revision in one transaction.
//! Knows no HTTP, and the limiter only to say what a limit would have done; console, command line and process are its
//! callers.

pub mod accounts;
mod actor;
pub mod apply;
mod attempts;
pub mod audit;
mod clock;
mod edit;
mod error;
pub mod figures;
pub mod foresight;
pub mod increases;
pub mod key_file;
pub mod keys;
pub mod members;
pub mod models;
pub mod monitoring;
mod passwords;
pub mod providers;
pub mod reach;
pub mod refusals;
pub mod report;
pub mod secret;
mod session_store;
pub mod setup;
pub mod sign_in;
pub mod snapshot;
pub mod workspaces;

pub use actor::Actor;
pub use clock::{ManualWallClock, SystemWallClock, WallClock};
pub use error::{ControlError, FieldError, Result};
pub use passwords::Passwords;
pub use secret::{Secret, Vault};
pub use session_store::{MEMBER_KEY, Sessions};
pub use store::{Store, StoreError, transfer};

use std::sync::Arc;

/// Everything the use cases need. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Parts>, monitoring::Kept, Store);

struct Parts {
    vault: Vault,
    clock: Arc<dyn WallClock>,
    passwords: Passwords,
    setup: setup::Setup,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Control").field(&self.2).finish()
    }
}

impl Control {
    /// Puts the parts together. The store is migrated already.
    pub fn new(store: Store, vault: Vault, clock: Arc<dyn WallClock>, passwords: Passwords) -> Self {
        let parts = Parts { vault, clock, passwords, setup: setup::Setup::default() };
        Self(Arc::new(parts), monitoring::Kept::default(), store)
    }

    /// The same, where roll-ups are kept for other times than by default.
    #[must_use]
    pub fn with_kept(self, minutes_days: u32, hours_days: u32) -> Self {
        let (minutes_days, hours_days) = (i64::from(minutes_days), i64::from(hours_days));
        Self(self.0, monitoring::Kept { minutes_days, hours_days }, self.2)
    }

    /// The same through connections that pages and edits do not take; see [`Store::for_tasks`].
    #[must_use]
    pub fn for_tasks(&self) -> Self {
        Self(Arc::clone(&self.0), self.1, self.2.for_tasks())
    }

    pub(crate) const fn kept(&self) -> monitoring::Kept {
        self.1
    }

    /// The store, for what needs no authorisation: the process's own reading and recording.
    pub fn store(&self) -> &Store {
        &self.2
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// The wall clock: for storage, expiry and display alone.
    pub fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }
}
