//! The limits again, slow and obvious: a plain list of charges, every sum counted anew, every instant found by trying.
//! Shares no code with the crate but its types.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, reason = "each test binary uses a part")]

use domain::{Cause, Limits, Scope, Window};
use limiter::{CellLimits, Learned, Quota, Reserved, Standing, Surge, Violation};

#[derive(Clone, Debug)]
struct Entry {
    at: u64,
    workspace: u32,
    /// Account, workspace; so below.
    requests: [u64; 2],
    tokens: [u64; 2],
    second: [u64; 2],
    /// From before a start.
    restored: bool,
    /// Requests and tokens as the store has them; `None`: it knows nothing of this charge.
    stored: Option<[[u64; 2]; 2]>,
}

/// An admitted call that is not settled.
#[derive(Clone, Debug)]
pub struct Call {
    entry: Entry,
    prompt: u64,
    expected: u64,
    counted: u64,
    charged: [u64; 2],
    debt: Option<Entry>,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub workspace: u32,
    pub prompt: u64,
    pub max_output: Option<u64>,
}

/// What the model says of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub violations: Vec<Violation>,
    pub retry_after_us: Option<u64>,
}

pub struct Model {
    pub now: u64,
    pub limits: CellLimits,
    pub surge: Surge,
    pub own: Vec<Limits>,
    pub output: Option<u64>,
    entries: Vec<Entry>,
}

const SCOPES: [Scope; 2] = [Scope::Account, Scope::Workspace];

fn ceil60(n: u64) -> u64 {
    std::cmp::max(1, n / 60 + u64::from(!n.is_multiple_of(60)))
}

fn in_window(at: u64, window_s: u64, now: u64) -> bool {
    // In (now − window, now], or stamped later than now.
    i128::from(at) > i128::from(now) - i128::from(window_s) * 1_000_000
}

impl Entry {
    /// Of tokens alone, in the minute alone.
    fn new(at: u64, workspace: u32, tokens: [u64; 2]) -> Self {
        Self { at, workspace, requests: [0, 0], tokens, second: [0, 0], restored: false, stored: None }
    }
}

impl Model {
    pub fn new(surge: Surge, workspaces: usize) -> Self {
        let own = vec![Limits::default(); workspaces];
        Self { now: 0, limits: CellLimits::default(), surge, own, output: None, entries: Vec::new() }
    }

    fn limit(&self, scope: usize, workspace: u32, cause: Cause) -> Option<u64> {
        let of = |limits: Limits| match cause {
            Cause::Tokens => limits.tpm.map(domain::Tpm::get),
            _ => limits.rpm.map(domain::Rpm::get),
        };
        let account = of(self.limits.account);
        if scope == 0 {
            return account;
        }
        of(self.own[workspace as usize]).map(|own| own.min(account.unwrap_or(u64::MAX)))
    }

    fn sum(&self, scope: usize, workspace: u32, window_s: u64, t: u64, charge: impl Fn(&Entry) -> u64) -> u128 {
        let here = |it: &&Entry| (scope == 0 || it.workspace == workspace) && in_window(it.at, window_s, t);
        self.entries.iter().filter(here).map(|it| u128::from(charge(it))).sum()
    }

    fn r(&self, scope: usize, workspace: u32, window_s: u64, t: u64) -> u64 {
        u64::try_from(self.sum(scope, workspace, window_s, t, |it| it.requests[scope])).unwrap()
    }

    fn t(&self, scope: usize, workspace: u32, window_s: u64, t: u64) -> u128 {
        self.sum(scope, workspace, window_s, t, |it| if window_s == 1 { it.second[scope] } else { it.tokens[scope] })
    }

