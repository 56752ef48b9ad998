//! What the charts of Monitoring are drawn of: counts and latencies along the range.

use super::Limits;
use crate::{
    api::monitoring::{ChartView, LegendView},
    error::ApiError,
    format::{NOTHING, compact, left, millis, push_mean, push_whole, whole},
    ssr::{
        Caller, ConsoleState,
        chart::{Axis, Drawing, Limit, Readings, Rows, table_rows},
        failure,
        rate_limit::unsigned,
    },
};
use control::monitoring::{self, Charts, Figures, Histogram, Query};
use domain::{TimeRange, range::MINUTE_MS};
use futures_util::future::try_join_all;
use std::collections::BTreeMap;

/// Columns that still can be told apart, and rows of a table that still can be read.
const SLOTS: i64 = 60;
/// Classes of lines, each with a colour and a dash of its own.
pub(super) const LINES: [&str; 4] = ["s1", "s2", "s3", "s4"];
const CAUSES: [&str; 3] = ["requests", "tokens", "surge"];
const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// What is drawn of everything that the filters leave.
pub(super) async fn of_all(state: &ConsoleState, caller: &Caller, query: &Query) -> Result<Charts, ApiError> {
    monitoring::charts(&state.control, &caller.actor, query).await.map_err(failure)
}

/// Tokens and calls of each of `models` against its limits; refusals and latencies of `whole`.
pub(super) async fn of(
    state: &ConsoleState,
    caller: &Caller,
    query: &Query,
    models: &[(String, Limits)],
    whole: &Charts,
) -> Result<Vec<ChartView>, ApiError> {
    let of_model = |(model, limits): &(String, Limits)| {
        let (model, limits) = (model.clone(), *limits);
        async move {
            let points = if model == query.model {
                whole.points.clone()
            } else {
                let of_model = Query { model: model.clone(), ..query.clone() };
                monitoring::points(&state.control, &caller.actor, &of_model).await.map_err(failure)?.points
            };
            Ok(Series { counted: points.into_iter().map(|it| (it.at_ms, it.figures)).collect(), model, limits })
        }
    };
    let series = try_join_all(models.iter().take(LINES.len()).map(of_model)).await?;
    let along = Along { range: whole.range, step_ms: whole.step_ms, now_ms: state.control.now_ms() };
    let alone = !query.model.is_empty();
    let metered: Vec<&Series> = series.iter().filter(|it| it.limits.tpm.is_some()).collect();
    let mut charts = Vec::new();
    if !metered.is_empty() {
        let of = Counted { key: "tokens", name: "Tokens per minute", count: |it| it.tokens_total, limit: |it| it.tpm };
        charts.push(along.per_minute(&of, &metered, alone));
    }
    let of = Counted { key: "calls", name: "Calls per minute", count: |it| it.calls, limit: |it| it.rpm };
    charts.push(along.per_minute(&of, &series.iter().collect::<Vec<_>>(), alone));
    charts.push(along.refusals(whole));
    charts.push(along.latency(whole, query));
    Ok(charts)
}

/// One model along the range.
struct Series {
    model: String,
    limits: Limits,
    counted: BTreeMap<i64, Figures>,
}

/// What of the figures is drawn, and the limit that belongs to it.
struct Counted {
    key: &'static str,
    name: &'static str,
    count: fn(&Figures) -> i64,
    limit: fn(&Limits) -> Option<u64>,
}

/// Time as the drawings cut it.
struct Along {
    range: TimeRange,
    step_ms: i64,
    now_ms: i64,
}

impl Along {
    fn axis(&self) -> Axis {
        let label = if self.range.minutes() > 2 * 1_440 { "day" } else { "clock" };
        Axis { from_ms: self.range.from_ms, to_ms: self.range.to_ms, label }
    }

    fn first_ms(&self) -> i64 {
        self.range.from_ms.div_euclid(self.step_ms) * self.step_ms
    }

