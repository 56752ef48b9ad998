//! The exact log of one cell: its charges in order of time, with the sums of the last minute and the last second.
//! Knows charges and instants; knows nothing of limits, callers, maps or threads.
//!
//! One queue holds a minute of entries. The charges to the second are a shorter one that lies beside its tail, so
//! that both windows are cursors over one order and an entry costs 28 bytes (36 in its first second).

use domain::{Cause, Window};

use crate::{
    Micros, Reserved, WorkspaceSlot,
    blocks::Blocks,
    restored::{Restored, RestoredCharge},
};

pub(crate) const MINUTE: u64 = Window::Minute.micros();
pub(crate) const SECOND: u64 = Window::Second.micros();

/// A scope as the log sees it: everything, or what one workspace is charged.
pub(crate) type Of = Option<Place>;

/// A workspace and where its sums are, until the log is shrunk or another workspace joins it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    slot: WorkspaceSlot,
    index: usize,
}

/// One call of the last minute, or a debt. Packed: there is one for every call.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(crate) struct Entry {
    pub(crate) at: Micros,
    pub(crate) tokens: Reserved,
    /// The slot of the workspace, and in the highest bit whether this is a debt.
    whose: u32,
}

const DEBT: u32 = 1 << 31;

impl Entry {
    pub(crate) fn call(at: Micros, slot: WorkspaceSlot, tokens: Reserved) -> Self {
        debug_assert!(slot.0 < DEBT, "the ledger gives no such slot");
        Self { at, tokens, whose: slot.0 }
    }

    pub(crate) fn debt(at: Micros, slot: WorkspaceSlot, tokens: Reserved) -> Self {
        Self { at, tokens, whose: slot.0 | DEBT }
    }

    fn slot(self) -> WorkspaceSlot {
        WorkspaceSlot(self.whose & !DEBT)
    }

    /// 1 for a call, 0 for a debt.
    fn requests(self) -> u64 {
        u64::from(self.whose < DEBT)
    }
}

/// What is charged to one scope. Token sums are wider than any charge, so that none has to be clamped.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) t60: u128,
    pub(crate) t1: u128,
    pub(crate) r60: u64,
    pub(crate) r1: u64,
    /// No entry before this sequence number is a request of this scope.
    oldest_request: u64,
    /// No entry before this sequence number has tokens in this scope.
    oldest_tokens: u64,
}

impl Sums {
    /// What is charged in a window.
    pub(crate) fn used(&self, cause: Cause, window: Window) -> u128 {
        match (cause, window) {
            (Cause::Tokens, Window::Minute) => self.t60,
            (Cause::Tokens, Window::Second) => self.t1,
            (_, Window::Minute) => self.r60.into(),
            (_, Window::Second) => self.r1.into(),
        }
    }

    pub(crate) fn join_minute(&mut self, requests: u64, tokens: u64) {
        self.r60 += requests;
        self.t60 += u128::from(tokens);
    }

    pub(crate) fn join_second(&mut self, requests: u64, tokens: u64) {
        self.r1 += requests;
        self.t1 += u128::from(tokens);
    }

    pub(crate) fn leave_minute(&mut self, requests: u64, tokens: u64) {
        self.r60 -= requests;
        self.t60 -= u128::from(tokens);
    }

    pub(crate) fn leave_second(&mut self, requests: u64, tokens: u64) {
        self.r1 -= requests;
        self.t1 -= u128::from(tokens);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Sequence number of `entries[0]`; numbers are never used twice.
    head: u64,
    entries: Blocks<Entry>,
    /// Before it nothing leaves a window.
    due: Micros,
    /// What the last `seconds.len()` entries are charged in the second.
    seconds: Blocks<u64>,
    account: Sums,
    /// In order of slots. One that is missing has no charges.
    workspaces: Vec<(WorkspaceSlot, Sums)>,
    /// Charges from before the start of the process; `None` once they have left.
    restored: Option<Box<Restored>>,
}

impl Log {
    /// An empty log whose sequence numbers begin at `head`.
    pub(crate) fn starting_at(head: u64) -> Self {
        Self { head, ..Self::default() }
    }

    /// The sequence number of the next entry.
    pub(crate) fn next(&self) -> u64 {
        self.head + self.entries.len() as u64
    }

    /// Whether nothing is charged at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.restored.is_none()
    }

    /// The sums of a scope as of the last [`Self::expire`].
    pub(crate) fn sums(&self, of: Of) -> &Sums {
        match of {
            None => &self.account,
            Some(place) => &self.workspaces[place.index].1,
        }
    }

    fn sums_mut(&mut self, of: Of) -> &mut Sums {
        match of {
            None => &mut self.account,
            Some(place) => &mut self.workspaces[place.index].1,
        }
    }

    /// The sums of every workspace that has, or lately had, charges.
    pub(crate) fn workspaces(&self) -> impl Iterator<Item = &(WorkspaceSlot, Sums)> {
        self.workspaces.iter()
    }

