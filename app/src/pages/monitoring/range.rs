//! Which time, which workspace, which model: all of it in the address.

use crate::{
    api::monitoring::{MonitoringQuery, RangeView},
    format::iso,
    paths,
    ui::{Choice, Moment, Zone},
};
use domain::Preset;
use leptos::prelude::*;

/// The presets, and the button that opens the custom range.
#[component]
pub(super) fn RangePicker(query: MonitoringQuery) -> impl IntoView {
    let chosen = query.from.is_empty().then(|| Preset::parse(&query.range).unwrap_or_default());
    let links: Vec<_> = Preset::ALL
        .iter()
        .map(|preset| {
            let to = query.over(preset.as_str());
            let current = (chosen == Some(*preset)).then_some("true");
            view! { <a href=to.address(paths::MONITORING) aria-current=current>{preset.label()}</a> }
        })
        .collect();
    let custom = (!query.from.is_empty()).then_some("true");
    view! {
        <nav class="segments" aria-label="Time range">
            {links}
            <button type="button" popovertarget="custom-range" aria-current=custom>"Custom…"</button>
        </nav>
    }
}

fn hidden(pairs: &[(&'static str, &str)]) -> Vec<impl IntoView + use<>> {
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| view! { <input type="hidden" name=*name value=(*value).to_owned()/> })
        .collect()
}

/// Two date-times. The server writes and reads UTC; the browser changes both to the reader's zone.
#[component]
fn CustomRange(query: MonitoringQuery, from_ms: i64, to_ms: i64) -> impl IntoView {
    let hidden = hidden(&[("workspace", &query.workspace), ("model", &query.model), ("sort", &query.sort)]);
    let field = |name: &'static str, label: &'static str, ms: i64| {
        let id = format!("custom-{name}");
        let label_for = id.clone();
        let value: String = iso(ms).chars().take(16).collect();
        view! {
            <div class="field">
                <label for=label_for>{label}</label>
                <input id=id type="datetime-local" name=name value=value required data-instant=ms.to_string()/>
            </div>
        }
    };
    view! {
        <form id="custom-range" class="custom panel padded stack" popover="auto" method="get" action=paths::MONITORING aria-label="Custom range">
            {hidden}
            <input type="hidden" name="offset" value="0" data-offset=""/>
            {field("from", "From", from_ms)}
            {field("to", "To", to_ms)}
            <div class="actions">
                <small class="grow">"Times in "<Zone ms=to_ms/></small>
                <button type="submit" class="button">"Show"</button>
            </div>
        </form>
    }
}

/// The filters, the resolved range with one step back and forward, and what stands beside them.
#[component]
pub(super) fn Filters(
    query: MonitoringQuery,
    range: RangeView,
    workspaces: Vec<Choice>,
    models: Vec<Choice>,
    children: Children,
) -> impl IntoView {
    let hidden = hidden(&[
        ("range", &query.range),
        ("from", &query.from),
        ("to", &query.to),
        ("offset", &query.offset),
        ("zoom", &query.zoom),
        ("sort", &query.sort),
    ]);
    let forward = if range.forward.is_empty() {
        view! { <span class="bare off" aria-hidden="true">"›"</span> }.into_any()
    } else {
        view! { <a class="bare" href=range.forward aria-label="One range later">"›"</a> }.into_any()
    };
    let unzoom =
        (!range.unzoom.is_empty()).then(|| view! { <a class="button quiet small" href=range.unzoom>"Undo zoom"</a> });
    let custom = query.clone();
    view! {
        <form class="filters" method="get" action=paths::MONITORING>
            {hidden}
            <Filter name="workspace" label="Workspace" all="All workspaces" choices=workspaces chosen=query.workspace/>
            <Filter name="model" label="Model" all="All models" choices=models chosen=query.model/>
            <button type="submit" class="button quiet without-script">"Filter"</button>
            <div class="when">
                <a class="bare" href=range.back aria-label="One range earlier">"‹"</a>
                <span class="nowrap"><Moment ms=range.from_ms/>" –"</span>" "<span class="nowrap"><Moment ms=range.to_ms/>" "<Zone ms=range.to_ms/></span>
                {forward}
                {unzoom}
            </div>
            {children()}
        </form>
        <CustomRange query=custom from_ms=range.from_ms to_ms=range.to_ms/>
        {range.note.map(|note| view! { <p class="notice near">{note}</p> })}
    }
}

#[component]
fn Filter(
    name: &'static str,
    label: &'static str,
    all: &'static str,
    choices: Vec<Choice>,
    chosen: String,
) -> impl IntoView {
    let id = format!("filter-{name}");
    let label_for = id.clone();
    // A model that was deleted since, or is not granted, still is what the figures are of.
    let unknown = !chosen.is_empty() && !choices.iter().any(|it| it.value == chosen);
    let unknown = unknown.then(|| view! { <option value=chosen.clone() selected=true>{chosen.clone()}</option> });
    let options: Vec<_> = choices
        .into_iter()
        .map(|it| {
            let selected = it.value == chosen;
            view! { <option value=it.value selected=selected>{it.label}</option> }
        })
        .collect();
    view! {
        <div class="field">
            <label for=label_for>{label}</label>
            <select id=id name=name data-send=""><option value="">{all}</option>{unknown}{options}</select>
        </div>
    }
}
