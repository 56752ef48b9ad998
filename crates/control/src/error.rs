//! What a use case says when it does not do what was asked. No text shows SQL.

use store::StoreError;

/// What every use case answers with.
pub type Result<T> = std::result::Result<T, ControlError>;

/// What is wrong with one field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name; of a list's entry `name.entry`, e.g. `rpm.qwen-plus`.
    pub field: String,
    /// The message to stand under it.
    pub message: String,
}

impl FieldError {
    /// A message at a field.
    #[expect(clippy::needless_pass_by_value, reason = "errors and literals are handed in alike")]
    pub fn new(field: impl Into<String>, message: impl ToString) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }
}

/// Why something was not done. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The actor may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is no such thing in this account.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// Fields that are wrong, each with its message.
    #[error("{}", .0.iter().map(|it| format!("{}: {}", it.field, it.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// Someone else changed it since it was read.
    #[error("{0} was changed by someone else meanwhile")]
    Conflict(&'static str),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Refused(String),
    /// Unknown address or wrong password: deliberately the same.
    #[error("the address or the password is wrong")]
    WrongCredentials,
    /// Too many failed attempts.
    #[error("too many attempts; try again in {retry_after_s} s")]
    TooManyAttempts {
        /// Whole seconds until the next attempt is looked at.
        retry_after_s: u64,
    },
    /// The database could not.
    #[error(transparent)]
    Store(StoreError),
}

impl ControlError {
    /// One message at one field.
    pub fn field(field: impl Into<String>, message: impl ToString) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Collects what is wrong with a form, so that all of it is said at once.
#[derive(Debug, Default)]
pub(crate) struct Check(Vec<FieldError>);

impl Check {
    /// The value, or `None` and a message at `field`.
    pub(crate) fn take<T, E: ToString>(&mut self, field: &str, value: std::result::Result<T, E>) -> Option<T> {
        value.map_err(|error| self.wrong(field, error)).ok()
    }

    /// A message at `field`.
    pub(crate) fn wrong(&mut self, field: &str, message: impl ToString) {
        self.0.push(FieldError::new(field, message));
    }

    /// Ends with every message, if there is any.
    pub(crate) fn done(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(ControlError::Invalid(self.0)) }
    }
}
