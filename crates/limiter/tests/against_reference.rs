//! Random histories, decision by decision, against the slow reference: every number a decision says, in every order of
//! calls, settlements, hang-ups, edits, clock jumps, restarts and crashes.

mod common;
mod reference;

use std::{collections::BTreeMap, sync::Arc};

use domain::{AccountId, Limits, ModelCode, Rpm, Tpm, WorkspaceId};
use limiter::{
    BucketCharge, CellHandle, CellLimits, Decision, Demand, Ledger, ManualClock, Micros, Permit, Settlement, Surge,
    Use, WorkspaceSlot,
};
use proptest::prelude::*;
use reference::{Ask, Call, Model};

const WORKSPACES: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    /// To the instant that the last refusal promised, or one microsecond before it.
    Return {
        early: bool,
    },
    /// The clock goes back; decisions must not.
    ClockBack(u64),
    Call {
        workspace: u32,
        prompt: u64,
        max_output: Option<u64>,
        times: u32,
    },
    Counted {
        which: usize,
        output: u64,
    },
    Settle {
        which: usize,
        how: How,
    },
    AccountLimits(Limits),
    WorkspaceLimits(u32, Limits),
    Sweep,
    /// What is charged becomes durable.
    Flush,
    Restart,
    /// The process is killed, with what was charged since the last flush, and is back after so long.
    Crash(u64),
}

#[derive(Clone, Debug)]
enum How {
    Exact { total: u64, ended_well: bool },
    AtLeast { output: u64 },
    Nothing,
    Drop,
}

fn around(values: &'static [u64], by: u64) -> impl Strategy<Value = u64> {
    (proptest::sample::select(values), 0..=2 * by).prop_map(move |(value, off)| (value + off).saturating_sub(by))
}

fn limits() -> impl Strategy<Value = Limits> {
    let rpm = prop_oneof![2 => Just(None), 4 => (0..12u64).prop_map(Some), 3 => (55..130u64).prop_map(Some), 2 => (180..700u64).prop_map(Some)];
    let tpm = prop_oneof![2 => Just(None), 4 => (0..40u64).prop_map(Some), 4 => (55..400u64).prop_map(Some), 1 => (1000..9000u64).prop_map(Some)];
    (rpm, tpm).prop_map(|(rpm, tpm)| Limits { rpm: rpm.and_then(Rpm::new), tpm: tpm.and_then(Tpm::new) })
}

fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..12u64, 3 => 0..120u64, 1 => 0..5000u64, 1 => Just(u64::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    let advance = prop_oneof![
        4 => 0..3u64,
        4 => 0..400_000u64,
        4 => around(&[100_000, 1_000_000, 500_000, 333_333], 2),
        2 => 0..3_000_000u64,
        2 => around(&[59_000_000, 60_000_000, 30_000_000, 58_999_999], 2),
        1 => 0..70_000_000u64,
        1 => Just(130_000_000u64),
    ];
    let max_output = prop_oneof![3 => Just(None), 4 => tokens().prop_map(Some)];
    let prompt = prop_oneof![5 => 1..9u64, 3 => 1..100u64, 1 => 1..9000u64, 1 => Just(u64::MAX)];
    let times = prop_oneof![6 => Just(1u32), 2 => 2..8u32, 1 => 8..30u32];
    let how = prop_oneof![
        4 => (tokens(), any::<bool>()).prop_map(|(total, ended_well)| How::Exact { total, ended_well }),
        2 => tokens().prop_map(|output| How::AtLeast { output }),
        1 => Just(How::Nothing),
        2 => Just(How::Drop),
    ];
    prop_oneof![
        6 => advance.prop_map(Step::Advance),
        3 => any::<bool>().prop_map(|early| Step::Return { early }),
        1 => (0..5_000_000u64).prop_map(Step::ClockBack),
        12 => (0..WORKSPACES, prompt, max_output, times)
            .prop_map(|(workspace, prompt, max_output, times)| Step::Call { workspace, prompt, max_output, times }),
        3 => (any::<usize>(), tokens()).prop_map(|(which, output)| Step::Counted { which, output }),
        5 => (any::<usize>(), how).prop_map(|(which, how)| Step::Settle { which, how }),
        1 => limits().prop_map(Step::AccountLimits),
        2 => (1..WORKSPACES, limits()).prop_map(|(workspace, own)| Step::WorkspaceLimits(workspace, own)),
        1 => Just(Step::Sweep),
        3 => Just(Step::Flush),
        1 => Just(Step::Restart),
        2 => prop_oneof![0..300_000u64, 0..3_000_000u64].prop_map(Step::Crash),
    ]
}

