//! What a workspace's new limits would have refused in the last seven days: from the call log, played again through the
//! limiter, where it holds every call; else from the figures of each minute. Says which of the two it was.

mod minutes;
mod replay;

use domain::{AccountId, Action, Limits, ModelCode, Rpm, TimeRange, Tpm, WorkspaceId, range::MINUTE_MS};
use limiter::Surge;
use store::{
    Conn,
    call_log::CallQuery,
    model::ModelRow,
    rollup::{Lane, SeriesKey, Sum},
    workspace::LimitRow,
};

use crate::{
    Actor, Control, Result,
    workspaces::{self, SetLimits},
};

/// How far back is looked.
pub const DAYS: i64 = 7;

/// Calls that are played again at most; with more, reading them would take longer than a page may.
const MOST_REPLAYED: i64 = 200_000;

/// Rows of the log read at once.
const PAGE: i64 = 5_000;

/// What it was worked out from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Every call of the log, decided anew by the limiter.
    Calls,
    /// Calls and tokens of each minute: bursts within a minute are not seen.
    Minutes,
}

/// Calls refused, by what ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// By requests.
    pub requests: u64,
    /// By tokens.
    pub tokens: u64,
    /// By surge protection.
    pub surge: u64,
}

impl Refused {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.requests + self.tokens + self.surge
    }
}

/// What limits do to the calls of the range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Calls refused.
    pub refused: Refused,
    /// The minute with the most of them, and how many; `None` without any.
    pub worst: Option<(i64, u64)>,
}

impl Effect {
    fn note(&mut self, minute_ms: i64, count: u64) {
        if count > 0 && self.worst.is_none_or(|(_, most)| count > most) {
            self.worst = Some((minute_ms, count));
        }
    }
}

/// One model of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelForesight {
    /// Its code.
    pub model: String,
    /// Calls of this workspace in the range, refused ones included.
    pub calls: u64,
    /// Those that were refused, under the limits of their time.
    pub refused_then: u64,
    /// What it was worked out from.
    pub source: Source,
    /// What the limits that are stored now would have done; `None` where the model is not granted.
    pub stored: Option<Effect>,
    /// What the limits of the form would have done; `None` where it takes the permission away, so that every call is
    /// refused.
    pub proposed: Option<Effect>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foresight {
    /// The range that was looked at.
    pub range: TimeRange,
    /// Models whose limits or permission the form changes; all that have limits of their own if it changes nothing.
    pub models: Vec<ModelForesight>,
}

/// One model, before and after.
struct Question<'a> {
    model: &'a ModelRow,
    stored: Option<Limits>,
    proposed: Option<Limits>,
}

/// When is asked, and of which installation.
#[derive(Clone, Copy)]
struct Frame {
    range: TimeRange,
    now_ms: i64,
    surge: Surge,
}

/// Works out what `command` would have refused. Stores nothing.
///
/// # Errors
/// As [`workspaces::set_limits`], apart from conflicts.
pub async fn foresee(control: &Control, actor: &Actor, command: &SetLimits) -> Result<Foresight> {
    actor.authorise(Action::Configure)?;
    let now_ms = control.now_ms();
    let mut conn = control.store().read().await?;
    let proposal = workspaces::proposal(&mut conn, actor, command, now_ms).await?;
    let to_ms = now_ms.div_euclid(MINUTE_MS) * MINUTE_MS + MINUTE_MS;
    let range = TimeRange { from_ms: to_ms - DAYS * 24 * 60 * MINUTE_MS, to_ms };
    let frame = Frame { range, now_ms, surge: control.surge() };
    let account_limits = conn.account_limits(actor.account()).await?;
    let sums = conn.sums(actor.account(), Lane::Limited, "", "", range, now_ms).await?;
    let of = |limits: &[LimitRow], code: &str| {
        limits.iter().find(|it| it.model_code == code).map(|it| limits_of(it.rpm, it.tpm))
    };
    let questions = proposal.models.iter().map(|model| Question {
        stored: of(&proposal.before, &model.code),
        proposed: of(&proposal.wanted, &model.code),
        model,
    });
    let touched: Vec<_> = questions.filter(|it| it.stored.is_some() || it.proposed.is_some()).collect();
    let changes = touched.iter().any(|it| it.stored != it.proposed);
    let mut models = Vec::new();
    for question in touched {
        let asked = if changes {
            question.stored != question.proposed
        } else {
            question.proposed.is_some_and(|it| it != Limits::default())
        };
        if asked {
            let others: Vec<_> = account_limits
                .iter()
                .filter(|it| it.model_code == question.model.code && it.workspace_id != proposal.workspace.id)
                .collect();
            let workspace = proposal.workspace.id.as_str();
            models.push(one(&mut conn, workspace, &question, &others, &sums, frame).await?);
        }
    }
    Ok(Foresight { range, models })
}

