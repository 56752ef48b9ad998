//! API keys: made and shown once, rotated, revoked.

use crate::{error::ApiError, outcome::Outcome, ui::Choice};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// The form that makes a key.
pub const CREATE: &str = "create-key";
/// The form that replaces one.
pub const ROTATE: &str = "rotate-key";
/// The form that ends one.
pub const REVOKE: &str = "revoke-key";

/// Everything on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysView {
    /// The keys the viewer may see, the newest first.
    pub keys: Vec<KeyView>,
    /// Workspaces the viewer may make keys for.
    pub workspaces: Vec<Choice>,
    /// A model the newest key may call.
    pub example_model: Option<String>,
}

/// One key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its identity.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The secret's first characters.
    pub prefix: String,
    /// Its workspace's name.
    pub workspace: String,
    /// Whose error codes its refusals carry.
    pub error_dialect: String,
    /// When it was made.
    pub created_ms: i64,
    /// Who made it.
    pub created_by: String,
    /// From when it is refused; `None` never.
    pub expires_ms: Option<i64>,
    /// When a call last used it; `None` never.
    pub last_used_ms: Option<i64>,
    /// `active`, `expired` or `revoked`.
    pub state: String,
    /// Whether the viewer may rotate and revoke it.
    pub editable: bool,
}

/// Lists the keys the viewer may see.
///
/// # Errors
/// [`ApiError::SignedOut`].
#[server(endpoint = "keys", input = GetUrl)]
pub async fn keys() -> Result<KeysView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::settings::keys(&crate::ssr::state(), &caller).await
}

/// Makes a key; the answer alone holds its secret. `expires` is a date: the key works to its end, in UTC.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not manage this workspace's keys.
#[server(endpoint = "keys/create")]
pub async fn create_key(
    workspace: String,
    #[server(default)] name: String,
    #[server(default)] expires: String,
    #[server(default)] error_dialect: String,
) -> Result<Outcome, ApiError> {
    use crate::{format::parse_instant, paths, ssr};
    let caller = ssr::caller()?;
    let allowed = caller.actor.authorise(domain::Action::ManageKeys(&domain::WorkspaceId::new(workspace.as_str())));
    allowed.map_err(ssr::failure)?;
    let expires_at = match expires.trim() {
        "" => Ok(None),
        day => parse_instant(&format!("{day}T23:59:59")).map(Some).ok_or(()),
    };
    let outcome = match expires_at {
        Err(()) => Outcome::wrong("expires", "a date is a year, a month and a day, such as 2027-01-31"),
        Ok(expires_at) => {
            let form = control::keys::NewKey {
                workspace: workspace.clone(),
                name: name.clone(),
                error_dialect: error_dialect.clone(),
                expires_at,
            };
            let made = ssr::outcome(control::keys::create(&ssr::state().control, &caller.actor, &form).await)?;
            shown_once(made, "Key made")
        }
    };
    let typed =
        [("workspace", workspace.as_str()), ("name", &name), ("expires", &expires), ("error_dialect", &error_dialect)];
    ssr::answer(CREATE, &typed, &paths::with_query(paths::KEYS, &[("create", "1")]), outcome).await
}

/// Replaces a key by a new one; the old one is refused from now on.
///
/// # Errors
/// [`ApiError::NotFound`] for a key that is revoked or not seen, [`ApiError::Forbidden`].
#[server(endpoint = "keys/rotate")]
pub async fn rotate_key(id: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let made = ssr::outcome(control::keys::rotate(&ssr::state().control, &caller.actor, &id).await)?;
    let back = paths::with_query(paths::KEYS, &[("rotate", &id)]);
    ssr::answer(ROTATE, &[], &back, shown_once(made, "Key replaced; the old one is refused from now on")).await
}

/// Ends a key for good.
///
/// # Errors
/// [`ApiError::NotFound`] for a key that is revoked or not seen, [`ApiError::Forbidden`].
#[server(endpoint = "keys/revoke")]
pub async fn revoke_key(id: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let done = ssr::outcome(control::keys::revoke(&ssr::state().control, &caller.actor, &id).await)?;
    let outcome = done.map_or_else(|it| it, |()| Outcome::go("Key revoked", paths::KEYS));
    ssr::answer(REVOKE, &[], &paths::with_query(paths::KEYS, &[("revoke", &id)]), outcome).await
}

#[cfg(feature = "ssr")]
fn shown_once(made: Result<control::keys::CreatedKey, Outcome>, message: &str) -> Outcome {
    match made {
        Ok(key) => Outcome::Done {
            message: message.to_owned(),
            next: Some(crate::paths::KEYS.to_owned()),
            secret: Some(key.secret.expose().to_owned()),
        },
        Err(Outcome::Invalid(errors)) => Outcome::Invalid(
            errors
                .into_iter()
                .map(|mut it| {
                    if it.field == "expires_at" {
                        it.field = "expires".to_owned();
                    }
                    it
                })
                .collect(),
        ),
        Err(outcome) => outcome,
    }
}
