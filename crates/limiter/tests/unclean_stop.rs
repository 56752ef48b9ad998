//! What the journal proves across unclean stops: exactly what is known. An oracle that goes through everything that was
//! recorded says at each admission what was certainly charged, and the proof must claim an excess there and nowhere else.

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{MINUTE, SECOND, World, limits};
use domain::{Cause, Limits, Window};
use limiter::{
    BucketCharge, Decision, Keeping, Ledger, ManualClock, Micros, Permit, ScopeCharge, Settlement, Surge,
    WorkspaceSlot,
    verify::{Report, run},
};
use proptest::prelude::*;

const OFFSET: i64 = 1_700_000_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    Advance(u64),
    Call {
        prompt: u64,
        maximum: Option<u64>,
    },
    Counted {
        which: usize,
        output: u64,
    },
    Settle {
        which: usize,
        total: u64,
    },
    /// Journal and store.
    Flush,
    /// The process is killed: after the journal was written and before the store was, or with both behind.
    Crash {
        journaled: bool,
        away: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![0..90_000u64, 0..1_200_000u64, 0..20_000_000u64].prop_map(Step::Advance),
        8 => (1..40u64, proptest::option::weighted(0.7, 0..300u64))
            .prop_map(|(prompt, maximum)| Step::Call { prompt, maximum }),
        2 => (any::<usize>(), 0..400u64).prop_map(|(which, output)| Step::Counted { which, output }),
        5 => (any::<usize>(), 0..400u64).prop_map(|(which, total)| Step::Settle { which, total }),
        4 => Just(Step::Flush),
        2 => (any::<bool>(), 0..3_000_000u64).prop_map(|(journaled, away)| Step::Crash { journaled, away }),
    ]
}

/// What is known of a charge: from when on it is how much, and whether the call had ended by then.
#[derive(Clone, Debug)]
struct Known {
    at: u64,
    tokens: Vec<(u64, u64)>,
    ended: bool,
    /// What was counted of it while it ran.
    seen: u64,
    /// From when on how much of it is lost to the limits: charged, and not stored when the process was killed.
    lost: Vec<(u64, u64)>,
    /// A debt is no call.
    debt: bool,
}

impl Known {
    fn new(at: u64, tokens: u64, debt: bool) -> Self {
        Self { at, tokens: vec![(at, tokens)], ended: debt, seen: 0, lost: Vec::new(), debt }
    }

    fn tokens_at(&self, now: u64) -> u64 {
        at(&self.tokens, now)
    }

    fn charged(&self) -> u64 {
        self.tokens_at(u64::MAX)
    }
}

/// How much it was at that time.
fn at(history: &[(u64, u64)], now: u64) -> u64 {
    history.iter().rev().find(|it| it.0 <= now).map_or(0, |it| it.1)
}

struct Process {
    world: World,
    clock: Arc<ManualClock>,
    account: Limits,
    journal: Vec<u8>,
    stored: BTreeMap<(Micros, WorkspaceSlot), BucketCharge>,
    last_flush: u64,
    open: Vec<(Permit, usize)>,
    /// Everything that happened, and how it stood when it was last journaled.
    known: Vec<Known>,
    journaled: Vec<Known>,
    /// How much of each charge the store has.
    stored_tokens: Vec<u64>,
}

fn begin(clock: &Arc<ManualClock>, account: Limits) -> World {
    let keeping = Keeping { charges: true, journal: true };
    World::of(Ledger::keeping(clock.clone(), Surge::default(), keeping), clock.clone(), account, limits(None, None))
}

