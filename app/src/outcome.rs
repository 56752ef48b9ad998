//! What became of a form, in the same words with and without script.

use serde::{Deserialize, Serialize};

/// A message that belongs to one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name; empty when the message concerns the whole form.
    pub field: String,
    /// Lower case, without a full stop.
    pub message: String,
}

impl FieldError {
    /// A message at `field`.
    pub fn new(field: impl Into<String>, message: impl ToString) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }
}

/// What a form's server function answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Stored.
    Done {
        /// Said in passing on the next page.
        message: String,
        /// Where to go; `None` stays.
        next: Option<String>,
        /// A secret that is shown this once and nowhere stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
    /// Nothing was stored; these fields are why.
    Invalid(Vec<FieldError>),
    /// Someone else stored a later revision meanwhile; the page shows both.
    Conflict(String),
    /// Nothing was to be stored: this is what the form asked to see, as markup that the server made.
    Shown(String),
}

impl Outcome {
    /// Stored; stay on the page.
    pub fn done(message: impl Into<String>) -> Self {
        Self::Done { message: message.into(), next: None, secret: None }
    }

    /// Stored; go to `next`.
    pub fn go(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Done { message: message.into(), next: Some(next.into()), secret: None }
    }

    /// One field is wrong.
    pub fn wrong(field: impl Into<String>, message: impl ToString) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// The messages, if nothing was stored.
    pub fn errors(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }
}

/// An outcome that waits in the session for the page after a redirect, with everything that was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// The form it answers.
    pub form: String,
    /// Field names and what was typed into them; never passwords, tokens or credentials.
    pub typed: Vec<(String, String)>,
    /// What became of it.
    pub outcome: Outcome,
}
