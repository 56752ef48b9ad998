//! Ranges of whole minutes that figures are shown for. The clock is an argument.

use serde::{Deserialize, Serialize};

/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60_000;

macro_rules! presets {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $label:literal, $minutes:literal;)*) => {
        /// The ranges offered as buttons.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Preset { $($(#[$doc])* $name),* }

        impl Preset {
            /// Every preset, shortest first.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// The word in addresses and commands, e.g. `3h`.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $word),* } }
            /// The text on the button, e.g. `3 Hours`.
            pub const fn label(self) -> &'static str { match self { $(Self::$name => $label),* } }
            /// Its length in minutes.
            pub const fn minutes(self) -> i64 { match self { $(Self::$name => $minutes),* } }
        }
    };
}

presets! {
    /// The last hour.
    Hour = "1h", "1 Hour", 60;
    /// The last three hours: what opens first.
    #[default] ThreeHours = "3h", "3 Hours", 180;
    /// The last day.
    Day = "24h", "24 Hours", 1_440;
    /// The last week.
    Week = "7d", "7 Days", 10_080;
    /// The last 30 days.
    Month = "30d", "30 Days", 43_200;
}

impl Preset {
    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == word)
    }
}

/// A half-open range `[from, to)` of whole minutes, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// First instant inside.
    pub from_ms: i64,
    /// First instant outside.
    pub to_ms: i64,
}

/// Why a range was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// It ends before it begins, or is empty.
    Reversed,
    /// Neither a preset nor minutes, hours or days such as `90m`, `5h`, `14d`.
    Unknown,
}

impl std::fmt::Display for RangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reversed => "the range ends before it begins",
            Self::Unknown => "a range is a number of minutes, hours or days, such as 90m, 3h or 7d",
        })
    }
}

impl std::error::Error for RangeError {}

impl TimeRange {
    /// From the minute that holds `from_ms` to the end of the one before `to_ms`'s, or `to_ms` itself if it is whole.
    ///
    /// # Errors
    /// [`RangeError::Reversed`] when nothing is left.
    pub fn custom(from_ms: i64, to_ms: i64) -> Result<Self, RangeError> {
        let from_ms = from_ms.div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
        let to_ms = to_ms.saturating_add(MINUTE_MS - 1).div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
        if from_ms < to_ms { Ok(Self { from_ms, to_ms }) } else { Err(RangeError::Reversed) }
    }

    /// The last `minutes` minutes, the one that holds `now_ms` included.
    pub const fn ending_now(minutes: i64, now_ms: i64) -> Self {
        let to_ms = (now_ms.div_euclid(MINUTE_MS) + 1) * MINUTE_MS;
        Self { from_ms: to_ms - minutes * MINUTE_MS, to_ms }
    }

    /// The range of the same length that ends where this one begins.
    pub const fn previous(self) -> Self {
        Self { from_ms: self.from_ms - (self.to_ms - self.from_ms), to_ms: self.from_ms }
    }

    /// Its length in minutes.
    pub const fn minutes(self) -> i64 {
        (self.to_ms - self.from_ms) / MINUTE_MS
    }
}

/// Reads a length such as `90m`, `3h` or `7d` in minutes, at most ten years.
///
/// # Errors
/// [`RangeError::Unknown`] for anything else.
pub fn parse_minutes(text: &str) -> Result<i64, RangeError> {
    let unit = match text.as_bytes().last() {
        Some(b'm') => 1,
        Some(b'h') => 60,
        Some(b'd') => 1_440,
        _ => return Err(RangeError::Unknown),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || digits.len() > 7 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RangeError::Unknown);
    }
    match digits.parse::<i64>().map(|n| n * unit) {
        Ok(minutes) if (1..=5_256_000).contains(&minutes) => Ok(minutes),
        _ => Err(RangeError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_made_of_whole_minutes() {
        let range = TimeRange::ending_now(180, 1_000_000_030_000);
        assert_eq!((range.to_ms % MINUTE_MS, range.minutes()), (0, 180));
        assert!(range.from_ms <= 1_000_000_030_000 && 1_000_000_030_000 < range.to_ms);
        assert_eq!(range.previous().to_ms, range.from_ms);
        assert_eq!(TimeRange::custom(61_000, 119_000), Ok(TimeRange { from_ms: 60_000, to_ms: 120_000 }));
        assert_eq!(TimeRange::custom(120_000, 60_000), Err(RangeError::Reversed));
    }

    #[test]
    fn lengths() {
        assert_eq!(["3h", "90m", "7d"].map(parse_minutes), [Ok(180), Ok(90), Ok(10_080)]);
        for text in ["", "h", "3", "3w", "-3h", "99999999d", "0m", "é"] {
            assert_eq!(parse_minutes(text), Err(RangeError::Unknown), "{text:?}");
        }
    }
}
