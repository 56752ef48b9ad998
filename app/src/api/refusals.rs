//! Refusals: the list, and why one call was refused.

use crate::{error::ApiError, ui::Choice};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// One page of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalsView {
    /// The newest first.
    pub rows: Vec<RowView>,
    /// What the address of the next page holds under `before`; `None` on the last one.
    pub next: Option<String>,
    /// Whether the page ended because so many rows were looked through.
    pub stopped_looking: bool,
    /// The first instant that the log holds.
    pub begins_ms: Option<i64>,
    /// Refused and failed calls that the log had no room for.
    pub left_out: u64,
    /// Workspaces to filter by; empty where the viewer sees one alone.
    pub workspaces: Vec<Choice>,
    /// Models to filter by.
    pub models: Vec<Choice>,
    /// The workspace it is kept to.
    pub workspace: String,
}

/// One refusal in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowView {
    /// The call's id.
    pub id: String,
    /// When.
    pub at_ms: i64,
    /// The model's code.
    pub model: String,
    /// The workspace's name.
    pub workspace: String,
    /// The key's name.
    pub key: String,
    /// The named limit, e.g. `Workspace TPM`.
    pub limit: String,
    /// `198,000 of 200,000`.
    pub used: String,
    /// What the call needed.
    pub needed: String,
    /// After how long it would have passed; `never`.
    pub passes_after: String,
    /// Whether the model's backup took it.
    pub fell_back: bool,
}

/// Why one call was refused, or why nothing is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalView {
    /// A refusal.
    Found(Box<FoundView>),
    /// A call that was admitted, and that the provider answered with 429.
    OfProvider(Box<OfProviderView>),
    /// Nothing; the text says why that may be.
    Missing(String),
}

/// One refusal with all that explains it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundView {
    /// What the list shows of it.
    pub row: RowView,
    /// The sentence its client got.
    pub sentence: String,
    /// The named limit's numbers.
    pub gauge: GaugeView,
    /// When it would have passed, nothing else happening.
    pub passes_at_ms: Option<i64>,
    /// How often its client had tried before.
    pub retries: u64,
    /// Every limit it broke, the named one first.
    pub limits: Vec<BrokenView>,
    /// Who used the named limit inside its window.
    pub callers: Option<CallersView>,
    /// What can be done about it.
    pub ways: Vec<WayView>,
}

/// A 429 of the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfProviderView {
    /// The call's id.
    pub id: String,
    /// When Sluice admitted it.
    pub at_ms: i64,
    /// The model's code.
    pub model: String,
    /// The workspace's name.
    pub workspace: String,
    /// The key's name.
    pub key: String,
    /// What happened, in a sentence or two.
    pub sentence: String,
    /// How often its client had tried before.
    pub retries: u64,
    /// What can be done about it.
    pub ways: Vec<WayView>,
}

/// A limit's use when a call came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaugeView {
    /// What was used.
    pub used: u64,
    /// What the call needed.
    pub needed: u64,
    /// The limit.
    pub limit: u64,
    /// Whether it counts tokens.
    pub tokens: bool,
    /// Over how many seconds.
    pub window_s: u64,
}

/// A limit that the call would have broken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenView {
    /// `Workspace TPM`.
    pub limit: String,
    /// The window, e.g. `60 s`.
    pub window: String,
    /// What was used.
    pub used: u64,
    /// The limit.
    pub of: u64,
    /// What the call needed.
    pub needed: u64,
    /// After how long this limit alone would have held.
    pub holds_after: String,
}

/// Who used a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallersView {
    /// The heaviest first.
    pub rows: Vec<CallerView>,
    /// What the log cannot tell, in a sentence; empty if it tells all.
    pub note: String,
}

/// One caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerView {
    /// Its workspace; for the sum of the others, what they are.
    pub workspace: String,
    /// Its key.
    pub key: String,
    /// Whether the refused call came with this key.
    pub own: bool,
    /// Requests or tokens.
    pub used: u64,
    /// Its share of what was used, e.g. `74.0%`; empty where nothing was.
    pub share: String,
    /// Calls admitted.
    pub admitted: u64,
    /// Calls refused.
    pub refused: u64,
}

/// One way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayView {
    /// In a few words.
    pub title: String,
    /// What it would do.
    pub text: String,
    /// A header that does it, ready to copy.
    pub header: String,
    /// Where it is done: address and words.
    pub link: Option<(String, String)>,
}

/// Reads a page of the list.
///
/// # Errors
/// [`ApiError::NotFound`] for a workspace the viewer does not see.
#[server(endpoint = "refusals", input = GetUrl)]
pub async fn refusals(
    #[server(default)] workspace: String,
    #[server(default)] model: String,
    #[server(default)] cause: String,
    #[server(default)] scope: String,
    #[server(default)] before: String,
) -> Result<RefusalsView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::refusals::list(&crate::ssr::state(), &caller, workspace, model, &cause, &scope, &before).await
}

/// Explains one refusal.
///
/// # Errors
/// Whatever keeps the log from being read; an unknown id is no error of its own, but the answer's status is 404.
#[server(endpoint = "refusals/explain", input = GetUrl)]
pub async fn refusal(id: String) -> Result<RefusalView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::refusals::explain(&crate::ssr::state(), &caller, &id).await
}
