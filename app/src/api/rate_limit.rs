//! Limits of every model, temporary increases and their history.

use crate::{error::ApiError, outcome::Outcome};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// The form that asks for an increase.
pub const INCREASE: &str = "increase";

/// The address's part that decides what is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitQuery {
    /// The model of the open dialog; empty while it is closed.
    #[serde(default)]
    pub increase: String,
    /// The last row of the page of the history before, as [`RateLimitView::older`] gave it; empty for the newest.
    #[serde(default)]
    pub before: String,
}

/// Everything on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitView {
    /// Each model's limits, the most used first.
    pub models: Vec<LimitView>,
    /// Whether use is that of the viewer's own workspace, not the account's.
    #[serde(default)]
    pub of_workspace: bool,
    /// Models whose limit can be raised, by code, and the one whose running increase the address asks to renew.
    #[serde(default)]
    pub offers: Vec<LimitView>,
    /// Increases, newest first.
    pub history: Vec<IncreaseView>,
    /// Where the page of older ones begins; empty on the last.
    #[serde(default)]
    pub older: String,
    /// How long a new increase holds, in days.
    pub valid_days: u32,
    /// When an increase asked for now would end.
    pub until_ms: i64,
    /// Which rows there are, in short: a live page is told of others.
    #[serde(default)]
    pub rows: String,
}

/// One model's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// The model's code.
    pub model: String,
    /// Requests a minute.
    pub rpm: u64,
    /// Tokens a minute by default; `None` when the model is not metered in tokens.
    pub default_tpm: Option<u64>,
    /// Tokens a minute in force.
    pub tpm: Option<u64>,
    /// The highest an increase may go.
    pub upper_tpm: Option<u64>,
    /// Tokens a second that follow from [`Self::tpm`].
    pub tps: Option<u64>,
    /// Requests a minute that the use is shown against: of the account, or of the viewer's own workspace.
    #[serde(default)]
    pub most_requests: u64,
    /// Tokens a minute likewise.
    #[serde(default)]
    pub most_tokens: Option<u64>,
    /// Whether the viewer's workspace may call it; always for who sees the whole account.
    #[serde(default)]
    pub granted: bool,
    /// The highest use of any 60 s in the last 7 days, for who may see all of the account.
    pub peak: Option<u64>,
    /// The increase in force.
    pub increase: Option<RunningView>,
    /// Requests in the last 60 s.
    pub requests_now: u64,
    /// Tokens in the last 60 s.
    pub tokens_now: u64,
    /// Requests in the last second.
    #[serde(default)]
    pub requests_second: u64,
    /// Tokens in the last second.
    #[serde(default)]
    pub tokens_second: u64,
}

impl LimitView {
    /// Whether an increase is possible.
    pub fn has_room(&self) -> bool {
        matches!((self.tpm, self.upper_tpm), (Some(current), Some(upper)) if current < upper)
    }

    /// Whether this is `model`, and has an increase whose time can begin anew.
    pub fn renews(&self, model: &str) -> bool {
        self.model == model && self.increase.is_some()
    }
}

/// An increase in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningView {
    /// Its id.
    pub id: String,
    /// When it ends.
    pub until_ms: i64,
    /// What is left of it, in words.
    pub left: String,
    /// The highest use of any 60 s since it began, for who may see all of the account.
    #[serde(default)]
    pub peak: Option<u64>,
    /// Why it is about to be withdrawn.
    pub notice: Option<String>,
    /// Whether it can be kept from that.
    pub keep: bool,
}

/// One row of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncreaseView {
    /// When it was asked for.
    pub at_ms: i64,
    /// The model's code.
    pub model: String,
    /// The account's TPM limit it asked for.
    pub tpm: u64,
    /// The limit before.
    pub before: u64,
    /// Who asked.
    pub by: String,
    /// When it ends or would have ended.
    pub until_ms: i64,
    /// What became of it.
    pub state: String,
    /// Who or what ended it, and when; empty while it is in force.
    #[serde(default)]
    pub ended: String,
    /// Whether it is in force.
    pub active: bool,
    /// The highest use while it was in force.
    pub peak: Option<u64>,
}

/// Reads the page's content.
///
/// # Errors
/// [`ApiError::SignedOut`], and whatever keeps the rows from being read.
#[server(endpoint = "rate-limit", input = GetUrl)]
pub async fn rate_limit(#[server(default)] query: RateLimitQuery) -> Result<RateLimitView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::rate_limit::view(&crate::ssr::state(), &caller, &query).await
}

/// Raises a model's TPM for a while.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account.
#[server(endpoint = "increases/create")]
pub async fn increase(model: String, tpm: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let outcome = ssr::rate_limit::increase(&ssr::state(), &caller, &model, &tpm).await?;
    let invalid = !matches!(outcome, Outcome::Done { .. });
    let back = paths::with_query(paths::RATE_LIMIT, &[("increase", if invalid { &model } else { "" })]);
    ssr::answer(INCREASE, &[("model", &model), ("tpm", &tpm)], &back, outcome).await
}

/// Ends an increase before its time.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`] when it has ended.
#[server(endpoint = "increases/end")]
pub async fn end_increase(id: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let outcome = ssr::rate_limit::end(&ssr::state(), &caller, &id).await?;
    ssr::answer(&format!("end-{id}"), &[], paths::RATE_LIMIT, outcome).await
}

/// Keeps an increase that nothing used: its time of disuse begins anew.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`] when it has ended.
#[server(endpoint = "increases/keep")]
pub async fn keep_increase(id: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let outcome = ssr::rate_limit::keep(&ssr::state(), &caller, &id).await?;
    ssr::answer(&format!("keep-{id}"), &[], paths::RATE_LIMIT, outcome).await
}

/// Proves from the recorded admissions that no window went over its limit, or says that one did.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account.
#[server(endpoint = "limits/verify")]
pub async fn verify_limits() -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let outcome = ssr::rate_limit::verify(&ssr::state(), &caller).await?;
    ssr::answer("verify-limits", &[], paths::RATE_LIMIT, outcome).await
}
