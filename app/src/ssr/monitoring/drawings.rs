//! What the charts of Monitoring are drawn of.

use super::AccountLimits;
use crate::{
    api::monitoring::ChartView,
    error::ApiError,
    format::{clock_text, compact, day_text, mean, minute_text, whole},
    ssr::{
        Caller, ConsoleState,
        chart::{self, Axis},
        failure,
        rate_limit::unsigned,
    },
};
use control::monitoring::{self, Charts, Query};
use domain::{TimeRange, range::MINUTE_MS};
use std::collections::BTreeMap;

/// Rows of the table alternative; the CSV has all of them.
const TABLE_ROWS: usize = 60;
/// Columns that still can be told apart.
const COLUMNS: i64 = 60;

/// Tokens and calls of one model against its limits, and refusals of everything that the filters leave.
pub(super) async fn of(
    state: &ConsoleState,
    caller: &Caller,
    query: &Query,
    model: &str,
    limit: AccountLimits,
) -> Result<Vec<ChartView>, ApiError> {
    let of_model = Query { model: model.to_owned(), ..query.clone() };
    let one = monitoring::charts(&state.control, &caller.actor, &of_model).await.map_err(failure)?;
    let all = monitoring::charts(&state.control, &caller.actor, query).await.map_err(failure)?;
    let axis = axis(query);
    let now_ms = state.control.now_ms();
    let mut charts = Vec::new();
    let drawing = Drawing { model, range: query.range, step_ms: one.step_ms, axis, now_ms };
    if limit.tpm.is_some() {
        let tokens = one.points.iter().map(|it| (it.at_ms, it.figures.tokens_total)).collect();
        charts.push(drawing.per_minute("Tokens per minute", limit.tpm, &tokens));
    }
    let calls = one.points.iter().map(|it| (it.at_ms, it.figures.calls)).collect();
    charts.push(drawing.per_minute("Calls per minute", limit.rpm, &calls));
    charts.push(refusals(&all, query, axis));
    Ok(charts)
}

fn axis(query: &Query) -> Axis {
    let label = if query.range.minutes() > 2 * 1_440 { day_text } else { clock_text };
    Axis { from_ms: query.range.from_ms, to_ms: query.range.to_ms, label }
}

/// One model along the range.
struct Drawing<'a> {
    model: &'a str,
    range: TimeRange,
    step_ms: i64,
    axis: Axis,
    now_ms: i64,
}

impl Drawing<'_> {
    /// What was counted in each step, divided by its minutes.
    #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    fn per_minute(&self, name: &str, limit: Option<u64>, counted: &BTreeMap<i64, i64>) -> ChartView {
        let first = counted.keys().next().copied().unwrap_or(self.range.to_ms);
        let mut points = Vec::new();
        let mut at = self.range.from_ms.div_euclid(self.step_ms) * self.step_ms;
        while at < self.range.to_ms.min(self.now_ms) {
            // A step that is not over yet counts only the minutes that have passed.
            let minutes = ((self.now_ms - at).min(self.step_ms) as f64 / MINUTE_MS as f64).max(1.0);
            let value = (at >= first).then(|| counted.get(&at).copied().unwrap_or(0) as f64 / minutes);
            points.push((at.max(self.range.from_ms), value));
            at += self.step_ms;
        }
        let note = match limit {
            Some(limit) => format!("{} · limit {}", self.model, compact(limit)),
            None => self.model.to_owned(),
        };
        let rows = points.iter().rev().filter_map(|(at, value)| value.map(|it| vec![minute_text(*at), mean(it)]));
        ChartView {
            rows: rows.take(TABLE_ROWS).collect(),
            svg: chart::line(&format!("{name} of {}", self.model), &points, limit, self.axis),
            title: name.to_owned(),
            note,
            legend: Vec::new(),
            columns: vec!["Time (UTC)".to_owned(), name.to_owned()],
        }
    }
}

fn refusals(charts: &Charts, query: &Query, axis: Axis) -> ChartView {
    // Columns as wide as they need be to be seen: several steps each, where there are many.
    let steps = ((query.range.to_ms - query.range.from_ms) / charts.step_ms).div_euclid(COLUMNS) + 1;
    let width = steps * charts.step_ms;
    let slots = (query.range.to_ms - query.range.from_ms).div_euclid(width) + 1;
    let mut columns: Vec<(i64, Vec<u64>)> = (0..slots).map(|i| (query.range.from_ms + i * width, vec![0; 3])).collect();
    for point in &charts.points {
        let slot = usize::try_from((point.at_ms - query.range.from_ms).div_euclid(width)).unwrap_or(0);
        if let Some((_, parts)) = columns.get_mut(slot) {
            let it = &point.figures;
            for (part, n) in parts.iter_mut().zip([it.refused_requests, it.refused_tokens, it.refused_surge]) {
                *part += unsigned(n);
            }
        }
    }
    columns.retain(|(at, _)| *at < query.range.to_ms);
    let total: u64 = columns.iter().flat_map(|(_, parts)| parts).sum();
    let rows = columns
        .iter()
        .rev()
        .filter(|(_, parts)| parts.iter().any(|it| *it > 0))
        .map(|(at, parts)| std::iter::once(minute_text(*at)).chain(parts.iter().map(|it| whole(*it))).collect())
        .take(TABLE_ROWS)
        .collect();
    let legend = [("requests", "requests"), ("tokens", "tokens"), ("surge", "surge")];
    ChartView {
        svg: chart::stacked("Refusals by cause", &columns, &["requests", "tokens", "surge"], axis),
        title: "Refusals by cause".to_owned(),
        note: format!("{} answered with 429", compact(total)),
        legend: legend.map(|(class, words)| (class.to_owned(), words.to_owned())).to_vec(),
        columns: ["Time (UTC)", "Requests", "Tokens", "Surge"].map(str::to_owned).to_vec(),
        rows,
    }
}