fn surge() -> impl Strategy<Value = Surge> {
    // So steep that a few calls of the minute before already raise the threshold.
    let small = (0..6u64, 0..80u64, 0..9000u64).prop_map(|(least, share_percent, growth_percent)| Surge {
        least,
        share_percent,
        growth_percent,
    });
    prop_oneof![1 => Just(Surge::default()), 3 => small]
}

struct World {
    clock: Arc<ManualClock>,
    ledger: Ledger,
    cell: Arc<CellHandle>,
    slots: Vec<WorkspaceSlot>,
    stored: BTreeMap<(Micros, WorkspaceSlot), BucketCharge>,
    last_flush: u64,
    model: Model,
    open: Vec<(Permit, Call)>,
    promised: Option<u64>,
    /// Whether something was charged that a stored 64-bit sum cannot hold: such a history is not restarted.
    huge: bool,
}

fn begin(clock: &Arc<ManualClock>, surge: Surge) -> (Ledger, Arc<CellHandle>, Vec<WorkspaceSlot>) {
    let ledger = Ledger::flushed(clock.clone(), surge);
    let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").expect("a name"));
    let slots = (0..WORKSPACES).map(|it| ledger.workspace(&WorkspaceId::new(it.to_string()))).collect();
    (ledger, cell, slots)
}

impl World {
    fn new(surge: Surge, start: u64, account: Limits, own: Vec<Limits>) -> Self {
        let clock = Arc::new(ManualClock::at(Micros(start)));
        let (ledger, cell, slots) = begin(&clock, surge);
        // Time is clamped from the first reading on.
        cell.live();
        let mut model = Model::new(surge, WORKSPACES as usize);
        model.now = start;
        model.limits = CellLimits { account, workspace: Limits::default(), default_output: 7 };
        model.own.splice(1.., own);
        Self {
            clock,
            ledger,
            cell,
            slots,
            stored: BTreeMap::new(),
            last_flush: start,
            model,
            open: Vec::new(),
            promised: None,
            huge: false,
        }
    }

    fn move_to(&mut self, now: u64) {
        self.model.now = self.model.now.max(now);
        self.clock.set(Micros(now));
        self.model.prune();
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let largest = match &step {
            Step::Call { prompt, max_output, .. } => (*prompt).max(max_output.unwrap_or(0)),
            Step::Counted { output, .. } => *output,
            Step::Settle { how: How::Exact { total, .. }, .. } => *total,
            Step::Settle { how: How::AtLeast { output }, .. } => *output,
            _ => 0,
        };
        self.huge |= largest > 1 << 50;
        match step {
            Step::Flush | Step::Restart | Step::Crash(_) if self.huge => {}
            Step::Advance(by) => self.move_to(self.model.now + by),
            Step::Return { early } => {
                if let Some(promised) = self.promised {
                    self.move_to((promised - u64::from(early)).max(self.model.now));
                }
            }
            Step::ClockBack(by) => self.move_to(self.model.now.saturating_sub(by)),
            Step::Call { workspace, prompt, max_output, times } => {
                for _ in 0..times {
                    self.call(Ask { workspace, prompt, max_output })?;
                }
            }
            Step::Counted { which, output } => {
                if !self.open.is_empty() {
                    let which = which % self.open.len();
                    let (permit, call) = &mut self.open[which];
                    permit.counted(output);
                    self.model.counted(call, output);
                }
            }
            Step::Settle { which, how } => {
                if !self.open.is_empty() {
                    let (permit, call) = self.open.swap_remove(which % self.open.len());
                    self.settle(permit, &call, &how);
                }
            }
            Step::AccountLimits(account) => self.model.limits.account = account,
            Step::WorkspaceLimits(workspace, own) => self.model.own[workspace as usize] = own,
            Step::Sweep => self.ledger.sweep(),
            Step::Flush => {
                self.drain();
                self.model.flush();
            }
            Step::Restart => self.restart(),
            Step::Crash(away) => self.crash(away),
        }
        self.compare()
    }

