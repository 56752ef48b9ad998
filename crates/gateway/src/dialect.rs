//! The three languages that clients speak. Which one a call speaks is decided by its path alone.

/// A client's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Native,
    Anthropic,
}
