//! The account's settings, and the viewer's own sign-in: password, and signing out everywhere.

use crate::{error::ApiError, outcome::Outcome};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// The form of the account's settings.
pub const SETTINGS: &str = "account";
/// The form that changes the own password.
pub const PASSWORD: &str = "password";
/// The form that ends all own sessions.
pub const EVERYWHERE: &str = "sign-out-everywhere";

/// Everything on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// What people call the account.
    pub name: String,
    /// Days for which a temporary increase holds.
    pub increase_validity_days: u64,
    /// Days without use after which it is withdrawn.
    pub inactivity_days: u64,
    /// Workspaces, the default one included.
    pub max_workspaces: u64,
    /// Keys a workspace.
    pub max_keys: u64,
    /// Characters of a workspace's name.
    pub max_name_length: u64,
    /// What a form that changes it sends along.
    pub revision: i64,
}

/// Reads the account's settings.
///
/// # Errors
/// [`ApiError::SignedOut`].
#[server(endpoint = "account", input = GetUrl)]
pub async fn account() -> Result<AccountView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::account::view(&crate::ssr::state(), &caller).await
}

/// Changes the account's settings.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account.
#[server(endpoint = "account/set")]
pub async fn set_account(
    revision: i64,
    #[server(default)] increase_validity_days: String,
    #[server(default)] inactivity_days: String,
    #[server(default)] max_workspaces: String,
    #[server(default)] max_keys: String,
    #[server(default)] max_name_length: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let form = control::accounts::SettingsForm {
        revision,
        increase_validity_days,
        inactivity_days,
        max_workspaces,
        max_keys,
        max_name_length,
    };
    let done = control::accounts::set_settings(&ssr::state().control, &caller.actor, &form).await;
    let outcome = ssr::outcome(done)?.map_or_else(|it| it, |()| Outcome::go("Settings stored", paths::ACCOUNT));
    let revision = revision.to_string();
    let typed = [
        ("revision", revision.as_str()),
        ("increase_validity_days", form.increase_validity_days.as_str()),
        ("inactivity_days", &form.inactivity_days),
        ("max_workspaces", &form.max_workspaces),
        ("max_keys", &form.max_keys),
        ("max_name_length", &form.max_name_length),
    ];
    ssr::answer(SETTINGS, &typed, paths::ACCOUNT, outcome).await
}

/// Changes the own password. Every session ends; this one goes on under a new id.
///
/// # Errors
/// When the session cannot be written.
#[server(endpoint = "account/password")]
pub async fn change_password(current: String, password: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let outcome = ssr::change_password(&caller, current, password).await?;
    // Nothing typed is shown again: both fields hold passwords.
    ssr::answer(PASSWORD, &[], paths::ACCOUNT, outcome).await
}

/// Ends every session of the own, this one included.
///
/// # Errors
/// When the sessions cannot be removed.
#[server(endpoint = "sign-out/everywhere")]
pub async fn sign_out_everywhere() -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    ssr::sign_out_everywhere(&caller).await?;
    let outcome = Outcome::go("You are signed out on every device", paths::SIGN_IN);
    ssr::answer(EVERYWHERE, &[], paths::SIGN_IN, outcome).await
}