    fn call(&mut self, ask: Ask) -> Result<(), TestCaseError> {
        let workspace = self.model.own[ask.workspace as usize];
        let limits = CellLimits { workspace, ..self.model.limits };
        let demand = Demand { token_ids: ask.prompt, max_output: ask.max_output, ..Demand::default() };
        let decision = self.cell.admit(self.slots[ask.workspace as usize], &limits, demand);
        let expected = self.model.admit(ask);
        let expected_standing = self.model.standing(ask.workspace, expected.as_ref().err());
        match (decision, expected) {
            (Decision::Admitted(permit, standing), Ok(call)) => {
                prop_assert_eq!(permit.reserved(), call.reserved());
                prop_assert_eq!(standing, expected_standing);
                self.open.push((permit, call));
            }
            (Decision::Denied(denial, standing), Err(refusal)) => {
                let violations: Vec<_> = denial.violations().copied().collect();
                prop_assert_eq!(violations, refusal.violations);
                prop_assert_eq!(denial.retry_after_us, refusal.retry_after_us);
                prop_assert_eq!(standing, expected_standing);
                self.promised = denial.retry_after_us.map(|us| self.model.now + us);
            }
            (decision, expected) => prop_assert!(false, "{decision:?} where {expected:?} was right"),
        }
        Ok(())
    }

    fn settle(&mut self, mut permit: Permit, call: &Call, how: &How) {
        let seen = |output: u64| call.prompt().saturating_add(output.max(call.counted()));
        let (settlement, used, ended_well) = match *how {
            How::Exact { total, ended_well } => {
                (Settlement::Exact { prompt: None, total, ended_well }, total, ended_well)
            }
            How::AtLeast { output } => (Settlement::AtLeast { output }, seen(output), false),
            How::Nothing => (Settlement::Nothing, 0, false),
            How::Drop => {
                self.model.settle(call, seen(0), false);
                permit.counted(0);
                return drop(permit);
            }
        };
        self.model.settle(call, used, ended_well);
        permit.settle(settlement);
    }

    fn restart(&mut self) {
        for (permit, call) in std::mem::take(&mut self.open) {
            self.settle(permit, &call, &How::Drop);
        }
        self.drain();
        self.model.restart();
        self.start();
    }

    fn crash(&mut self, away: u64) {
        let running = std::mem::take(&mut self.open);
        self.move_to(self.model.now + away);
        self.model.crash(self.last_flush);
        self.start();
        let workspaces: Vec<_> = self.slots.iter().copied().zip(self.model.own.iter().copied()).collect();
        self.cell.black_out(Micros(self.last_flush + 1_000_000), self.model.limits.account, &workspaces);
        // What ran is gone with the process it ran in: its settlements reach nobody.
        drop(running);
    }

    fn start(&mut self) {
        let learned = self.cell.learned();
        (self.ledger, self.cell, self.slots) = begin(&self.clock, self.model.surge);
        // A new process has a clock of its own: what the old one had seen is gone, as in the model only its charges are.
        self.clock.set(Micros(self.model.now));
        self.cell.set_learned(learned);
        for bucket in self.stored.values() {
            self.cell.restore(*bucket);
        }
    }

    fn drain(&mut self) {
        self.last_flush = self.model.now;
        self.ledger.drain(|_, change| {
            let sum = self.stored.entry((change.end, change.slot)).or_insert(BucketCharge {
                account: Default::default(),
                workspace: Default::default(),
                ..change
            });
            for (sum, it) in [(&mut sum.account, change.account), (&mut sum.workspace, change.workspace)] {
                sum.requests += it.requests;
                sum.tokens = sum.tokens.saturating_add(it.tokens);
            }
        });
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let numbers = |it: Use| [it.requests_minute, it.tokens_minute, it.requests_second, it.tokens_second];
        let live = self.cell.live();
        prop_assert_eq!(numbers(live.account), self.model.live(None));
        for workspace in 0..WORKSPACES {
            let found = live.workspaces.iter().find(|it| it.0 == self.slots[workspace as usize]);
            let found = found.map(|it| numbers(it.1)).unwrap_or_default();
            prop_assert_eq!(found, self.model.live(Some(workspace)));
        }
        prop_assert_eq!(self.cell.learned(), self.model.learned());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..common::histories(2000) })]

    #[test]
    fn every_decision_is_that_of_the_reference(
        surge in surge(),
        start in prop_oneof![Just(0u64), Just(1_000_000), 0..200_000_000u64],
        account in limits(),
        own in proptest::collection::vec(limits(), WORKSPACES as usize - 1),
        steps in proptest::collection::vec(step(), 1..70),
    ) {
        let mut world = World::new(surge, start, account, own);
        for step in steps {
            world.step(step)?;
        }
    }
}
