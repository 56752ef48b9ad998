//! Limits of one scope, how a workspace's relate to the account's, and how a typed limit is read.
//! The only place where a workspace's limit is checked against the account's: browser and server call it alike.

use serde::{Deserialize, Serialize};

use crate::{Cause, Rpm, Tpm, units::HIGHEST_LIMIT};

/// RPM and TPM of one scope; `None` means no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Requests in any sliding 60 s.
    pub rpm: Option<Rpm>,
    /// Tokens in any sliding 60 s.
    pub tpm: Option<Tpm>,
}

impl Limits {
    /// The lower of both in each dimension: what holds for a workspace under an account.
    pub fn lower(self, other: Self) -> Self {
        Self { rpm: lower(self.rpm, other.rpm), tpm: lower(self.tpm, other.tpm) }
    }
}

fn lower<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Why a typed limit was not taken; its `Display` is the message at the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// Not a whole number in decimal digits.
    NotWhole(String),
    /// Below zero.
    Negative(String),
    /// More than [`HIGHEST_LIMIT`], or than 64 bits can hold.
    TooLarge(String),
    /// A limit that an account must have is missing.
    Missing,
    /// An account's limit of 0.
    Zero,
    /// A workspace's limit above the account's.
    AboveAccount {
        /// The number typed.
        given: u64,
        /// The account's effective limit.
        account: u64,
        /// Which of the two limits.
        of: Cause,
    },
    /// A token limit for a model that is metered in calls.
    NotMetered,
}

impl std::fmt::Display for LimitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotWhole(text) => write!(f, "{text} is not a whole number"),
            Self::Negative(text) => write!(f, "{text} is below zero"),
            Self::TooLarge(text) => write!(f, "{text} is above the highest possible limit of {HIGHEST_LIMIT}"),
            Self::Missing => f.write_str("a limit is needed"),
            Self::Zero => f.write_str("an account's limit must be at least 1"),
            Self::AboveAccount { given, account, of } => {
                let unit = if *of == Cause::Tokens { "tokens" } else { "requests" };
                write!(f, "{given} is above the account limit of {account} {unit} per minute")
            }
            Self::NotMetered => f.write_str("this model is not metered in tokens"),
        }
    }
}

impl std::error::Error for LimitError {}

/// Reads a limit as people type it: digits, optionally grouped by `,`, `_`, spaces or `'`; empty is `None`.
///
/// # Errors
/// [`LimitError::NotWhole`], [`LimitError::Negative`] or [`LimitError::TooLarge`], with the text as it was typed
/// (shortened to 40 characters).
pub fn parse_limit(text: &str) -> Result<Option<u64>, LimitError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let shown = || match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    let unsigned = text.strip_prefix(['-', '\u{2212}']);
    let (negative, body) = unsigned.map_or((false, text), |rest| (true, rest.trim_start()));
    let grouped = |c: char| matches!(c, ',' | '_' | ' ' | '\'' | '\u{a0}' | '\u{2009}' | '\u{202f}');
    let outer_grouping = body.starts_with(grouped) || body.ends_with(grouped);
    let digits: String = body.chars().filter(|c| !grouped(*c)).collect();
    if digits.is_empty()
        || outer_grouping
        || !digits.bytes().all(|b| b.is_ascii_digit())
        || badly_grouped(body, grouped)
    {
        return Err(LimitError::NotWhole(shown()));
    }
    let significant = digits.trim_start_matches('0');
    if negative && !significant.is_empty() {
        return Err(LimitError::Negative(shown()));
    }
    match if significant.is_empty() { Ok(0) } else { significant.parse::<u64>() } {
        Ok(n) if n <= HIGHEST_LIMIT => Ok(Some(n)),
        _ => Err(LimitError::TooLarge(shown())),
    }
}

/// `1,5` must not become 15: every group after the first has three digits.
fn badly_grouped(body: &str, grouped: impl Fn(char) -> bool) -> bool {
    let mut groups = body.split(grouped);
    groups.next();
    groups.any(|group| group.len() != 3)
}

/// Checks one typed limit of a workspace against the account's effective limit of the same dimension.
///
/// # Errors
/// [`LimitError::AboveAccount`] when `given` is above `account`.
pub fn check_workspace_limit(given: Option<u64>, account: Option<u64>, of: Cause) -> Result<(), LimitError> {
    match (given, account) {
        (Some(given), Some(account)) if given > account => Err(LimitError::AboveAccount { given, account, of }),
        _ => Ok(()),
    }
}

/// The same for a workspace that has `stored` already: what is stored may stay when the account's limit falls below it,
/// and the lower of both holds.
///
/// # Errors
/// [`LimitError::AboveAccount`] when `given` is another limit than `stored`, and above `account`.
pub fn check_changed_limit(
    given: Option<u64>,
    stored: Option<u64>,
    account: Option<u64>,
    of: Cause,
) -> Result<(), LimitError> {
    if given == stored { Ok(()) } else { check_workspace_limit(given, account, of) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_limits() {
        for (text, expected) in [
            ("", None),
            ("  ", None),
            ("0", Some(0)),
            ("600", Some(600)),
            (" 1,000,000 ", Some(1_000_000)),
            ("1_000", Some(1000)),
            ("5 000", Some(5000)),
            ("007", Some(7)),
            ("-0", Some(0)),
        ] {
            assert_eq!(parse_limit(text), Ok(expected), "{text:?}");
        }
        for text in ["1e30", "1.5", "five", "1,5", ",5", "5,", "0x10", "٣", "--1", "1 2", "-"] {
            assert!(matches!(parse_limit(text), Err(LimitError::NotWhole(_))), "{text:?}");
        }
        assert_eq!(parse_limit("-5"), Err(LimitError::Negative("-5".into())));
        for text in ["1000000000001", "18446744073709551616", &"9".repeat(400)] {
            assert!(matches!(parse_limit(text), Err(LimitError::TooLarge(_))), "{text:?}");
        }
    }

    #[test]
    fn a_workspace_stays_within_the_account() {
        let message = check_workspace_limit(Some(900), Some(600), Cause::Requests).unwrap_err().to_string();
        assert_eq!(message, "900 is above the account limit of 600 requests per minute");
        assert_eq!(check_workspace_limit(Some(600), Some(600), Cause::Tokens), Ok(()));
        assert_eq!(check_workspace_limit(Some(600), None, Cause::Tokens), Ok(()));
        assert_eq!(check_workspace_limit(None, Some(1), Cause::Tokens), Ok(()));
        let changed = |given| check_changed_limit(Some(given), Some(900), Some(600), Cause::Requests).is_ok();
        assert_eq!([900, 600, 601, 901].map(changed), [true, true, false, false]);
    }

    #[test]
    fn the_lower_of_both_holds() {
        let own = Limits { rpm: Rpm::new(100), tpm: None };
        let account = Limits { rpm: Rpm::new(60), tpm: Tpm::new(1000) };
        assert_eq!(own.lower(account), account);
    }
}
