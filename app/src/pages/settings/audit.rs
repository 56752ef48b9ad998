//! Settings › Audit log: who changed what, when, from what to what.

use super::{List, asked};
use crate::{
    api::audit::{AuditFilter, AuditView, EventView, audit},
    components::frame::PageHead,
    format::NOTHING,
    paths,
    read::content,
    ui::{Empty, Icon, Moment},
};
use leptos::prelude::*;

const COLUMNS: [(&str, bool); 5] =
    [("When", false), ("Who", false), ("What", false), ("Which", false), ("Change", false)];

/// The page.
#[component]
pub(crate) fn Audit() -> impl IntoView {
    let [kind, actor, from, to, before] =
        ["kind", "actor", "from", "to", "before"].map(|it| asked(it).unwrap_or_default());
    let filter = AuditFilter { kind, actor, from, to, before };
    let shown = filter.clone();
    view! {
        <PageHead title="Audit log"/>
        {content(audit(filter), |view| view! { <Content view=view filter=shown/> })}
    }
}

#[component]
fn Content(view: AuditView, filter: AuditFilter) -> impl IntoView {
    let options: Vec<_> = view
        .kinds
        .into_iter()
        .map(|it| {
            let selected = it.value == filter.kind;
            view! { <option value=it.value selected=selected>{it.label}</option> }
        })
        .collect();
    let later = !filter.before.is_empty();
    let list = match (view.events.is_empty(), filter.is_empty()) {
        (false, _) => view! { <List label="Events" columns=&COLUMNS rows=view.events.into_iter().map(row).collect()/> }.into_any(),
        (true, true) if !later => view! { <Empty title="Nothing was changed yet"><p>"Every change of limits, keys, members and other settings appears here."</p></Empty> }.into_any(),
        (true, _) => view! { <Empty title="No event matches"><a href=paths::AUDIT>"Clear the filters"</a></Empty> }.into_any(),
    };
    let newest =
        later.then(|| view! { <a class="button quiet" href=filter.address(paths::AUDIT, "")>"Newest events"</a> });
    let next = view.next.map(
        |before| view! { <a class="button quiet" href=filter.address(paths::AUDIT, &before)>"Earlier events"</a> },
    );
    let export = filter.address(paths::AUDIT_CSV, "");
    let clear = (!filter.is_empty()).then(|| view! { <a href=paths::AUDIT>"Clear"</a> });
    view! {
        <form class="filters" method="get" action=paths::AUDIT>
            <div class="field">
                <label for="audit-kind">"What was changed"</label>
                <select id="audit-kind" name="kind" data-send=""><option value="">"Anything"</option>{options}</select>
            </div>
            <div class="field">
                <label for="audit-actor">"By whom"</label>
                <input id="audit-actor" type="search" name="actor" value=filter.actor placeholder="Part of an address" autocomplete="off"/>
            </div>
            <div class="field short">
                <label for="audit-from">"From (UTC)"</label>
                <input id="audit-from" type="date" name="from" value=filter.from/>
            </div>
            <div class="field short">
                <label for="audit-to">"To (UTC)"</label>
                <input id="audit-to" type="date" name="to" value=filter.to/>
            </div>
            <button type="submit" class="button quiet">"Filter"</button>
            {clear}
            <a class="button quiet last" href=export download="audit.csv"><Icon name="download"/>"CSV"</a>
        </form>
        {view.problem.map(|it| view! { <p class="bad-text" role="alert">{it}</p> })}
        {list}
        <p class="row">{newest}{next}</p>
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
