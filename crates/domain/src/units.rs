//! Numbers that carry a limit. Bounds are settled when a value is made, once.

use serde::{Deserialize, Serialize};

/// The highest limit that can be stored: beyond any provider's, and exact in a 53-bit browser number.
pub const HIGHEST_LIMIT: u64 = 1_000_000_000_000;

/// `max(1, ceil(n / 60))`: what a limit of `n` a minute allows in any sliding second.
///
/// Source: the seed page (`RPS = RPM / 60, TPS = TPM / 60`), rounded up so that every limit above 0 admits something.
pub const fn ceil60(n: u64) -> u64 {
    let per_second = n.div_ceil(60);
    if per_second == 0 { 1 } else { per_second }
}

macro_rules! per_minute {
    ($(#[$doc:meta] $name:ident),* $(,)?) => { $(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// A limit of `n` in any sliding 60 s; `None` above [`HIGHEST_LIMIT`]. 0 admits nothing.
            pub const fn new(n: u64) -> Option<Self> {
                if n > HIGHEST_LIMIT { None } else { Some(Self(n)) }
            }

            /// The number allowed in any sliding 60 s.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number allowed in any sliding second, see [`ceil60`].
            pub const fn per_second(self) -> u64 {
                ceil60(self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )* };
}

per_minute! {
    /// Requests per minute.
    Rpm,
    /// Tokens per minute.
    Tpm,
}

/// What a model's use is measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metering {
    /// Requests and tokens.
    #[default]
    Tokens,
    /// Requests alone: no token limit, no token headers.
    Calls,
}

impl Metering {
    /// The word in files and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Calls => "calls",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Tokens, Self::Calls].into_iter().find(|it| it.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_a_sixtieth_rounded_up_and_never_nothing() {
        assert_eq!([0, 1, 30, 60, 61, 90, 600, 1_000_000].map(ceil60), [1, 1, 1, 1, 2, 2, 10, 16_667]);
    }

    #[test]
    fn a_limit_beyond_the_highest_cannot_be_made() {
        assert!(Rpm::new(HIGHEST_LIMIT).is_some());
        assert!(Tpm::new(HIGHEST_LIMIT + 1).is_none());
    }
}