    /// Lets everything go that has left its window at `now`.
    #[inline]
    pub(crate) fn expire(&mut self, now: Micros) {
        if now >= self.due {
            self.expire_due(now);
        }
    }

    fn expire_due(&mut self, now: Micros) {
        self.due = Micros(u64::MAX);
        while let Some(&tokens) = self.seconds.front() {
            let entry = self.entries[self.entries.len() - self.seconds.len()];
            if entry.at.counts(SECOND, now) {
                self.due = entry.at.plus(SECOND);
                break;
            }
            self.seconds.pop_front();
            let requests = entry.requests();
            self.account.leave_second(requests, tokens);
            self.scope_mut(Some(entry.slot())).leave_second(requests, tokens);
        }
        while let Some(&entry) = self.entries.front() {
            if entry.at.counts(MINUTE, now) {
                self.due = self.due.min(entry.at.plus(MINUTE));
                break;
            }
            self.entries.pop_front();
            self.head += 1;
            let requests = entry.requests();
            self.account.leave_minute(requests, entry.tokens.account);
            self.scope_mut(Some(entry.slot())).leave_minute(requests, entry.tokens.workspace);
        }
        if let Some(mut restored) = self.restored.take() {
            while let Some(charge) = restored.leaving_second(now) {
                self.scope_mut(charge.of).leave_second(charge.requests, charge.tokens);
            }
            while let Some(charge) = restored.leaving_minute(now) {
                self.scope_mut(charge.of).leave_minute(charge.requests, charge.tokens);
            }
            if !restored.is_empty() {
                self.restored = Some(restored);
                self.due = Micros::default();
            }
        }
    }

    /// Appends an entry, which must not lie before the last one, and what it is charged in the second.
    pub(crate) fn push(&mut self, entry: Entry, second: u64) -> u64 {
        let sequence = self.next();
        let requests = entry.requests();
        self.account.join_minute(requests, entry.tokens.account);
        self.account.join_second(requests, second);
        let workspace = self.scope_mut(Some(entry.slot()));
        workspace.join_minute(requests, entry.tokens.workspace);
        workspace.join_second(requests, second);
        self.entries.push_back(entry);
        self.seconds.push_back(second);
        self.due = self.due.min(entry.at.plus(SECOND));
        sequence
    }

    /// The entry of that number, if it is still in the minute.
    pub(crate) fn entry(&self, sequence: u64) -> Option<Entry> {
        self.index(sequence).map(|it| self.entries[it])
    }

    /// Replaces the charge of an entry; what it is charged in the second too, if `second` is given and the entry is
    /// still in the second. `false`: it has left the minute, and nothing was changed.
    pub(crate) fn recharge(&mut self, sequence: u64, tokens: Reserved, second: Option<u64>) -> bool {
        let Some(index) = self.index(sequence) else { return false };
        let entry = &mut self.entries[index];
        let (old, slot) = (entry.tokens, entry.slot());
        entry.tokens = tokens;
        let outside_second = self.entries.len() - self.seconds.len();
        let second = match (second, index.checked_sub(outside_second)) {
            (Some(new), Some(it)) => Some((std::mem::replace(&mut self.seconds[it], new), new)),
            _ => None,
        };
        for (of, old, new) in [(None, old.account, tokens.account), (Some(slot), old.workspace, tokens.workspace)] {
            let sums = self.scope_mut(of);
            sums.t60 = sums.t60 - u128::from(old) + u128::from(new);
            if new > 0 {
                sums.oldest_tokens = sums.oldest_tokens.min(sequence);
            }
            if let Some((old, new)) = second {
                sums.t1 = sums.t1 - u128::from(old) + u128::from(new);
            }
        }
        true
    }

    /// Adds a charge from before the start; [`Self::expire`] must have been called for the same `now`.
    pub(crate) fn restore(&mut self, charge: RestoredCharge, now: Micros) {
        if !charge.at.counts(MINUTE, now) || (charge.requests == 0 && charge.tokens == 0) {
            return;
        }
        self.scope_mut(charge.of).join_minute(charge.requests, charge.tokens);
        if charge.at.counts(SECOND, now) {
            self.scope_mut(charge.of).join_second(charge.requests, charge.tokens);
        }
        self.restored.get_or_insert_default().insert(charge, now);
        self.due = Micros::default();
    }

    /// The instant at which `excess` (or all, if there is less) of what a scope is charged in a window has left it.
    #[inline(always)]
    pub(crate) fn leaves(&mut self, of: Of, cause: Cause, window: Window, excess: u128) -> Micros {
        let first = match window {
            Window::Minute => self.oldest(of, cause),
            Window::Second => self.entries.len() - self.seconds.len(),
        };
        // One charge is enough for nearly everybody who asks.
        if self.restored.is_none()
            && let Some(entry) = self.entries.get(first)
            && u128::from(self.charge(first, of, cause, window)) >= excess
        {
            return entry.at.plus(window.micros());
        }
        self.leaves_with_others(of, cause, window, excess, first)
    }

