//! What the charts of Monitoring are drawn of.

use super::Limits;
use crate::{
    api::monitoring::ChartView,
    error::ApiError,
    format::{NOTHING, clock_text, compact, day_text, mean, minute_text, whole},
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
    limit: Limits,
) -> Result<Vec<ChartView>, ApiError> {
    let of_model = Query { model: model.to_owned(), ..query.clone() };
    let one = monitoring::charts(&state.control, &caller.actor, &of_model).await.map_err(failure)?;
    let all = monitoring::charts(&state.control, &caller.actor, query).await.map_err(failure)?;
    let axis = axis(one.range);
    let now_ms = state.control.now_ms();
    let mut charts = Vec::new();
    let drawing = Drawing { model, range: one.range, step_ms: one.step_ms, axis, now_ms };
    if limit.tpm.is_some() {
        let tokens = one.points.iter().map(|it| (it.at_ms, it.figures.tokens_total)).collect();
        charts.push(drawing.per_minute("Tokens per minute", limit.tpm, &tokens));
    }
    let calls = one.points.iter().map(|it| (it.at_ms, it.figures.calls)).collect();
    charts.push(drawing.per_minute("Calls per minute", limit.rpm, &calls));
    charts.push(refusals(&all, axis));
    charts.push(drawing.latency(&one));
    Ok(charts)
}

fn axis(range: TimeRange) -> Axis {
    let label = if range.minutes() > 2 * 1_440 { day_text } else { clock_text };
    Axis { from_ms: range.from_ms, to_ms: range.to_ms, label }
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
    /// Percentiles of the latencies of calls answered to the end, in seconds.
    fn latency(&self, charts: &Charts) -> ChartView {
        let shares = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];
        let found: BTreeMap<i64, [Option<f64>; 3]> = charts
            .histograms
            .iter()
            .map(|it| (it.at_ms, shares.map(|(_, share)| it.latency.quantile_ms(share).map(|ms| ms / 1_000.0))))
            .collect();
        let steps: Vec<i64> = self.steps().collect();
        let series: Vec<Vec<(i64, Option<f64>)>> = (0..shares.len())
            .map(|i| {
                steps.iter().map(|at| ((*at).max(self.range.from_ms), found.get(at).and_then(|it| it[i]))).collect()
            })
            .collect();
        let classes = ["line p50", "line p95", "line p99"];
        let lines: Vec<_> =
            classes.into_iter().zip(&series).map(|(class, points)| (class, points.as_slice())).collect();
        let in_seconds = |value: Option<f64>| value.map_or_else(|| NOTHING.to_owned(), |it| format!("{it:.2}"));
        let rows = found
            .iter()
            .rev()
            .map(|(at, values)| std::iter::once(minute_text(*at)).chain(values.map(in_seconds)).collect());
        ChartView {
            rows: rows.take(TABLE_ROWS).collect(),
            svg: chart::lines(&format!("Latency of {} in seconds", self.model), &lines, self.axis),
            title: "Latency".to_owned(),
            note: format!("{} · seconds", self.model),
            legend: shares.map(|(name, _)| (name.to_owned(), name.to_owned())).to_vec(),
            columns: ["Time (UTC)", "p50 (s)", "p95 (s)", "p99 (s)"].map(str::to_owned).to_vec(),
        }
    }

    /// Where steps begin that have begun.
    fn steps(&self) -> impl Iterator<Item = i64> {
        let first = self.range.from_ms.div_euclid(self.step_ms) * self.step_ms;
        let step = self.step_ms;
        // A minute that is not over yet would draw a fall that is none; longer steps count the minutes that have passed.
        let last = self.range.to_ms.min(self.now_ms) - if step == MINUTE_MS { step } else { 1 };
        std::iter::successors(Some(first), move |at| Some(at + step)).take_while(move |at| *at <= last)
    }

    /// What was counted in each step, divided by its minutes.
    #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    fn per_minute(&self, name: &str, limit: Option<u64>, counted: &BTreeMap<i64, i64>) -> ChartView {
        let first = counted.keys().next().copied().unwrap_or(self.range.to_ms);
        let mut points = Vec::new();
        for at in self.steps() {
            // A step that is not over yet counts only the minutes that have passed.
            let minutes = ((self.now_ms - at).min(self.step_ms) as f64 / MINUTE_MS as f64).max(1.0);
            let value = (at >= first).then(|| counted.get(&at).copied().unwrap_or(0) as f64 / minutes);
            points.push((at.max(self.range.from_ms), value));
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

fn refusals(charts: &Charts, axis: Axis) -> ChartView {
    // Columns as wide as they need be to be seen: several steps each, where there are many.
    let steps = ((charts.range.to_ms - charts.range.from_ms) / charts.step_ms).div_euclid(COLUMNS) + 1;
    let width = steps * charts.step_ms;
    let slots = (charts.range.to_ms - charts.range.from_ms).div_euclid(width) + 1;
    let mut columns: Vec<(i64, Vec<u64>)> =
        (0..slots).map(|i| (charts.range.from_ms + i * width, vec![0; 3])).collect();
    for point in &charts.points {
        let slot = usize::try_from((point.at_ms - charts.range.from_ms).div_euclid(width)).unwrap_or(0);
        if let Some((_, parts)) = columns.get_mut(slot) {
            let it = &point.figures;
            for (part, n) in parts.iter_mut().zip([it.refused_requests, it.refused_tokens, it.refused_surge]) {
                *part += unsigned(n);
            }
        }
    }
    columns.retain(|(at, _)| *at < charts.range.to_ms);
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
