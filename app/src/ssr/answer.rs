//! How a server function ends: a value for script; for a form sent by the browser alone, a redirect, with the outcome
//! and what was typed waiting in the session.

use crate::{
    error::ApiError,
    outcome::{Flash, Outcome, Typed},
    paths,
};
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use tower_sessions::{Expiry, Session, cookie::time::Duration};

/// Marks a request that a browser sent from a form, without script.
#[derive(Clone, Debug)]
pub(crate) struct NativeForm;

/// The session's key for a [`Flash`].
pub(crate) const FLASH: &str = "flash";

/// For how long it waits for somebody who is not signed in.
const FLASH_MINUTES: i64 = 5;

/// The cookie that carries a secret to the one page that shows it; it is nowhere stored on the server.
pub(crate) const ONCE: &str = "once";

/// Bytes of a form that are kept in the session of somebody who is not signed in.
const LARGEST_OF_STRANGERS: usize = 16 * 1024;

/// Ends the server function of `form`: `typed` is shown again on `back` when nothing was stored. What was stored is told
/// on the next page in either case, since script goes there too.
///
/// # Errors
/// When the session cannot be written.
pub async fn answer(form: &str, typed: &[(&str, &str)], back: &str, outcome: Outcome) -> Result<Outcome, ApiError> {
    answer_beside(form, typed, None, back, outcome).await
}

/// The same, where `beside` was typed into another form of the page: the next page shows it again in every case.
///
/// # Errors
/// When the session cannot be written.
pub async fn answer_beside(
    form: &str,
    typed: &[(&str, &str)],
    beside: Option<Typed>,
    back: &str,
    outcome: Outcome,
) -> Result<Outcome, ApiError> {
    let native = parts().extensions.get::<NativeForm>().is_some();
    let (target, kept) = match outcome {
        Outcome::Done { message, next, secret } => {
            let target = next.unwrap_or_else(|| back.to_owned());
            if let Some(secret) = secret {
                show_once(&secret);
            }
            let outcome = Outcome::Done { message: message.clone(), next: Some(target.clone()), secret: None };
            if !message.is_empty() {
                let typed = Typed::new(form, []);
                leave_flash(Flash { typed, beside, outcome: outcome.clone() }).await?;
            }
            (target, outcome)
        }
        other if native => {
            let typed = typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            leave_flash(Flash { typed: Typed::new(form, typed), beside, outcome: other.clone() }).await?;
            (back.to_owned(), other)
        }
        other => return Ok(other),
    };
    if native {
        redirect(&target);
    }
    Ok(kept)
}

/// Ends the server function of `form` by telling something on the page at `next`: names and what is said of them.
///
/// # Errors
/// When the session cannot be written.
pub async fn tell(form: &str, told: Vec<(String, String)>, next: &str) -> Result<Outcome, ApiError> {
    let outcome = Outcome::go("", next);
    leave_flash(Flash::new(Typed::new(form, told), outcome.clone())).await?;
    if parts().extensions.get::<NativeForm>().is_some() {
        redirect(next);
    }
    Ok(outcome)
}

/// The secret travels in a cookie to the one page that shows it.
fn show_once(secret: &str) {
    let secure = if super::state().settings.secure_cookies { "; Secure" } else { "" };
    let cookie = format!("{ONCE}={secret}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict{secure}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        expect_context::<ResponseOptions>().append_header(header::SET_COOKIE, value);
    }
}

/// Sets the status that goes with `error`.
pub fn fail(error: ApiError) -> ApiError {
    if let (Some(options), Ok(status)) = (use_context::<ResponseOptions>(), StatusCode::from_u16(error.status())) {
        options.set_status(status);
    }
    error
}

/// The error that says no more than under which id the log does.
pub(crate) fn failed() -> ApiError {
    fail(ApiError::Failed(super::request_id().unwrap_or_default()))
}

/// The head of the request that is being answered.
pub(crate) fn parts() -> Parts {
    expect_context::<Parts>()
}

/// The session of the request that is being answered.
pub(crate) fn session() -> Result<Session, ApiError> {
    parts().extensions.get::<Session>().cloned().ok_or_else(failed)
}

async fn leave_flash(flash: Flash) -> Result<(), ApiError> {
    leave_in(&session()?, flash).await.map_err(|error| {
        tracing::error!(%error, "a form's outcome could not be kept in the session");
        failed()
    })
}

/// Leaves `flash` for the next page. For somebody who is not signed in it is all that the session is for, so it ends soon
/// and stays small: strangers must not fill the store.
pub(crate) async fn leave_in(session: &Session, mut flash: Flash) -> Result<(), tower_sessions::session::Error> {
    if session.get_value(control::MEMBER_KEY).await?.is_none() {
        session.set_expiry(Some(Expiry::OnInactivity(Duration::minutes(FLASH_MINUTES))));
        flash.beside = None;
        if flash.typed.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > LARGEST_OF_STRANGERS
        {
            flash.typed.fields.clear();
        }
    }
    session.insert(FLASH, flash).await
}

fn redirect(target: &str) {
    let target = paths::local(target).unwrap_or(paths::MONITORING);
    if let Ok(value) = HeaderValue::from_str(target) {
        let options = expect_context::<ResponseOptions>();
        options.set_status(StatusCode::SEE_OTHER);
        options.insert_header(header::LOCATION, value);
    }
}
