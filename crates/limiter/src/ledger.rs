//! All cells of the process, interned by name, and the numbers that stand for workspaces in them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::Ordering},
};

use domain::{AccountId, ModelCode, WorkspaceId};

use crate::{
    BucketCharge, CellHandle, CellKey, Clock, Keeping, Micros, Surge, flush,
    handle::Shared,
    journal,
    keeper::Keeper,
    sync::{AtomicU64, Mutex},
};

/// A workspace inside the ledger: below 2^31, and the same for the life of the process. The default workspace is a slot like
/// any other, whose calls come with limits of `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkspaceSlot(pub u32);

/// Every cell of the process.
pub struct Ledger {
    shared: Arc<Shared>,
    cells: Mutex<HashMap<Arc<CellKey>, Arc<CellHandle>>>,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_id: HashMap<WorkspaceId, WorkspaceSlot>,
    ids: Vec<WorkspaceId>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("cells", &self.cells.lock().len()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// An empty ledger on the process's clock, whose charges nobody drains.
    pub fn new(clock: Arc<dyn Clock>, surge: Surge) -> Self {
        Self::keeping(clock, surge, Keeping::default())
    }

    /// An empty ledger that keeps the changes of its charges until [`Self::drain`] takes them.
    pub fn flushed(clock: Arc<dyn Clock>, surge: Surge) -> Self {
        Self::keeping(clock, surge, Keeping { charges: true, journal: false })
    }

    /// An empty ledger that keeps what `keeping` says; what is kept must be drained.
    pub fn keeping(clock: Arc<dyn Clock>, surge: Surge, keeping: Keeping) -> Self {
        let keeper = Arc::new(Keeper::of(keeping));
        let shared = Shared { clock, surge, keeper, admit_until: AtomicU64::new(u64::MAX) };
        Self { shared: Arc::new(shared), cells: Mutex::default(), slots: Mutex::default() }
    }

    /// From now on no call is admitted later than `instant`: the last one up to which a blackout would make good for what
    /// a crash loses. To be moved on with every flush that is durable; never called, calls are admitted for ever.
    pub fn admit_until(&self, instant: Micros) {
        self.shared.admit_until.store(instant.0, Ordering::Relaxed);
    }

    /// The cell of (account, model): the same one for every snapshot that asks, so that an edit finds the same use.
    pub fn cell(&self, account: &AccountId, model: &ModelCode) -> Arc<CellHandle> {
        let key = CellKey { account: account.clone(), model: model.clone() };
        let mut cells = self.cells.lock();
        if let Some(cell) = cells.get(&key) {
            return Arc::clone(cell);
        }
        let key = Arc::new(key);
        let cell = Arc::new(CellHandle::new(Arc::clone(&key), Arc::clone(&self.shared)));
        cells.insert(key, Arc::clone(&cell));
        cell
    }

    /// Every cell there is, for what is shown or stored of all of them.
    pub fn cells(&self) -> Vec<Arc<CellHandle>> {
        self.cells.lock().values().cloned().collect()
    }

    /// The slot of a workspace.
    pub fn workspace(&self, workspace: &WorkspaceId) -> WorkspaceSlot {
        let mut slots = self.slots.lock();
        if let Some(&slot) = slots.by_id.get(workspace) {
            return slot;
        }
        let slot = WorkspaceSlot(i32::try_from(slots.ids.len()).expect("fewer than 2^31 workspaces").cast_unsigned());
        slots.ids.push(workspace.clone());
        slots.by_id.insert(workspace.clone(), slot);
        slot
    }

    /// The workspace behind a slot.
    pub fn workspace_id(&self, slot: WorkspaceSlot) -> Option<WorkspaceId> {
        self.slots.lock().ids.get(usize::try_from(slot.0).ok()?).cloned()
    }

    /// Hands over the changes of all charges since the last time: to be added to what the store keeps of each cell,
    /// workspace and bucket. Meant for every 100 ms.
    pub fn drain(&self, mut into: impl FnMut(&CellKey, BucketCharge)) {
        // Room for what one cell usually has, so that none is held up while room is made.
        let mut changes = Vec::with_capacity(256);
        for cell in self.cells() {
            cell.drain(&mut changes);
            flush::sum_up(&mut changes, |bucket| into(cell.key(), bucket));
        }
    }

    /// Appends the journal since the last time to `into`: bytes to be added to a file that [`crate::verify`] reads.
    /// `wall_offset_us` is the wall clock minus the process's clock, and must stay the same for the life of the process.
    ///
    /// To be called after [`Self::drain`], and what it gave to be written before what that gave: then whatever a restart
    /// knows of is in the journal too. A settlement that only the store knew of would look like an excess to a reader of
    /// the journal, since it freed room that there the call still holds.
    pub fn drain_journal(&self, wall_offset_us: i64, into: &mut Vec<u8>) {
        for cell in self.cells() {
            cell.drain_journal(into, wall_offset_us, |slot| self.workspace_id(slot));
        }
    }

    /// Appends to `into` that the journal of this run has a gap here: what was drained last could not be written.
    pub fn journal_gap(wall_offset_us: i64, into: &mut Vec<u8>) {
        journal::gap(into, wall_offset_us);
    }

    /// Gives back memory: the charges of cells that were idle for 120 s, cells that are idle and in no snapshot, room that
    /// a busier minute needed, and buffers that no cell has needed since the last time. Meant for every few seconds.
    pub fn sweep(&self) {
        for cell in self.cells() {
            cell.sweep();
        }
        self.shared.keeper.sweep();
        // Under the map's lock nobody can get hold of a cell that only the map holds.
        self.cells.lock().retain(|_, cell| Arc::strong_count(cell) > 1 || !cell.is_spent());
    }
}
