//! The ways out of a refusal: raise the limit, lower somebody else's, wait, fall back. Each with where it is done, for
//! who may do it.

use super::Caller;
use crate::{
    api::refusals::WayView,
    format::{seconds, whole},
    paths,
};
use control::refusals::{Backup, CallerUse, Explained, ProviderRefusal};
use domain::{Action, Cause, Scope};

/// Above this share of a limit, one caller is worth naming.
const HEAVY: f64 = 0.2;

/// What can be done about it, the quickest first.
pub(super) fn out(it: &Explained, caller: &Caller) -> Vec<WayView> {
    let configures = caller.actor.standing.may(Action::Configure);
    if !it.now.model_exists {
        return vec![way("The model is gone", "It was removed since; nothing can be changed about its limits.")];
    }
    let refusal = &it.refusal;
    let falling = Falling {
        model: &refusal.model,
        workspace: &refusal.workspace,
        workspace_id: &refusal.workspace_id,
        fell_back: refusal.fell_back,
    };
    let fall_back = fall_back(&falling, &it.now.backup, configures);
    let ways = [smaller(it), raise(it, configures), lower(it, configures), wait(it), Some(fall_back)];
    ways.into_iter().flatten().collect()
}

/// What can be done about a 429 of the provider, the quickest first.
pub(super) fn out_of_provider(it: &ProviderRefusal, caller: &Caller) -> Vec<WayView> {
    let configures = caller.actor.standing.may(Action::Configure);
    let Some(backup) = &it.backup else { return vec![way("The model is gone", "It was removed since.")] };
    let wait = way(
        "Wait",
        "Clients that obey the answer's Retry-After wait by themselves; without one, retry after a pause that grows.",
    );
    let falling =
        Falling { model: &it.model, workspace: &it.workspace, workspace_id: &it.workspace_id, fell_back: it.fell_back };
    let text = format!(
        "If the provider grants less than {} has here, its own limits are met first. With the granted ones set here, \
         Sluice refuses with the exact instant of return.",
        it.model
    );
    let match_limits = linked(way("Set what the provider grants", text), configures, edit(&it.model), "Edit the model");
    vec![wait, fall_back(&falling, backup, configures), match_limits]
}

fn way(title: &str, text: impl Into<String>) -> WayView {
    WayView { title: title.to_owned(), text: text.into(), ..WayView::default() }
}

/// The link for who may follow it, else whom to ask.
fn linked(mut way: WayView, may: bool, href: String, words: &str) -> WayView {
    if may {
        way.link = Some((href, words.to_owned()));
    } else {
        way.text.push_str(" An owner or admin can do that.");
    }
    way
}

/// Only a smaller call can pass.
fn smaller(it: &Explained) -> Option<WayView> {
    let named = it.refusal.named();
    let never = it.refusal.explanation.retry_after_us.is_none();
    (never && named.limit > 0).then(|| {
        way(
            "Ask for less",
            format!(
                "The call needs at least {} tokens, more than a whole window of {} holds. A shorter prompt, or a task \
                 split into several calls, can pass.",
                whole(named.needed),
                whole(named.limit)
            ),
        )
    })
}

fn raise(it: &Explained, configures: bool) -> Option<WayView> {
    let (named, now) = (it.refusal.named(), &it.now);
    let raised = now.limit.filter(|limit| *limit > named.limit);
    let since = raised.map(|limit| format!(" It was raised since: it is {} now.", whole(limit))).unwrap_or_default();
    let model = &it.refusal.model;
    match (named.scope, named.cause) {
        (Scope::Workspace, _) => {
            let most = now.of_account.filter(|most| now.limit.is_none_or(|limit| limit < *most));
            let room = match most {
                Some(most) => format!("The account allows up to {}.", whole(most)),
                None => "It is as high as the account's limit already; only that can be raised.".to_owned(),
            };
            let text = format!("Workspace {} has a limit of its own for {model}. {room}{since}", it.refusal.workspace);
            let href = paths::workspace(&it.refusal.workspace_id);
            Some(linked(way("Raise the workspace's limit", text), configures, href, "Edit the workspace"))
        }
        (Scope::Account, Cause::Tokens) => {
            let upper = now.tpm_upper_limit.filter(|upper| now.tpm.is_some_and(|tpm| tpm < *upper));
            Some(match upper {
                Some(upper) => {
                    let text = format!("Up to {} tokens per minute, for a while.{since}", whole(upper));
                    let href = paths::with_query(paths::RATE_LIMIT, &[("increase", model)]);
                    linked(way("Raise the limit", text), configures, href, "Increase Rate Limit Temporarily")
                }
                None => {
                    let text = format!("It stands at the highest that {model} is set up for.{since}");
                    linked(way("Raise the limit", text), configures, edit(model), "Edit the model")
                }
            })
        }
        (Scope::Account, Cause::Requests) => {
            let text =
                format!("The account's requests are what the provider grants; if it grants more, say so.{since}");
            Some(linked(way("Raise the limit", text), configures, edit(model), "Edit the model"))
        }
        (Scope::Account, Cause::Surge) => Some(WayView {
            link: Some((format!("{}#practices", paths::HELP), "How to smooth".to_owned())),
            ..way(
                "Start more slowly",
                "The rate rose to several times that of the minute before. A rate that grows over a minute, or a queue \
                 that sends at an even pace, passes.",
            )
        }),
    }
}