impl Process {
    fn new(account: Limits) -> Self {
        let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
        let world = begin(&clock, account);
        let last_flush = world.now();
        clock.advance(1);
        Self {
            last_flush,
            world,
            clock,
            account,
            journal: Vec::new(),
            stored: BTreeMap::new(),
            open: Vec::new(),
            known: Vec::new(),
            journaled: Vec::new(),
            stored_tokens: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.world.now();
        match step {
            Step::Advance(by) => self.clock.advance(by),
            Step::Call { prompt, maximum } => {
                // The process flushes every 100 ms; up to a second late it goes on without.
                if now >= self.last_flush + SECOND {
                    self.flush();
                    self.clock.advance(1);
                }
                let now = self.world.now();
                if let Decision::Admitted(permit, _) = self.world.decide(prompt, maximum) {
                    let call = Known::new(now, permit.reserved().account, false);
                    self.open.push((permit, self.known.len()));
                    self.known.push(call);
                }
            }
            Step::Counted { which, output } if !self.open.is_empty() => {
                let which = which % self.open.len();
                let (permit, call) = &mut self.open[which];
                permit.counted(output);
                let counted = permit.prompt() + output;
                let it = &mut self.known[*call];
                if counted > it.charged() && it.at + MINUTE > now {
                    it.tokens.push((now, counted));
                    it.seen = counted;
                }
            }
            Step::Settle { which, total } if !self.open.is_empty() => {
                let (permit, call) = self.open.swap_remove(which % self.open.len());
                let it = &mut self.known[call];
                let charged = it.charged();
                permit.settle(Settlement::Exact { prompt: None, total, ended_well: false });
                if it.at + MINUTE > now {
                    it.tokens.push((now, total));
                    it.ended = true;
                } else if total > charged {
                    self.known.push(Known::new(now, total - charged, true));
                }
            }
            Step::Counted { .. } | Step::Settle { .. } => {}
            Step::Flush => self.flush(),
            Step::Crash { journaled, away } => self.crash(journaled, away),
        }
    }

    fn flush(&mut self) {
        let stored = &mut self.stored;
        self.world.ledger.drain(|_, change| {
            let nothing = ScopeCharge::default();
            let empty = BucketCharge { account: nothing, workspace: nothing, ..change };
            let sum = stored.entry((change.end, change.slot)).or_insert(empty);
            for (sum, it) in [(&mut sum.account, change.account), (&mut sum.workspace, change.workspace)] {
                sum.requests += it.requests;
                sum.tokens += it.tokens;
            }
        });
        self.stored_tokens = self.known.iter().map(Known::charged).collect();
        self.journal();
        self.last_flush = self.world.now();
    }

    fn journal(&mut self) {
        self.world.ledger.drain_journal(OFFSET, &mut self.journal);
        self.journaled = self.known.clone();
    }

    fn crash(&mut self, journaled: bool, away: u64) {
        if journaled {
            self.journal();
        }
        self.known = self.journaled.clone();
        let now = self.world.now();
        for (place, it) in self.known.iter_mut().enumerate() {
            if !it.ended && it.at > self.last_flush {
                it.tokens.push((now, it.seen));
            }
            it.ended = true;
            let lost = it.charged().saturating_sub(self.stored_tokens.get(place).copied().unwrap_or(0));
            it.lost.push((now, lost.max(at(&it.lost, now))));
        }
        self.clock.advance(away);
        // What ran is gone with the process it ran in: its settlements reach nobody.
        let old = std::mem::replace(&mut self.world, begin(&self.clock, self.account));
        self.open.clear();
        drop(old);
        self.stored.values().for_each(|it| self.world.cell.restore(*it));
        self.world.cell.black_out(Micros(self.last_flush + SECOND), self.account, &[]);
        self.flush();
    }

    /// Admissions after which more tokens of the minute are known to have been charged than the limit, those that are so
    /// by what was lost, and all of them.
    fn over(&self, tpm: u64) -> (u64, u64, u64) {
        let (mut over, mut by_loss, mut calls) = (0, 0, 0);
        for (place, call) in self.known.iter().enumerate().filter(|(_, it)| !it.debt) {
            // In the order of the record: what was charged at the same instant later is not counted yet, nor corrected.
            let here = || self.known[..=place].iter().filter(|it| it.at + MINUTE > call.at);
            let charged: u64 = here().map(|it| it.tokens_at(call.at)).sum();
            let lost: u64 = here().map(|it| at(&it.lost, call.at)).sum();
            over += u64::from(charged > tpm);
            by_loss += u64::from(charged > tpm && charged - lost <= tpm);
            calls += 1;
        }
        (over, by_loss, calls)
    }
}

/// Of the account, whose row it is alone: admissions over the tokens of the minute, and those that are so by what was lost.
fn tokens_over(report: &Report) -> (u64, u64) {
    let mut of = report.rows.iter().filter(|it| (it.cause, it.window) == (Cause::Tokens, Window::Minute));
    of.next().map_or((0, 0), |it| (it.exceeded, it.lost))
}

proptest! {
    #![proptest_config(common::histories(1500))]

    #[test]
    fn an_excess_is_claimed_where_one_is_known_and_nowhere_else(
        rpm in 1..3000u64,
        tpm in 300..3000u64,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut process = Process::new(limits(rpm, tpm));
        for step in steps {
            process.step(step);
            // Two things at one instant have no order in the oracle.
            process.clock.advance(1);
        }
        process.flush();
        let report = run(&process.journal[..], None).expect("a whole journal");
        let (over, by_loss) = tokens_over(&report);
        prop_assert_eq!((over, by_loss, report.admissions), process.over(tpm));
        prop_assert!(report.holds(), "nothing but what was lost leads to an excess: {:?}", report.rows);
        let others = report.rows.iter().filter(|it| (it.cause, it.window) != (Cause::Tokens, Window::Minute));
        for row in others {
            prop_assert!(row.exceeded == 0, "{:?}", row);
        }
    }
}

/// One call of 1,000 tokens, of which it uses 10: settled before the store is flushed, and then the process is killed.
fn killed_after_a_settlement(order: impl Fn(&mut Process, Permit)) -> Process {
    let mut process = Process::new(limits(None, 1000));
    process.step(Step::Call { prompt: 1, maximum: Some(999) });
    process.flush();
    process.clock.advance(1);
    let (permit, _) = process.open.pop().expect("admitted");
    order(&mut process, permit);
    process.step(Step::Crash { journaled: false, away: 0 });
    process.clock.advance(2 * SECOND);
    process.step(Step::Call { prompt: 1, maximum: Some(900) });
    process.flush();
    process
}

#[test]
fn a_settlement_that_only_the_store_knows_of_would_be_taken_for_an_excess() {
    let settle = |permit: Permit| permit.settle(Settlement::Exact { prompt: None, total: 10, ended_well: true });
    let right = killed_after_a_settlement(|process, permit| {
        settle(permit);
        process.flush();
    });
    let report = run(&right.journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (2, (0, 0)));
    // Drained in the wrong order, with the settlement in between.
    let wrong = killed_after_a_settlement(|process, permit| {
        process.journal();
        settle(permit);
        let journal = process.journal.clone();
        process.flush();
        process.journal = journal;
    });
    let report = run(&wrong.journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (2, (1, 0)), "this is why the journal comes last");
    assert!(!report.holds());
}

#[test]
fn what_a_gap_may_have_given_back_is_not_taken_for_an_excess() {
    for told in [false, true] {
        let mut process = Process::new(limits(None, 1000));
        process.step(Step::Call { prompt: 1, maximum: Some(999) });
        process.flush();
        process.step(Step::Settle { which: 0, total: 10 });
        let journal = process.journal.clone();
        process.flush();
        process.journal = journal;
        if told {
            Ledger::journal_gap(OFFSET, &mut process.journal);
        }
        process.clock.advance(2 * SECOND);
        process.step(Step::Call { prompt: 1, maximum: Some(900) });
        process.flush();
        let report = run(&process.journal[..], None).expect("a whole journal");
        assert_eq!((report.admissions, tokens_over(&report)), (2, (u64::from(!told), 0)));
        assert_eq!(report.cut_off.values().sum::<u64>(), u64::from(told));
    }
}

#[test]
fn calls_that_were_cut_off_unknown_to_the_store_are_told() {
    let mut process = Process::new(limits(None, 1000));
    process.flush();
    process.clock.advance(1);
    process.step(Step::Call { prompt: 1, maximum: Some(999) });
    process.step(Step::Crash { journaled: true, away: 5 * SECOND });
    process.step(Step::Call { prompt: 1, maximum: Some(900) });
    process.flush();
    let report = run(&process.journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, report.holds()), (2, true), "{:?}", report.rows);
    assert_eq!(report.cut_off.values().sum::<u64>(), 1);
    // Of what was seen of it, nothing is lost.
    process = Process::new(limits(None, 1000));
    process.flush();
    process.clock.advance(1);
    process.step(Step::Call { prompt: 1, maximum: Some(600) });
    process.step(Step::Counted { which: 0, output: 700 });
    process.step(Step::Crash { journaled: true, away: 5 * SECOND });
    process.step(Step::Call { prompt: 1, maximum: Some(900) });
    process.flush();
    let report = run(&process.journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (2, (1, 1)), "{:?}", report.rows);
}

