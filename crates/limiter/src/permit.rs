//! The right of one admitted call to run, settled exactly once whatever happens to the call.

use std::{fmt, sync::Arc};

use crate::{CellHandle, Micros, Reserved, Settlement, WorkspaceSlot, cell::Charge};

/// The right of one admitted call to run. Settled exactly once: by [`Permit::settle`], or when dropped, at what was
/// counted by then.
pub struct Permit {
    cell: Arc<CellHandle>,
    charge: Charge,
    /// Output that the charge covers; counting up to here needs no lock.
    covered: u64,
    settled: bool,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("cell", self.cell.key()).field("charge", &self.charge).finish_non_exhaustive()
    }
}

impl Permit {
    pub(crate) fn new(cell: Arc<CellHandle>, charge: Charge) -> Self {
        Self { cell, covered: charge.covers(), charge, settled: false }
    }

    /// The prompt estimate in tokens.
    pub fn prompt(&self) -> u64 {
        self.charge.ask.prompt
    }

    /// What was reserved in each scope.
    pub fn reserved(&self) -> Reserved {
        self.charge.reserved
    }

    /// The exact instant of the admission.
    pub fn admitted_at(&self) -> Micros {
        self.charge.at
    }

    /// The workspace it is charged to.
    pub fn slot(&self) -> WorkspaceSlot {
        self.charge.slot
    }

    /// The cell it is charged to.
    pub fn cell(&self) -> &Arc<CellHandle> {
        &self.cell
    }

    /// Says how many tokens of output have passed so far; raises the charge at once when prompt and output exceed it.
    /// Takes no lock while they do not. A number below an earlier one changes nothing.
    pub fn counted(&mut self, output: u64) {
        if output <= self.covered {
            self.charge.counted = self.charge.counted.max(output);
            return;
        }
        self.cell.raise(&mut self.charge, output);
        self.covered = self.charge.covers();
    }

    /// Corrects the charge to what the call used. Never fails and is never clamped.
    pub fn settle(mut self, settlement: Settlement) {
        self.settle_once(settlement);
    }

    fn settle_once(&mut self, settlement: Settlement) {
        if !std::mem::replace(&mut self.settled, true) {
            self.cell.settle(&self.charge, settlement);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle_once(Settlement::AtLeast { output: 0 });
    }
}
