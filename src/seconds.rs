//! The last ten minutes in seconds: what each workspace's calls on each model were charged and how many were refused.
//! The flush fills it from what it takes anyway, the console reads it; no call waits for it, and no query makes it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use app::ssr::{LastSeconds, SecondUse};
use domain::{AccountId, ModelCode, WorkspaceId};
use parking_lot::Mutex;

/// How long a second is remembered.
const KEPT_S: i64 = 600;

/// Beyond it the wall clock was set, and seconds are counted by the new one.
const STEP_MS: i64 = 500;

/// What one second of one workspace and model is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Second {
    at_s: i64,
    requests: i64,
    // Below 0 for a moment, when a settlement gives back what a second before it was charged.
    tokens: i64,
    refused: i64,
}

/// Only seconds with calls take room: 32 bytes each, at most 600 for a workspace and model.
type Kept = HashMap<(AccountId, ModelCode), HashMap<WorkspaceId, VecDeque<Second>>>;

/// Every account's last ten minutes.
#[derive(Debug)]
pub struct Seconds {
    since_s: i64,
    kept: Mutex<Kept>,
    /// Wall clock minus monotonic clock, in milliseconds.
    offset_ms: Mutex<Option<i64>>,
}

/// Whose second it is.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// The model.
    pub model: &'a ModelCode,
    /// The workspace that called.
    pub workspace: &'a WorkspaceId,
}

impl Seconds {
    /// Nothing is known from before `now_ms`.
    pub fn new(now_ms: i64) -> Self {
        Self { since_s: now_ms.div_euclid(1_000), kept: Mutex::default(), offset_ms: Mutex::default() }
    }

    /// The wall clock's instant of a monotonic one. The distance of the two is kept until the wall clock is set, so that
    /// a charge and its settlement fall into the same second.
    pub fn wall_ms(&self, at_us: u64, now_us: u64, now_ms: i64) -> i64 {
        let measured = now_ms - millis(now_us);
        let mut offset = self.offset_ms.lock();
        let kept = offset.filter(|it| (it - measured).abs() < STEP_MS).unwrap_or(measured);
        *offset = Some(kept);
        millis(at_us) + kept
    }

    /// Adds a change of what was charged. `at_ms` lies in the tenth of a second that was charged.
    pub fn charge(&self, whose: Whose<'_>, at_ms: i64, requests: i64, tokens: i64) {
        self.change(whose, at_ms, |second| {
            second.requests += requests;
            second.tokens = second.tokens.saturating_add(tokens);
        });
    }

    /// Counts a refused call.
    pub fn refuse(&self, whose: Whose<'_>, at_ms: i64) {
        self.change(whose, at_ms, |second| second.refused += 1);
    }

    fn change(&self, whose: Whose<'_>, at_ms: i64, change: impl FnOnce(&mut Second)) {
        let at_s = at_ms.div_euclid(1_000);
        let mut kept = self.kept.lock();
        let of_model = kept.entry((whose.account.clone(), whose.model.clone())).or_default();
        let seconds = of_model.entry(whose.workspace.clone()).or_default();
        let newest = seconds.back().map_or(at_s, |it| it.at_s.max(at_s));
        while seconds.front().is_some_and(|it| it.at_s <= newest - KEPT_S) {
            seconds.pop_front();
        }
        let place = seconds.partition_point(|it| it.at_s < at_s);
        if seconds.get(place).is_none_or(|it| it.at_s != at_s) {
            if at_s <= newest - KEPT_S {
                return;
            }
            seconds.insert(place, Second { at_s, requests: 0, tokens: 0, refused: 0 });
        }
        change(&mut seconds[place]);
    }