fn edit(model: &str) -> String {
    paths::with_query(paths::MODELS, &[("edit", model)])
}

/// Whoever used most of it, if that is somebody else.
fn lower(it: &Explained, configures: bool) -> Option<WayView> {
    let named = it.refusal.named();
    let callers = it.callers.as_ref()?;
    let share = |used: u64| super::ratio(used, named.used.max(callers.told).max(1));
    let told = |it: &CallerUse| crate::format::percent(share(it.used));
    let heavy = |it: &&CallerUse| share(it.used) >= HEAVY;
    if named.scope == Scope::Workspace {
        let other = callers.named.iter().filter(|other| other.key_id != it.refusal.key_id).find(heavy)?;
        let text =
            format!("Key {} used {} of it. It can be moved to a workspace of its own.", name(&other.key), told(other));
        return Some(linked(way("Lower another's use", text), configures, paths::KEYS.to_owned(), "API keys"));
    }
    if let Some(other) = callers.named.iter().filter(|other| other.workspace_id != it.refusal.workspace_id).find(heavy)
    {
        let text = format!(
            "Key {} of workspace {} used {} of it. A limit for that workspace leaves room for the others.",
            name(&other.key),
            other.workspace,
            told(other)
        );
        let href = paths::workspace(&other.workspace_id);
        return Some(linked(way("Lower another's limit", text), configures, href, "Edit that workspace"));
    }
    let others = callers.others.as_ref().filter(heavy)?;
    let text = format!("Other workspaces used {} of it together. Limits for them would leave room.", told(others));
    Some(linked(way("Lower another's limit", text), false, String::new(), ""))
}

fn name(key: &str) -> &str {
    if key.is_empty() { "(removed)" } else { key }
}

fn wait(it: &Explained) -> Option<WayView> {
    let us = it.refusal.explanation.retry_after_us?;
    let whole_seconds = us.div_ceil(1_000_000).max(1);
    Some(WayView {
        header: format!("X-DashScope-Wait-Timeout: {whole_seconds}"),
        ..way(
            "Wait",
            format!(
                "It would have passed after {}. Clients that obey Retry-After wait by themselves; with this header the \
                 gateway holds a call back instead of refusing it.",
                seconds(us)
            ),
        )
    })
}

/// The call that would fall back.
struct Falling<'a> {
    model: &'a str,
    workspace: &'a str,
    workspace_id: &'a str,
    fell_back: bool,
}

fn fall_back(it: &Falling<'_>, to: &Backup, configures: bool) -> WayView {
    let (model, title) = (it.model, "Fall back");
    let Some(backup) = &to.model else {
        let text = format!("Name a backup for {model}: each model has limits of its own.");
        return linked(way(title, text), configures, edit(model), "Edit the model");
    };
    if it.fell_back {
        return way(title, format!("It did: {backup}, the model's backup, took the call."));
    }
    if !to.granted {
        let text = format!("The backup is {backup}, which workspace {} may not call.", it.workspace);
        return linked(way(title, text), configures, paths::workspace(it.workspace_id), "Edit the workspace");
    }
    let text = match to.of_every_call {
        true => format!("{backup} takes calls that {model} refuses, as long as its own limits allow."),
        false => format!(
            "{backup} can take calls that {model} refuses: switched on for one call by this header, or for the model."
        ),
    };
    let header = if to.of_every_call { String::new() } else { "X-Sluice-Fallback: on".to_owned() };
    let it = WayView { header, ..way(title, text) };
    if to.of_every_call || !configures { it } else { linked(it, true, edit(model), "Edit the model") }
}
