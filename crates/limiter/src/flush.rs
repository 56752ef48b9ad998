//! Charges on their way to the store and back, summed up by workspace and tenth of a second.

use crate::{Micros, Reserved, WorkspaceSlot, restored::RestoredCharge, spares::Buffer};

/// The length of a bucket in microseconds.
pub const BUCKET: u64 = 100_000;

/// A change of what one scope is charged in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeCharge {
    /// Requests.
    pub requests: i64,
    /// Tokens; below 0 when settlements gave more back than was charged.
    pub tokens: i64,
}

/// What a bucket of one cell and workspace is charged. From [`crate::Ledger::drain`] it is a change, to be added to what
/// the store has; to [`crate::CellHandle::restore`] it is the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketCharge {
    // Stamped with the bucket's end: stamped with its start, a restart would free up to 100 ms of quota early.
    /// The end of the bucket. Every charge in it was made earlier.
    pub end: Micros,
    /// The workspace whose calls these were.
    pub slot: WorkspaceSlot,
    /// Charged to the account.
    pub account: ScopeCharge,
    /// Charged to the workspace.
    pub workspace: ScopeCharge,
}

impl BucketCharge {
    /// The same as charges of the log, one for each scope.
    pub(crate) fn restored(&self) -> [RestoredCharge; 2] {
        [(None, self.account), (Some(self.slot), self.workspace)].map(|(of, charge)| RestoredCharge {
            at: self.end,
            of,
            requests: u64::try_from(charge.requests).unwrap_or(0),
            tokens: u64::try_from(charge.tokens).unwrap_or(0),
        })
    }

    fn add(&mut self, other: &Self) {
        for (sum, it) in [(&mut self.account, other.account), (&mut self.workspace, other.workspace)] {
            sum.requests = sum.requests.saturating_add(it.requests);
            sum.tokens = sum.tokens.saturating_add(it.tokens);
        }
    }

    fn is_nothing(&self) -> bool {
        self.account == ScopeCharge::default() && self.workspace == ScopeCharge::default()
    }
}

/// The changes since the last time they were handed over.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    changes: Vec<BucketCharge>,
}

impl Flush {
    pub(crate) fn note(&mut self, at: Micros, slot: WorkspaceSlot, requests: u32, from: Reserved, to: Reserved) {
        let change = |from: u64, to: u64| ScopeCharge { requests: requests.into(), tokens: difference(from, to) };
        self.keep(BucketCharge {
            end: Micros((at.0 / BUCKET).saturating_add(1).saturating_mul(BUCKET)),
            slot,
            account: change(from.account, to.account),
            workspace: change(from.workspace, to.workspace),
        });
    }

    pub(crate) fn keep(&mut self, change: BucketCharge) {
        match self.changes.last_mut() {
            Some(last) if (last.end, last.slot) == (change.end, change.slot) => last.add(&change),
            _ => {
                if self.changes.len() == self.changes.capacity() {
                    // Not four at once, as a vector would: most cells have one or two changes in a tick.
                    self.changes.reserve_exact(1 + self.changes.len() / 2);
                }
                self.changes.push(change);
            }
        }
    }

    /// Appends the changes to `into`; whether there were any. The memory stays, for the next tenth of a second.
    pub(crate) fn drain(&mut self, into: &mut Vec<BucketCharge>) -> bool {
        into.extend_from_slice(&self.changes);
        let needed = self.changes.len();
        self.changes.clear();
        // Room for a tick twice as busy stays; thousands of cells must not keep that of their busiest.
        if self.changes.capacity() > 2 * needed.max(1) {
            self.changes.shrink_to(needed.max(1));
        }
        needed > 0
    }
}

impl Buffer for Flush {
    fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn release(&mut self) {
        self.changes.shrink_to(1);
    }
}

/// Hands over one sum of the changes of a cell for each bucket and workspace, and empties them.
pub(crate) fn sum_up(changes: &mut Vec<BucketCharge>, mut into: impl FnMut(BucketCharge)) {
    changes.sort_unstable_by_key(|it| (it.end, it.slot));
    for same in changes.chunk_by(|a, b| (a.end, a.slot) == (b.end, b.slot)) {
        let mut sum = same[0];
        same[1..].iter().for_each(|it| sum.add(it));
        if !sum.is_nothing() {
            into(sum);
        }
    }
    changes.clear();
}

fn difference(from: u64, to: u64) -> i64 {
    i64::try_from(i128::from(to) - i128::from(from)).unwrap_or(if to > from { i64::MAX } else { i64::MIN })
}
