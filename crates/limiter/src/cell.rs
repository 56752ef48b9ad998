//! One cell without its lock and clock: the step that checks every limit and charges every scope, and the step that
//! corrects a charge. Is handed `now`; knows no thread.

use std::sync::Arc;

use domain::{Limits, WorkspaceId};

use crate::{
    BucketCharge, CellKey, CellLimits, Decision, Denial, Learned, LiveUse, Micros, Reserved, ScopeCharge, Settlement,
    Standing, Surge, Use, WorkspaceSlot,
    ask::Ask,
    flush::Flush,
    in_force::InForce,
    journal::{Journal, Opened, Record},
    keeper::Keeper,
    log::{Entry, Log, Place, Sums},
    refusal, standing,
};

/// How long a cell without calls is remembered. Its charges have left after half of it.
const IDLE: u64 = 120_000_000;

/// How much earlier than "now" a further debt of one stream may be stamped: an entry for each piece of a stream that
/// outlives its minute would cost more memory than 100 ms of a debt are worth.
const DEBT_GRAIN: u64 = 100_000;

/// All that is known of one (account, model): the log of its charges and what it has learned.
#[derive(Debug, Default)]
pub struct Cell {
    last: Micros,
    touched: Micros,
    /// `None` while the cell is idle.
    log: Option<Box<Log>>,
    /// Where the log's numbers go on when there is none.
    next: u64,
    learned: Learned,
    peak_tokens: u64,
    /// `None`: nothing is kept for anybody.
    keeper: Option<Arc<Keeper>>,
    /// Lent by the keeper, from the first change until a tick has brought none.
    flush: Option<Box<Flush>>,
    /// As above.
    journal: Option<Box<Journal>>,
}

/// The charge of one admitted call: what [`Cell::settle`] needs to correct it.
#[derive(Debug)]
pub struct Charge {
    pub(crate) at: Micros,
    pub(crate) slot: WorkspaceSlot,
    pub(crate) reserved: Reserved,
    pub(crate) ask: Ask,
    pub(crate) counted: u64,
    sequence: u64,
    /// What has been charged so far: the reservation, or more if output was counted beyond it.
    charged: Reserved,
    /// The last debt this call made after its entry had left the minute.
    debt: Option<u64>,
}

impl Charge {
    /// The output up to which [`Cell::raise`] changes nothing.
    pub(crate) fn covers(&self) -> u64 {
        self.charged.account.min(self.charged.workspace).saturating_sub(self.ask.prompt)
    }
}

impl Cell {
    /// A cell that keeps for `keeper` what that wants kept, until it is drained.
    pub(crate) fn kept_by(keeper: Arc<Keeper>) -> Self {
        Self { keeper: Some(keeper), ..Self::default() }
    }

    /// A copy that decides as this one would and keeps nothing for anybody.
    pub(crate) fn scratch(&self) -> Self {
        let Self { last, touched, log, next, learned, .. } = self;
        Self { last: *last, touched: *touched, log: log.clone(), next: *next, learned: *learned, ..Self::default() }
    }

    /// Time as this cell has seen it, never before its last reading, and the log as it is then.
    fn reach(&mut self, now: Micros) -> (Micros, &mut Log) {
        self.last = self.last.max(now);
        self.touched = self.last;
        let log = self.log.get_or_insert_with(|| Box::new(Log::starting_at(self.next)));
        log.expire(self.last);
        (self.last, log)
    }

