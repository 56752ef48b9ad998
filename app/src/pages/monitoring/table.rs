//! The nine columns of the range: one row for each model, unfolding into its workspaces.

use crate::{
    api::monitoring::{Figure, GroupView, MonitoringQuery, PagesView, PartView, RowView},
    format::whole,
    paths,
    ui::{Icon, Meter, Number, SortHeader},
};
use leptos::prelude::*;

/// Column, its name in addresses, and its unit.
const COLUMNS: [(&str, &str, &str); 9] = [
    ("Model", "model", ""),
    ("Workspace", "workspace", ""),
    ("Avg TPM", "avg_tpm", "tokens / min"),
    ("Avg RPM", "avg_rpm", "requests / min"),
    ("Total Calls", "total_calls", ""),
    ("Failed Calls", "failed_calls", ""),
    ("Failure Rate", "failure_rate", ""),
    ("Avg Time to First Token", "avg_ttft", ""),
    ("Avg Latency", "avg_latency", ""),
];

/// The form that the headers' buttons belong to.
const SORTING: &str = "sorting";

/// The table, its CSV, its pages, and the calls that are in no row.
#[component]
pub(super) fn ModelTable(
    query: MonitoringQuery,
    groups: Vec<GroupView>,
    pages: PagesView,
    stopped: String,
) -> impl IntoView {
    let headers: Vec<_> = COLUMNS
        .iter()
        .map(|(label, column, unit)| {
            view! { <SortHeader label=label column=column unit=unit number=!matches!(*column, "model" | "workspace") sort=query.sort.clone() form=SORTING/> }
        })
        .collect();
    let csv = MonitoringQuery { after: String::new(), ..query.clone() }.address(paths::MONITORING_CSV);
    let folds = groups.iter().any(|it| it.parts.len() > 1);
    let order = if query.sort.is_empty() { "highest use of its limit first" } else { "" };
    let shown = groups.len();
    let rows: Vec<_> = groups.into_iter().map(|it| view! { <Group group=it/> }).collect();
    let fold = folds.then(|| {
        view! { <button type="button" class="button quiet small needs-script" data-fold-all="" aria-expanded="true">"Fold all"</button> }
    });
    view! {
        <section class="panel" aria-labelledby="by-model">
            <div class="panel-head">
                <h2 id="by-model">"Models "<small>{order}</small></h2>
                <span class="row">
                    {fold}
                    <a class="button quiet small" href=csv rel="external" download="monitoring.csv"><Icon name="download"/>"CSV"</a>
                </span>
            </div>
            <Sorting query=query/>
            <div class="scroll tall" tabindex="0" role="group" aria-labelledby="by-model">
                <table class="pinned headed figures">
                    <thead><tr>{headers}</tr></thead>
                    {rows}
                </table>
            </div>
            <Pages pages=pages shown=shown/>
        </section>
        <p class="soft" data-live="stopped">{stopped}</p>
    }
}

/// What stays of the address when the table is sorted.
#[component]
fn Sorting(query: MonitoringQuery) -> impl IntoView {
    let kept = [
        ("range", query.range),
        ("from", query.from),
        ("to", query.to),
        ("offset", query.offset),
        ("zoom", query.zoom),
        ("workspace", query.workspace),
        ("model", query.model),
    ];
    let hidden: Vec<_> = kept
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| view! { <input type="hidden" name=name value=value/> })
        .collect();
    view! { <form id=SORTING method="get" action=paths::MONITORING hidden>{hidden}</form> }
}

#[component]
fn Pages(pages: PagesView, shown: usize) -> impl IntoView {
    if pages.first.is_empty() && pages.next.is_empty() {
        return None;
    }
    let number = |n: usize| whole(n as u64);
    let words =
        format!("Models {} to {} of {}", number(pages.before + 1), number(pages.before + shown), number(pages.models));
    let link = |to: String, words: &'static str| {
        (!to.is_empty()).then(|| view! { <a class="button quiet small" href=to>{words}</a> })
    };
    Some(view! {
        <nav class="row pages" aria-label="Pages of models">
            <span class="soft grow">{words}</span>
            {link(pages.first, "First page")}
            {link(pages.next, "Next page")}
        </nav>
    })
}

/// A model's rows are one `<tbody>`, so that folding hides the right ones.
#[component]
fn Group(group: GroupView) -> impl IntoView {
    let model = group.model;
    if let [part] = group.parts.as_slice() {
        let key = format!("{model}/{}", part.workspace);
        return view! {
            <tbody>
                <tr><th scope="row" class="model">{model}</th><td class="nowrap">{part.workspace.clone()}</td><Figures row=part.row.clone() key=key/></tr>
            </tbody>
        }
        .into_any();
    }
    let count = format!("{} workspaces", group.parts.len());
    let total_key = format!("{model}/*");
    let parts: Vec<_> = group
        .parts
        .into_iter()
        .map(|PartView { workspace, row }| {
            let key = format!("{model}/{workspace}");
            view! { <tr class="part"><td>{model.clone()}</td><td class="nowrap">{workspace}</td><Figures row=row key=key/></tr> }
        })
        .collect();
    view! {
        <tbody>
            <tr>
                <th scope="row" class="model">
                    <button type="button" class="fold" aria-expanded="true" data-fold=""><Icon name="chevron"/>{model.clone()}</button>
                </th>
                <td class="nowrap"><small>{count}</small></td>
                <Figures row=group.total key=total_key/>
            </tr>
            {parts}
        </tbody>
    }
    .into_any()
}

#[component]
fn Figures(row: RowView, key: String) -> impl IntoView {
    let number = |figure: Figure, column: &str| {
        view! { <Number text=figure.text exact=figure.exact live=format!("{key}/{column}")/> }
    };
    let plain = |figure: Figure, column: &str| view! { <td class="number">{number(figure, column)}</td> };
    let with_meter = |figure: Figure, used: u64, limit: Option<u64>, column: &str| {
        view! {
            <td class="number">
                <span class="withmeter">
                    {number(figure, column)}
                    <Meter used=used limit=limit live=format!("{key}/{column}-bar")/>
                </span>
            </td>
        }
    };
    let failing = row.failing;
    view! {
        {with_meter(row.avg_tpm, row.tpm, row.tpm_limit, "avg_tpm")}
        {with_meter(row.avg_rpm, row.rpm, row.rpm_limit, "avg_rpm")}
        {plain(row.calls, "total_calls")}
        {plain(row.failed, "failed_calls")}
        <td class="number" class:bad-text=failing>{number(row.failure_rate, "failure_rate")}</td>
        {plain(row.ttft, "avg_ttft")}
        {plain(row.latency, "avg_latency")}
    }
}
