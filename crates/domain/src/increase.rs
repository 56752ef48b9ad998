//! Temporary increases of a model's TPM: when one is taken, and what becomes of it.

use crate::refusal::words;
use serde::{Deserialize, Serialize};

words! {
    /// What became of a temporary increase.
    IncreaseState {
        /// In force.
        Active = "active",
        /// A later request took its place.
        Replaced = "replaced",
        /// Its time ran out.
        Expired = "expired",
        /// Withdrawn because nothing used it.
        Downsized = "downsized",
        /// Ended by a person.
        Ended = "ended",
    }
}

impl IncreaseState {
    /// How the history says it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Downsized => "downsized",
            Self::Ended => "ended by hand",
        }
    }
}

/// Why an increase was refused; its `Display` is the message at the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncreaseError {
    /// At or below the quota in force.
    NotAbove {
        /// Tokens asked for.
        given: u64,
        /// The effective TPM of the moment.
        current: u64,
    },
    /// Above the model's upper limit.
    AboveUpper {
        /// Tokens asked for.
        given: u64,
        /// The model's upper limit.
        upper: u64,
    },
}

impl std::fmt::Display for IncreaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAbove { given, current } => write!(f, "{given} is not above the current quota of {current}"),
            Self::AboveUpper { given, upper } => write!(f, "{given} is above the upper limit of {upper}"),
        }
    }
}

impl std::error::Error for IncreaseError {}

/// Checks a request for `given` tokens per 60 s. `running` is the increase in force, if any: asking for exactly that
/// again renews its time.
///
/// # Errors
/// [`IncreaseError`] at or below `current`, or above `upper`.
pub fn check_increase(given: u64, current: u64, upper: u64, running: Option<u64>) -> Result<(), IncreaseError> {
    if given > upper {
        return Err(IncreaseError::AboveUpper { given, upper });
    }
    if given <= current && running != Some(given) {
        return Err(IncreaseError::NotAbove { given, current });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_increase_lies_above_the_quota_and_within_the_upper_limit() {
        assert_eq!(check_increase(1_500, 1_000, 2_000, None), Ok(()));
        assert_eq!(check_increase(2_000, 1_000, 2_000, None), Ok(()));
        assert_eq!(
            check_increase(1_000, 1_000, 2_000, None),
            Err(IncreaseError::NotAbove { given: 1_000, current: 1_000 })
        );
        assert_eq!(
            check_increase(2_001, 1_000, 2_000, None),
            Err(IncreaseError::AboveUpper { given: 2_001, upper: 2_000 })
        );
        assert_eq!(check_increase(1_500, 1_500, 2_000, Some(1_500)), Ok(()));
    }
}
