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
    /// A debt is no call.
    debt: bool,
}

impl Known {
    fn tokens_at(&self, now: u64) -> u64 {
        self.tokens.iter().rev().find(|it| it.0 <= now).map_or(0, |it| it.1)
    }
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
}

fn begin(clock: &Arc<ManualClock>, account: Limits) -> World {
    let keeping = Keeping { charges: true, journal: true };
    World::of(Ledger::keeping(clock.clone(), Surge::default(), keeping), clock.clone(), account, limits(None, None))
}

impl Process {
    fn new(account: Limits) -> Self {
        let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
        let world = begin(&clock, account);
        Self {
            last_flush: world.now(),
            world,
            clock,
            account,
            journal: Vec::new(),
            stored: BTreeMap::new(),
            open: Vec::new(),
            known: Vec::new(),
            journaled: Vec::new(),
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
                }
                if let Decision::Admitted(permit, _) = self.world.decide(prompt, maximum) {
                    let tokens = vec![(now, permit.reserved().account)];
                    self.open.push((permit, self.known.len()));
                    self.known.push(Known { at: now, tokens, ended: false, seen: 0, debt: false });
                }
            }
            Step::Counted { which, output } if !self.open.is_empty() => {
                let which = which % self.open.len();
                let (permit, call) = &mut self.open[which];
                permit.counted(output);
                let counted = permit.prompt() + output;
                let it = &mut self.known[*call];
                let charged = it.tokens.last().map_or(0, |it| it.1);
                if counted > charged && it.at + MINUTE > now {
                    it.tokens.push((now, counted));
                    it.seen = counted;
                }
            }
            Step::Settle { which, total } if !self.open.is_empty() => {
                let (permit, call) = self.open.swap_remove(which % self.open.len());
                let it = &mut self.known[call];
                let charged = it.tokens.last().map_or(0, |it| it.1);
                permit.settle(Settlement::Exact { prompt: None, total, ended_well: false });
                if it.at + MINUTE > now {
                    it.tokens.push((now, total));
                    it.ended = true;
                } else if total > charged {
                    let tokens = vec![(now, total - charged)];
                    self.known.push(Known { at: now, tokens, ended: true, seen: 0, debt: true });
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
        for it in &mut self.known {
            if !it.ended && !it.debt && it.at > self.last_flush {
                it.tokens.push((self.world.now(), it.seen));
            }
            it.ended = true;
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

    /// Admissions after which more tokens of the minute are known to have been charged than the limit, and all of them.
    fn over(&self, tpm: u64) -> (u64, u64) {
        let calls = || self.known.iter().enumerate().filter(|(_, it)| !it.debt);
        let over = calls().filter(|(place, call)| {
            // In the order of the record: what was charged at the same instant later is not counted yet, nor corrected.
            let before = self.known[..=*place].iter();
            let charged = |it: &Known| if it.at + MINUTE > call.at { it.tokens_at(call.at) } else { 0 };
            before.map(charged).sum::<u64>() > tpm
        });
        (over.count() as u64, calls().count() as u64)
    }
}

fn tokens_over(report: &Report) -> u64 {
    let of = |window| report.rows.iter().filter(move |it| (it.cause, it.window) == (Cause::Tokens, window));
    of(Window::Minute).map(|it| it.exceeded).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

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
        prop_assert_eq!((tokens_over(&report), report.admissions), process.over(tpm));
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
    assert_eq!((report.admissions, tokens_over(&report)), (2, 0));
    // Drained in the wrong order, with the settlement in between.
    let wrong = killed_after_a_settlement(|process, permit| {
        process.journal();
        settle(permit);
        let journal = process.journal.clone();
        process.flush();
        process.journal = journal;
    });
    let report = run(&wrong.journal[..], None).expect("a whole journal");
    assert_eq!((report.admissions, tokens_over(&report)), (2, 1), "this is why the journal comes last");
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
        assert_eq!((report.admissions, tokens_over(&report)), (2, u64::from(!told)));
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
    assert_eq!((report.admissions, tokens_over(&report)), (2, 1), "{:?}", report.rows);
}
