//! Providers: where models are called. A credential goes in and never comes out.

use crate::{error::ApiError, outcome::Outcome};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// The form that makes or changes a provider.
pub const FORM: &str = "provider";

/// The form that tests one.
pub const TEST: &str = "test-provider";

/// One provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// Its identity.
    pub id: String,
    /// Its name in files and errors.
    pub name: String,
    /// Empty where the dialect is not offered.
    pub openai_base_url: String,
    /// Empty where the dialect is not offered.
    pub dashscope_base_url: String,
    /// Empty where the dialect is not offered.
    pub anthropic_base_url: String,
    /// Whether a credential is stored.
    pub has_credential: bool,
    /// What a form that changes it sends along.
    pub revision: i64,
}

/// Lists the account's providers.
///
/// # Errors
/// [`ApiError::SignedOut`].
#[server(endpoint = "providers", input = GetUrl)]
pub async fn providers() -> Result<Vec<ProviderView>, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::settings::providers(&crate::ssr::state(), &caller).await
}

/// Makes a provider (without `id`) or changes one. An empty credential keeps the one there is.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "providers/set")]
pub async fn set_provider(
    #[server(default)] id: String,
    #[server(default)] revision: i64,
    name: String,
    #[server(default)] openai_base_url: String,
    #[server(default)] dashscope_base_url: String,
    #[server(default)] anthropic_base_url: String,
    #[server(default)] credential: String,
    #[server(default)] forget_credential: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    // Of the credential nothing is kept but that there was one.
    let typed = [
        ("revision", revision.to_string()),
        ("name", name.clone()),
        ("openai_base_url", openai_base_url.clone()),
        ("dashscope_base_url", dashscope_base_url.clone()),
        ("anthropic_base_url", anthropic_base_url.clone()),
        ("credential", credential.clone()),
        ("forget_credential", forget_credential.clone()),
    ];
    let forget_credential = forget_credential == "on";
    let form = control::providers::ProviderForm {
        name,
        openai_base_url,
        dashscope_base_url,
        anthropic_base_url,
        credential,
        forget_credential,
    };
    let state = ssr::state();
    let (back, done) = if id.is_empty() {
        let done = control::providers::create(&state.control, &caller.actor, &form).await.map(drop);
        (paths::with_query(paths::PROVIDERS, &[("create", "1")]), done)
    } else {
        let done = control::providers::edit(&state.control, &caller.actor, &id, revision, &form).await;
        (paths::with_query(paths::PROVIDERS, &[("edit", &id)]), done)
    };
    let outcome = ssr::outcome(done)?.map_or_else(|it| it, |()| Outcome::go("Provider stored", paths::PROVIDERS));
    let typed: Vec<_> = typed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    ssr::answer(FORM, &typed, &back, outcome).await
}

/// Asks a provider for something that costs nothing, with its stored credential, and tells what came back.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "providers/test")]
pub async fn test_provider(id: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let state = ssr::state();
    let found = control::reach::test(&state.control, &caller.actor, &*state.reach, &id).await;
    match ssr::outcome(found)? {
        Ok(findings) => {
            let told = findings.into_iter().flat_map(|it| {
                let word = if it.fine { "fine" } else { "failed" };
                [("dialect", it.dialect.to_owned()), ("url", it.url), (word, it.words)]
            });
            let told = std::iter::once(("id", id)).chain(told).map(|(name, text)| (name.to_owned(), text)).collect();
            ssr::tell(TEST, told, paths::PROVIDERS).await
        }
        Err(outcome) => ssr::answer(&format!("{TEST}-{id}"), &[], paths::PROVIDERS, outcome).await,
    }
}
