//! Refusals as the pages show them: which limit, who used it, and the ways out, in words.

use super::{Caller, ConsoleState, choices, fail, failure, rate_limit::unsigned};
use crate::{
    api::refusals::{
        BrokenView, CallerView, CallersView, FoundView, GaugeView, OfProviderView, RefusalView, RefusalsView, RowView,
    },
    error::ApiError,
    format::{NOTHING, minute_text, percent, seconds, whole},
    ui::Choice,
};
use control::refusals::{self, Callers, Explained, Filter, Found, Missing, ProviderRefusal, Refusal};
use domain::{BrokenLimit, Cause, Scope, Window};

mod ways;

/// Refusals a page.
const PAGE: usize = 50;

/// One page of the list.
pub(crate) async fn list(
    state: &ConsoleState,
    caller: &Caller,
    workspace: String,
    model: String,
    cause: &str,
    scope: &str,
    before: &str,
) -> Result<RefusalsView, ApiError> {
    let (control, actor) = (&state.control, &caller.actor);
    let before = before.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    let filter = Filter { workspace, model, cause: Cause::parse(cause), scope: Scope::parse(scope), before };
    let page = refusals::list(control, actor, &filter, PAGE).await.map_err(failure)?;
    let workspaces = choices::workspaces(state, caller, &page.workspace).await?;
    let models = control::models::list(control, actor).await.map_err(failure)?;
    let several = actor.standing.sees_all();
    Ok(RefusalsView {
        rows: page.refusals.iter().map(row).collect(),
        next: page.next.map(|(at, id)| format!("{at}-{id}")),
        stopped_looking: page.stopped_looking,
        begins_ms: page.begins_ms,
        left_out: unsigned(page.left_out),
        workspaces: workspaces.into_iter().filter(|_| several).collect(),
        models: models.into_iter().map(|it| Choice::new(it.code.clone(), it.code)).collect(),
        workspace: if several { page.workspace } else { String::new() },
    })
}

/// One refusal, explained.
pub(crate) async fn explain(state: &ConsoleState, caller: &Caller, id: &str) -> Result<RefusalView, ApiError> {
    let found = refusals::explain(&state.control, &caller.actor, id).await.map_err(failure)?;
    Ok(match found {
        Found::Refusal(it) => RefusalView::Found(Box::new(view(&it, caller))),
        Found::OfProvider(it) => RefusalView::OfProvider(Box::new(of_provider(&it, caller))),
        Found::Missing(missing) => {
            fail(ApiError::NotFound);
            RefusalView::Missing(why_missing(missing))
        }
    })
}

fn of_provider(it: &ProviderRefusal, caller: &Caller) -> OfProviderView {
    let limit = match it.cause {
        Some(Cause::Requests) => "Its limit of requests was reached.",
        Some(Cause::Tokens) => "Its limit of tokens was reached.",
        Some(Cause::Surge) => "Its protection against a sudden surge took effect.",
        None => "Which of its limits was reached, its answer did not say in words that are known.",
    };
    OfProviderView {
        id: it.id.clone(),
        at_ms: it.at_ms,
        model: it.model.clone(),
        workspace: it.workspace.clone(),
        key: if it.key.is_empty() { NOTHING.to_owned() } else { it.key.clone() },
        sentence: format!("Sluice admitted this call; the provider answered it with 429. {limit}"),
        retries: unsigned(it.retries),
        ways: ways::out_of_provider(it, caller),
    }
}

fn why_missing(missing: Missing) -> String {
    match missing {
        Missing::Unknown => {
            "No refusal has this id, or it belongs to a workspace that you do not see. The id of a call \
                             is in its x-request-id header; calls that were answered have no page."
                .to_owned()
        }
        Missing::NotYet => "This call came a moment ago and is not in the log yet. Load the page again.".to_owned(),
        Missing::Older(begins_ms) => {
            format!("This call is older than the call log, which begins at {} UTC.", minute_text(begins_ms))
        }
        Missing::LeftOut(calls) => format!(
            "In the minute of this call so much was refused that {} calls found no room in the log; it may be one of \
             them. They are counted in Monitoring all the same, and the list of refusals holds others of that minute.",
            whole(unsigned(calls))
        ),
    }
}

