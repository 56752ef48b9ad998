//! Limits, increases and their history, as the page shows them.

use super::{Caller, ConsoleState, LiveCell, LiveFigures, failure, live::Shown, live::fingerprint, outcome};
use crate::{
    api::rate_limit::{IncreaseView, LimitView, RateLimitQuery, RateLimitView, RunningView},
    error::ApiError,
    format::{NOTHING, countdown, left, minute_text, whole},
    outcome::Outcome,
    paths,
};
use control::increases::{self, ActiveIncrease, IncreaseForm};
use domain::{Action, IncreaseState, WorkspaceId, ceil60};
use std::collections::{BTreeSet, HashMap};

/// Rows of the history on one page.
const HISTORY: i64 = 50;
const DAY_MS: i64 = 86_400_000;

/// Everything on the page. Who belongs to one workspace is shown the account's limits, and the use of that workspace:
/// neither what the others use, together or at their highest, nor who asked for more.
pub(crate) async fn view(
    state: &ConsoleState,
    caller: &Caller,
    query: &RateLimitQuery,
) -> Result<RateLimitView, ApiError> {
    let (control, actor) = (&state.control, &caller.actor);
    let now_ms = control.now_ms();
    let limits = increases::rate_limits(control, actor).await.map_err(failure)?;
    let settings = control::accounts::settings(control, actor).await.map_err(failure)?;
    let before = query.before.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id)));
    // One more than is shown tells whether there are more.
    let mut history = increases::history(control, actor, before, HISTORY + 1).await.map_err(failure)?;
    let shown = usize::try_from(HISTORY).unwrap_or_default();
    let more = history.len() > shown;
    history.truncate(shown);
    let older = history.last().filter(|_| more).map(|it| format!("{}.{}", it.requested_at, it.id)).unwrap_or_default();
    let sees_all = actor.standing.sees_all();
    let own = own_limits(state, caller).await;
    let models: Vec<LimitView> = limits
        .into_iter()
        .map(|it| LimitView {
            rpm: unsigned(it.rpm),
            default_tpm: it.default_tpm.map(unsigned),
            tpm: it.tpm.map(unsigned),
            upper_tpm: it.tpm_upper_limit.map(unsigned),
            tps: it.tpm.map(|tpm| ceil60(unsigned(tpm))),
            peak: sees_all.then(|| unsigned(it.peak)),
            increase: it.increase.map(|it| running(&it, now_ms, sees_all)),
            most_requests: own.get(&it.model).map_or_else(|| unsigned(it.rpm), |it| it.rpm),
            most_tokens: own.get(&it.model).map_or_else(|| it.tpm.map(unsigned), |it| it.tpm),
            granted: sees_all || own.get(&it.model).is_some_and(|it| it.granted),
            model: it.model,
            ..LimitView::default()
        })
        .collect();
    let history = history
        .into_iter()
        .map(|it| {
            let known = IncreaseState::parse(&it.state);
            IncreaseView {
                at_ms: it.requested_at,
                tpm: unsigned(it.tpm),
                before: unsigned(it.former_tpm),
                until_ms: it.valid_until,
                state: known.map_or_else(|| it.state.clone(), |it| it.label().to_owned()),
                active: known == Some(IncreaseState::Active),
                ended: ended(known, it.ended_at, it.ended_by.filter(|_| sees_all)),
                peak: sees_all.then(|| unsigned(it.peak_used)),
                model: it.model_code,
                by: if sees_all { it.requested_by } else { NOTHING.to_owned() },
            }
        })
        .collect();
    let mut view = RateLimitView {
        offers: models.iter().filter(|it| it.has_room() || it.renews(&query.increase)).cloned().collect(),
        models,
        of_workspace: !sees_all,
        history,
        older,
        valid_days: u32::try_from(settings.increase_validity_days).unwrap_or_default(),
        until_ms: now_ms + settings.increase_validity_days * DAY_MS,
        rows: String::new(),
    };
    refresh_now(state, caller, &mut view);
    // The most used first: that is what somebody comes here to raise.
    view.models.sort_by(|a, b| share(b).total_cmp(&share(a)).then_with(|| a.model.cmp(&b.model)));
    view.rows = fingerprint(&rows(&view));
    Ok(view)
}