    /// Where steps begin that have begun.
    fn steps(&self) -> impl Iterator<Item = i64> + use<> {
        let (first, step) = (self.first_ms(), self.step_ms);
        // A minute that is not over yet would draw a fall that is none; longer steps count the minutes that have passed.
        let last = self.range.to_ms.min(self.now_ms) - if step == MINUTE_MS { step } else { 1 };
        std::iter::successors(Some(first), move |at| Some(at + step)).take_while(move |at| *at <= last)
    }

    /// Minutes of the step that begins at `at`, as far as they lie in the range and have passed.
    #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    fn minutes(&self, at: i64, length_ms: i64) -> f64 {
        let (from, to) = (at.max(self.range.from_ms), (at + length_ms).min(self.now_ms).min(self.range.to_ms));
        ((to - from) as f64 / MINUTE_MS as f64).max(1.0)
    }

    /// Whole steps of which at most [`SLOTS`] cover the range.
    fn slot_ms(&self) -> i64 {
        let steps = (self.range.to_ms - self.first_ms() + self.step_ms - 1) / self.step_ms;
        ((steps + SLOTS - 1) / SLOTS).max(1) * self.step_ms
    }

    fn slot(&self, at: i64) -> i64 {
        let slot = self.slot_ms();
        self.first_ms() + (at - self.first_ms()).div_euclid(slot) * slot
    }

    fn slots(&self) -> impl Iterator<Item = i64> + use<> {
        let (first, slot, end) = (self.first_ms(), self.slot_ms(), self.range.to_ms.min(self.now_ms));
        std::iter::successors(Some(first), move |at| Some(at + slot)).take_while(move |at| *at < end)
    }

    fn time_header(&self) -> String {
        format!("Time, steps of {}", left(self.slot_ms()))
    }

    fn readings(&self, names: Vec<String>, rows: Rows) -> Readings {
        Readings { names, first_ms: self.first_ms(), step_ms: self.step_ms, rows, columns: false }
    }

    /// What was counted in each step, divided by its minutes: of one model as it is, of several as shares of the limits,
    /// so that a model near its small limit is not hidden by one far below a large one.
    #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    fn per_minute(&self, of: &Counted, series: &[&Series], alone: bool) -> ChartView {
        let value = |it: &Series, at: i64, length: i64, counted: i64| {
            let mean = counted as f64 / self.minutes(at, length);
            match (of.limit)(&it.limits) {
                _ if alone => Some(mean),
                // Of nothing there is no share.
                Some(0) | None => None,
                Some(limit) => Some(mean / limit as f64 * 100.0),
            }
        };
        let write = |text: &mut String, it: &Series, at: i64, length: i64, counted: Option<i64>| {
            let Some(counted) = counted else { return text.push_str(NOTHING) };
            if let Some(share) = value(it, at, length, counted).filter(|_| !alone) {
                push_mean(text, share);
                text.push_str("% · ");
            }
            push_mean(text, counted as f64 / self.minutes(at, length));
        };
        // Before its first call a model may not have existed; from then on nothing counted is a true zero.
        let at = |it: &Series, at: i64| {
            let begun = it.counted.first_key_value().is_some_and(|(first, _)| *first <= at);
            begun.then(|| it.counted.get(&at).map_or(0, of.count))
        };
        let lines: Vec<Vec<(i64, Option<f64>)>> = series
            .iter()
            .map(|it| {
                let point = |step: i64| {
                    let value = at(it, step).and_then(|counted| value(it, step, self.step_ms, counted));
                    (step.max(self.range.from_ms), value)
                };
                self.steps().map(point).collect()
            })
            .collect();
        let highest = lines.iter().flatten().filter_map(|(_, value)| *value).fold(0.0, f64::max);
        let limit = series.first().and_then(|it| (of.limit)(&it.limits));
        let (drawn_limit, unit) = if alone {
            (limit.map(|it| Limit { at: it as f64, words: format!("limit {}", compact(it)) }), "")
        } else {
            (Some(Limit { at: 100.0, words: "limit".to_owned() }), "%")
        };
        let mut drawing = Drawing::new(self.axis(), highest, unit, drawn_limit);
        for (points, class) in lines.iter().zip(LINES) {
            drawing.line(class, points, series.len() == 1);
        }
        let names: Vec<String> = series.iter().map(|it| it.model.clone()).collect();
        let mut rows = Rows::default();
        for step in self.steps() {
            rows.step(series, |text, it| write(text, it, step, self.step_ms, at(it, step)));
        }
        let slot_ms = self.slot_ms();
        let table = self.slots().map(|slot| {
            let sum = |it: &Series| {
                let counted: i64 = it.counted.range(slot..slot + slot_ms).map(|(_, it)| (of.count)(it)).sum();
                let begun = it.counted.first_key_value().is_some_and(|(first, _)| *first < slot + slot_ms);
                begun.then_some(counted)
            };
            let written = |it: &&Series| {
                let mut text = String::new();
                write(&mut text, it, slot, slot_ms, sum(it));
                text
            };
            (slot.max(self.range.from_ms), series.iter().map(written).collect())
        });
        let what = if alone { names.join("") } else { "share of each model's limit".to_owned() };
        let note = match limit.filter(|_| alone) {
            Some(limit) => format!("{what} · limit {} / min", whole(limit)),
            None => what,
        };
        let legend = names.iter().zip(LINES).map(|(name, class)| LegendView::new(class, name)).collect();
        let header = |name: &String| if alone { of.name.to_owned() } else { name.clone() };
        ChartView {
            key: of.key.to_owned(),
            title: of.name.to_owned(),
            rows: table_rows(table.collect::<Vec<_>>().into_iter()),
            svg: drawing.svg(&format!("{}, {note}", of.name), &self.readings(names.clone(), rows)),
            note,
            legend: if alone { Vec::new() } else { legend },
            columns: std::iter::once(self.time_header()).chain(names.iter().map(header)).collect(),
            zooms: true,
        }
    }

    /// Refused calls by cause, in columns as wide as they need be to be seen.
    fn refusals(&self, charts: &Charts) -> ChartView {
        let mut columns: BTreeMap<i64, Vec<u64>> = self.slots().map(|at| (at, vec![0; CAUSES.len()])).collect();
        for point in &charts.points {
            let it = &point.figures;
            let Some(parts) = columns.get_mut(&self.slot(point.at_ms)) else { continue };
            for (part, n) in parts.iter_mut().zip([it.refused_requests, it.refused_tokens, it.refused_surge]) {
                *part += unsigned(n);
            }
        }
        let columns: Vec<(i64, Vec<u64>)> = columns.into_iter().collect();
        let total: u64 = columns.iter().flat_map(|(_, parts)| parts).sum();
        #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
        let highest = columns.iter().map(|(_, parts)| parts.iter().sum::<u64>()).max().unwrap_or(0) as f64;
        let mut drawing = Drawing::new(self.axis(), highest, "", None);
        let drawn: Vec<_> = columns.iter().map(|(at, parts)| ((*at).max(self.range.from_ms), parts.clone())).collect();
        drawing.columns(&drawn, self.slot_ms(), &CAUSES);
        let written = |parts: &Vec<u64>| parts.iter().map(|it| whole(*it)).collect::<Vec<_>>();
        let mut rows = Rows::default();
        columns.iter().for_each(|(_, parts)| rows.step(parts, |text, it| push_whole(text, *it)));
        let readings = Readings {
            names: ["Requests", "Tokens", "Surge"].map(str::to_owned).to_vec(),
            first_ms: self.first_ms(),
            step_ms: self.slot_ms(),
            rows,
            columns: true,
        };
        let table = columns.iter().map(|(at, parts)| ((*at).max(self.range.from_ms), written(parts)));
        let note = match total {
            0 => "none in this range".to_owned(),
            n => format!("{} answered with 429", whole(n)),
        };
        ChartView {
            key: "refusals".to_owned(),
            rows: table_rows(table),
            svg: drawing.svg(&format!("Refusals by cause, {note}"), &readings),
            title: "Refusals by cause".to_owned(),
            note,
            legend: CAUSES.map(|name| LegendView::new(name, name)).to_vec(),
            columns: std::iter::once(self.time_header()).chain(readings.names.iter().cloned()).collect(),
            zooms: true,
        }
    }

    /// Percentiles of the latencies of calls answered to the end.
    fn latency(&self, charts: &Charts, query: &Query) -> ChartView {
        let of = |it: &Histogram| PERCENTILES.map(|(_, share)| it.quantile_ms(share));
        let found: BTreeMap<i64, [Option<f64>; 3]> =
            charts.histograms.iter().map(|it| (it.at_ms, of(&it.latency))).collect();
        let at = |step: i64| found.get(&step).copied().unwrap_or_default();
        let written =
            |values: [Option<f64>; 3]| values.map(|it| it.map_or_else(|| NOTHING.to_owned(), millis)).to_vec();
        let highest = found.values().flatten().filter_map(|it| *it).fold(0.0, f64::max);
        let (unit, divided) = if highest < 2_000.0 { (" ms", 1.0) } else { (" s", 1_000.0) };
        let mut drawing = Drawing::new(self.axis(), highest / divided, unit, None);
        for (i, class) in LINES.iter().enumerate().take(PERCENTILES.len()) {
            let point = |step: i64| (step.max(self.range.from_ms), at(step)[i].map(|it| it / divided));
            drawing.line(class, &self.steps().map(point).collect::<Vec<_>>(), false);
        }
        let mut slots: BTreeMap<i64, Histogram> = BTreeMap::new();
        for it in &charts.histograms {
            slots.entry(self.slot(it.at_ms)).or_default().add(&it.latency);
        }
        let row = |at: i64| (at.max(self.range.from_ms), written(slots.get(&at).map(of).unwrap_or_default()));
        let names: Vec<String> = PERCENTILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        let note = if query.model.is_empty() { "of all models, answered to the end" } else { &query.model };
        let mut rows = Rows::default();
        for step in self.steps() {
            rows.step(written(at(step)), |text, it| text.push_str(&it));
        }
        let readings = self.readings(names.clone(), rows);
        ChartView {
            key: "latency".to_owned(),
            rows: table_rows(self.slots().map(row).collect::<Vec<_>>().into_iter()),
            svg: drawing.svg(&format!("Latency, {note}"), &readings),
            title: "Latency".to_owned(),
            note: note.to_owned(),
            legend: names.iter().zip(LINES).map(|(name, class)| LegendView::new(class, name)).collect(),
            columns: std::iter::once(self.time_header()).chain(names.iter().cloned()).collect(),
            zooms: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_limit_of_nothing_there_is_no_share() {
        let range = TimeRange { from_ms: 0, to_ms: 3 * MINUTE_MS };
        let along = Along { range, step_ms: MINUTE_MS, now_ms: 3 * MINUTE_MS };
        let of = Counted { key: "calls", name: "Calls per minute", count: |it| it.calls, limit: |it| it.rpm };
        let series = |model: &str, rpm: u64| Series {
            model: model.to_owned(),
            limits: Limits { rpm: Some(rpm), tpm: None },
            counted: (0..3).map(|it| (it * MINUTE_MS, Figures { calls: 70, ..Figures::default() })).collect(),
        };
        let (closed, open) = (series("closed", 0), series("open", 140));
        let view = along.per_minute(&of, &[&closed, &open], false);
        assert!(view.rows.contains("<td>70.0</td><td>50.0% · 70.0</td>"), "{}", view.rows);
        assert!(!view.svg.contains("7,000"), "{}", view.svg);
    }
}