    /// Decides one call and charges it to every scope, or to none: a refused call changes no sum.
    pub fn admit(
        &mut self,
        now: Micros,
        slot: WorkspaceSlot,
        limits: &CellLimits,
        surge: &Surge,
        ask: Ask,
    ) -> Decision<Charge> {
        let (now, log) = self.reach(now);
        let in_force = [limits.account, limits.effective_workspace()].map(InForce::from);
        let place = log.place(slot);
        if refused(log, place, &in_force, surge, &ask) {
            let denial = refusal::explain(log, now, place, &in_force, surge, &ask);
            let standing = standing::after(log, now, place, &in_force, Some(&denial));
            return Decision::Denied(denial, standing);
        }
        let [account, workspace] = [log.sums(None), log.sums(Some(place))];
        let reserved =
            Reserved { account: ask.reserve(account, &in_force[0]), workspace: ask.reserve(workspace, &in_force[1]) };
        let sequence = log.push(Entry::call(now, slot, reserved), ask.prompt);
        let standing = standing::after(log, now, place, &in_force, None);
        if let Some(journal) = self.journal() {
            journal.limits(now, sequence, None, &in_force[0]);
            journal.limits(now, sequence, Some(slot), &in_force[1]);
            journal.write(now, sequence, Record::Admitted { slot, prompt: ask.prompt, tokens: reserved });
        }
        self.note(now, slot, 1, Reserved::default(), reserved);
        let charge = Charge { at: now, slot, reserved, ask, counted: 0, sequence, charged: reserved, debt: None };
        Decision::Admitted(charge, standing)
    }

    /// What [`Self::admit`] would say, without charging anything: why not, if so, and where the workspace stands.
    pub(crate) fn look(
        &mut self,
        now: Micros,
        slot: WorkspaceSlot,
        limits: &CellLimits,
        surge: &Surge,
        ask: Ask,
    ) -> (Option<Denial>, Standing) {
        let (now, log) = self.reach(now);
        let in_force = [limits.account, limits.effective_workspace()].map(InForce::from);
        let place = log.place(slot);
        let denial = refused(log, place, &in_force, surge, &ask)
            .then(|| refusal::explain(log, now, place, &in_force, surge, &ask));
        let standing = standing::after(log, now, place, &in_force, denial.as_ref());
        (denial, standing)
    }

    /// Raises a running call's charge to its prompt and the output counted so far, where that is more.
    pub fn raise(&mut self, now: Micros, charge: &mut Charge, output: u64) {
        charge.counted = charge.counted.max(output);
        let counted = charge.ask.prompt.saturating_add(charge.counted);
        let raised =
            Reserved { account: charge.charged.account.max(counted), workspace: charge.charged.workspace.max(counted) };
        if raised == charge.charged {
            return;
        }
        let (now, log) = self.reach(now);
        if log.recharge(charge.sequence, raised, None) {
            self.record(now, Record::Raised { sequence: charge.sequence, tokens: raised });
            self.note(charge.at, charge.slot, 0, charge.charged, raised);
        } else {
            self.owe(now, charge, raised);
        }
        charge.charged = raised;
    }

    /// Corrects a charge to what the call used. In the minute it becomes that, up or down; later a refund is nothing and
    /// an excess is charged now.
    pub fn settle(&mut self, now: Micros, charge: &Charge, settlement: Settlement) {
        let used = match settlement {
            Settlement::Exact { total, .. } => total,
            Settlement::AtLeast { output } => charge.ask.prompt.saturating_add(output.max(charge.counted)),
            Settlement::Nothing => 0,
        };
        self.learned.learn(&charge.ask, settlement);
        let (now, log) = self.reach(now);
        let actual = Reserved { account: used, workspace: used };
        if log.recharge(charge.sequence, actual, Some(used)) {
            self.record(now, Record::Settled { sequence: charge.sequence, tokens: actual });
            self.note(charge.at, charge.slot, 0, charge.charged, actual);
        } else if actual != charge.charged {
            self.forgive(now, charge, actual);
            self.owe_anew(now, charge, actual);
        }
    }

    /// Charges what `raised` is above what was charged, on top of this call's last debt if that is of the same moment.
    fn owe(&mut self, now: Micros, charge: &mut Charge, raised: Reserved) {
        let log = self.log.get_or_insert_default();
        let recent = |it: &Entry| it.at.counts(DEBT_GRAIN, now);
        let Some((sequence, debt)) = charge.debt.and_then(|it| Some((it, log.entry(it).filter(recent)?))) else {
            charge.debt = self.owe_anew(now, charge, raised);
            return;
        };
        let tokens = Reserved {
            account: debt.tokens.account.saturating_add(raised.account - charge.charged.account),
            workspace: debt.tokens.workspace.saturating_add(raised.workspace - charge.charged.workspace),
        };
        log.recharge(sequence, tokens, None);
        self.record(now, Record::Raised { sequence, tokens });
        self.note(debt.at, charge.slot, 0, debt.tokens, tokens);
    }

