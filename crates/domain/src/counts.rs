//! Whole numbers within bounds that are no limits of use: days, maxima.

use crate::{LimitError, parse_limit};

/// Why a typed count was not taken; its `Display` is the message at the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountError {
    /// Nothing was typed.
    Missing,
    /// No whole number, or one that no field takes.
    Unreadable(LimitError),
    /// Outside the bounds.
    Outside {
        /// The number typed.
        given: u64,
        /// The highest allowed; the lowest is 1.
        highest: u64,
    },
}

impl std::fmt::Display for CountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("a number is needed"),
            Self::Unreadable(error) => error.fmt(f),
            Self::Outside { given, highest } => write!(f, "{given} is not between 1 and {highest}"),
        }
    }
}

impl std::error::Error for CountError {}

/// Reads a whole number from 1 to `highest`, written as limits are.
///
/// # Errors
/// A [`CountError`] that says what is wrong with it.
pub fn parse_count(text: &str, highest: u64) -> Result<u64, CountError> {
    match parse_limit(text) {
        Ok(Some(given)) if (1..=highest).contains(&given) => Ok(given),
        Ok(Some(given)) => Err(CountError::Outside { given, highest }),
        Ok(None) => Err(CountError::Missing),
        Err(error) => Err(CountError::Unreadable(error)),
    }
}

/// Bounds of an account's settings: what an installation can bear, far beyond what one needs.
pub mod highest {
    /// Days for which a temporary increase can hold, and days of disuse.
    pub const DAYS: u64 = 3_650;
    /// Workspaces of an account.
    pub const WORKSPACES: u64 = 10_000;
    /// Keys of a workspace.
    pub const KEYS: u64 = 10_000;
    /// Characters of a workspace's name.
    pub const NAME_LENGTH: u64 = 100;
}

#[cfg(test)]
mod tests {
    use super::parse_count;

    #[test]
    fn a_count_lies_between_one_and_its_bound() {
        assert_eq!(parse_count(" 1,000 ", 1_000), Ok(1_000));
        let message = |text: &str| parse_count(text, 30).unwrap_err().to_string();
        assert_eq!(message("0"), "0 is not between 1 and 30");
        assert_eq!(message("31"), "31 is not between 1 and 30");
        assert_eq!(message(" "), "a number is needed");
        assert_eq!(message("1e30"), "1e30 is not a whole number");
        assert_eq!(message("-1"), "-1 is below zero");
    }
}
