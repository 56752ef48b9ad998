//! *All Models*: search, filter, select; a selection outlives every search, since what does not match is only hidden.

use super::{DRAFT, Editor};
use crate::{api::workspaces::GrantView, format::whole, ui::Icon};
use leptos::{
    ev::{KeyboardEvent, MouseEvent},
    html,
    prelude::*,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the picker was left with by a form sent without script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picking {
    /// Whether it is open.
    pub open: bool,
    /// What is searched for.
    pub search: String,
    /// Whose models are shown; empty for all.
    pub provider: String,
    /// The codes selected.
    pub picked: BTreeSet<String>,
}

/// Which entries are shown, and which are chosen.
#[derive(Clone, Copy)]
struct Choice {
    shown: Memo<BTreeSet<String>>,
    granted: Memo<BTreeSet<String>>,
    picked: RwSignal<BTreeSet<String>>,
}

/// The dialog.
pub(super) fn picker(editor: Editor, start: Picking) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let open = start.open;
    let (search, provider, picked) =
        (RwSignal::new(start.search), RwSignal::new(start.provider), RwSignal::new(start.picked));
    let shown = Memo::new(move |_| {
        let matching = |it: &&GrantView| search.with(|search| provider.with(|provider| it.matches(search, provider)));
        editor.models.with_value(|all| all.iter().filter(matching).map(|it| it.model.clone()).collect::<BTreeSet<_>>())
    });
    let granted = Memo::new(move |_| editor.draft.with(|it| it.grant.iter().cloned().collect::<BTreeSet<_>>()));
    let choice = Choice { shown, granted, picked };
    let count = move || match picked.with(|picked| granted.with(|granted| picked.difference(granted).count())) {
        1 => "1 model selected".to_owned(),
        n => format!("{n} models selected"),
    };
    let select_all = move |event: MouseEvent| {
        event.prevent_default();
        picked.update(|it| it.extend(shown.get_untracked()));
    };
    let add = move |event: MouseEvent| {
        event.prevent_default();
        let picks: Vec<_> = picked.get_untracked().into_iter().collect();
        editor.models.with_value(|models| editor.draft.update(|it| it.add(&picks, models)));
        picked.update(BTreeSet::clear);
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let no_enter = |event: KeyboardEvent| {
        if event.key() == "Enter" {
            event.prevent_default();
        }
    };
    let providers: BTreeSet<String> =
        editor.models.with_value(|all| all.iter().map(|it| it.provider.clone()).collect());
    let options: Vec<_> = providers
        .into_iter()
        .map(|it| {
            let selected = provider.with_untracked(|provider| *provider == it);
            view! { <option value=it.clone() selected=selected>{it.clone()}</option> }
        })
        .collect();
    let entries: Vec<_> = editor.models.with_value(|all| all.iter().map(|it| entry(it, choice)).collect());
    view! {
        <dialog id="picker" class="dialog picker" aria-labelledby="picker-title" open=open data-back=open.then(|| editor.address.get_value()) node_ref=dialog>
            <div class="dialog-head">
                <h2 id="picker-title">"All Models"</h2>
                <button type="button" class="close" aria-label="Close" command="close" commandfor="picker"><Icon name="close"/></button>
            </div>
            <div class="body stack">
                <div class="filters">
                    <div class="field">
                        <label for="picker-search">"Search"</label>
                        <input id="picker-search" type="search" name="search" autocomplete="off" value=search.get_untracked()
                            on:input=move |event| search.set(event_target_value(&event)) on:keydown=no_enter/>
                    </div>
                    <div class="field">
                        <label for="picker-provider">"Provider"</label>
                        <select id="picker-provider" name="provider" on:change=move |event| provider.set(event_target_value(&event))>
                            <option value="">"All providers"</option>
                            {options}
                        </select>
                    </div>
                    <button type="submit" class="button quiet without-script" formaction=DRAFT name="act" value="search">"Search"</button>
                    <button type="submit" class="button quiet" formaction=DRAFT name="act" value="all" on:click=select_all>"Select all results"</button>
                </div>
                <ul class="choices">{entries}</ul>
                <p class="soft" hidden=move || shown.with(|it| !it.is_empty())>"No model matches. Clear the search, or choose all providers."</p>
                <div class="actions">
                    <span class="soft count" role="status">{count}</span>
                    <button type="button" class="button quiet" command="close" commandfor="picker">"Cancel"</button>
                    <button type="submit" class="button" formaction=DRAFT name="act" value="add" on:click=add>"Add models"</button>
                </div>
            </div>
        </dialog>
    }
}

fn entry(it: &GrantView, choice: Choice) -> impl IntoView + use<> {
    let Choice { shown, granted, picked } = choice;
    let code = StoredValue::new(it.model.clone());
    let is_in = move |set: &BTreeSet<String>| code.with_value(|code| set.contains(code));
    let there = move || granted.with(is_in);
    let checked = Memo::new(move |_| there() || picked.with(is_in));
    let change = move |event| {
        let code = code.get_value();
        picked.update(|it| {
            if event_target_checked(&event) {
                it.insert(code);
            } else {
                it.remove(&code);
            }
        });
    };
    let limits = match it.account_tpm {
        Some(tpm) => format!("{} times / min · {} tokens / min", whole(it.account_rpm), whole(tpm)),
        None => format!("{} times / min", whole(it.account_rpm)),
    };
    let (model, provider) = (it.model.clone(), it.provider.clone());
    view! {
        <li hidden=move || !shown.with(is_in)>
            <label class="check">
                <input type="checkbox" name="pick[]" value=model.clone() checked=checked.get_untracked() prop:checked=checked disabled=there on:change=change/>
                <span class="model">{model.clone()}</span>
                <small>{provider}</small>
                <small class="limits">{limits}</small>
                <small class="granted">{move || if there() { "granted" } else { "" }}</small>
            </label>
        </li>
    }
}
