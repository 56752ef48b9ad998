//! What a trace of calls would have met: the limiter itself, run over JSON lines with the trace's clock.
//!
//! Strict about what it reads: a field that is missing, of another type or out of range ends the run. Fields it does not
//! know are ignored in events, which may be exports with more columns, and refused in limits, where a misspelt `rpm`
//! would silently mean "no limit". Blank lines are skipped.

use std::{
    collections::HashMap,
    fmt,
    io::{BufRead, BufWriter, Write},
    sync::Arc,
};

use domain::{AccountId, Cause, Limits, ModelCode, Rpm, Scope, Tpm, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::{
    Ask, CellHandle, CellLimits, Decision, Ledger, ManualClock, Micros, Permit, Settlement, Surge, WorkspaceSlot,
};

/// The output expected of a call without a maximum until something was learned.
const DEFAULT_OUTPUT: u64 = 1024;
/// The default workspace's name in every command; it has no limits of its own.
const DEFAULT_WORKSPACE: &str = "default";

/// Where and why a run ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulateError {
    /// The line of the trace, from 1; `None`: the limits, or reading or writing failed.
    pub line: Option<u64>,
    /// What was wrong, without the line number.
    pub message: String,
}

impl fmt::Display for SimulateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for SimulateError {}

/// Runs a trace against `limits` (a JSON object) and writes one decision a line.
///
/// `expected_output` fixes the output expected of calls without a maximum; else it is learned from settled calls.
///
/// # Errors
/// The first malformed line, a malformed limits object, or a failure to read or write. Decisions before it are written.
pub fn run(
    limits: &str,
    trace: impl BufRead,
    out: impl Write,
    expected_output: Option<u64>,
) -> Result<(), SimulateError> {
    run_with(Surge::default(), limits, trace, out, expected_output)
}

/// The same with other numbers of surge protection.
///
/// # Errors
/// Those of [`run`].
pub fn run_with(
    surge: Surge,
    limits: &str,
    trace: impl BufRead,
    out: impl Write,
    expected_output: Option<u64>,
) -> Result<(), SimulateError> {
    let outside = |message: String| SimulateError { line: None, message };
    let limits = serde_json::from_str(limits).map_err(|it| outside(format!("the limits: {it}")))?;
    let mut simulation = Simulation::new(surge, expected_output);
    simulation.set_limits(limits).map_err(|it| outside(format!("the limits: {it}")))?;
    let mut out = BufWriter::new(out);
    let ended = simulation.follow(trace, &mut out);
    let written = out.flush().map_err(|it| outside(format!("cannot write: {it}")));
    ended.and(written)
}

struct Simulation {
    clock: Arc<ManualClock>,
    ledger: Ledger,
    cell: Arc<CellHandle>,
    account: Limits,
    own: HashMap<WorkspaceSlot, Limits>,
    slots: HashMap<String, WorkspaceSlot>,
    /// Every id that was seen, with its permit while the call is open.
    calls: HashMap<String, Option<Permit>>,
    expected_output: Option<u64>,
    last: u64,
}

impl Simulation {
    fn new(surge: Surge, expected_output: Option<u64>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let ledger = Ledger::new(clock.clone(), surge);
        let model = ModelCode::parse("simulated").expect("a valid name");
        let cell = ledger.cell(&AccountId::new("simulated"), &model);
        let (own, slots, calls) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { clock, ledger, cell, account: Limits::default(), own, slots, calls, expected_output, last: 0 }
    }

    fn follow(&mut self, mut trace: impl BufRead, out: &mut impl Write) -> Result<(), SimulateError> {
        let mut text = Vec::new();
        for line in 1.. {
            let at = |message: String| SimulateError { line: Some(line), message };
            text.clear();
            if trace.read_until(b'\n', &mut text).map_err(|it| at(format!("cannot read: {it}")))? == 0 {
                break;
            }
            match text.trim_ascii_start().first() {
                None => continue,
                Some(b'{') => {}
                Some(_) => return Err(at("an event is a JSON object".to_owned())),
            }
            let event = serde_json::from_slice(&text).map_err(|it| at(it.to_string()))?;
            let Some(answer) = self.step(event).map_err(at)? else { continue };
            let written =
                serde_json::to_writer(&mut *out, &answer).map_err(Into::into).and_then(|()| out.write_all(b"\n"));
            written.map_err(|it| SimulateError { line: None, message: format!("cannot write: {it}") })?;
        }
        Ok(())
    }

    fn step(&mut self, event: Event) -> Result<Option<Answer>, String> {
        if event.t_us < self.last {
            return Err(format!("t_us {} is before {}, that of the event before", event.t_us, self.last));
        }
        if event.t_us > i64::MAX.cast_unsigned() {
            return Err(format!("t_us {} is above {}", event.t_us, i64::MAX));
        }
        self.last = event.t_us;
        self.clock.set(Micros(event.t_us));
        match event.event.as_str() {
            "call" => self.call(event).map(Some),
            "settle" => self.settle(event).map(|()| None),
            "limits" => self.set_limits(event.limits.ok_or("missing field `limits`")?).map(|()| None),
            other => Err(format!("unknown event {other:?}")),
        }
    }

