//! Which time, which workspace, which model: all of it in the address.

use crate::{
    api::monitoring::{MonitoringQuery, RangeView},
    paths,
    ui::{Choice, Moment, Zone},
};
use domain::Preset;
use leptos::prelude::*;

/// The presets.
#[component]
pub(super) fn RangePicker(query: MonitoringQuery) -> impl IntoView {
    let chosen = query.from.is_empty().then(|| Preset::parse(&query.range).unwrap_or_default());
    let links: Vec<_> = Preset::ALL
        .iter()
        .map(|preset| {
            let to = MonitoringQuery {
                range: preset.as_str().to_owned(),
                from: String::new(),
                to: String::new(),
                offset: String::new(),
                ..query.clone()
            };
            let current = (chosen == Some(*preset)).then_some("true");
            view! { <a href=to.address(paths::MONITORING) aria-current=current>{preset.label()}</a> }
        })
        .collect();
    let custom = (!query.from.is_empty()).then_some("true");
    let kept = [("workspace", query.workspace), ("model", query.model), ("sort", query.sort)];
    let hidden: Vec<_> = kept
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| view! { <input type="hidden" name=name value=value/> })
        .collect();
    let (from, to) = (field_value(&query.from), field_value(&query.to));
    view! {
        <nav class="segments" aria-label="Time range">
            {links}
            <button type="button" popovertarget="custom-range" aria-current=custom>"Custom…"</button>
        </nav>
        <form id="custom-range" class="custom panel padded stack" popover="auto" method="get" action=paths::MONITORING>
            {hidden}
            <input type="hidden" name="offset" value=if query.offset.is_empty() { "0".to_owned() } else { query.offset } data-offset="0"/>
            <div class="field"><label for="custom-from">"From"</label><input id="custom-from" type="datetime-local" name="from" value=from required/></div>
            <div class="field"><label for="custom-to">"To"</label><input id="custom-to" type="datetime-local" name="to" value=to required/></div>
            <div class="actions"><button type="submit" class="button">"Show"</button></div>
        </form>
    }
}

/// What a date-time field takes: minutes, without a zone.
fn field_value(text: &str) -> String {
    text.trim_end_matches('Z').chars().take(16).collect()
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
    let kept = [
        ("range", &query.range),
        ("from", &query.from),
        ("to", &query.to),
        ("offset", &query.offset),
        ("sort", &query.sort),
    ];
    let hidden: Vec<_> = kept
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| view! { <input type="hidden" name=name value=value.clone()/> })
        .collect();
    let forward = if range.forward.is_empty() {
        view! { <span class="bare off" aria-hidden="true">"›"</span> }.into_any()
    } else {
        view! { <a class="bare" href=range.forward aria-label="One range later">"›"</a> }.into_any()
    };
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
            </div>
            {children()}
        </form>
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
            <select id=id name=name data-send=""><option value="">{all}</option>{options}</select>
        </div>
    }
}
