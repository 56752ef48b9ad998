//! API keys: made and shown once, rotated, revoked.

use crate::{error::ApiError, outcome::Outcome, ui::Choice};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// The form that makes a key.
pub const CREATE: &str = "create-key";
/// The form that changes one.
pub const EDIT: &str = "edit-key";
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
    /// `active`, `expired`, `revoked` or `workspace archived`.
    pub state: String,
    /// Whether the viewer may revoke it, and change it where its state allows that.
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
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let allowed = caller.actor.authorise(domain::Action::ManageKeys(&domain::WorkspaceId::new(workspace.as_str())));
    allowed.map_err(ssr::failure)?;
    let outcome = match end_of_day(&expires) {
        Err(outcome) => outcome,
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

/// Changes name, error dialect and expiry of a key.
///
/// # Errors
/// [`ApiError::NotFound`] for a key that is revoked or not seen, [`ApiError::Forbidden`].
#[server(endpoint = "keys/edit")]
pub async fn edit_key(
    id: String,
    #[server(default)] name: String,
    #[server(default)] expires: String,
    #[server(default)] error_dialect: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let change =
        |expires_at| control::keys::KeyChange { name: name.clone(), error_dialect: error_dialect.clone(), expires_at };
    let outcome = match end_of_day(&expires) {
        Err(outcome) => {
            // Who may not change the key is told that, not what is wrong with the date.
            control::keys::authorised(&ssr::state().control, &caller.actor, &id).await.map_err(ssr::failure)?;
            outcome
        }
        Ok(expires_at) => {
            let done = control::keys::update(&ssr::state().control, &caller.actor, &id, &change(expires_at)).await;
            ssr::outcome(done)?.map_or_else(expires_field, |()| Outcome::go("Key stored", paths::KEYS))
        }
    };
    let typed = [("name", name.as_str()), ("expires", &expires), ("error_dialect", &error_dialect)];
    ssr::answer(EDIT, &typed, &paths::with_query(paths::KEYS, &[("edit", &id)]), outcome).await
}

/// The last instant of a date, in UTC; `None` if nothing was typed.
#[cfg(feature = "ssr")]
fn end_of_day(date: &str) -> Result<Option<i64>, Outcome> {
    match date.trim() {
        "" => Ok(None),
        day => crate::format::parse_instant(&format!("{day}T23:59:59"))
            .map(Some)
            .ok_or_else(|| Outcome::wrong("expires", "a date is a year, a month and a day, such as 2027-01-31")),
    }
}

/// What the use cases call `expires_at` is the field `expires`.
#[cfg(feature = "ssr")]
fn expires_field(outcome: Outcome) -> Outcome {
    let Outcome::Invalid(mut errors) = outcome else { return outcome };
    for error in errors.iter_mut().filter(|it| it.field == "expires_at") {
        "expires".clone_into(&mut error.field);
    }
    Outcome::Invalid(errors)
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
        Err(outcome) => expires_field(outcome),
    }
}
