//! The parts that every call shares, whichever core it runs on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use limiter::Clock;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    base::Origin,
    ingress,
    owners::{InMemory, Owners},
    record::{Outcome, Records},
    settings::Settings,
    snapshot::Snapshot,
    wait::Queues,
};

/// The time of day: for record stamps, expiry of keys and display. No decision depends on it.
pub trait WallClock: Send + Sync {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64;
}

/// The data plane of one process.
pub struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) records: Arc<Records>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wall: Arc<dyn WallClock>,
    pub(crate) queues: Queues,
    pub(crate) owners: Arc<dyn Owners>,
    calls_of_origins: Mutex<Vec<(Origin, Arc<AtomicUsize>)>>,
    draining: AtomicBool,
    cut: AtomicBool,
    running: AtomicUsize,
    connections: AtomicUsize,
    finished: Notify,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("running", &self.running()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A data plane that reads `snapshot` anew for every decision. `clock` is the one its ledger decides by.
    pub fn new(
        settings: Settings,
        snapshot: Arc<ArcSwap<Snapshot>>,
        records: Arc<Records>,
        clock: Arc<dyn Clock>,
        wall: Arc<dyn WallClock>,
    ) -> Self {
        ingress::hold_at_most(settings.held_bytes);
        Self {
            settings,
            snapshot,
            records,
            clock,
            wall,
            queues: Queues::default(),
            owners: Arc::new(InMemory::default()),
            draining: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            calls_of_origins: Mutex::default(),
            finished: Notify::new(),
        }
    }

    /// The same with owners that are remembered longer than the process lives.
    #[must_use]
    pub fn with_owners(self, owners: Arc<dyn Owners>) -> Self {
        Self { owners, ..self }
    }

    /// Calls that are being answered.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// Calls that wait for their admission.
    pub fn waiting(&self) -> usize {
        self.queues.waiting()
    }

    /// How many calls have a connection to this origin, on all listeners together.
    pub(crate) fn calls_of(&self, origin: &Origin) -> Arc<AtomicUsize> {
        let mut origins = self.calls_of_origins.lock();
        if let Some((_, calls)) = origins.iter().find(|it| it.0 == *origin) {
            return Arc::clone(calls);
        }
        let calls = Arc::<AtomicUsize>::default();
        origins.push((origin.clone(), Arc::clone(&calls)));
        calls
    }

    /// Refuses new calls from now on; running ones go on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// The time for running calls is over: those that still run are cut off.
    pub(crate) fn cut_off(&self) {
        self.cut.store(true, Ordering::Release);
    }

    /// How a call ended that was dropped: left by its client, or cut off by the gateway's own end.
    pub(crate) fn outcome_of_dropped(&self) -> Outcome {
        if self.cut.load(Ordering::Acquire) { Outcome::Broken } else { Outcome::HangUp }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Waits until no call runs.
    pub(crate) async fn idle(&self) {
        loop {
            let finished = self.finished.notified();
            if self.running() == 0 {
                return;
            }
            finished.await;
        }
    }
}

/// Held by a client's connection while it stands.
#[derive(Debug)]
pub(crate) struct Connected(Arc<Gateway>);

impl Connected {
    /// With whether there is room for it.
    pub(crate) fn new(gateway: &Arc<Gateway>) -> (Self, Room) {
        let before = gateway.connections.fetch_add(1, Ordering::AcqRel);
        let most = gateway.settings.connections;
        let room = match before {
            _ if before < most => Room::Enough,
            // So that many can be told.
            _ if before < most + most / 8 + 16 => Room::ToSaySo,
            _ => Room::None,
        };
        (Self(Arc::clone(gateway)), room)
    }
}

/// Whether one more connection can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    /// Only as long as it takes to refuse a call.
    ToSaySo,
    None,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Held by a call while it has a connection to a provider.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Place {
    /// `None` if the provider has as many calls as it may have.
    pub(crate) fn take(calls: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let place = Self(Arc::clone(calls));
        (calls.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Held by a call while it runs.
#[derive(Debug)]
pub(crate) struct Running(Arc<Gateway>);

impl Running {
    pub(crate) fn new(gateway: &Arc<Gateway>) -> Self {
        gateway.running.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(gateway))
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 && self.0.is_draining() {
            self.0.finished.notify_waiters();
        }
    }
}
