//! The data plane: answers model calls from an immutable snapshot and a ledger of cells, forwards them byte for byte,
//! and records them. Knows neither the store nor the console.

mod base;
mod call;
mod deadline;
mod dialect;
mod gateway;
mod headers;
mod id;
mod ingress;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod json;
mod lines;
mod meter;
mod multipart;
pub mod owners;
mod pieces;
pub mod record;
mod refusal;
mod relay;
mod request;
mod route;
mod serve;
mod settings;
pub mod snapshot;
mod sse;
mod upstream;
mod usage;
mod wait;

pub use base::{BaseError, Credential};
pub use gateway::{Gateway, WallClock};
pub use record::{CallRecord, Caller, Lane, Outcome, Record, Records, Refused, StoppedRecord, Tokens};
pub use serve::serve;
pub use settings::Settings;
pub use snapshot::{Contents, KeyDigest, Snapshot};
