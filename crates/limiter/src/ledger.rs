//! All cells of the process, interned by name, and the numbers that stand for workspaces in them.

use std::{collections::HashMap, fmt, sync::Arc};

use domain::{AccountId, ModelCode, WorkspaceId};
use parking_lot::Mutex;

use crate::{CellHandle, CellKey, Clock, Surge};

/// A workspace inside the ledger: small, and the same for the life of the process. The default workspace is a slot like
/// any other, whose calls come with limits of `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkspaceSlot(pub u32);

/// Every cell of the process.
pub struct Ledger {
    clock: Arc<dyn Clock>,
    surge: Surge,
    cells: Mutex<HashMap<CellKey, Arc<CellHandle>>>,
    slots: Mutex<HashMap<WorkspaceId, WorkspaceSlot>>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("cells", &self.cells.lock().len()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// An empty ledger on the process's clock.
    pub fn new(clock: Arc<dyn Clock>, surge: Surge) -> Self {
        Self { clock, surge, cells: Mutex::default(), slots: Mutex::default() }
    }

    /// The cell of (account, model): the same one for every snapshot that asks, so that an edit finds the same use.
    pub fn cell(&self, account: &AccountId, model: &ModelCode) -> Arc<CellHandle> {
        let key = CellKey { account: account.clone(), model: model.clone() };
        let mut cells = self.cells.lock();
        let new = || Arc::new(CellHandle::new(key.clone(), Arc::clone(&self.clock), self.surge));
        Arc::clone(cells.entry(key.clone()).or_insert_with(new))
    }

    /// The slot of a workspace.
    pub fn workspace(&self, workspace: &WorkspaceId) -> WorkspaceSlot {
        let mut slots = self.slots.lock();
        let next = WorkspaceSlot(u32::try_from(slots.len()).expect("fewer than four thousand million workspaces"));
        *slots.entry(workspace.clone()).or_insert(next)
    }
}