    #[inline(never)]
    fn leaves_with_others(&self, of: Of, cause: Cause, window: Window, excess: u128, first: usize) -> Micros {
        let mut left = 0;
        let mut last = Micros::default();
        for (at, charge) in self.charges(of, cause, window, first) {
            left += u128::from(charge);
            last = at;
            if left >= excess {
                break;
            }
        }
        last.plus(window.micros())
    }

    /// Whether nothing that is charged now is in the second any more at `then`.
    pub(crate) fn second_is_over(&self, then: Micros) -> bool {
        self.restored.is_none() && self.entries.back().is_none_or(|it| !it.at.counts(SECOND, then))
    }

    /// All charges above 0 of a scope to a window in order of time.
    pub(crate) fn all_charges(&self, of: Of, cause: Cause, window: Window) -> impl Iterator<Item = (Micros, u64)> {
        let outside = if window == Window::Second { self.entries.len() - self.seconds.len() } else { 0 };
        self.charges(of, cause, window, outside)
    }

    fn charges(&self, of: Of, cause: Cause, window: Window, first: usize) -> impl Iterator<Item = (Micros, u64)> {
        let logged = (first..self.entries.len()).filter_map(move |index| {
            let charge = self.charge(index, of, cause, window);
            (charge > 0).then(|| (self.entries[index].at, charge))
        });
        let restored = self.restored.iter().flat_map(move |it| it.charges(of.map(|place| place.slot), cause, window));
        merge(logged, restored)
    }

    /// What one entry charges a scope in a window that it is in.
    #[inline(always)]
    fn charge(&self, index: usize, of: Of, cause: Cause, window: Window) -> u64 {
        let entry = &self.entries[index];
        match (cause, window, of) {
            (_, _, Some(place)) if place.slot != entry.slot() => 0,
            (Cause::Requests | Cause::Surge, ..) => entry.requests(),
            (Cause::Tokens, Window::Second, _) => self.seconds[index + self.seconds.len() - self.entries.len()],
            (Cause::Tokens, Window::Minute, None) => entry.tokens.account,
            (Cause::Tokens, Window::Minute, Some(_)) => entry.tokens.workspace,
        }
    }

    /// Moves the scope's mark of its oldest charge in the log to where that lies now, and tells it. Each entry is passed
    /// once.
    #[inline(always)]
    fn oldest(&mut self, of: Of, cause: Cause) -> usize {
        let sums = self.sums(of);
        let mark = if cause == Cause::Tokens { sums.oldest_tokens } else { sums.oldest_request };
        let mut index = usize::try_from(mark.saturating_sub(self.head)).unwrap_or(usize::MAX).min(self.entries.len());
        while index < self.entries.len() && self.charge(index, of, cause, Window::Minute) == 0 {
            index += 1;
        }
        let oldest = self.head + index as u64;
        let sums = self.sums_mut(of);
        let mark = if cause == Cause::Tokens { &mut sums.oldest_tokens } else { &mut sums.oldest_request };
        *mark = oldest;
        index
    }

    /// Gives back memory that a busier minute needed, and forgets workspaces without charges.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink(4);
        self.seconds.shrink(16);
        self.workspaces.retain(|(_, sums)| sums.r60 > 0 || sums.t60 > 0 || sums.r1 > 0 || sums.t1 > 0);
        if self.workspaces.capacity() > 4 * self.workspaces.len().max(1) {
            self.workspaces.shrink_to(2 * self.workspaces.len());
        }
    }

    fn index(&self, sequence: u64) -> Option<usize> {
        let index = usize::try_from(sequence.checked_sub(self.head)?).ok()?;
        (index < self.entries.len()).then_some(index)
    }

    fn position(&self, slot: WorkspaceSlot) -> Result<usize, usize> {
        self.workspaces.binary_search_by_key(&slot, |it| it.0)
    }

    /// Where the sums of a workspace are; if there are none yet, they begin with nothing.
    pub(crate) fn place(&mut self, slot: WorkspaceSlot) -> Place {
        let index = self.position(slot).unwrap_or_else(|place| {
            if self.workspaces.len() == self.workspaces.capacity() {
                // Not doubled from four on, as a vector would: most cells have one or two workspaces.
                self.workspaces.reserve_exact(1 + self.workspaces.len() / 2);
            }
            self.workspaces.insert(place, (slot, Sums::default()));
            place
        });
        Place { slot, index }
    }

    fn scope_mut(&mut self, of: Option<WorkspaceSlot>) -> &mut Sums {
        let of = of.map(|slot| self.place(slot));
        self.sums_mut(of)
    }
}

/// Two sequences in order of time as one.
fn merge(
    a: impl Iterator<Item = (Micros, u64)>,
    b: impl Iterator<Item = (Micros, u64)>,
) -> impl Iterator<Item = (Micros, u64)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(from_a), Some(from_b)) if from_b.0 < from_a.0 => b.next(),
        (Some(_), _) => a.next(),
        (None, _) => b.next(),
    })
}