fn row(it: &Refusal) -> RowView {
    let named = it.named();
    RowView {
        id: it.id.clone(),
        at_ms: it.at_ms,
        model: it.model.clone(),
        workspace: it.workspace.clone(),
        key: if it.key.is_empty() { NOTHING.to_owned() } else { it.key.clone() },
        limit: limit_name(named),
        used: format!("{} of {}", whole(named.used), whole(named.limit)),
        needed: whole(named.needed),
        passes_after: after(it.explanation.retry_after_us),
        fell_back: it.fell_back,
    }
}

fn view(it: &Explained, caller: &Caller) -> FoundView {
    let refusal = &it.refusal;
    let named = refusal.named();
    let retry_after_us = refusal.explanation.retry_after_us;
    let gauge = GaugeView {
        used: named.used,
        needed: named.needed,
        limit: named.limit,
        tokens: named.cause == Cause::Tokens,
        window_s: named.window.seconds(),
    };
    FoundView {
        row: row(refusal),
        sentence: domain::sentence(named, retry_after_us, &refusal.workspace, &refusal.model),
        gauge,
        passes_at_ms: retry_after_us.map(|us| refusal.at_ms.saturating_add_unsigned(us.div_ceil(1_000))),
        retries: unsigned(refusal.retries),
        limits: refusal.explanation.limits.iter().map(broken).collect(),
        callers: it.callers.as_ref().map(|callers| callers_view(callers, refusal, caller)),
        ways: ways::out(it, caller),
    }
}

fn broken(it: &BrokenLimit) -> BrokenView {
    BrokenView {
        limit: limit_name(it),
        window: format!("{} s", it.window.seconds()),
        used: it.used,
        of: it.limit,
        needed: it.needed,
        holds_after: after(it.retry_after_us),
    }
}

fn callers_view(callers: &Callers, refusal: &Refusal, caller: &Caller) -> CallersView {
    let named = refusal.named();
    let whole_use = named.used.max(callers.told);
    let share = |used: u64| if whole_use == 0 { String::new() } else { percent(ratio(used, whole_use)) };
    let mut rows: Vec<_> = callers
        .named
        .iter()
        .map(|it| CallerView {
            workspace: it.workspace.clone(),
            key: if it.key.is_empty() { NOTHING.to_owned() } else { it.key.clone() },
            own: it.key_id == refusal.key_id,
            used: it.used,
            share: share(it.used),
            admitted: it.admitted,
            refused: it.refused,
        })
        .collect();
    let sees_all = caller.actor.standing.sees_all();
    let lighter = if sees_all { "All others together" } else { "Other keys of your workspace together" };
    let sums = [(lighter, &callers.lighter), ("Other workspaces together", &callers.others)];
    for (whom, it) in sums.into_iter().filter_map(|(whom, it)| Some((whom, it.as_ref()?))) {
        rows.push(CallerView {
            workspace: whom.to_owned(),
            key: NOTHING.to_owned(),
            own: false,
            used: it.used,
            share: share(it.used),
            admitted: it.admitted,
            refused: it.refused,
        });
    }
    CallersView { rows, note: untold(callers, named) }
}

/// What of the use the log does not tell, and why.
fn untold(callers: &Callers, named: &BrokenLimit) -> String {
    let what = if named.cause == Cause::Tokens { "tokens" } else { "requests" };
    if callers.left_out > 0 {
        return format!(
            "The log holds a part of the calls of this time, {} of {} {what}; the shares are those of that part.",
            whole(callers.told),
            whole(named.used.max(callers.told))
        );
    }
    match named.used.checked_sub(callers.told) {
        Some(missing) if missing > 0 => format!(
            "{} {what} more were charged at that instant: to calls that have been settled for less since, that still \
             run, or whose charge was raised after their minute.",
            whole(missing)
        ),
        _ => String::new(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share is shown with one decimal")]
fn ratio(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}

/// `Workspace TPM`.
fn limit_name(it: &BrokenLimit) -> String {
    let whose = match it.scope {
        Scope::Account => "Account",
        Scope::Workspace => "Workspace",
    };
    let what = match (it.cause, it.window) {
        (Cause::Requests, Window::Minute) => "RPM",
        (Cause::Requests, Window::Second) => "RPS",
        (Cause::Tokens, Window::Minute) => "TPM",
        (Cause::Tokens, Window::Second) => "TPS",
        (Cause::Surge, _) => "surge",
    };
    format!("{whose} {what}")
}

fn after(us: Option<u64>) -> String {
    us.map_or_else(|| "never".to_owned(), seconds)
}
