//! The vocabulary of Sluice, shared by server and browser: values, their bounds and their wording.
//! Knows no I/O, no clock and no framework, and builds for wasm32.

pub mod counts;
pub mod ids;
pub mod increase;
pub mod limits;
pub mod names;
pub mod range;
pub mod refusal;
pub mod roles;
pub mod timeout;
pub mod units;

pub use counts::{CountError, parse_count};
pub use ids::{AccountId, IncreaseId, KeyId, MemberId, ProviderId, WorkspaceId};
pub use increase::IncreaseState;
pub use limits::{LimitError, Limits, check_changed_limit, check_workspace_limit, parse_limit};
pub use names::{ModelCode, NameError, ProviderName, WorkspaceName};
pub use range::{Preset, RangeError, TimeRange};
pub use refusal::{BrokenLimit, Cause, ErrorDialect, Explanation, Scope, Window, sentence};
pub use roles::{Action, Role, Standing};
pub use timeout::{TimeoutError, TimeoutSeconds};
pub use units::{Metering, Rpm, Tpm, ceil60};
