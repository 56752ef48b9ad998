//! Settings › Audit log: who changed what, when, from what to what.

use super::{List, asked};
use crate::{
    api::audit::{AuditView, EventView, audit},
    components::frame::PageHead,
    format::NOTHING,
    paths,
    read::content,
    ui::{Empty, Moment},
};
use leptos::prelude::*;

const COLUMNS: [(&str, bool); 5] =
    [("When", false), ("Who", false), ("What", false), ("Which", false), ("Change", false)];

/// The page.
#[component]
pub(crate) fn Audit() -> impl IntoView {
    let [kind, actor, before] = ["kind", "actor", "before"].map(|it| asked(it).unwrap_or_default());
    let (chosen, typed) = (kind.clone(), actor.clone());
    view! {
        <PageHead title="Audit log"/>
        {content(audit(kind, actor, before), |view| view! { <Content view=view kind=chosen actor=typed/> })}
    }
}

#[component]
fn Content(view: AuditView, kind: String, actor: String) -> impl IntoView {
    let options: Vec<_> = view
        .kinds
        .into_iter()
        .map(|it| {
            let selected = it.value == kind;
            view! { <option value=it.value selected=selected>{it.label}</option> }
        })
        .collect();
    let filtered = !kind.is_empty() || !actor.is_empty();
    let list = match (view.events.is_empty(), filtered) {
        (false, _) => view! { <List label="Events" columns=&COLUMNS rows=view.events.into_iter().map(row).collect()/> }.into_any(),
        (true, true) => view! { <Empty title="No event matches"><a href=paths::AUDIT>"Clear the filters"</a></Empty> }.into_any(),
        (true, false) => view! { <Empty title="Nothing was changed yet"><p>"Every change of limits, keys, members and other settings appears here."</p></Empty> }.into_any(),
    };
    let next = view.next.map(|before| {
        let address = paths::with_query(paths::AUDIT, &[("kind", &kind), ("actor", &actor), ("before", &before)]);
        view! { <p><a class="button quiet" href=address>"Earlier events"</a></p> }
    });
    view! {
        <form class="filters" method="get" action=paths::AUDIT>
            <div class="field">
                <label for="audit-kind">"What was changed"</label>
                <select id="audit-kind" name="kind" data-send=""><option value="">"Anything"</option>{options}</select>
            </div>
            <div class="field">
                <label for="audit-actor">"By whom"</label>
                <input id="audit-actor" type="search" name="actor" value=actor.clone() placeholder="An e-mail address" autocomplete="off"/>
            </div>
            <button type="submit" class="button quiet">"Filter"</button>
        </form>
        {list}
        {next}
    }
}

fn row(it: EventView) -> AnyView {
    let changes: Vec<_> = it
        .changes
        .into_iter()
        .map(|(name, before, after)| {
            let former = (before != NOTHING).then(|| view! { <del>{before}</del>" → " });
            view! { <div class="change">{format!("{name}: ")}{former}<ins>{after}</ins></div> }
        })
        .collect();
    let request = it.request_id.map(|id| format!("request {id}"));
    view! {
        <tr>
            <td class="nowrap" title=request><Moment ms=it.at_ms/></td>
            <td>{it.actor}</td>
            <td>{it.action}</td>
            <td class="model">{it.object}</td>
            <td>{changes}</td>
        </tr>
    }
    .into_any()
}