    /// Charges now, to the minute alone and without a request, what `actual` is above what was charged.
    fn owe_anew(&mut self, now: Micros, charge: &Charge, actual: Reserved) -> Option<u64> {
        let tokens = Reserved {
            account: actual.account.saturating_sub(charge.charged.account),
            workspace: actual.workspace.saturating_sub(charge.charged.workspace),
        };
        if tokens == Reserved::default() {
            return None;
        }
        let log = self.log.get_or_insert_default();
        let sequence = log.push(Entry::debt(now, charge.slot, tokens), 0);
        if let Some(journal) = self.journal() {
            journal.write(now, sequence, Record::Owed { slot: charge.slot, tokens });
        }
        self.note(now, charge.slot, 0, Reserved::default(), tokens);
        Some(sequence)
    }

    /// Takes back what the last debt of a call that outlived its minute was counted too high. The admission's own charge
    /// has left; a refund of that would be a gift to another minute.
    fn forgive(&mut self, now: Micros, charge: &Charge, actual: Reserved) {
        let log = self.log.get_or_insert_default();
        let Some((sequence, debt)) = charge.debt.and_then(|it| Some((it, log.entry(it)?))) else { return };
        let tokens = Reserved {
            account: debt.tokens.account.saturating_sub(charge.charged.account.saturating_sub(actual.account)),
            workspace: debt.tokens.workspace.saturating_sub(charge.charged.workspace.saturating_sub(actual.workspace)),
        };
        log.recharge(sequence, tokens, None);
        self.record(now, Record::Raised { sequence, tokens });
        self.note(debt.at, charge.slot, 0, debt.tokens, tokens);
    }

    /// Where changes of charges are kept, if anybody wants them.
    fn flush(&mut self) -> Option<&mut Flush> {
        // What the cell has already is looked at first: the keeper's memory is every core's.
        if self.flush.is_none() {
            self.flush = Some(self.keeper.as_ref()?.charges.as_ref()?.lend());
        }
        self.flush.as_deref_mut()
    }

    /// Where decisions are kept, if anybody wants them.
    fn journal(&mut self) -> Option<&mut Journal> {
        if self.journal.is_none() {
            self.journal = Some(self.keeper.as_ref()?.journal.as_ref()?.lend());
        }
        self.journal.as_deref_mut()
    }

    /// Journals a correction.
    fn record(&mut self, now: Micros, record: Record) {
        let next = self.log.as_ref().map_or(self.next, |it| it.next());
        if let Some(journal) = self.journal() {
            journal.write(now, next, record);
        }
    }

    /// Keeps a change of the charges made at `at` for the store, and the highest use of the account.
    fn note(&mut self, at: Micros, slot: WorkspaceSlot, requests: u32, from: Reserved, to: Reserved) {
        let used = self.log.as_ref().map_or(0, |it| it.sums(None).t60);
        self.peak_tokens = self.peak_tokens.max(u64::try_from(used).unwrap_or(u64::MAX));
        if let Some(flush) = self.flush() {
            flush.note(at, slot, requests, from, to);
        }
    }

    /// What is charged at `now`.
    pub fn live(&mut self, now: Micros) -> LiveUse {
        self.last = self.last.max(now);
        let Some(log) = &mut self.log else { return LiveUse::default() };
        log.expire(self.last);
        let charged = log.workspaces().map(|(slot, sums)| (*slot, shown(sums))).filter(|it| it.1 != Use::default());
        LiveUse { account: shown(log.sums(None)), workspaces: charged.collect() }
    }

    /// The highest use of the account's tokens in any sliding 60 s since this was last asked.
    pub fn take_peak_tokens(&mut self) -> u64 {
        std::mem::take(&mut self.peak_tokens)
    }

    /// What has been learned.
    pub fn learned(&self) -> Learned {
        self.learned
    }

    /// Takes what the store remembers.
    pub fn set_learned(&mut self, learned: Learned) {
        self.learned = learned;
    }