    /// The last seconds of a model: of one workspace, or of all together.
    pub fn of(&self, account: &AccountId, model: &ModelCode, workspace: Option<&WorkspaceId>) -> LastSeconds {
        let kept = self.kept.lock();
        let none = HashMap::new();
        let of_model = kept.get(&(account.clone(), model.clone())).unwrap_or(&none);
        let mut sums: BTreeMap<i64, Second> = BTreeMap::new();
        for (_, seconds) in of_model.iter().filter(|(id, _)| workspace.is_none_or(|it| it == *id)) {
            for second in seconds {
                let sum = sums.entry(second.at_s).or_insert(Second { requests: 0, tokens: 0, refused: 0, ..*second });
                sum.requests += second.requests;
                sum.tokens = sum.tokens.saturating_add(second.tokens);
                sum.refused += second.refused;
            }
        }
        let shown = |it: Second| SecondUse {
            at_s: it.at_s,
            requests: unsigned(it.requests),
            tokens: unsigned(it.tokens),
            refused: unsigned(it.refused),
        };
        LastSeconds { since_s: self.since_s, seconds: sums.into_values().map(shown).collect() }
    }

    /// Forgets what is older than ten minutes, and models that nobody calls.
    pub fn sweep(&self, now_ms: i64) {
        let oldest = now_ms.div_euclid(1_000) - KEPT_S;
        self.kept.lock().retain(|_, of_model| {
            of_model.retain(|_, seconds| seconds.back().is_some_and(|it| it.at_s > oldest));
            !of_model.is_empty()
        });
    }
}

fn millis(us: u64) -> i64 {
    i64::try_from(us / 1_000).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (AccountId, ModelCode, [WorkspaceId; 2]) {
        let model = ModelCode::parse("qwen-plus").expect("a model's code");
        (AccountId::new("a"), model, ["search", "support"].map(WorkspaceId::new))
    }

    #[test]
    fn seconds_add_up_over_workspaces_and_settlements() {
        let (account, model, [search, support]) = names();
        let whose = |workspace| Whose { account: &account, model: &model, workspace };
        let seconds = Seconds::new(0);
        seconds.charge(whose(&search), 10_050, 2, 900);
        seconds.charge(whose(&search), 12_000, 1, 50);
        seconds.charge(whose(&support), 10_999, 1, 100);
        seconds.charge(whose(&search), 10_150, 0, -400);
        seconds.refuse(whose(&support), 10_400);
        let second = |at_s, requests, tokens, refused| SecondUse { at_s, requests, tokens, refused };
        assert_eq!(seconds.of(&account, &model, None).seconds, [second(10, 3, 600, 1), second(12, 1, 50, 0)]);
        assert_eq!(seconds.of(&account, &model, Some(&support)).seconds, [second(10, 1, 100, 1)]);
        assert_eq!(seconds.of(&AccountId::new("b"), &model, None).seconds, []);
    }

    #[test]
    fn what_is_older_than_ten_minutes_is_forgotten() {
        let (account, model, [search, _]) = names();
        let whose = Whose { account: &account, model: &model, workspace: &search };
        let seconds = Seconds::new(0);
        for at_s in 0..2_000 {
            seconds.charge(whose, at_s * 1_000, 1, 0);
        }
        let kept = seconds.of(&account, &model, None).seconds;
        assert_eq!((kept.len(), kept[0].at_s), (600, 1_400));
        seconds.charge(whose, 1_000_000, 1, 0);
        assert_eq!(
            seconds.of(&account, &model, None).seconds.len(),
            600,
            "a settlement that is too late changes nothing"
        );
        seconds.sweep(1_999_000 + 599_000);
        assert_eq!(seconds.of(&account, &model, None).seconds.len(), 600);
        seconds.sweep(1_999_000 + 601_000);
        assert_eq!(seconds.of(&account, &model, None).seconds, []);
    }

    #[test]
    fn a_charge_and_its_settlement_fall_into_one_second_though_the_clocks_drift() {
        let seconds = Seconds::new(0);
        let first = seconds.wall_ms(5_000_000, 5_000_000, 1_005_000);
        assert_eq!(seconds.wall_ms(5_000_000, 9_000_000, 1_009_090), first);
        assert_eq!(seconds.wall_ms(5_000_000, 9_000_000, 2_009_000), 2_005_000, "the wall clock was set");
    }
}
