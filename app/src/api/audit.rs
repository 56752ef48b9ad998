//! The audit log: who changed what, when, from what to what.

use crate::{error::ApiError, ui::Choice};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// One page of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditView {
    /// The newest first.
    pub events: Vec<EventView>,
    /// What the address of the next page holds under `before`; `None` on the last one.
    pub next: Option<String>,
    /// What can be filtered by.
    pub kinds: Vec<Choice>,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// When.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// What was done, and to what kind of thing.
    pub action: String,
    /// To which.
    pub object: String,
    /// What is different now: what, before, after.
    pub changes: Vec<(String, String, String)>,
    /// The request that asked for it.
    pub request_id: Option<String>,
}

/// Reads a page of the log.
///
/// # Errors
/// [`ApiError::Forbidden`] for workspace admins and viewers.
#[server(endpoint = "audit", input = GetUrl)]
pub async fn audit(
    #[server(default)] kind: String,
    #[server(default)] actor: String,
    #[server(default)] before: String,
) -> Result<AuditView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::audit::view(&crate::ssr::state(), &caller, kind, actor, &before).await
}