    fn call(&mut self, event: Event) -> Result<Answer, String> {
        let id = event.id.ok_or("missing field `id`")?;
        let prompt = event.prompt_tokens.ok_or("missing field `prompt_tokens`")?;
        if self.calls.contains_key(&id) {
            return Err(format!("id {id:?} is used twice"));
        }
        let slot = self.slot(event.workspace.as_deref().unwrap_or(DEFAULT_WORKSPACE));
        let workspace = self.own.get(&slot).copied().unwrap_or_default();
        let limits = CellLimits { account: self.account, workspace, default_output: DEFAULT_OUTPUT };
        let decision = self.cell.admit_estimated(slot, &limits, |learned| Ask {
            prompt,
            max_output: event.max_tokens.map(|it| u64::from(it) * u64::from(event.n.unwrap_or(1))),
            expected_output: self.expected_output.or(learned.output).unwrap_or(DEFAULT_OUTPUT),
            ..Ask::default()
        });
        let (permit, outcome) = match decision {
            Decision::Admitted(permit, _) => {
                let reserved = permit.reserved();
                let reserved = ByScope { account: reserved.account, workspace: reserved.workspace };
                (Some(permit), Outcome::Admitted { reserved })
            }
            Decision::Denied(denial, _) => {
                let refused = Outcome::Refused {
                    cause: denial.named.cause,
                    scope: denial.named.scope,
                    window_s: denial.named.window.seconds(),
                    retry_after_us: denial.retry_after_us,
                    permanent: denial.permanent(),
                };
                (None, refused)
            }
            Decision::Undecided => unreachable!("a simulation keeps nothing for a restart"),
        };
        let answer = Answer { id: id.clone(), admitted: permit.is_some(), outcome };
        self.calls.insert(id, permit);
        Ok(answer)
    }

    fn settle(&mut self, event: Event) -> Result<(), String> {
        let id = event.id.ok_or("missing field `id`")?;
        let total = event.total_tokens.ok_or("missing field `total_tokens`")?;
        if let Some(permit) = self.calls.get_mut(&id).and_then(Option::take) {
            permit.settle(Settlement::Exact { prompt: None, total, ended_well: true });
        }
        Ok(())
    }

    fn set_limits(&mut self, limits: AllLimits) -> Result<(), String> {
        let account = limits.account.checked("the account")?;
        let mut own = HashMap::new();
        for (name, limits) in limits.workspaces.unwrap_or_default() {
            let Some(limits) = limits else { continue };
            let limits = limits.checked(&format!("workspace {name:?}"))?;
            if name == DEFAULT_WORKSPACE && limits != Limits::default() {
                return Err("the default workspace has no limits of its own".to_owned());
            }
            own.insert(self.slot(&name), limits);
        }
        (self.account, self.own) = (account, own);
        Ok(())
    }

    fn slot(&mut self, workspace: &str) -> WorkspaceSlot {
        if let Some(&slot) = self.slots.get(workspace) {
            return slot;
        }
        let slot = self.ledger.workspace(&WorkspaceId::new(workspace));
        self.slots.insert(workspace.to_owned(), slot);
        slot
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllLimits {
    account: ScopeLimits,
    workspaces: Option<HashMap<String, Option<ScopeLimits>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeLimits {
    rpm: Option<u64>,
    tpm: Option<u64>,
}

impl ScopeLimits {
    fn checked(&self, whose: &str) -> Result<Limits, String> {
        let too_high = |what: &str, n: u64| format!("{what} {n} of {whose} is above the highest possible limit");
        Ok(Limits {
            rpm: self.rpm.map(|n| Rpm::new(n).ok_or_else(|| too_high("rpm", n))).transpose()?,
            tpm: self.tpm.map(|n| Tpm::new(n).ok_or_else(|| too_high("tpm", n))).transpose()?,
        })
    }
}

/// One line of the trace; which fields it must have depends on the event.
#[derive(Deserialize)]
struct Event {
    t_us: u64,
    event: String,
    id: Option<String>,
    workspace: Option<String>,
    prompt_tokens: Option<u64>,
    max_tokens: Option<u32>,
    n: Option<u32>,
    total_tokens: Option<u64>,
    limits: Option<AllLimits>,
}

/// One line of the output; the order of fields is part of the contract.
#[derive(Serialize)]
struct Answer {
    id: String,
    admitted: bool,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Admitted { reserved: ByScope },
    Refused { cause: Cause, scope: Scope, window_s: u64, retry_after_us: Option<u64>, permanent: bool },
}

#[derive(Serialize)]
struct ByScope {
    account: u64,
    workspace: u64,
}
