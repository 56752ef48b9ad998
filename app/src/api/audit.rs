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
    /// Why the filter's days could not be read; nothing is left out because of them then.
    pub problem: Option<String>,
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

/// What the log is filtered by, as it stands in the address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditFilter {
    /// A kind of thing.
    pub kind: String,
    /// A part of a name.
    pub actor: String,
    /// The first day, in UTC.
    pub from: String,
    /// The last day, in UTC.
    pub to: String,
    /// Where the page begins, as [`AuditView::next`] said.
    pub before: String,
}

impl AuditFilter {
    /// Whether anything is left out.
    pub fn is_empty(&self) -> bool {
        [&self.kind, &self.actor, &self.from, &self.to].into_iter().all(String::is_empty)
    }

    /// An address with the same filter.
    pub fn address(&self, path: &str, before: &str) -> String {
        let pairs = [
            ("kind", self.kind.as_str()),
            ("actor", &self.actor),
            ("from", &self.from),
            ("to", &self.to),
            ("before", before),
        ];
        crate::paths::with_query(path, &pairs)
    }
}

/// Reads a page of the log.
///
/// # Errors
/// [`ApiError::Forbidden`] for workspace admins and viewers.
#[server(endpoint = "audit", input = GetUrl)]
pub async fn audit(#[server(default)] filter: AuditFilter) -> Result<AuditView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::audit::view(&crate::ssr::state(), &caller, &filter).await
}
