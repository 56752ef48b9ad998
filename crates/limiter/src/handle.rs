//! A cell as callers hold it: one lock, and the clock that is read inside it.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use domain::{AccountId, Limits, ModelCode, WorkspaceId};

use crate::{
    BucketCharge, Cell, CellLimits, Clock, Decision, Demand, Learned, Micros, Permit, Settlement, Surge, WorkspaceSlot,
    ask::Ask,
    cell::Charge,
    keeper::Keeper,
    sync::{AtomicU64, Mutex},
};

/// Names a cell: everything one call is checked against lives under one of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CellKey {
    /// Whose limits.
    pub account: AccountId,
    /// Of which model.
    pub model: ModelCode,
}

/// What is charged to one scope at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Requests admitted in the last 60 s.
    pub requests_minute: u64,
    /// Tokens of calls admitted in the last 60 s.
    pub tokens_minute: u64,
    /// Requests admitted in the last second.
    pub requests_second: u64,
    /// Tokens charged to the last second.
    pub tokens_second: u64,
}

/// The use of a cell as the console shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveUse {
    /// Of the whole account.
    pub account: Use,
    /// Of each workspace that has charges.
    pub workspaces: Vec<(WorkspaceSlot, Use)>,
}

/// What all cells of a ledger have in common.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) surge: Surge,
    pub(crate) keeper: Arc<Keeper>,
    /// No call is admitted after this instant; `u64::MAX` where charges need not be kept.
    pub(crate) admit_until: AtomicU64,
}

/// One (account, model), interned by the [`crate::Ledger`]; keeps what it learned as long as somebody holds it.
pub struct CellHandle {
    key: Arc<CellKey>,
    shared: Arc<Shared>,
    cell: Mutex<Cell>,
}

impl fmt::Debug for CellHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CellHandle").field("key", &self.key).finish_non_exhaustive()
    }
}

impl CellHandle {
    pub(crate) fn new(key: Arc<CellKey>, shared: Arc<Shared>) -> Self {
        let cell = Mutex::new(Cell::kept_by(Arc::clone(&shared.keeper)));
        Self { key, shared, cell }
    }

    /// Which cell this is.
    pub fn key(&self) -> &CellKey {
        &self.key
    }

    /// Decides one call of the workspace `slot` and, if it may run, charges every scope in the same step.
    pub fn admit(self: &Arc<Self>, slot: WorkspaceSlot, limits: &CellLimits, demand: Demand) -> Decision {
        self.admit_estimated(slot, limits, |learned| Ask::estimate(demand, learned, limits.default_output))
    }

    pub(crate) fn admit_estimated(
        self: &Arc<Self>,
        slot: WorkspaceSlot,
        limits: &CellLimits,
        estimate: impl FnOnce(&Learned) -> Ask,
    ) -> Decision {
        self.with(|cell, now| {
            if now.0 > self.shared.admit_until.load(Ordering::Relaxed) {
                return Decision::Undecided;
            }
            let ask = estimate(&cell.learned());
            match cell.admit(now, slot, limits, &self.shared.surge, ask) {
                Decision::Admitted(charge, standing) => {
                    Decision::Admitted(Permit::new(Arc::clone(self), charge), standing)
                }
                Decision::Denied(denial, standing) => Decision::Denied(denial, standing),
                Decision::Undecided => Decision::Undecided,
            }
        })
    }

    pub(crate) fn surge(&self) -> Surge {
        self.shared.surge
    }

    /// A copy to look ahead on, and the instant it stands at.
    pub(crate) fn scratch(&self) -> (Cell, Micros) {
        self.with(|cell, now| (cell.scratch(), now))
    }

    pub(crate) fn raise(&self, charge: &mut Charge, output: u64) {
        self.with(|cell, now| cell.raise(now, charge, output));
    }

    pub(crate) fn settle(&self, charge: &Charge, settlement: Settlement) {
        self.with(|cell, now| cell.settle(now, charge, settlement));
    }

    /// What is charged now, for the console.
    pub fn live(&self) -> LiveUse {
        self.with(Cell::live)
    }

    /// The highest use of the account's tokens in any sliding 60 s since this was last asked.
    pub fn take_peak_tokens(&self) -> u64 {
        self.cell.lock().take_peak_tokens()
    }

    /// What the cell has learned, for the store.
    pub fn learned(&self) -> Learned {
        self.cell.lock().learned()
    }

    /// Gives the cell what the store remembers of its model.
    pub fn set_learned(&self, learned: Learned) {
        self.cell.lock().set_learned(learned);
    }

    /// Takes back a bucket of charges from before the start; older than 60 s is nothing.
    pub fn restore(&self, bucket: BucketCharge) {
        self.with(|cell, now| cell.restore(now, bucket));
    }

    /// After an unclean stop: charges a second's worth of every limit at `at`, the last flush + 1 s, which may lie ahead.
    /// `workspaces` are all that may call the model, with their own limits.
    pub fn black_out(&self, at: Micros, account: Limits, workspaces: &[(WorkspaceSlot, Limits)]) {
        self.with(|cell, now| cell.black_out(now, at, account, workspaces));
    }

    pub(crate) fn drain(&self, into: &mut Vec<BucketCharge>) {
        self.cell.lock().drain(into);
    }

    pub(crate) fn drain_journal(
        &self,
        into: &mut Vec<u8>,
        wall_offset_us: i64,
        workspace: impl Fn(WorkspaceSlot) -> Option<WorkspaceId>,
    ) {
        let opened = self.cell.lock().drain_journal(into, &self.key, wall_offset_us, workspace);
        // Reading all of it for the checksum takes ten times as long as copying it: no call waits for that.
        if let Some(opened) = opened {
            opened.close(into);
        }
    }

    pub(crate) fn sweep(&self) {
        self.with(Cell::sweep);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.cell.lock().is_spent()
    }

    // The clock is read inside the lock: read before it, two threads could charge in another order than they read.
    fn with<R>(&self, act: impl FnOnce(&mut Cell, Micros) -> R) -> R {
        let mut cell = self.cell.lock();
        let now = self.shared.clock.now();
        act(&mut cell, now)
    }
}
