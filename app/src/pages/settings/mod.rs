//! Settings: one page for each kind of thing, and what these pages share.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod import;
pub(crate) mod keys;
pub(crate) mod members;
pub(crate) mod models;
pub(crate) mod providers;
pub(crate) mod workspace;
pub(crate) mod workspaces;

mod secret;
mod shares;

use crate::{
    components::page::flash_for,
    format::NOTHING,
    outcome::Outcome,
    ui::{ActForm, Dialog, Submit},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// What the address asks for under `name`.
fn asked(name: &str) -> Option<String> {
    use_query_map().with_untracked(|query| query.get(name))
}

/// Said where the address asks under one of `names` for something that opened no dialog: it is gone, or not for this
/// viewer.
fn gone(names: &[&str], opened: bool, words: &'static str) -> Option<AnyView> {
    let asked_for = !opened && names.iter().any(|it| asked(it).is_some());
    asked_for.then(|| view! { <p class="notice near" role="status">{words}</p> }.into_any())
}

/// A table that scrolls by itself where it is too wide.
#[component]
fn List(
    /// What it lists, for screen readers.
    label: &'static str,
    /// The words above each column, and whether it holds numbers.
    columns: &'static [(&'static str, bool)],
    /// The rows.
    rows: Vec<AnyView>,
) -> impl IntoView {
    let headers: Vec<_> = columns
        .iter()
        .map(|(words, number)| match *words {
            "" => view! { <th scope="col"><span class="unseen">"Actions"</span></th> }.into_any(),
            words => view! { <th scope="col" class:number=*number>{words}</th> }.into_any(),
        })
        .collect();
    view! {
        <div class="panel scroll" tabindex="0" role="group" aria-label=label>
            <table class="pinned"><thead><tr>{headers}</tr></thead><tbody>{rows}</tbody></table>
        </div>
    }
}

/// The button that opens `create-dialog`, which `?create=1` opens as well; disabled with its reason.
#[component]
fn Create(
    /// The words on it.
    label: &'static str,
    /// Why it may not be pressed.
    refused: Option<String>,
) -> impl IntoView {
    let disabled = refused.is_some();
    let title = refused.clone();
    let reason = refused.map(|it| view! { <span class="unseen">{format!(" ({it})")}</span> });
    view! {
        <button type="button" class="button" command="show-modal" commandfor="create-dialog" disabled=disabled title=title>{label}{reason}</button>
    }
}

/// The question before something that cannot be undone; a dialog that the address opened.
#[component]
fn Confirm(
    /// The heading.
    title: &'static str,
    /// Names the form.
    name: &'static str,
    /// The server function's address.
    action: &'static str,
    /// What it is done to.
    id: String,
    /// The words on the button.
    label: &'static str,
    /// What it will mean.
    words: String,
    /// The page without the question.
    #[prop(into)]
    back: String,
    /// The revision that is changed, where there is one.
    #[prop(optional)]
    revision: Option<i64>,
) -> impl IntoView {
    let cancel = back.clone();
    view! {
        <Dialog id=format!("{name}-dialog") title=title open=true back=back>
            <ActForm name=name action=action class="stack">
                <p>{words}</p>
                <input type="hidden" name="id" value=id/>
                {revision.map(|it| view! { <input type="hidden" name="revision" value=it.to_string()/> })}
                <div class="actions">
                    <a class="button quiet" href=cancel data-close="">"Cancel"</a>
                    <Submit label=label class="danger"/>
                </div>
            </ActForm>
        </Dialog>
    }
}

/// What stands under a field: words, or after a conflict what is stored now, since the field holds what was typed.
fn hint(form: &str) -> impl Fn(&str, &str) -> String + Copy + use<> {
    let conflict = flash_for(form).is_some_and(|flash| matches!(flash.outcome, Outcome::Conflict(_)));
    move |words, stored| {
        let stored = if stored.is_empty() { NOTHING } else { stored };
        if conflict { format!("Stored now: {stored}") } else { words.to_owned() }
    }
}

/// A button in a row of a list that may not be pressed, with its reason.
fn row_refused(words: &'static str, reason: &'static str) -> AnyView {
    view! {
        <button type="button" class="button quiet small" disabled=true title=reason>
            {words}<span class="unseen">{format!(" ({reason})")}</span>
        </button>
    }
    .into_any()
}

/// A link in a row of a list; screen readers hear what it belongs to.
fn row_link(href: String, words: &'static str, of: &str) -> AnyView {
    view! { <a class="button quiet small" href=href>{words}<span class="unseen">{format!(" {of}")}</span></a> }
        .into_any()
}
