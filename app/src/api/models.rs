//! Models: where they are called, the account's limits, and what stands in for them.

use crate::{error::ApiError, outcome::Outcome, ui::Choice};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// The form that makes or changes a model.
pub const FORM: &str = "model";

/// Everything on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelsView {
    /// The account's models by code.
    pub models: Vec<ModelView>,
    /// Where they may be called.
    pub providers: Vec<Choice>,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelView {
    /// What clients call it.
    pub code: String,
    /// Where it is called.
    pub provider: String,
    /// What the provider calls it.
    pub upstream: String,
    /// `tokens` or `calls`.
    pub metering: String,
    /// Requests a minute.
    pub rpm: u64,
    /// Tokens a minute by default; `None` when metered in calls.
    pub tpm: Option<u64>,
    /// The highest temporary increase.
    pub tpm_upper_limit: Option<u64>,
    /// What a running increase raises the TPM to.
    pub increased_tpm: Option<u64>,
    /// The model that stands in for it.
    pub backup: Option<String>,
    /// Whether every call may fall back.
    pub fallback: bool,
    /// First guess of the output of calls that set no maximum.
    pub default_output_tokens: u64,
    /// What a form that changes it sends along.
    pub revision: i64,
}

/// Lists the account's models.
///
/// # Errors
/// [`ApiError::SignedOut`].
#[server(endpoint = "models", input = GetUrl)]
pub async fn models() -> Result<ModelsView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::settings::models(&crate::ssr::state(), &caller).await
}

/// Makes a model (without `revision`) or changes it (with the one it was read with).
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "models/set")]
pub async fn set_model(
    code: String,
    #[server(default)] revision: Option<i64>,
    #[server(default)] provider: String,
    #[server(default)] upstream: String,
    #[server(default)] metering: String,
    #[server(default)] rpm: String,
    #[server(default)] tpm: String,
    #[server(default)] tpm_upper_limit: String,
    #[server(default)] backup: String,
    #[server(default)] fallback: String,
    #[server(default)] default_output_tokens: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let typed = [
        ("code", code.as_str()),
        ("provider", &provider),
        ("upstream", &upstream),
        ("metering", &metering),
        ("rpm", &rpm),
        ("tpm", &tpm),
        ("tpm_upper_limit", &tpm_upper_limit),
        ("backup", &backup),
        ("fallback", &fallback),
        ("default_output_tokens", &default_output_tokens),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let back = match revision {
        Some(_) => paths::with_query(paths::MODELS, &[("edit", &code)]),
        None => paths::with_query(paths::MODELS, &[("create", "1")]),
    };
    let fallback = fallback == "on";
    let form = control::models::ModelForm {
        code,
        provider,
        upstream,
        metering,
        rpm,
        tpm,
        tpm_upper_limit,
        backup,
        fallback,
        default_output_tokens,
        ..Default::default()
    };
    let state = ssr::state();
    let done = match revision {
        Some(revision) => control::models::edit(&state.control, &caller.actor, revision, &form).await,
        None => control::models::create(&state.control, &caller.actor, &form).await,
    };
    let outcome = ssr::outcome(done)?
        .map_or_else(|it| it, |()| Outcome::go("Model stored. It is in force from the next call on.", paths::MODELS));
    let typed: Vec<_> = typed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    ssr::answer(FORM, &typed, &back, outcome).await
}
