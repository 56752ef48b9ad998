//! One (account, model) as the journal tells it: what its scopes are charged in the sliding minute and the sliding second,
//! and the judgement of each admission. Knows records; knows nothing of bytes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use domain::{Cause, Window, ceil60};

use crate::{
    Reserved,
    in_force::NONE,
    log::{MINUTE, SECOND},
};

/// An index into a cell's scopes.
pub(super) type ScopeIndex = usize;
pub(super) const ACCOUNT: ScopeIndex = 0;

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) at: i64,
    pub(super) scope: ScopeIndex,
    pub(super) requests: u64,
    pub(super) tokens: Reserved,
    pub(super) second: u64,
    /// While a call runs, the tokens it is known to have used; `None`: all of its charge is.
    pub(super) seen: Option<u64>,
    /// What of its charge an unclean stop has lost: the run that followed did not know of it.
    pub(super) lost: Reserved,
}

/// A charge as it was before it was corrected.
struct Correction {
    at: i64,
    /// Which entry, counted from the first there ever was.
    entry: u64,
    old: Reserved,
}

/// One (account, model) as the journal tells it.
pub(super) struct Cell {
    /// A minute of charges in order of time.
    entries: VecDeque<Entry>,
    /// So many entries came before those.
    left: u64,
    /// The corrections of this run in the minute.
    corrections: VecDeque<Correction>,
    /// So many of the first entries have left the second.
    outside_second: usize,
    /// Tells runs of the process apart: each has a clock of its own.
    pub(super) offset: Option<i64>,
    /// The numbers that may be corrected: those of this run that follow each other without a gap.
    sequences: std::ops::Range<u64>,
    /// The account first.
    pub(super) scopes: Vec<Judged>,
    pub(super) admissions: u64,
    pub(super) cut_off: u64,
}

/// One scope: what it is charged, what it may be, and the highest it was.
#[derive(Default)]
pub(super) struct Judged {
    /// The workspace's id; `None` for the account.
    pub(super) workspace: Option<String>,
    pub(super) limits: (u64, u64),
    minute: Held,
    second: Held,
    /// What of the minute's tokens an unclean stop has lost.
    lost: u128,
    pub(super) highest: BTreeMap<(Cause, Window), Highest>,
}

#[derive(Clone, Copy, Default)]
struct Held {
    requests: u64,
    tokens: u128,
}

#[derive(Default)]
pub(super) struct Highest {
    pub(super) used: u64,
    pub(super) limit: u64,
    pub(super) at: i64,
    pub(super) exceeded: u64,
    pub(super) lost: u64,
    pub(super) bigger: u64,
}

impl Default for Cell {
    fn default() -> Self {
        let account = Judged { limits: (NONE, NONE), ..Judged::default() };
        Self {
            entries: VecDeque::new(),
            left: 0,
            corrections: VecDeque::new(),
            outside_second: 0,
            offset: None,
            sequences: 0..0,
            scopes: vec![account],
            admissions: 0,
            cut_off: 0,
        }
    }
}

impl Cell {
    pub(super) fn scope(&mut self, workspace: String) -> ScopeIndex {
        let workspace = Some(workspace);
        self.scopes.iter().position(|it| it.workspace == workspace).unwrap_or_else(|| {
            self.scopes.push(Judged { workspace, limits: (NONE, NONE), ..Judged::default() });
            self.scopes.len() - 1
        })
    }

    /// Goes on to `now`; `run` is given with the first record of a chunk: its offset and first sequence number.
    pub(super) fn reach(&mut self, now: i64, run: Option<(i64, u64)>) {
        if let Some((offset, first)) = run {
            if self.entries.back().is_some_and(|it| it.at > now) {
                // The wall clock went back between two runs: their windows cannot be compared.
                self.left += self.entries.len() as u64;
                self.entries.clear();
                self.outside_second = 0;
                self.scopes.iter_mut().for_each(|it| (it.minute, it.second, it.lost) = Default::default());
            }
            if self.offset != Some(offset) || self.sequences.end != first {
                (self.offset, self.sequences) = (Some(offset), first..first);
            }
        }
        while let Some(&entry) = self.entries.get(self.outside_second)
            && now - entry.at >= SECOND.cast_signed()
        {
            self.outside_second += 1;
            self.each(entry.scope, |it, _| it.second.leave(entry.requests, entry.second));
        }
        while let Some(&entry) = self.entries.front()
            && now - entry.at >= MINUTE.cast_signed()
        {
            self.entries.pop_front();
            self.left += 1;
            self.outside_second -= 1;
            self.each(entry.scope, |it, of| {
                it.minute.leave(entry.requests, of(entry.tokens));
                it.lost -= u128::from(of(entry.lost));
            });
        }
        while self.corrections.front().is_some_and(|it| it.entry < self.left) {
            self.corrections.pop_front();
        }
    }

    /// An unclean stop cut off what was running, and the run that follows knows of no charge after `last_flush`; or records
    /// were lost, and any running call may have ended in them. What a call admitted later used is known only as far as it
    /// was seen: its reservation would be an excess that may not have been.
    pub(super) fn cut_off(&mut self, last_flush: i64) {
        for index in 0..self.entries.len() {
            let Entry { at, seen, scope, tokens: reserved, .. } = self.entries[index];
            let Some(seen) = seen.filter(|_| at > last_flush) else { continue };
            self.cut_off += 1;
            let known = Reserved { account: reserved.account.min(seen), workspace: reserved.workspace.min(seen) };
            (self.entries[index].tokens, self.entries[index].seen) = (known, None);
            self.each(scope, |it, of| {
                it.minute.leave(0, of(reserved));
                it.minute.join(0, of(known));
            });
        }
    }

