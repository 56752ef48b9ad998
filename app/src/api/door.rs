//! First-run set-up, signing in and out.

use crate::{error::ApiError, outcome::Outcome};
use leptos::server;

/// The forms' names.
pub const SIGN_IN: &str = "sign-in";
/// See [`SIGN_IN`].
pub const SET_UP: &str = "set-up";

/// Signs a member in. `resume` is where a form was going that came without a session: the page sent it along, and it is
/// sent on afterwards.
///
/// # Errors
/// When the session cannot be written.
#[server(endpoint = "sign-in")]
pub async fn sign_in(
    email: String,
    password: String,
    #[server(default)] next: String,
    #[server(default)] resume: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let back = paths::with_query(paths::SIGN_IN, &[("next", &next)]);
    let outcome = match ssr::sign_in(&email, password).await? {
        // The browser sends the same form on, and with it the one that was kept.
        Ok(()) if !resume.is_empty() => return Ok(ssr::resume()),
        Ok(()) => Outcome::go("", paths::local(&next).unwrap_or(paths::MONITORING)),
        Err(message) => Outcome::wrong("password", message),
    };
    let outcome = ssr::answer(SIGN_IN, &[("email", &email)], &back, outcome).await?;
    if !resume.is_empty() {
        // Whatever was typed into it must not lie in a session: the browser brings it along to the next page as well.
        ssr::send_on(&back);
    }
    Ok(outcome)
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