async fn one(
    conn: &mut Conn,
    workspace: &str,
    question: &Question<'_>,
    others: &[&LimitRow],
    sums: &[Sum],
    Frame { range, now_ms, surge }: Frame,
) -> Result<ModelForesight> {
    let model = question.model;
    let mine = sums.iter().find(|it| it.workspace_id == workspace && it.model_code == model.code);
    let (calls, refused_then) = mine.map_or((0, 0), |it| (count(it.figures.calls), count(it.figures.refused())));
    let account = limits_of(Some(model.rpm), model.effective_tpm(now_ms));
    let mut found = ModelForesight {
        model: model.code.clone(),
        calls,
        refused_then,
        source: Source::Calls,
        stored: question.stored.map(|_| Effect::default()),
        proposed: question.proposed.map(|_| Effect::default()),
    };
    if calls == 0 {
        return Ok(found);
    }
    if let Some(calls) = logged(conn, model, sums, range).await? {
        let trace = replay::Trace {
            account_id: AccountId::new(model.account_id.as_str()),
            model: ModelCode::parse(&model.code).ok(),
            account,
            default_output: count(model.default_output_tokens),
            surge,
            others: others.iter().map(|it| (WorkspaceId::new(&*it.workspace_id), limits_of(it.rpm, it.tpm))).collect(),
            workspace: WorkspaceId::new(workspace),
            from_ms: range.from_ms,
            calls,
        };
        let (stored, proposed) = (question.stored, question.proposed);
        // A hundred thousand decisions take tens of milliseconds: too long for a thread that others wait for.
        let run =
            tokio::task::spawn_blocking(move || (stored.map(|it| trace.run(it)), proposed.map(|it| trace.run(it))));
        (found.stored, found.proposed) = match run.await {
            Ok(effects) => effects,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        return Ok(found);
    }
    found.source = Source::Minutes;
    let series = SeriesKey {
        account: model.account_id.clone(),
        lane: Lane::Limited,
        workspace: workspace.to_owned(),
        model: model.code.clone(),
    };
    let points = conn.points(&series, range, MINUTE_MS, now_ms).await?;
    let effect = |own: Limits| minutes::effect(&points, own.lower(account));
    (found.stored, found.proposed) = (question.stored.map(effect), question.proposed.map(effect));
    Ok(found)
}

/// Every call of a model in the range, of all workspaces and in order; `None` if the log does not hold all of them, or
/// more than can be played again.
async fn logged(
    conn: &mut Conn,
    model: &ModelRow,
    sums: &[Sum],
    range: TimeRange,
) -> Result<Option<Vec<replay::Call>>> {
    let of_account: i64 = sums.iter().map(|it| it.figures.calls).sum();
    let expected: i64 = sums.iter().filter(|it| it.model_code == model.code).map(|it| it.figures.calls).sum();
    // The log is read through for all models of an account.
    if of_account > MOST_REPLAYED {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut before = (range.to_ms, String::new());
    loop {
        let query = CallQuery {
            workspace: "",
            model: &model.code,
            notable: false,
            from_ms: range.from_ms,
            before: (before.0, &before.1),
            limit: PAGE,
        };
        let page = conn.calls(&model.account_id, query).await?;
        let Some(last) = page.last() else { break };
        before = (last.at_ms, last.id.clone());
        let full = i64::try_from(page.len()).unwrap_or(i64::MAX) >= PAGE;
        found.extend(page.iter().filter(|it| it.lane == Lane::Limited.as_str()).map(replay::Call::of));
        if !full {
            break;
        }
    }
    found.reverse();
    // A call that ended after the sums were read is in the log alone; one that is missing makes all of it a guess.
    let complete = i64::try_from(found.len()).unwrap_or(i64::MAX) >= expected;
    Ok(complete.then_some(found))
}

fn limits_of(rpm: Option<i64>, tpm: Option<i64>) -> Limits {
    Limits { rpm: rpm.map(count).and_then(Rpm::new), tpm: tpm.map(count).and_then(Tpm::new) }
}

/// Counts are never negative; the store counts in signed numbers.
fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