    /// After an unclean stop: the run that follows knows of no charge after `last_flush`, and of no correction. What a call
    /// was charged beyond what was stored of it is lost to the limits, but for the second that is held back for it.
    pub(super) fn lose(&mut self, last_flush: i64) {
        let mut stored = HashMap::new();
        // The latest first: what remains is how the charge was before the first correction that is lost.
        for Correction { entry, old, .. } in self.corrections.drain(..).rev().filter(|it| it.at > last_flush) {
            stored.insert(entry, old);
        }
        for (number, index) in (self.left..).zip(0..self.entries.len()) {
            let Entry { at, scope, tokens, lost: before, .. } = self.entries[index];
            let known = if at > last_flush { Reserved::default() } else { stored.remove(&number).unwrap_or(tokens) };
            let lost = Reserved {
                account: tokens.account.saturating_sub(known.account).max(before.account),
                workspace: tokens.workspace.saturating_sub(known.workspace).max(before.workspace),
            };
            self.entries[index].lost = lost;
            self.each(scope, |it, of| it.lost += u128::from(of(lost) - of(before)));
        }
    }

    /// Does something to the account and to a workspace, with which of a charge's two numbers is theirs.
    fn each(&mut self, scope: ScopeIndex, act: impl Fn(&mut Judged, fn(Reserved) -> u64)) {
        act(&mut self.scopes[ACCOUNT], |it| it.account);
        act(&mut self.scopes[scope], |it| it.workspace);
    }

    pub(super) fn join(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        self.sequences.end += 1;
        self.each(entry.scope, |it, of| {
            it.minute.join(entry.requests, of(entry.tokens));
            it.second.join(entry.requests, entry.second);
        });
    }

    pub(super) fn recharge(&mut self, now: i64, sequence: u64, tokens: Reserved, settled: bool) {
        let back = self.sequences.end.saturating_sub(sequence);
        let index = usize::try_from(back).ok().and_then(|back| self.entries.len().checked_sub(back));
        let known = self.sequences.contains(&sequence);
        let Some(index) = index.filter(|it| known && *it < self.entries.len()) else { return };
        let entry = &mut self.entries[index];
        let old = std::mem::replace(&mut entry.tokens, tokens);
        self.corrections.push_back(Correction { at: now, entry: self.left + index as u64, old });
        // A charge is raised to exactly what was seen, in the scopes where that is more than was reserved.
        let raised =
            [(tokens.account, old.account), (tokens.workspace, old.workspace)].into_iter().filter(|it| it.0 > it.1);
        entry.seen = entry.seen.filter(|_| !settled).map(|seen| raised.map(|it| it.0).max().unwrap_or(seen));
        let second = settled && entry.requests > 0 && now - entry.at < SECOND.cast_signed();
        let old_second = entry.second;
        if second {
            entry.second = tokens.account;
        }
        let (scope, new_second) = (entry.scope, entry.second);
        self.each(scope, |it, of| {
            it.minute.leave(0, of(old));
            it.minute.join(0, of(tokens));
            if second {
                it.second.leave(0, old_second);
                it.second.join(0, new_second);
            }
        });
    }

    pub(super) fn admit(&mut self, entry: Entry, judged: bool) {
        let before = [ACCOUNT, entry.scope].map(|it| self.scopes[it].second.tokens);
        self.join(entry);
        if judged {
            self.admissions += 1;
            for (scope, before) in [ACCOUNT, entry.scope].into_iter().zip(before) {
                self.scopes[scope].judge(entry.at, entry.second, before);
            }
        }
    }
}

impl Judged {
    /// Judges an admission of `prompt` tokens that joined a second of `before` tokens.
    fn judge(&mut self, at: i64, prompt: u64, before: u128) {
        let (rpm, tpm) = self.limits;
        let (minute, second) = (self.minute, self.second);
        if rpm != NONE {
            self.rise((Cause::Requests, Window::Minute), minute.requests.into(), rpm, minute.requests > rpm, at);
            let rps = ceil60(rpm);
            self.rise((Cause::Requests, Window::Second), second.requests.into(), rps, second.requests > rps, at);
        }
        if tpm != NONE {
            let (over, lost) = (minute.tokens > tpm.into(), self.lost);
            let highest = self.rise((Cause::Tokens, Window::Minute), minute.tokens, tpm, over, at);
            highest.lost += u64::from(over && minute.tokens - lost <= tpm.into());
            let tps = ceil60(tpm);
            // A prompt bigger than a second may join one that is not full: what is judged then is what it joined.
            let bigger = prompt > tps;
            let over = if bigger { before >= tps.into() } else { second.tokens > tps.into() };
            let highest = self.rise((Cause::Tokens, Window::Second), second.tokens, tps, over, at);
            highest.bigger += u64::from(bigger);
        }
    }

    fn rise(&mut self, what: (Cause, Window), used: u128, limit: u64, over: bool, at: i64) -> &mut Highest {
        let used = u64::try_from(used).unwrap_or(u64::MAX);
        let highest = self.highest.entry(what).or_insert(Highest { used, limit, at, ..Highest::default() });
        let share = |used: u64, of: u64| u128::from(used) * u128::from(of);
        if share(used, highest.limit) > share(highest.used, limit) {
            (highest.used, highest.limit, highest.at) = (used, limit, at);
        }
        highest.exceeded += u64::from(over);
        highest
    }
}

impl Held {
    fn join(&mut self, requests: u64, tokens: u64) {
        self.requests += requests;
        self.tokens += u128::from(tokens);
    }

    fn leave(&mut self, requests: u64, tokens: u64) {
        self.requests -= requests;
        self.tokens -= u128::from(tokens);
    }
}
