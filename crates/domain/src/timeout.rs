//! How long a provider is waited for, where a model has a time-out of its own.

/// Whole seconds from 1 to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeoutSeconds(u32);

/// Why a time-out was not taken; its `Display` is the message at the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutError(String);

impl std::fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not a whole number of seconds from 1 to {}", self.0, TimeoutSeconds::LONGEST)
    }
}

impl std::error::Error for TimeoutError {}

impl TimeoutSeconds {
    /// A day: nothing that answers at all is waited for longer.
    pub const LONGEST: u32 = 86_400;

    /// A time-out of so many seconds.
    ///
    /// # Errors
    /// Below 1 or above [`Self::LONGEST`].
    pub fn new(seconds: i64) -> Result<Self, TimeoutError> {
        match u32::try_from(seconds) {
            Ok(seconds @ 1..=Self::LONGEST) => Ok(Self(seconds)),
            _ => Err(TimeoutError(seconds.to_string())),
        }
    }

    /// Reads what was typed; empty is `None`: as the settings have it.
    ///
    /// # Errors
    /// No whole number within the bounds.
    pub fn parse(text: &str) -> Result<Option<Self>, TimeoutError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let seconds = text.parse().map_err(|_| TimeoutError(text.chars().take(40).collect()))?;
        Self::new(seconds).map(Some)
    }

    /// The seconds.
    pub const fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_a_second_to_a_day() {
        assert_eq!(TimeoutSeconds::parse("  "), Ok(None));
        assert_eq!(TimeoutSeconds::parse(" 600 "), Ok(Some(TimeoutSeconds(600))));
        assert!(TimeoutSeconds::new(1).is_ok() && TimeoutSeconds::new(86_400).is_ok());
        for text in ["0", "-1", "86401", "1.5", "10s", "99999999999999999999"] {
            let told = TimeoutSeconds::parse(text).unwrap_err().to_string();
            assert_eq!(told, format!("{text} is not a whole number of seconds from 1 to 86400"));
        }
    }
}
