//! Who asks: from the session to a member, and how sessions begin and end.

use super::{
    ConsoleState,
    answer::{fail, failed, parts, session},
    failure, state,
};
use crate::{components::page::Viewer, error::ApiError, outcome::Outcome};
use axum::extract::ConnectInfo;
use control::{Actor, ControlError, MEMBER_KEY, Secret, setup, sign_in::SignedIn};
use std::net::SocketAddr;
use tower_sessions::Session;

/// Who asks, for pages and for use cases.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What pages show and judge by.
    pub viewer: Viewer,
    /// What use cases are called with.
    pub actor: Actor,
}

/// Who asks.
///
/// # Errors
/// [`ApiError::SignedOut`] when nobody is signed in.
pub fn caller() -> Result<Caller, ApiError> {
    parts().extensions.get::<Caller>().cloned().ok_or_else(|| fail(ApiError::SignedOut))
}

/// Where a session's content says on which day, counted from 1970, it was last used.
const USED_KEY: &str = "used";
const DAY_MS: i64 = 86_400_000;

/// The member of a session, with the rights of this moment; `None` where nobody is signed in.
///
/// # Errors
/// When the database does not answer: who it is cannot be told, and must not be taken for nobody.
pub(crate) async fn find(
    state: &ConsoleState,
    session: &Session,
    request_id: Option<String>,
) -> Result<Option<Caller>, ApiError> {
    let request = request_id.clone().unwrap_or_default();
    let unreadable = |error: tower_sessions::session::Error| {
        tracing::warn!(%error, request, "a session could not be read");
        ApiError::Unavailable(request.clone())
    };
    let Some(member) = session.get::<String>(MEMBER_KEY).await.map_err(unreadable)? else { return Ok(None) };
    let unanswered = |error: ControlError| {
        tracing::warn!(%error, request, "a session's member could not be read");
        ApiError::Unavailable(request.clone())
    };
    let found = control::sign_in::signed_in(&state.control, &member, request_id).await;
    let Some(SignedIn { actor, account, workspace }) = found.map_err(unanswered)? else { return Ok(None) };
    let viewer = Viewer { email: actor.name.clone(), account, workspace, standing: actor.standing.clone() };
    Ok(Some(Caller { viewer, actor }))
}

/// Keeps a session from ending while it is used: it lasts from when it was last written, which is once a day.
pub(super) async fn renew(session: &Session, now_ms: i64) -> Result<(), tower_sessions::session::Error> {
    let today = now_ms.div_euclid(DAY_MS);
    if session.get::<i64>(USED_KEY).await? == Some(today) {
        return Ok(());
    }
    session.insert(USED_KEY, today).await
}

/// Whether somebody can sign in; when that cannot be told, sign-in is the safer page.
pub(crate) async fn is_set_up(state: &ConsoleState) -> bool {
    !setup::is_open(&state.control).await.unwrap_or(false)
}

/// Changes the caller's password; all their sessions end, and this one is begun anew.
///
/// # Errors
/// When the session cannot be written.
pub async fn change_password(caller: &Caller, current: String, password: String) -> Result<Outcome, ApiError> {
    let (current, password) = (Secret::new(current), Secret::new(password));
    let changed =
        control::sign_in::change_password(&state().control, &caller.actor, current, password, &origin()).await;
    match super::outcome(changed)? {
        Ok(()) => {
            begin(caller.actor.standing.member.as_str()).await?;
            Ok(Outcome::go("Password changed. Everywhere else you are signed out.", crate::paths::ACCOUNT))
        }
        Err(outcome) => Ok(outcome),
    }
}

/// Ends every session of the caller, this one included.
///
/// # Errors
/// When the sessions cannot be removed.
pub async fn sign_out_everywhere(caller: &Caller) -> Result<(), ApiError> {
    control::sign_in::sign_out_everywhere(&state().control, &caller.actor).await.map_err(failure)?;
    sign_out().await
}

/// The network address that the request came from.
fn origin() -> String {
    parts().extensions.get::<ConnectInfo<SocketAddr>>().map_or_else(String::new, |it| it.0.ip().to_string())
}

/// Begins a session for whoever has this address and this password; the message otherwise.
///
/// # Errors
/// When the session cannot be written.
pub async fn sign_in(email: &str, password: String) -> Result<Result<(), String>, ApiError> {
    match control::sign_in::sign_in(&state().control, email, Secret::new(password), &origin()).await {
        Ok(member) => {
            begin(&member.id).await?;
            Ok(Ok(()))
        }
        Err(error @ (ControlError::WrongCredentials | ControlError::TooManyAttempts { .. })) => {
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(failure(error)),
    }
}

/// Creates the first owner and begins a session for them.
///
/// # Errors
/// [`ApiError::Forbidden`] when somebody can sign in already.
pub async fn set_up(token: String, email: String, password: String) -> Result<Outcome, ApiError> {
    if is_set_up(&state()).await {
        return Err(fail(ApiError::Forbidden("The set-up is done; sign in.".to_owned())));
    }
    let form = setup::SetupForm { token: Secret::new(token), email, password: Secret::new(password) };
    match super::outcome(setup::complete(&state().control, form).await)? {
        Ok(member) => {
            begin(&member).await?;
            Ok(Outcome::go("Sluice is set up", crate::paths::MONITORING))
        }
        Err(outcome) => Ok(outcome),
    }
}

/// Accepts an invitation with a password and begins a session for the new member.
///
/// # Errors
/// When the session cannot be written.
pub async fn accept(token: String, password: String) -> Result<Outcome, ApiError> {
    let accepted = control::members::accept(&state().control, &Secret::new(token), Secret::new(password)).await;
    if matches!(accepted, Err(ControlError::NotFound(_))) {
        return Ok(Outcome::wrong("", "this invitation was used or is too old; ask for a new link"));
    }
    match super::outcome(accepted)? {
        Ok(member) => {
            begin(&member).await?;
            Ok(Outcome::go("Welcome to Sluice", crate::paths::MONITORING))
        }
        Err(outcome) => Ok(outcome),
    }
}

/// Ends the session of the request.
///
/// # Errors
/// When the session cannot be removed.
pub async fn sign_out() -> Result<(), ApiError> {
    let session = session()?;
    session.clear().await;
    session.cycle_id().await.map_err(lost)
}

/// A new id for a new right: whoever knew the former one has nothing.
async fn begin(member: &str) -> Result<(), ApiError> {
    let session = session()?;
    session.cycle_id().await.map_err(lost)?;
    session.insert(MEMBER_KEY, member).await.map_err(lost)?;
    renew(&session, state().control.now_ms()).await.map_err(lost)
}

#[allow(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn lost(error: tower_sessions::session::Error) -> ApiError {
    tracing::error!(%error, "a session could not be written");
    failed()
}
