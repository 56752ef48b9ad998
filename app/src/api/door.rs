//! First-run set-up, signing in and out.

use crate::{error::ApiError, outcome::Outcome};
use leptos::server;

/// The forms' names.
pub const SIGN_IN: &str = "sign-in";
/// See [`SIGN_IN`].
pub const SET_UP: &str = "set-up";

/// Bytes of a form that are kept in the session of somebody who is not signed in.
#[cfg(feature = "ssr")]
const LARGEST_IN_SESSION: usize = 16 * 1024;

/// Signs a member in. `resume` and `fields` are a form that came without a session: it is sent on afterwards.
///
/// # Errors
/// When the session cannot be written.
#[server(endpoint = "sign-in")]
pub async fn sign_in(
    email: String,
    password: String,
    #[server(default)] next: String,
    #[server(default)] resume: String,
    #[server(default)] fields: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let back = paths::with_query(paths::SIGN_IN, &[("next", &next)]);
    let outcome = match ssr::sign_in(&email, password).await? {
        // The browser sends the same form on, and with it the one that was kept.
        Ok(()) if !resume.is_empty() => return Ok(ssr::resume()),
        Ok(()) => Outcome::go("", paths::local(&next).unwrap_or(paths::MONITORING)),
        Err(message) => Outcome::wrong("password", message),
    };
    let mut typed = vec![("email", email.as_str())];
    // A stranger's session must not grow large: a longer form is lost with the second wrong password.
    if !resume.is_empty() && fields.len() <= LARGEST_IN_SESSION {
        typed.extend([("resume", resume.as_str()), ("fields", &fields)]);
    }
    ssr::answer(SIGN_IN, &typed, &back, outcome).await
}

/// Ends the session.
///
/// # Errors
/// [`ApiError::SignedOut`] when there is none.
#[server(endpoint = "sign-out")]
pub async fn sign_out() -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    ssr::caller()?;
    ssr::sign_out().await?;
    ssr::answer("sign-out", &[], paths::SIGN_IN, Outcome::go("", paths::SIGN_IN)).await
}

/// Creates the first owner, once, for whoever can read the server's terminal.
///
/// # Errors
/// [`ApiError::Forbidden`] when it was done before.
#[server(endpoint = "set-up")]
pub async fn set_up(token: String, email: String, password: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let back = paths::with_query(paths::SET_UP, &[("token", &token)]);
    let outcome = ssr::set_up(token, email.clone(), password).await?;
    ssr::answer(SET_UP, &[("email", &email)], &back, outcome).await
}
