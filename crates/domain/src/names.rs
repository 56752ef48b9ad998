//! Names that people and programs give to things, checked once.

use serde::{Deserialize, Serialize};

/// Why a name was not taken; its `Display` is the message at the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing but white space.
    Empty,
    /// More characters than allowed.
    TooLong {
        /// Characters given.
        given: usize,
        /// Characters allowed.
        allowed: usize,
    },
    /// A character that cannot stand in such a name.
    Character(char),
    /// The name of the default workspace, in any case.
    Reserved,
}

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("a name is needed"),
            Self::TooLong { given, allowed } => write!(f, "{given} characters are more than the {allowed} allowed"),
            Self::Character(c) if c.is_control() => {
                write!(f, "control character U+{:04X} is not allowed", u32::from(*c))
            }
            Self::Character(c) => write!(f, "character {c:?} is not allowed"),
            Self::Reserved => f.write_str("\"default\" is the name of the default workspace"),
        }
    }
}

impl std::error::Error for NameError {}

fn shown(text: &str, allowed: usize) -> Result<String, NameError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let given = text.chars().count();
    if given > allowed {
        return Err(NameError::TooLong { given, allowed });
    }
    // Bidirectional overrides could make one name look like another in tables and refusals.
    let hidden = |c: &char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match text.chars().find(hidden) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(text.to_owned()),
    }
}

fn code(text: &str, allowed: usize, may: impl Fn(char) -> bool) -> Result<String, NameError> {
    let text = shown(text, allowed)?;
    match text.chars().find(|c| !may(*c)) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(text),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Trims and checks `text`.
            ///
            /// # Errors
            /// A [`NameError`] that says what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let parse: fn(&str) -> Result<String, NameError> = $parse;
                parse(text).map(Self)
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The name that every command gives to an account's default workspace.
pub const DEFAULT_WORKSPACE: &str = "default";

name! {
    /// A workspace's name: at most 30 characters unless the account's settings say otherwise (checked there).
    WorkspaceName, |text| {
        let name = shown(text, 100)?;
        if name.eq_ignore_ascii_case(DEFAULT_WORKSPACE) { Err(NameError::Reserved) } else { Ok(name) }
    }
}
name! {
    /// What people call a key, a member or an account: up to 100 characters, none of them invisible.
    DisplayName, |text| shown(text, 100)
}
name! {
    /// The name by which clients call a model, e.g. `qwen-plus` or `org/model:tag`.
    ModelCode, |text| code(text, 128, |c| c.is_ascii_alphanumeric() || "._-/:@+".contains(c))
}
name! {
    /// A provider's name, as it stands in files and error messages.
    ProviderName, |text| code(text, 64, |c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

impl WorkspaceName {
    /// Refuses a name longer than the account's setting.
    ///
    /// # Errors
    /// [`NameError::TooLong`] with both lengths.
    pub fn within(self, allowed: usize) -> Result<Self, NameError> {
        let given = self.0.chars().count();
        if given > allowed { Err(NameError::TooLong { given, allowed }) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_checked() {
        assert_eq!(WorkspaceName::parse("  search ").unwrap().as_str(), "search");
        assert_eq!(WorkspaceName::parse(" \t"), Err(NameError::Empty));
        assert_eq!(WorkspaceName::parse("Default"), Err(NameError::Reserved));
        assert_eq!(WorkspaceName::parse("a\u{202e}b"), Err(NameError::Character('\u{202e}')));
        assert_eq!(
            WorkspaceName::parse(&"é".repeat(31)).unwrap().within(30),
            Err(NameError::TooLong { given: 31, allowed: 30 })
        );
        assert_eq!(ModelCode::parse("qwen plus"), Err(NameError::Character(' ')));
        assert!(ModelCode::parse("qwen3-vl-plus:2025@x/y").is_ok());
    }
}
