//! The data plane: answers model calls from an immutable snapshot and a ledger of cells, forwards them byte for byte,
//! and records them. Knows neither the store nor the console.

mod base;
mod dialect;
mod headers;
mod id;
mod json;
mod pieces;
pub mod record;
mod refusal;
mod request;
mod route;
mod settings;
pub mod snapshot;
mod sse;
mod upstream;
mod usage;

pub use base::{BaseError, Credential};
pub use record::{CallRecord, Caller, Lane, Outcome, Record, Records, Refused, StoppedRecord, Tokens};
pub use settings::Settings;
pub use snapshot::{Contents, KeyDigest, Snapshot};
