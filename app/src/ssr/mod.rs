//! The server's half of the console: what pages may ask for, and how requests reach them.
//! The process mounts [`router`]; sessions and the layers against forged requests lie around it.

pub(crate) mod account;
mod answer;
pub mod assets;
pub(crate) mod audit;
mod chart;
mod choices;
mod document;
pub(crate) mod foresight;
mod identity;
mod kept;
mod live;
pub(crate) mod monitoring;
pub(crate) mod rate_limit;
pub(crate) mod refusals;
mod router;
pub(crate) mod settings;
mod shell;
mod trouble;

pub use answer::{answer, answer_beside, fail, tell};
pub use identity::{Caller, accept, caller, change_password, set_up, sign_in, sign_out, sign_out_everywhere};
pub use kept::{beside, resume, send_on};
pub use live::{LastSeconds, LiveCell, LiveFigures, LiveUse, SecondUse};
pub use router::router;

use crate::{
    error::ApiError,
    outcome::{FieldError, Outcome},
};
use control::{Control, ControlError, StoreError};
use domain::AccountId;
use leptos::prelude::*;
use std::sync::Arc;

/// Everything pages need from outside; found in context by server functions.
#[derive(Clone)]
pub struct ConsoleState {
    /// The use cases.
    pub control: Control,
    /// What is used at this moment.
    pub live: Arc<dyn LiveUse>,
    /// How old the figures are.
    pub figures: Arc<dyn FigureAge>,
    /// The way to a provider, for tests of it and for its list of models.
    pub reach: Arc<dyn control::reach::Reach>,
    /// The proof that limits were kept; `None` where admissions are not journalled.
    pub proof: Option<Arc<dyn Proof>>,
    /// What the process decided.
    pub settings: Arc<ConsoleSettings>,
}

impl ConsoleState {
    /// The same for one page: see [`Control::for_a_page`].
    fn for_a_page(&self) -> Self {
        Self { control: self.control.for_a_page(), ..self.clone() }
    }
}

/// The port through which the process says how old the figures are.
pub trait FigureAge: Send + Sync {
    /// Since when calls are missing from the figures, in milliseconds of the epoch; `None` while none are.
    fn stale_since(&self) -> Option<i64>;
}

/// The port through which the process lets the console check the recorded admissions.
pub trait Proof: Send + Sync {
    /// Checks every window of an account in what is kept. Takes seconds; not for an async thread.
    ///
    /// # Errors
    /// Why the record cannot be read, for people.
    fn prove(&self, account: &AccountId) -> Result<Proven, String>;
}

/// What the recorded admissions prove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    /// Admissions that were checked.
    pub admissions: u64,
    /// Those that led to more than was allowed.
    pub over: u64,
    /// Calls whose end the record does not hold, so that only such of their tokens count as had been seen.
    pub cut_off: u64,
    /// Files of the record that end inside an entry, as they do after an unclean stop.
    pub torn: u64,
    /// The limit that was used most, in words; `None` without admissions.
    pub fullest: Option<String>,
}

/// What the process decided for the console.
#[derive(Clone, Debug)]
pub struct ConsoleSettings {
    /// Where model clients point their base URL, without a path, e.g. `http://127.0.0.1:8080`.
    pub gateway_url: String,
    /// Whether cookies are sent over TLS only.
    pub secure_cookies: bool,
}

/// The state of the request that is being answered.
///
/// # Panics
/// Outside a request, which is a mistake in the router.
pub fn state() -> ConsoleState {
    expect_context::<ConsoleState>()
}

/// What a use case that failed means for a page or a function without fields.
pub(crate) fn failure(error: ControlError) -> ApiError {
    fail(match error {
        ControlError::Forbidden(reason) => ApiError::Forbidden(sentence(reason)),
        ControlError::NotFound(_) => ApiError::NotFound,
        ControlError::Store(error @ (StoreError::Busy(_) | StoreError::Unavailable(_))) => {
            let request = request_id().unwrap_or_default();
            tracing::warn!(error = &error as &dyn std::error::Error, request, "the database does not answer");
            ApiError::Unavailable(request)
        }
        ControlError::Store(error) => {
            let request = request_id().unwrap_or_default();
            tracing::error!(error = &error as &dyn std::error::Error, request, "a use case failed");
            ApiError::Failed(request)
        }
        other => ApiError::Refused(sentence(&other.to_string())),
    })
}

/// What a use case that failed means for the form that asked for it: messages at fields where there are any.
///
/// # Errors
/// What concerns no field of the form.
pub(crate) fn outcome<T>(result: Result<T, ControlError>) -> Result<Result<T, Outcome>, ApiError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(ControlError::Invalid(errors)) => {
            Ok(Err(Outcome::Invalid(errors.into_iter().map(|it| FieldError::new(it.field, it.message)).collect())))
        }
        Err(ControlError::Refused(reason)) => Ok(Err(Outcome::wrong("", reason))),
        Err(error @ ControlError::TooManyAttempts { .. }) => Ok(Err(Outcome::wrong("", error))),
        Err(error @ ControlError::Conflict(_)) => Ok(Err(Outcome::Conflict(error.to_string()))),
        Err(error) => Err(failure(error)),
    }
}

/// `only owners may` → `Only owners may.`
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// The id of the request that is being answered, as the process gave it.
fn request_id() -> Option<String> {
    // Live figures are read when their request was answered long ago.
    use_context::<http::request::Parts>()?
        .headers
        .get("x-request-id")
        .and_then(|it| it.to_str().ok())
        .map(str::to_owned)
}
