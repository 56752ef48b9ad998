//! The rules of the limits and nothing else: exact logs, admissions, settlements, refusals and their instants.
//! Knows no network, no storage, no thread and no clock of its own; time comes from a [`Clock`] the process owns.
//!
//! A call asks its cell with [`CellHandle::admit`] and gets a [`Decision`]: a [`Permit`], which settles itself at what
//! was counted when it is dropped, or a [`Denial`] with the exact instant of return.
//!
//! ```
//! use std::sync::Arc;
//! use domain::{AccountId, Limits, ModelCode, Rpm, WorkspaceId};
//! use limiter::{CellLimits, Decision, Demand, Ledger, ManualClock, Micros, Settlement, Surge};
//!
//! let clock = Arc::new(ManualClock::at(Micros(200_000_000)));
//! let ledger = Ledger::new(clock.clone(), Surge::default());
//! let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("qwen-plus").unwrap());
//! let workspace = ledger.workspace(&WorkspaceId::new("search"));
//! let account = Limits { rpm: Rpm::new(1), tpm: None };
//! let limits = CellLimits { account, default_output: 1024, ..CellLimits::default() };
//! let demand = Demand { ascii_bytes: 40, max_output: Some(64), ..Demand::default() };
//!
//! let Decision::Admitted(permit, _) = cell.admit(workspace, &limits, demand) else { panic!() };
//! assert_eq!(permit.reserved().account, 10 + 64);
//! permit.settle(Settlement::Exact { prompt: Some(11), total: 30, ended_well: true });
//!
//! clock.advance(20_000_000);
//! let Decision::Denied(denial, _) = cell.admit(workspace, &limits, demand) else { panic!() };
//! assert_eq!(denial.retry_after_us, Some(40_000_000));
//! ```
//!
//! From the inside out: [`Cell`] decides and settles on its log (`log`, which lies in `blocks`), of which every sum is a
//! function; what a call needs is an [`Ask`]; `refusal` finds the instants, `standing` the headers. [`CellHandle`] adds the
//! lock and the clock, [`Ledger`] the names. `flush` and `restored` carry charges over a restart, `journal` carries
//! decisions to [`verify`]; what of both is wanted `keeper` knows, and lends cells the room for it from its `spares`.
//! Which test finds which broken rule is written in `MUTANTS.md`.
//!
//! # What is not exact
//!
//! - *A further debt of one stream* (rules 9(c) and 11). What a stream that has outlived its minute is charged within 100 ms
//!   of its last debt joins that one, and so leaves the window up to 100 ms early. An entry for each piece of a stream would
//!   cost more memory than this is worth. No request and no reservation is concerned.
//! - *Tokens across an unclean stop* (rule 24). A start after a kill knows nothing of what was charged after the last flush
//!   that is durable, and charges a second's worth of every limit for it. For requests that is enough, since no second holds
//!   more. One second may reserve all tokens of a minute: a window that spans the kill may hold more than TPM by what was
//!   charged (reserved or raised) after that flush, less `ceil60(TPM)`. [`verify`] tells such an excess apart.

mod ask;
mod blocks;
mod cell;
mod clock;
mod decision;
mod demand;
mod flush;
mod forecast;
mod handle;
mod in_force;
mod journal;
mod keeper;
mod ledger;
mod log;
mod permit;
mod refusal;
mod restored;
pub mod simulate;
mod spares;
mod standing;
mod surge;
mod sync;
pub mod verify;

pub use ask::Ask;
pub use cell::{Cell, Charge};
pub use clock::{Clock, ManualClock, Micros};
pub use decision::{Decision, Denial, Quota, Standing, Violation};
pub use demand::{CellLimits, Demand, Learned, Reserved, Settlement};
pub use flush::{BUCKET, BucketCharge, ScopeCharge};
pub use forecast::{Forecast, Waiting};
pub use handle::{CellHandle, CellKey, LiveUse, Use};
pub use keeper::Keeping;
pub use ledger::{Ledger, WorkspaceSlot};
pub use permit::Permit;
pub use surge::Surge;
