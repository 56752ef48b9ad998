//! What the cells of a ledger keep for the process, and the buffers they keep it in.

use crate::{flush::Flush, journal::Journal, spares::Spares};

/// What a ledger keeps for the process until it is drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// The changes of all charges, for [`crate::Ledger::drain`].
    pub charges: bool,
    /// A record of every admission and what became of it, for [`crate::Ledger::drain_journal`].
    pub journal: bool,
}

/// Lends buffers to cells; `None` for what nobody wants kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) charges: Option<Spares<Flush>>,
    pub(crate) journal: Option<Spares<Journal>>,
}

impl Keeper {
    pub(crate) fn of(keeping: Keeping) -> Self {
        Self { charges: keeping.charges.then(Spares::default), journal: keeping.journal.then(Spares::default) }
    }

    pub(crate) fn sweep(&self) {
        self.charges.iter().for_each(Spares::sweep);
        self.journal.iter().for_each(Spares::sweep);
    }
}
