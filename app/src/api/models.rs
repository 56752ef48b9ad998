//! Models: where they are called, the account's limits, and what stands in for them.

use crate::{error::ApiError, outcome::Outcome, ui::Choice};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form that makes or changes a model.
pub const FORM: &str = "model";
/// The form that takes models of a provider's list.
pub const IMPORT: &str = "import";

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
    /// Seconds until the provider's first byte; `None`: as the process's settings have it.
    pub first_byte_timeout_s: Option<u64>,
    /// Seconds of silence within a stream; `None`: as the process's settings have it.
    pub stream_silence_s: Option<u64>,
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
    #[server(default)] first_byte_timeout_s: Option<String>,
    #[server(default)] stream_silence_s: Option<String>,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let sent = revision.map(|it| ("revision", it.to_string()));
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
        ("first_byte_timeout_s", first_byte_timeout_s.as_deref().unwrap_or_default()),
        ("stream_silence_s", stream_silence_s.as_deref().unwrap_or_default()),
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
        first_byte_timeout_s,
        stream_silence_s,
    };
    let state = ssr::state();
    let done = match revision {
        Some(revision) => control::models::edit(&state.control, &caller.actor, revision, &form).await,
        None => control::models::create(&state.control, &caller.actor, &form).await,
    };
    let outcome = ssr::outcome(done)?
        .map_or_else(|it| it, |()| Outcome::go("Model stored. It is in force from the next call on.", paths::MODELS));
    let typed: Vec<_> = typed.iter().chain(&sent).map(|(name, value)| (*name, value.as_str())).collect();
    ssr::answer(FORM, &typed, &back, outcome).await
}

/// What a provider offers, to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferView {
    /// The account's providers.
    pub providers: Vec<Choice>,
    /// Which of them was asked; empty if none was.
    pub provider: String,
    /// What it offers.
    pub models: Vec<OfferedView>,
    /// Why it could not be asked.
    pub problem: Option<String>,
    /// Requests a minute to begin with: the lowest of the account's models there; empty without one.
    pub rpm: String,
    /// Tokens a minute to begin with, likewise.
    pub tpm: String,
}

/// One model of a provider's list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedView {
    /// The provider's name for it.
    pub code: String,
    /// Whether the account has a model that is called by it, or calls it.
    pub known: bool,
}

/// Asks a provider which models it has; the first one there is if `provider` is empty.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "models/offered", input = GetUrl)]
pub async fn offered_models(#[server(default)] provider: String) -> Result<OfferView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::settings::offered(&crate::ssr::state(), &caller, &provider).await
}

/// Takes the chosen models of a provider's list, all of them or none.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "models/import")]
pub async fn import_models(
    provider: String,
    #[server(default)] pick: Vec<String>,
    #[server(default)] rpm: BTreeMap<String, String>,
    #[server(default)] tpm: BTreeMap<String, String>,
    #[server(default)] common_rpm: String,
    #[server(default)] common_tpm: String,
    #[server(default)] tpm_upper_limit: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let typed_in = |map: &BTreeMap<String, String>, code: &String| map.get(code).cloned().unwrap_or_default();
    let wanted = |code: &String| control::models::Wanted {
        code: code.clone(),
        rpm: typed_in(&rpm, code),
        tpm: typed_in(&tpm, code),
    };
    let form = control::models::Import {
        provider: provider.clone(),
        models: pick.iter().map(wanted).collect(),
        rpm: common_rpm,
        tpm: common_tpm,
        tpm_upper_limit,
    };
    let done = ssr::outcome(control::models::import(&ssr::state().control, &caller.actor, &form).await)?;
    let outcome = match done {
        Ok(1) => Outcome::go("1 model imported", paths::MODELS),
        Ok(count) => Outcome::go(format!("{count} models imported"), paths::MODELS),
        Err(Outcome::Invalid(errors)) => Outcome::Invalid(errors.into_iter().map(ssr::settings::at_import).collect()),
        Err(other) => other,
    };
    let mut typed: Vec<(String, String)> = pick.into_iter().map(|code| ("pick".to_owned(), code)).collect();
    for (name, map) in [("rpm", rpm), ("tpm", tpm)] {
        typed.extend(map.into_iter().filter(|it| !it.1.is_empty()).map(|(code, it)| (format!("{name}[{code}]"), it)));
    }
    let common = [("common_rpm", form.rpm), ("common_tpm", form.tpm), ("tpm_upper_limit", form.tpm_upper_limit)];
    typed.extend(common.map(|(name, text)| (name.to_owned(), text)));
    let typed: Vec<_> = typed.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    ssr::answer(IMPORT, &typed, &paths::with_query(paths::IMPORT, &[("provider", &provider)]), outcome).await
}
