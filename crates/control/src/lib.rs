//! Use cases: each authorises, validates, and writes rows, audit event and revision in one transaction.
//! Knows no HTTP, and the limiter only to say what a limit would have done; console, command line and process are its
//! callers.

pub mod accounts;
mod actor;
pub mod apply;
mod attempts;
pub mod audit;
mod clock;
mod compared;
mod configuration;
mod edit;
mod error;
pub mod figures;
pub mod foresight;
mod in_force;
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
pub use in_force::{InForce, Limits, in_force};
pub use passwords::Passwords;
pub use secret::{Secret, Vault};
pub use session_store::{MEMBER_KEY, Sessions};
pub use store::{Store, StoreError, transfer};

use configuration::{Configuration, Configurations, OfOnePage};
use limiter::Surge;
use std::sync::Arc;
use store::Conn;

/// Everything the use cases need. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    parts: Arc<Parts>,
    kept: monitoring::Kept,
    surge: Surge,
    store: Store,
    /// What this page has read, if this is for one.
    page: Option<Arc<OfOnePage>>,
}

struct Parts {
    vault: Vault,
    clock: Arc<dyn WallClock>,
    passwords: Passwords,
    setup: setup::Setup,
    configurations: Configurations,
    compared: compared::Compared,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Control {
    /// Puts the parts together. The store is migrated already.
    pub fn new(store: Store, vault: Vault, clock: Arc<dyn WallClock>, passwords: Passwords) -> Self {
        let (setup, configurations) = (setup::Setup::default(), Configurations::default());
        let compared = compared::Compared::default();
        let parts = Arc::new(Parts { vault, clock, passwords, setup, configurations, compared });
        Self { parts, kept: monitoring::Kept::default(), surge: Surge::default(), store, page: None }
    }

    /// The same, where roll-ups are kept for other times than by default.
    #[must_use]
    pub fn with_kept(self, minutes_days: u32, hours_days: u32) -> Self {
        let (minutes_days, hours_days) = (i64::from(minutes_days), i64::from(hours_days));
        Self { kept: monitoring::Kept { minutes_days, hours_days }, ..self }
    }

    /// The same, where surge protection has other numbers than by default.
    #[must_use]
    pub fn with_surge(self, surge: Surge) -> Self {
        Self { surge, ..self }
    }

    /// The same for one page: models, workspaces and limits are read once for all that it shows, and are of one revision. Not
    /// for edits, which would be shown what was there before them.
    #[must_use]
    pub fn for_a_page(&self) -> Self {
        Self { page: Some(Arc::default()), ..self.clone() }
    }

    /// The same through connections that pages and edits do not take; see [`Store::for_tasks`].
    #[must_use]
    pub fn for_tasks(&self) -> Self {
        Self { store: self.store.for_tasks(), ..self.clone() }
    }

    pub(crate) const fn surge(&self) -> Surge {
        self.surge
    }

    pub(crate) const fn kept(&self) -> monitoring::Kept {
        self.kept
    }

    /// The store, for what needs no authorisation: the process's own reading and recording.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What an account has configured at this moment.
    pub(crate) async fn configuration(&self, conn: &mut Conn, account: &str) -> Result<Arc<Configuration>> {
        let read = self.parts.configurations.of(conn, account);
        match &self.page {
            Some(page) => page.of(account, read).await,
            None => read.await,
        }
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.parts.vault
    }

    /// The wall clock: for storage, expiry and display alone.
    pub fn now_ms(&self) -> i64 {
        self.parts.clock.now_ms()
    }
}
