//! The nine columns of the range: one row for each model, unfolding into its workspaces.

use crate::{
    api::monitoring::{Figure, GroupView, MonitoringQuery, PartView, RowView},
    paths,
    ui::{Icon, Meter, SortHeader, next_order},
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

/// The table, its CSV, and the calls that are in no row.
#[component]
pub(super) fn ModelTable(query: MonitoringQuery, groups: Vec<GroupView>, stopped: String) -> impl IntoView {
    let headers: Vec<_> = COLUMNS
        .iter()
        .map(|(label, column, unit)| {
            let to = MonitoringQuery { sort: next_order(&query.sort, column), ..query.clone() }.address(paths::MONITORING);
            view! { <SortHeader label=label column=column unit=unit number=!matches!(*column, "model" | "workspace") sort=query.sort.clone() to=to/> }
        })
        .collect();
    let csv = query.address(paths::MONITORING_CSV);
    let rows: Vec<_> = groups.into_iter().map(|it| view! { <Group group=it/> }).collect();
    view! {
        <section class="panel" aria-labelledby="by-model">
            <div class="panel-head">
                <h2 id="by-model">"Models"</h2>
                <a class="button quiet small" href=csv rel="external" download="monitoring.csv"><Icon name="download"/>"CSV"</a>
            </div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="by-model">
                <table class="pinned figures">
                    <thead><tr>{headers}</tr></thead>
                    {rows}
                </table>
            </div>
        </section>
        {(!stopped.is_empty()).then(|| view! { <p class="soft">{stopped}</p> })}
    }
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
    let plain = |figure: Figure, column: &str| {
        let title = (!figure.exact.is_empty()).then_some(figure.exact);
        view! { <td class="number" title=title data-live=format!("{key}/{column}")>{figure.text}</td> }
    };
    let with_meter = |figure: Figure, used: u64, limit: Option<u64>, column: &str| {
        let title = (!figure.exact.is_empty()).then_some(figure.exact);
        view! {
            <td class="number" title=title>
                <span class="withmeter">
                    <span data-live=format!("{key}/{column}")>{figure.text}</span>
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
        <td class="number" class:bad-text=failing data-live=format!("{key}/failure_rate")>{row.failure_rate.text}</td>
        {plain(row.ttft, "avg_ttft")}
        {plain(row.latency, "avg_latency")}
    }
}