    /// Every limit the call would break at instant `t`, with whether no wait helps.
    fn broken(&self, ask: Ask, t: u64) -> Vec<(Violation, bool)> {
        let mut broken = Vec::new();
        let mut check = |cause, scope: usize, window, limit, used: u128, needed, holds: bool, never: bool| {
            if !holds || never {
                let used = u64::try_from(used).unwrap_or(u64::MAX);
                let scope = SCOPES[scope];
                let it = Violation { cause, scope, window, limit, used, needed, retry_after_us: None };
                broken.push((it, never));
            }
        };
        for scope in [0, 1] {
            let Some(rpm) = self.limit(scope, ask.workspace, Cause::Requests) else { continue };
            let (r60, r1) = (self.r(scope, ask.workspace, 60, t), self.r(scope, ask.workspace, 1, t));
            check(Cause::Requests, scope, Window::Minute, rpm, r60.into(), 1, r60 < rpm, rpm == 0);
            check(Cause::Requests, scope, Window::Second, ceil60(rpm), r1.into(), 1, r1 < ceil60(rpm), false);
        }
        for scope in [0, 1] {
            let Some(tpm) = self.limit(scope, ask.workspace, Cause::Tokens) else { continue };
            let (t60, t1) = (self.t(scope, ask.workspace, 60, t), self.t(scope, ask.workspace, 1, t));
            let p = u128::from(ask.prompt);
            let bound = ask.max_output.map(|cap| p + u128::from(cap)).filter(|it| *it <= u128::from(tpm));
            let needed = bound.unwrap_or(p);
            let never = tpm == 0 || p > u128::from(tpm);
            let needed_u64 = u64::try_from(needed).unwrap();
            check(Cause::Tokens, scope, Window::Minute, tpm, t60, needed_u64, t60 + needed <= tpm.into(), never);
            let s = u128::from(ceil60(tpm));
            let holds = if p <= s { t1 + p <= s } else { t1 < s };
            check(Cause::Tokens, scope, Window::Second, ceil60(tpm), t1, ask.prompt, holds, false);
        }
        if let Some(rpm) = self.limit(0, 0, Cause::Requests) {
            let (r60, r1) = (self.r(0, 0, 60, t), self.r(0, 0, 1, t));
            let per_second = ceil60(rpm);
            let half = (u128::from(per_second) * u128::from(self.surge.share_percent)).div_ceil(100);
            let mean = u128::from(r60 - r1) * u128::from(self.surge.growth_percent) / 100 / 59;
            let threshold = half.max(mean).max(u128::from(self.surge.least)).max(1);
            if threshold < u128::from(per_second) {
                let threshold = u64::try_from(threshold).unwrap();
                check(Cause::Surge, 0, Window::Second, threshold, r1.into(), 1, r1 < threshold, false);
            }
        }
        broken
    }