    /// Appends the changes of all charges since the last time to `into`, in the order in which they were made. Without
    /// any, the cell returns its buffers.
    pub(crate) fn drain(&mut self, into: &mut Vec<BucketCharge>) {
        if !self.flush.as_mut().is_some_and(|it| it.drain(into)) {
            self.give_back();
        }
    }

    /// Appends the journal since the last time to `into`, as one chunk that is still [to be closed](Opened::close).
    pub(crate) fn drain_journal(
        &mut self,
        into: &mut Vec<u8>,
        key: &CellKey,
        wall_offset_us: i64,
        workspace: impl Fn(WorkspaceSlot) -> Option<WorkspaceId>,
    ) -> Option<Opened> {
        self.journal.as_mut()?.drain(into, key, wall_offset_us, workspace)
    }

    /// Returns the buffers that are empty.
    fn give_back(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.charges.iter().for_each(|it| it.take_back(&mut self.flush));
            keeper.journal.iter().for_each(|it| it.take_back(&mut self.journal));
        }
    }

    /// Takes back a bucket of charges that the store kept from before the start.
    pub fn restore(&mut self, now: Micros, bucket: BucketCharge) {
        let (now, log) = self.reach(now);
        for charge in bucket.restored() {
            log.restore(charge, now);
        }
    }

    /// Charges what may have been admitted between the last flush and an unclean stop: a second's worth of every limit,
    /// stamped `at` = last flush + 1 s, which may lie ahead. `workspaces` are their own limits. The entries are handed
    /// over by [`crate::Ledger::drain`] too, so that a second stop within the minute does not forget them. For requests it is all
    /// that may be missing; of tokens, more than that may have been reserved in a second.
    pub fn black_out(&mut self, now: Micros, at: Micros, account: Limits, workspaces: &[(WorkspaceSlot, Limits)]) {
        let second = |limits: Limits| ScopeCharge {
            requests: limits.rpm.map_or(0, |it| it.per_second().cast_signed()),
            tokens: limits.tpm.map_or(0, |it| it.per_second().cast_signed()),
        };
        self.reach(now);
        self.record(self.last, Record::Resumed { blackout: at });
        let nothing = ScopeCharge::default();
        // The account's part goes under any workspace; the first there is will do.
        let slot = workspaces.first().map_or(WorkspaceSlot(0), |it| it.0);
        let whole = BucketCharge { end: at, slot, account: second(account), workspace: nothing };
        let parts = workspaces.iter().map(|&(slot, own)| BucketCharge {
            end: at,
            slot,
            account: nothing,
            workspace: second(CellLimits { account, workspace: own, default_output: 0 }.effective_workspace()),
        });
        for bucket in std::iter::once(whole).chain(parts) {
            self.restore(now, bucket);
            if let Some(flush) = self.flush() {
                flush.keep(bucket);
            }
        }
    }

    /// Gives back memory; after 120 s without a call, all of it.
    pub fn sweep(&mut self, now: Micros) {
        self.last = self.last.max(now);
        if let Some(log) = &mut self.log {
            log.expire(self.last);
            log.shrink();
            if log.is_empty() && !self.touched.counts(IDLE, self.last) {
                self.next = log.next();
                self.log = None;
            }
        }
        if self.log.is_none() {
            self.give_back();
        }
    }

    /// Whether nothing would be lost with this cell but what it learned: neither charges nor a buffer that is lent to it.
    pub fn is_spent(&self) -> bool {
        self.log.is_none() && self.flush.is_none() && self.journal.is_none()
    }
}

/// Whether any limit of the account or the workspace, or the threshold of a surge, forbids the call.
#[inline(always)]
fn refused(log: &Log, place: Place, [account, workspace]: &[InForce; 2], surge: &Surge, ask: &Ask) -> bool {
    let sums = log.sums(None);
    !ask.fits(sums, account)
        || !ask.fits(log.sums(Some(place)), workspace)
        || surge.refuses(account.rps, sums.r1, sums.r60)
}

fn shown(sums: &Sums) -> Use {
    Use {
        requests_minute: sums.r60,
        tokens_minute: u64::try_from(sums.t60).unwrap_or(u64::MAX),
        requests_second: sums.r1,
        tokens_second: u64::try_from(sums.t1).unwrap_or(u64::MAX),
    }
}
