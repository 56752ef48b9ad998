//! The live parts of Monitoring: use of this moment, and every figure on the page by its key.

use super::{Limits, strips};
use crate::{
    api::monitoring::{Figure, MonitoringView, NowView, RowView},
    format::{compact, whole},
    ssr::{Caller, ConsoleState, live::Shown, rate_limit::use_now},
};
use domain::{WorkspaceId, ceil60};
use std::collections::BTreeSet;

fn workspace(view: &MonitoringView) -> Option<WorkspaceId> {
    (!view.query.workspace.is_empty()).then(|| WorkspaceId::new(view.query.workspace.as_str()))
}

/// Brings the use of this moment into a view that was read before.
pub(in crate::ssr) fn refresh(state: &ConsoleState, caller: &Caller, view: &mut MonitoringView) {
    let workspace = workspace(view);
    let used = use_now(state, caller, workspace.as_ref());
    for now in &mut view.now {
        let figures = used.get(&now.model).copied().unwrap_or_default();
        (now.requests, now.tokens) = (figures.requests_minute, figures.tokens_minute);
        (now.requests_second, now.tokens_second) = (figures.requests_second, figures.tokens_second);
    }
    view.strips = match (&view.by_second, view.range.live) {
        (Some(NowView { model, rpm, tpm, .. }), true) => {
            let limits = Limits { rpm: *rpm, tpm: *tpm };
            strips::of(state, caller, workspace.as_ref(), model, limits, state.control.now_ms())
        }
        _ => Vec::new(),
    };
}

/// The rows of the table by their keys.
fn keyed(view: &MonitoringView) -> impl Iterator<Item = (String, &RowView)> {
    view.groups.iter().flat_map(|group| {
        let parts = group.parts.iter().map(|it| (it.workspace.as_str(), &it.row));
        let total = (group.parts.len() != 1).then_some(("*", &group.total));
        parts.chain(total).map(|(workspace, row)| (format!("{}/{workspace}", group.model), row))
    })
}

/// Which rows there are.
pub(super) fn rows(view: &MonitoringView) -> BTreeSet<String> {
    keyed(view).map(|(key, _)| key).collect()
}

/// Everything on the page that may change, by its key.
pub(in crate::ssr) fn show(view: &MonitoringView, shown: &mut Shown) {
    for (i, tile) in view.tiles.iter().enumerate() {
        shown.text(format!("tile/{i}/value"), &tile.value);
        shown.text(format!("tile/{i}/value/exact"), &tile.exact);
        shown.text(format!("tile/{i}/change"), &tile.change);
    }
    view.now.iter().for_each(|it| show_now(it, shown));
    for (key, row) in keyed(view) {
        show_row(&key, row, shown);
    }
    shown.rows = rows(view);
    for chart in view.strips.iter().chain(&view.charts) {
        shown.text(format!("chart/{}/note", chart.key), &chart.note);
        shown.drawing(format!("chart/{}", chart.key), &chart.svg);
        shown.drawing(format!("chart/{}/rows", chart.key), &chart.rows);
    }
    shown.text("stopped".to_owned(), &view.stopped);
}

fn show_now(now: &NowView, shown: &mut Shown) {
    let key = |what: &str| format!("{}/now/{what}", now.model);
    shown.text(key("requests"), compact(now.requests));
    shown.bar(key("requests-bar"), now.requests, now.rpm);
    shown.text(key("requests-second"), whole(now.requests_second));
    shown.bar(key("requests-second-bar"), now.requests_second, now.rpm.map(ceil60));
    if now.tpm.is_some() {
        shown.text(key("tokens"), compact(now.tokens));
        shown.bar(key("tokens-bar"), now.tokens, now.tpm);
        shown.text(key("tokens-second"), compact(now.tokens_second));
        shown.bar(key("tokens-second-bar"), now.tokens_second, now.tpm.map(ceil60));
    }
}

fn show_row(key: &str, row: &RowView, shown: &mut Shown) {
    let figures = [
        ("avg_tpm", &row.avg_tpm),
        ("avg_rpm", &row.avg_rpm),
        ("total_calls", &row.calls),
        ("failed_calls", &row.failed),
        ("failure_rate", &row.failure_rate),
        ("avg_ttft", &row.ttft),
        ("avg_latency", &row.latency),
    ];
    for (column, Figure { text, exact }) in figures {
        shown.text(format!("{key}/{column}"), text);
        shown.text(format!("{key}/{column}/exact"), if exact.is_empty() { text } else { exact });
    }
    shown.bar(format!("{key}/avg_tpm-bar"), row.tpm, row.tpm_limit);
    shown.bar(format!("{key}/avg_rpm-bar"), row.rpm, row.rpm_limit);
}