    /// Every instant from now on at which something can change if nothing happens.
    fn instants(&self) -> Vec<u64> {
        let leaving = self.entries.iter().flat_map(|it| [it.at + 1_000_000, it.at + 60_000_000]);
        let mut instants: Vec<u64> = std::iter::once(self.now).chain(leaving.filter(|t| *t > self.now)).collect();
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    /// Decides a call: what it reserves, or why not.
    pub fn admit(&mut self, ask: Ask) -> Result<Call, Refusal> {
        let broken = self.broken(ask, self.now);
        if !broken.is_empty() {
            return Err(self.refusal(ask, &broken));
        }
        let expected = self.output.unwrap_or(self.limits.default_output);
        let p = u128::from(ask.prompt);
        let whole = (p + u128::from(ask.max_output.unwrap_or(expected))).min(u64::MAX.into());
        let reserved = [0, 1].map(|scope| {
            let reserved = match self.limit(scope, ask.workspace, Cause::Tokens) {
                None => whole,
                Some(tpm) if ask.max_output.is_some() && whole <= tpm.into() => whole,
                Some(tpm) => p.max(whole.min(u128::from(tpm) - self.t(scope, ask.workspace, 60, self.now))),
            };
            u64::try_from(reserved).unwrap()
        });
        let (requests, second) = ([1, 1], [ask.prompt; 2]);
        let entry = self.charge(Entry { requests, second, ..Entry::new(self.now, ask.workspace, reserved) });
        Ok(Call { entry, prompt: ask.prompt, expected, counted: 0, charged: reserved, debt: None })
    }

    fn refusal(&self, ask: Ask, broken: &[(Violation, bool)]) -> Refusal {
        let instants = self.instants();
        let same = |a: &Violation, b: &Violation| (a.cause, a.scope, a.window) == (b.cause, b.scope, b.window);
        let mut violations: Vec<Violation> = Vec::new();
        for (it, never) in broken {
            let holds = |t: &&u64| !self.broken(ask, **t).iter().any(|(other, _)| same(it, other));
            let first = if *never { None } else { Some(*instants.iter().find(holds).unwrap() - self.now) };
            violations.push(Violation { retry_after_us: first, ..*it });
        }
        // The list is in the order in which ties are broken; the longest of equals is the first.
        let longest = violations.iter().map(|it| it.retry_after_us.unwrap_or(u64::MAX)).max().unwrap();
        let named = violations.iter().position(|it| it.retry_after_us.unwrap_or(u64::MAX) == longest).unwrap();
        let named = violations.remove(named);
        violations.insert(0, named);
        let never = broken.iter().any(|it| it.1);
        let together = instants.iter().find(|t| self.broken(ask, **t).is_empty());
        let retry_after_us = if never { None } else { Some(*together.unwrap() - self.now) };
        Refusal { violations, retry_after_us }
    }

    /// Where the workspace stands, after a decision.
    pub fn standing(&self, workspace: u32, refusal: Option<&Refusal>) -> Standing {
        let quota = |cause| -> Option<Quota> {
            let used = |scope, t| match cause {
                Cause::Tokens => u64::try_from(self.t(scope, workspace, 60, t)).unwrap_or(u64::MAX),
                _ => self.r(scope, workspace, 60, t),
            };
            let remaining = |scope, t| self.limit(scope, workspace, cause).map(|it| it.saturating_sub(used(scope, t)));
            let scope = match (remaining(0, self.now), remaining(1, self.now)) {
                (None, None) => return None,
                (Some(account), Some(workspace)) if workspace < account => 1,
                (None, Some(_)) => 1,
                _ => 0,
            };
            let limit = self.limit(scope, workspace, cause)?;
            let here = |it: &&Violation| (it.cause, it.scope, it.window) == (cause, SCOPES[scope], Window::Minute);
            let fits = refusal.and_then(|it| it.violations.iter().find(here)).and_then(|it| it.retry_after_us);
            let grows = |t: &&u64| remaining(scope, **t) > remaining(scope, self.now);
            let empties = |t: &&u64| used(scope, **t) == 0;
            let instants = self.instants();
            let grown = || instants.iter().find(grows).or_else(|| instants.iter().find(empties)).map(|t| t - self.now);
            let reset_us = if used(scope, self.now) == 0 { 0 } else { grown().unwrap() };
            Some(Quota {
                scope: SCOPES[scope],
                limit,
                remaining: remaining(scope, self.now).unwrap(),
                reset_us: fits.unwrap_or(reset_us),
                per_second: ceil60(limit),
            })
        };
        Standing { requests: quota(Cause::Requests), tokens: quota(Cause::Tokens) }
    }

    fn entry(&mut self, of: &Entry) -> Option<&mut Entry> {
        let now = self.now;
        // The same instant and workspace may hold several entries of the same charges: any of them is as good.
        let same = |it: &&mut Entry| {
            (it.at, it.workspace, it.requests, it.tokens, it.second)
                == (of.at, of.workspace, of.requests, of.tokens, of.second)
        };
        self.entries.iter_mut().filter(|it| !it.restored && in_window(it.at, 60, now)).find(same)
    }

    /// Raises a call's charge to its prompt and what was counted.
    pub fn counted(&mut self, call: &mut Call, output: u64) {
        call.counted = call.counted.max(output);
        let raised = call.charged.map(|it| it.max(call.prompt.saturating_add(call.counted)));
        if raised == call.charged {
            return;
        }
        let more = [raised[0] - call.charged[0], raised[1] - call.charged[1]];
        let (now, entry) = (self.now, call.entry.clone());
        if let Some(entry) = self.entry(&entry) {
            entry.tokens = raised;
            call.entry = entry.clone();
        } else if let Some(debt) = call.debt.clone().filter(|it| now - it.at < 100_000) {
            let debt = self.entry(&debt).unwrap();
            debt.tokens = [debt.tokens[0] + more[0], debt.tokens[1] + more[1]];
            call.debt = Some(debt.clone());
        } else {
            call.debt = Some(self.owe(call.entry.workspace, more));
        }
        call.charged = raised;
    }

    fn owe(&mut self, workspace: u32, tokens: [u64; 2]) -> Entry {
        self.charge(Entry::new(self.now, workspace, tokens))
    }

    fn charge(&mut self, entry: Entry) -> Entry {
        self.entries.push(entry.clone());
        entry
    }

    /// Settles a call at what it used.
    pub fn settle(&mut self, call: &Call, used: u64, ended_well: bool) {
        let now = self.now;
        if let Some(entry) = self.entry(&call.entry) {
            entry.tokens = [used; 2];
            if in_window(entry.at, 1, now) {
                entry.second = [used; 2];
            }
        } else {
            let over = call.charged.map(|it| it.saturating_sub(used));
            if let Some(debt) = call.debt.clone().and_then(|it| self.entry(&it)) {
                debt.tokens = [debt.tokens[0].saturating_sub(over[0]), debt.tokens[1].saturating_sub(over[1])];
            }
            let more = call.charged.map(|it| used.saturating_sub(it));
            if more != [0, 0] {
                self.owe(call.entry.workspace, more);
            }
        }
        if ended_well {
            let expected = i128::from(self.output.unwrap_or(call.expected));
            let out = i128::from(used.saturating_sub(call.prompt));
            let gap = expected - out;
            let sixteenth = gap.div_euclid(16) + i128::from(gap.rem_euclid(16) != 0);
            self.output = Some(u64::try_from(out.max(expected - sixteenth)).unwrap());
        }
    }

    /// Every charge as it is now is durable.
    pub fn flush(&mut self) {
        self.entries.iter_mut().for_each(|it| it.stored = Some([it.requests, it.tokens]));
    }

    /// A clean stop and a start.
    pub fn restart(&mut self) {
        self.flush();
        self.start();
    }

    /// The process is killed and started: what was not stored is gone, and a second's worth of every limit is charged a
    /// second after the last flush, in the account and in each workspace by its own limits.
    pub fn crash(&mut self, last_flush: u64) {
        self.entries.retain(|it| it.stored.is_some());
        for it in &mut self.entries {
            [it.requests, it.tokens] = it.stored.unwrap();
        }
        self.start();
        let second = |scope, workspace, cause| self.limit(scope, workspace, cause).map_or(0, ceil60);
        let workspaces = 0..u32::try_from(self.own.len()).unwrap();
        let blackout: Vec<Entry> = workspaces
            .map(|workspace| {
                let of = |cause| [if workspace == 0 { second(0, 0, cause) } else { 0 }, second(1, workspace, cause)];
                let (requests, tokens) = (of(Cause::Requests), of(Cause::Tokens));
                let at = last_flush + 1_000_000;
                Entry { requests, second: tokens, restored: true, ..Entry::new(at, workspace, tokens) }
            })
            .collect();
        self.entries.extend(blackout);
    }

    /// Every charge comes back stamped with the end of its tenth of a second, in the minute and in the second alike.
    fn start(&mut self) {
        for it in self.entries.iter_mut().filter(|it| !it.restored) {
            it.restored = true;
            it.at = (it.at / 100_000 + 1) * 100_000;
            it.second = it.tokens;
        }
    }

    /// Forgets what can no longer matter, not even after a restart.
    pub fn prune(&mut self) {
        let now = self.now;
        self.entries.retain(|it| in_window(it.at, 61, now));
    }

    /// r60, t60, r1, t1 of a scope: the account, or a workspace.
    pub fn live(&self, workspace: Option<u32>) -> [u64; 4] {
        let scope = usize::from(workspace.is_some());
        let of = workspace.unwrap_or(0);
        let tokens = |window| u64::try_from(self.t(scope, of, window, self.now)).unwrap_or(u64::MAX);
        [self.r(scope, of, 60, self.now), tokens(60), self.r(scope, of, 1, self.now), tokens(1)]
    }

    pub fn learned(&self) -> Learned {
        Learned { ratio: 1.0, output: self.output }
    }
}

impl Call {
    pub fn reserved(&self) -> Reserved {
        Reserved { account: self.charged[0], workspace: self.charged[1] }
    }

    pub fn prompt(&self) -> u64 {
        self.prompt
    }

    pub fn counted(&self) -> u64 {
        self.counted
    }
}
