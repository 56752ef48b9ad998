//! Once a second, what flushes made durable is added to the roll-ups.

use std::{sync::Arc, time::Duration};

use control::{SystemWallClock, WallClock};
use limiter::Ledger;
use store::Store;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Kept, SLOW};
use crate::freshness::Freshness;

/// What a page shows is so old.
const FOLD_EVERY: Duration = Duration::from_secs(1);

/// Adds what waits in the store to the roll-ups.
pub struct Fold {
    /// Whose.
    pub store: Store,
    /// Whose learning is kept.
    pub ledger: Arc<Ledger>,
    /// What of its learning is kept already.
    pub kept: Arc<Kept>,
    /// Told up to when everything is added up.
    pub freshness: Arc<Freshness>,
}

impl Fold {
    /// Adds up every second until `stop`; the last time is the flush's own.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        let mut unreadable = 0;
        for tick in 0_u64.. {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let now_ms = WallClock::now_ms(&SystemWallClock);
            match fold(&self.store).await {
                Ok(0) => {
                    self.freshness.folded(now_ms);
                    (failing, unreadable) = (false, 0);
                }
                Ok(packets) => {
                    if packets != unreadable {
                        tracing::error!(
                            packets,
                            "figures are incomplete: what calls left was written by a later version, or is damaged"
                        );
                    }
                    (failing, unreadable) = (false, packets);
                }
                Err(error) => {
                    if !failing {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "figures are stale: what calls left cannot be added up"
                        );
                    }
                    failing = true;
                }
            }
            if tick % SLOW == 3 && !failing {
                self.kept.keep(&self.store, &self.ledger, now_ms).await;
            }
        }
    }
}

/// Adds up everything that can be read; how many packets cannot.
pub(super) async fn fold(store: &Store) -> store::Result<u64> {
    loop {
        // Read anew each time: what waited through an outage takes a while, and what is late by then is judged by it.
        let folded = store.fold(store.writer(), WallClock::now_ms(&SystemWallClock)).await?;
        if !folded.more {
            return Ok(folded.unreadable);
        }
    }
}
