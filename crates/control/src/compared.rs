//! What tiles are compared with: the sums of the range before the one that is shown. It is over, so what was added up of it
//! is good for some seconds, and a page that keeps itself up to date reads half as much.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use domain::TimeRange;

use crate::figures::Summary;

/// A call that ended late, or was spooled, is in the comparison after so long.
const GOOD_MS: i64 = 10_000;

/// Comparisons that are kept at most.
const KEPT: usize = 256;

/// Of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Of {
    pub(crate) account: String,
    /// Empty for all.
    pub(crate) workspace: String,
    /// Empty for all.
    pub(crate) model: String,
    /// Whose milliseconds; see [`TimeRange`].
    pub(crate) range: (i64, i64),
}

impl Of {
    pub(crate) fn new(account: &str, workspace: &str, model: &str, range: TimeRange) -> Self {
        let [account, workspace, model] = [account, workspace, model].map(str::to_owned);
        Self { account, workspace, model, range: (range.from_ms, range.to_ms) }
    }
}

/// Comparisons, and when each was added up.
#[derive(Debug, Default)]
pub(crate) struct Compared(Mutex<HashMap<Of, (i64, Summary)>>);

impl Compared {
    /// What was added up a moment ago.
    pub(crate) fn find(&self, of: &Of, now_ms: i64) -> Option<Summary> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(of).filter(|it| is_good(it.0, now_ms)).map(|it| it.1)
    }

    pub(crate) fn keep(&self, of: Of, now_ms: i64, summary: Summary) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.retain(|_, it| is_good(it.0, now_ms));
        }
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(of, (now_ms, summary));
    }
}

/// A clock that was set back makes nothing good for longer.
const fn is_good(at_ms: i64, now_ms: i64) -> bool {
    let age_ms = now_ms.saturating_sub(at_ms);
    0 <= age_ms && age_ms < GOOD_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(workspace: &str, from_ms: i64) -> Of {
        Of::new("a", workspace, "", TimeRange { from_ms, to_ms: 60_000 })
    }

    #[test]
    fn a_comparison_is_good_for_some_seconds_and_for_what_it_is_of() {
        let compared = Compared::default();
        let summary = Summary { total_calls: 7, ..Summary::default() };
        compared.keep(of("w", 0), 100_000, summary);
        assert_eq!(compared.find(&of("w", 0), 109_999), Some(summary));
        for (asked, now_ms) in
            [(of("w", 0), 110_000), (of("w", 0), 99_999), (of("", 0), 100_000), (of("w", 1), 100_000)]
        {
            assert_eq!(compared.find(&asked, now_ms), None);
        }
    }

    #[test]
    fn no_more_are_kept_than_may_be() {
        let compared = Compared::default();
        for from_ms in 0..2_000 {
            compared.keep(of("w", from_ms), from_ms, Summary::default());
            assert!(compared.0.lock().unwrap().len() <= KEPT);
        }
        assert!(compared.find(&of("w", 1_999), 1_999).is_some());
    }
}
