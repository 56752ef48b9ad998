//! The rules of the limits and nothing else: exact logs, admissions, settlements, refusals and their instants.
//! Knows no network, no storage, no thread and no clock of its own; time comes from a [`Clock`] the process owns.
//!
//! A call asks its cell with [`CellHandle::admit`] and gets a [`Decision`]: a [`Permit`], which settles itself at what
//! was counted when it is dropped, or a [`Denial`] with the exact instant of return.

mod ask;
mod cell;
mod clock;
mod decision;
mod demand;
mod flush;
mod handle;
mod in_force;
mod journal;
mod ledger;
mod log;
mod permit;
mod refusal;
mod restored;
pub mod simulate;
mod standing;
mod surge;
pub mod verify;

pub use ask::Ask;
pub use cell::{Cell, Charge};
pub use clock::{Clock, ManualClock, Micros};
pub use decision::{Decision, Denial, Quota, Standing, Violation};
pub use demand::{CellLimits, Demand, Learned, Reserved, Settlement};
pub use flush::{BUCKET, BucketCharge, ScopeCharge};
pub use handle::{CellHandle, CellKey, LiveUse, Use};
pub use ledger::{Keeping, Ledger, WorkspaceSlot};
pub use permit::Permit;
pub use surge::Surge;