fn running(it: &ActiveIncrease, now_ms: i64, sees_all: bool) -> RunningView {
    let notice = it.notice.then(|| {
        let peak =
            if sees_all { format!(" Peak since then: {}.", whole(unsigned(it.peak_used))) } else { String::new() };
        format!("Returns to the default in {}: nothing used more than it.{peak}", left(it.downsizes_at - now_ms))
    });
    RunningView {
        id: it.id.clone(),
        until_ms: it.valid_until,
        left: countdown(it.valid_until - now_ms),
        peak: sees_all.then(|| unsigned(it.peak_used)),
        keep: it.notice,
        notice,
    }
}

/// `by mara@acme.example, 2026-11-22 11:42 UTC`; nothing while it is in force.
fn ended(state: Option<IncreaseState>, at_ms: Option<i64>, by: Option<String>) -> String {
    let (Some(at_ms), false) = (at_ms, state == Some(IncreaseState::Active)) else { return String::new() };
    let by = by.map(|it| format!("by {it}, ")).unwrap_or_default();
    format!("{by}{} UTC", minute_text(at_ms))
}

#[allow(clippy::cast_precision_loss, reason = "it only orders rows")]
fn share(limit: &LimitView) -> f64 {
    let of = |used: u64, limit: u64| used as f64 / limit.max(1) as f64;
    let tokens = limit.most_tokens.map_or(0.0, |tpm| of(limit.tokens_now.max(limit.peak.unwrap_or(0)), tpm));
    tokens.max(of(limit.requests_now, limit.most_requests))
}

/// What is in force for one workspace.
struct Own {
    rpm: u64,
    tpm: Option<u64>,
    granted: bool,
}

/// What is in force for the caller's own workspace by model, if it is all that the caller sees.
async fn own_limits(state: &ConsoleState, caller: &Caller) -> HashMap<String, Own> {
    let standing = &caller.actor.standing;
    let own = standing.workspace.as_ref().filter(|_| !standing.sees_all());
    let Some(id) = own else { return HashMap::new() };
    let editor = control::workspaces::editor(&state.control, &caller.actor, id.as_str()).await;
    // An archived workspace has no editor, and no use.
    let models = editor.map(|it| it.models).unwrap_or_default();
    let lower = |own: Option<i64>, account: i64| unsigned(own.map_or(account, |own| own.min(account)));
    let limits = models.into_iter().map(|it| {
        let tpm = it.account_tpm.map(|account| lower(it.tpm, account));
        (it.code, Own { rpm: lower(it.rpm, it.account_rpm), tpm, granted: it.granted })
    });
    limits.collect()
}

/// Use of each model at this moment: of the account, or of one workspace. Whoever sees one workspace alone is told of
/// that one, whatever is asked for.
pub(super) fn use_now(
    state: &ConsoleState,
    caller: &Caller,
    workspace: Option<&WorkspaceId>,
) -> HashMap<String, LiveFigures> {
    let standing = &caller.viewer.standing;
    let workspace = match (standing.sees_all(), &standing.workspace) {
        (true, _) => workspace,
        (false, Some(own)) => Some(own),
        (false, None) => return HashMap::new(),
    };
    let of_workspace = |all: &[(WorkspaceId, LiveFigures)], id: &WorkspaceId| {
        all.iter().find(|(it, _)| it == id && standing.sees(it)).map(|(_, figures)| *figures)
    };
    let cells = state.live.live(&standing.account).into_iter();
    let figures = |cell: LiveCell| match workspace {
        Some(id) => Some((cell.model.as_str().to_owned(), of_workspace(&cell.workspaces, id)?)),
        None => Some((cell.model.as_str().to_owned(), cell.account)),
    };
    cells.filter_map(figures).collect()
}

/// Brings the use of this moment into a view that was read before.
pub(super) fn refresh_now(state: &ConsoleState, caller: &Caller, view: &mut RateLimitView) {
    let now = use_now(state, caller, None);
    for limit in &mut view.models {
        let figures = now.get(&limit.model).copied().unwrap_or_default();
        (limit.requests_now, limit.tokens_now) = (figures.requests_minute, figures.tokens_minute);
        (limit.requests_second, limit.tokens_second) = (figures.requests_second, figures.tokens_second);
    }
}

