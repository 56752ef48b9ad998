//! Why a server function did not answer. Carries nothing that only an operator may read.

use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};

/// What a page says instead of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiError {
    /// Nobody is signed in, or the session has ended.
    SignedOut,
    /// The caller may not; the text says who may.
    Forbidden(String),
    /// Not as things stand; the text says why.
    Refused(String),
    /// No such thing in this account, or none the caller may see.
    NotFound,
    /// The request could not be read.
    Malformed,
    /// The server was not reached.
    Unreachable,
    /// The database does not answer; nothing was changed. The log knows more under this request id.
    Unavailable(String),
    /// It failed; the log knows why under this request id.
    Failed(String),
}

impl ApiError {
    /// The status of an answer that carries it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::SignedOut => 401,
            Self::Forbidden(_) => 403,
            Self::Refused(_) => 409,
            Self::NotFound => 404,
            Self::Malformed => 400,
            Self::Unavailable(_) => 503,
            Self::Unreachable | Self::Failed(_) => 500,
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SignedOut => f.write_str("You are signed out. Sign in again to go on; what you typed stays here."),
            Self::Forbidden(reason) | Self::Refused(reason) => f.write_str(reason),
            Self::NotFound => f.write_str("There is no such thing here, or you may not see it."),
            Self::Malformed => f.write_str("The request could not be read."),
            Self::Unreachable => f.write_str("The server cannot be reached. Nothing was stored; try again."),
            Self::Unavailable(request) => {
                f.write_str(
                    "The database does not answer at the moment, so nothing was changed. Model calls go on; try again soon.",
                )?;
                if request.is_empty() { Ok(()) } else { write!(f, " The log knows more about request {request}.") }
            }
            Self::Failed(request) if request.is_empty() => f.write_str("Something failed on the server. Try again."),
            Self::Failed(request) => {
                write!(f, "Something failed on the server. Try again, or ask the operator about request {request}.")
            }
        }
    }
}

impl std::error::Error for ApiError {}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(value: ServerFnErrorErr) -> Self {
        match value {
            ServerFnErrorErr::Request(_) => Self::Unreachable,
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_) => {
                Self::Malformed
            }
            _ => Self::Failed(String::new()),
        }
    }
}
