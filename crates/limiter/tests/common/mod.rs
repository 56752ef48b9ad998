//! One cell on a clock that stands still, and short words for what tests do with it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses a part")]

use std::sync::Arc;

use domain::{AccountId, Limits, ModelCode, Rpm, Tpm, WorkspaceId};
use limiter::{
    CellHandle, CellLimits, Decision, Demand, Denial, Ledger, ManualClock, Micros, Permit, Standing, Surge,
    WorkspaceSlot,
};
use proptest::test_runner::{Config as ProptestConfig, FileFailurePersistence};

/// So many random cases; what one of them fails with is kept beside the test, and tried first from then on.
pub fn histories(cases: u32) -> ProptestConfig {
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as Box<_>);
    ProptestConfig { cases, failure_persistence, ..ProptestConfig::default() }
}

pub const SECOND: u64 = 1_000_000;
pub const MINUTE: u64 = 60_000_000;

/// Limits of a scope; 0 stands for "none" nowhere: `None` does.
pub fn limits(rpm: impl Into<Option<u64>>, tpm: impl Into<Option<u64>>) -> Limits {
    Limits { rpm: rpm.into().map(|it| Rpm::new(it).unwrap()), tpm: tpm.into().map(|it| Tpm::new(it).unwrap()) }
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub ledger: Ledger,
    pub cell: Arc<CellHandle>,
    pub account: Limits,
    /// Of the workspace that `Self::call` comes from.
    pub own: Limits,
    pub slot: WorkspaceSlot,
}

pub fn account() -> AccountId {
    AccountId::new("01890a5d-ac96-774b-bcce-b302099a8057")
}

pub fn model() -> ModelCode {
    ModelCode::parse("qwen-plus").unwrap()
}

impl World {
    pub fn new(account: Limits, own: Limits) -> Self {
        Self::with(account, own, Surge::default())
    }

    pub fn with(account: Limits, own: Limits, surge: Surge) -> Self {
        let clock = Arc::new(ManualClock::at(Micros(200 * SECOND)));
        Self::of(Ledger::new(clock.clone(), surge), clock, account, own)
    }

    pub fn of(ledger: Ledger, clock: Arc<ManualClock>, account: Limits, own: Limits) -> Self {
        let cell = ledger.cell(&self::account(), &model());
        let slot = ledger.workspace(&WorkspaceId::new("search"));
        Self { clock, ledger, cell, account, own, slot }
    }

    pub fn now(&self) -> u64 {
        limiter::Clock::now(&*self.clock).0
    }

    pub fn limits(&self) -> CellLimits {
        CellLimits { account: self.account, workspace: self.own, default_output: 1024 }
    }

    /// One call of `prompt` tokens that may have `max_output` more.
    pub fn decide(&self, prompt: u64, max_output: impl Into<Option<u64>>) -> Decision {
        self.decide_as(self.slot, self.limits(), prompt, max_output)
    }

    pub fn decide_as(
        &self,
        slot: WorkspaceSlot,
        limits: CellLimits,
        prompt: u64,
        max_output: impl Into<Option<u64>>,
    ) -> Decision {
        let demand = Demand { token_ids: prompt, max_output: max_output.into(), ..Demand::default() };
        self.cell.admit(slot, &limits, demand)
    }

    #[track_caller]
    pub fn admit(&self, prompt: u64, max_output: impl Into<Option<u64>>) -> (Permit, Standing) {
        match self.decide(prompt, max_output) {
            Decision::Admitted(permit, standing) => (permit, standing),
            Decision::Denied(denial, _) => panic!("refused: {denial:?}"),
            Decision::Undecided => panic!("undecided"),
        }
    }

    #[track_caller]
    pub fn refuse(&self, prompt: u64, max_output: impl Into<Option<u64>>) -> (Denial, Standing) {
        match self.decide(prompt, max_output) {
            Decision::Denied(denial, standing) => (denial, standing),
            Decision::Admitted(permit, _) => panic!("admitted: {permit:?}"),
            Decision::Undecided => panic!("undecided"),
        }
    }

    /// r60, t60, r1, t1 of the account.
    pub fn used(&self) -> [u64; 4] {
        let it = self.cell.live().account;
        [it.requests_minute, it.tokens_minute, it.requests_second, it.tokens_second]
    }
}