/// Which rows there are. An increase is one of its own, and none any more when it ends: then the page shows another limit.
fn rows(view: &RateLimitView) -> BTreeSet<String> {
    let of = |limit: &LimitView| {
        let running = limit.increase.as_ref().map(|it| format!("{}/{}", limit.model, it.id));
        std::iter::once(limit.model.clone()).chain(running)
    };
    view.models.iter().flat_map(of).collect()
}

/// The live parts of the page by their keys.
pub(super) fn show(view: &RateLimitView, now_ms: i64, shown: &mut Shown) {
    shown.rows = rows(view);
    for limit in &view.models {
        let key = |what: &str| format!("{}/{what}", limit.model);
        shown.text(key("requests"), whole(limit.requests_now));
        shown.bar(key("requests-bar"), limit.requests_now, Some(limit.most_requests));
        shown.text(key("requests-left"), whole(limit.most_requests.saturating_sub(limit.requests_now)));
        if let Some(running) = &limit.increase {
            shown.text(key("left"), countdown(running.until_ms - now_ms));
        }
        if let Some(tpm) = limit.most_tokens {
            shown.text(key("tokens"), whole(limit.tokens_now));
            shown.bar(key("tokens-bar"), limit.tokens_now, Some(tpm));
            shown.text(key("tokens-left"), whole(tpm.saturating_sub(limit.tokens_now)));
        }
    }
}

/// Raises a model's TPM.
pub(crate) async fn increase(
    state: &ConsoleState,
    caller: &Caller,
    model: &str,
    tpm: &str,
) -> Result<Outcome, ApiError> {
    let form = IncreaseForm { model: model.to_owned(), tpm: tpm.to_owned() };
    Ok(match outcome(increases::request(&state.control, &caller.actor, &form).await)? {
        Ok(row) => {
            let message = format!("{} may use {} tokens per minute now", row.model_code, whole(unsigned(row.tpm)));
            Outcome::go(message, paths::RATE_LIMIT)
        }
        Err(outcome) => outcome,
    })
}

/// Ends an increase.
pub(crate) async fn end(state: &ConsoleState, caller: &Caller, id: &str) -> Result<Outcome, ApiError> {
    let ended = outcome(increases::end_now(&state.control, &caller.actor, id).await)?;
    Ok(ended.map_or_else(|it| it, |()| Outcome::go("The increase has ended", paths::RATE_LIMIT)))
}

/// Keeps an increase.
pub(crate) async fn keep(state: &ConsoleState, caller: &Caller, id: &str) -> Result<Outcome, ApiError> {
    let kept = outcome(increases::keep(&state.control, &caller.actor, id).await)?;
    Ok(kept.map_or_else(|it| it, |()| Outcome::go("The increase is kept", paths::RATE_LIMIT)))
}

/// Checks every window of the last day against the limit in force.
pub(crate) async fn verify(state: &ConsoleState, caller: &Caller) -> Result<Outcome, ApiError> {
    if let Err(refused) = caller.actor.authorise(Action::Configure) {
        return Err(failure(refused));
    }
    let Some(proof) = state.proof.clone() else {
        return Ok(Outcome::wrong("", "admissions are not journalled; a setting of the process switches it on"));
    };
    let account = caller.viewer.standing.account.clone();
    let proven = tokio::task::spawn_blocking(move || proof.prove(&account)).await;
    let outcome = match proven.unwrap_or_else(|_| Err("the check did not come to its end".to_owned())) {
        Err(why) => Outcome::wrong("", why),
        Ok(proven) if proven.over > 0 => {
            let (over, checked) = (whole(proven.over), whole(proven.admissions));
            let told = format!("{over} of {checked} admissions went over a limit; sluice verify says which and when");
            Outcome::go(told, paths::RATE_LIMIT)
        }
        Ok(proven) => {
            let fullest = proven.fullest.map(|it| format!(". The fullest window: {it}")).unwrap_or_default();
            let checked = whole(proven.admissions);
            let but = match (proven.cut_off, proven.torn) {
                (0, 0) => String::new(),
                (0, _) => ". After an unclean stop, the last moments before it are not in the record".to_owned(),
                (calls, _) => {
                    format!(". The tokens of {} calls that an unclean stop cut off are known in part", whole(calls))
                }
            };
            let told = format!("{checked} admissions checked, none went over a limit{fullest}{but}");
            Outcome::go(told, paths::RATE_LIMIT)
        }
    };
    Ok(outcome)
}

/// Stored limits are never negative.
pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