/// One call of 50,010 tokens joins one that used 40,010 of its own 50,010 and ended just before the process was killed.
fn killed_after_a_call(stored: bool) -> Process {
    let mut process = Process::new(limits(None, 60_000));
    process.flush();
    process.clock.advance(1);
    process.step(Step::Call { prompt: 10, maximum: Some(50_000) });
    process.step(Step::Settle { which: 0, total: 40_010 });
    if stored {
        process.flush();
    }
    process.step(Step::Crash { journaled: true, away: 2 * SECOND });
    process.step(Step::Call { prompt: 10, maximum: Some(50_000) });
    process.flush();
    process
}

#[test]
fn an_excess_of_what_an_unclean_stop_lost_is_told_apart() {
    let report = run(&killed_after_a_call(true).journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (1, (0, 0)), "the second one was refused");
    assert!(report.notes().is_empty());
    let report = run(&killed_after_a_call(false).journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (2, (1, 1)), "a second's worth was held back, 1,000");
    assert!(report.holds());
    assert_eq!(report.notes().len(), 1);
    // What came from elsewhere is no such loss, whether the process was killed or not.
    let mut process = killed_after_a_call(false);
    let other = begin(&process.clock, process.account);
    let _open = other.admit(10, 20_000);
    other.ledger.drain_journal(OFFSET + 1, &mut process.journal);
    let report = run(&process.journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (3, (2, 1)));
    assert!(!report.holds());
    // Nor does a loss excuse anything when it has left the minute.
    let mut process = killed_after_a_call(false);
    process.clock.advance(MINUTE);
    process.step(Step::Call { prompt: 10, maximum: Some(50_000) });
    process.flush();
    let other = begin(&process.clock, process.account);
    let _open = other.admit(10, 20_000);
    other.ledger.drain_journal(OFFSET + 1, &mut process.journal);
    let report = run(&process.journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (4, (2, 1)));
}

#[test]
fn a_correction_that_was_not_stored_is_lost_too() {
    let mut process = Process::new(limits(None, 1000));
    process.step(Step::Call { prompt: 1, maximum: Some(99) });
    process.flush();
    process.clock.advance(1);
    process.step(Step::Counted { which: 0, output: 500 });
    process.step(Step::Settle { which: 0, total: 900 });
    process.step(Step::Crash { journaled: true, away: 2 * SECOND });
    process.step(Step::Call { prompt: 1, maximum: Some(700) });
    process.flush();
    let report = run(&process.journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (2, (1, 1)), "100 of 900 were stored: {:?}", report.rows);
    assert_eq!(report.cut_off.values().sum::<u64>(), 0);
}
