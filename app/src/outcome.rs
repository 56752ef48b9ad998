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

/// Names under which secrets are typed, or whole other forms with whatever was typed into them: what stands in these
/// fields is never kept.
pub const SECRETS: [&str; 6] = ["credential", "password", "current", "token", "fields", "beside"];

/// What was typed into one form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    /// The form's name.
    pub form: String,
    /// Field names and what was typed into them. A secret is there with nothing beside it, if one was typed.
    pub fields: Vec<(String, String)>,
}

impl Typed {
    /// What was typed into `form`, without the secrets.
    pub fn new(form: impl Into<String>, fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let kept = fields.into_iter().filter_map(|(name, value)| match SECRETS.contains(&name.as_str()) {
            true if value.is_empty() => None,
            true => Some((name, String::new())),
            false => Some((name, value)),
        });
        Self { form: form.into(), fields: kept.collect() }
    }

    /// What was typed into one field.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }
}

/// An outcome that waits in the session for the page after a redirect, with everything that was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// What was typed into the form it answers.
    pub typed: Typed,
    /// What was typed into another form of the same page and not sent.
    #[serde(default)]
    pub beside: Option<Typed>,
    /// What became of it.
    pub outcome: Outcome,
}

impl Flash {
    /// An outcome of `typed`, and of nothing beside it.
    pub fn new(typed: Typed, outcome: Outcome) -> Self {
        Self { typed, beside: None, outcome }
    }

    /// Whether nothing was stored.
    pub fn failed(&self) -> bool {
        !matches!(self.outcome, Outcome::Done { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_remembered_by_its_name_alone() {
        let pairs = [("name", "a"), ("credential", "sk-secret"), ("password", "")];
        let typed = Typed::new("provider", pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(typed.fields, [("name", "a"), ("credential", "")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        // A form that was kept for after a sign-in is one field of the next.
        let kept = [("resume", "/api/providers/set"), ("fields", "name=a&credential=sk-secret")];
        let typed = Typed::new("sign-in", kept.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(!format!("{typed:?}").contains("secret"), "{typed:?}");
    }
}
