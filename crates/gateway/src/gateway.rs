//! The parts that every call shares, whichever core it runs on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use limiter::Clock;
use tokio::sync::Notify;

use crate::{record::Records, settings::Settings, snapshot::Snapshot, wait::Queues};

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
    draining: AtomicBool,
    running: AtomicUsize,
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
        Self {
            settings,
            snapshot,
            records,
            clock,
            wall,
            queues: Queues::default(),
            draining: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            finished: Notify::new(),
        }
    }

    /// Calls that are being answered.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// Calls that wait for their admission.
    pub fn waiting(&self) -> usize {
        self.queues.waiting()
    }

    /// Refuses new calls from now on; running ones go on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
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
