//! How the figures of a range are written: tiles with their change, rows, and their order.

use crate::{
    api::monitoring::{Figure, GroupView, PartView, RowView},
    format::{NOTHING, compact, mean, millis, percent, round, whole},
    ui::TileView,
};

/// The figures of one row or of everything, before they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Averages {
    pub(super) models: u64,
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) tpm: f64,
    pub(super) rpm: f64,
    pub(super) ttft_ms: Option<f64>,
    pub(super) latency_ms: Option<f64>,
    pub(super) tpm_limit: Option<u64>,
    pub(super) rpm_limit: Option<u64>,
}

impl Averages {
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    pub(super) fn failure_rate(&self) -> Option<f64> {
        (self.calls > 0).then(|| self.failed as f64 / self.calls as f64)
    }

    /// The share of the tighter limit that is used on average.
    #[allow(clippy::cast_precision_loss, reason = "it only orders rows")]
    fn criticality(&self) -> f64 {
        let share = |used: f64, limit: Option<u64>| match limit {
            // A limit of nothing is full as soon as anything is asked of it.
            Some(0) => f64::from(used > 0.0),
            Some(limit) => used / limit as f64,
            None => 0.0,
        };
        share(self.tpm, self.tpm_limit).max(share(self.rpm, self.rpm_limit))
    }

    fn row(&self) -> RowView {
        RowView {
            avg_tpm: if self.tpm_limit.is_none() && self.tpm == 0.0 {
                nothing()
            } else {
                figure(tokens(self.tpm), decimal(self.tpm))
            },
            avg_rpm: figure(mean(self.rpm), decimal(self.rpm)),
            calls: count(self.calls),
            failed: count(self.failed),
            failure_rate: self.failure_rate().map_or_else(nothing, |it| figure(percent(it), String::new())),
            ttft: time(self.ttft_ms),
            latency: time(self.latency_ms),
            tpm: round(self.tpm),
            tpm_limit: self.tpm_limit,
            rpm: round(self.rpm),
            rpm_limit: self.rpm_limit,
            failing: self.failed > 0,
        }
    }
}

fn nothing() -> Figure {
    Figure { text: NOTHING.to_owned(), exact: String::new() }
}

fn figure(text: String, exact: String) -> Figure {
    let exact = if exact == text { String::new() } else { exact };
    Figure { text, exact }
}

/// A count.
pub(super) fn count(n: u64) -> Figure {
    figure(compact(n), whole(n))
}

/// A mean time in milliseconds; a dash where there is none.
pub(super) fn time(ms: Option<f64>) -> Figure {
    ms.map_or_else(nothing, |ms| figure(millis(ms), format!("{} ms", decimal(ms))))
}

/// A mean of tokens in whole ones; what is there and less than one is `<1`.
fn tokens(mean: f64) -> String {
    if mean > 0.0 && mean < 0.5 { "<1".to_owned() } else { compact(round(mean)) }
}

/// Two decimals and grouped thousands; what is there and less than a hundredth is `<0.01`.
fn decimal(value: f64) -> String {
    if value > 0.0 && value < 0.005 {
        return "<0.01".to_owned();
    }
    let hundredths = round(value * 100.0);
    format!("{}.{:02}", whole(hundredths / 100), hundredths % 100)
}

/// The five tiles; `before` is the range of the same length that ends where this one begins.
pub(super) fn tiles(now: &Averages, before: &Averages, length: &str) -> Vec<TileView> {
    let against = format!("vs previous {length}");
    let tile = |label: &str, value: String, exact: String, change: String, worse: bool| TileView {
        label: label.to_owned(),
        value,
        exact,
        change,
        worse,
    };
    let time = |label: &str, now: Option<f64>, before: Option<f64>| {
        let change = match (now, before) {
            (Some(now), Some(before)) if round((now - before).abs()) == 0 => "same as before".to_owned(),
            (Some(now), Some(before)) => {
                format!("{}{} {against}", if now < before { "−" } else { "+" }, millis((now - before).abs()))
            }
            (Some(_), None) => format!("none {against}"),
            (None, _) => "none in this range".to_owned(),
        };
        let exact = now.map_or_else(|| NOTHING.to_owned(), |ms| format!("{} ms", decimal(ms)));
        tile(label, now.map_or_else(|| NOTHING.to_owned(), millis), exact, change, false)
    };
    let failures = match now.failure_rate() {
        Some(rate) => format!("{} · {} of calls", difference(now.failed, before.failed, ""), percent(rate)),
        None => difference(now.failed, before.failed, &against),
    };
    vec![
        tile(
            "Total Models",
            compact(now.models),
            whole(now.models),
            difference(now.models, before.models, &against),
            false,
        ),
        tile("Total Calls", compact(now.calls), whole(now.calls), relative(now.calls, before.calls, &against), false),
        tile("Failures", compact(now.failed), whole(now.failed), failures, now.failed > before.failed),
        time("Avg Time to First Token", now.ttft_ms, before.ttft_ms),
        time("Avg Latency", now.latency_ms, before.latency_ms),
    ]
}

fn difference(now: u64, before: u64, against: &str) -> String {
    match now.cmp(&before) {
        std::cmp::Ordering::Equal => "same as before".to_owned(),
        std::cmp::Ordering::Greater => format!("+{} {against}", compact(now - before)).trim_end().to_owned(),
        std::cmp::Ordering::Less => format!("−{} {against}", compact(before - now)).trim_end().to_owned(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a percentage with one decimal")]
fn relative(now: u64, before: u64, against: &str) -> String {
    if before == 0 || now == before {
        return if now == before { "same as before".to_owned() } else { format!("none {against}") };
    }
    let share = (now as f64 - before as f64) / before as f64;
    let text = if share.abs() < 10.0 { percent(share.abs()) } else { "over 1,000%".to_owned() };
    format!("{}{text} {against}", if share < 0.0 { "−" } else { "+" })
}

/// A model's rows before they are written.
pub(super) struct Group {
    pub(super) model: String,
    pub(super) total: Averages,
    pub(super) parts: Vec<(String, Averages)>,
}

/// Groups in the order of `sort`: a column, `-` before it for the highest first; most critical first otherwise.
pub(super) fn ordered(mut groups: Vec<Group>, sort: &str) -> Vec<Group> {
    let (column, descending) = sort.strip_prefix('-').map_or((sort, false), |column| (column, true));
    match column {
        "model" => groups.sort_by(|a, b| a.model.cmp(&b.model)),
        "workspace" => groups.sort_by(|a, b| first_workspace(a).cmp(first_workspace(b))),
        _ => groups.sort_by(|a, b| key(column, &a.total).total_cmp(&key(column, &b.total))),
    }
    for group in &mut groups {
        match column {
            "model" | "workspace" => group.parts.sort_by(|a, b| a.0.cmp(&b.0)),
            _ => group.parts.sort_by(|a, b| key(column, &a.1).total_cmp(&key(column, &b.1))),
        }
        if descending || !known(column) {
            group.parts.reverse();
        }
    }
    if descending || !known(column) {
        groups.reverse();
    }
    groups
}

/// The models by use of their limits, the most critical first, however the rows are ordered.
pub(super) fn critical(groups: &[Group]) -> Vec<String> {
    let mut by_use: Vec<&Group> = groups.iter().collect();
    by_use.sort_by(|a, b| b.total.criticality().total_cmp(&a.total.criticality()).then_with(|| a.model.cmp(&b.model)));
    by_use.into_iter().map(|it| it.model.clone()).collect()
}

/// Groups as they are written.
pub(super) fn written(groups: Vec<Group>) -> Vec<GroupView> {
    let part = |(workspace, figures): (String, Averages)| PartView { workspace, row: figures.row() };
    groups
        .into_iter()
        .map(|it| GroupView { model: it.model, total: it.total.row(), parts: it.parts.into_iter().map(part).collect() })
        .collect()
}

fn first_workspace(group: &Group) -> &str {
    group.parts.iter().map(|(name, _)| name.as_str()).min().unwrap_or_default()
}

fn known(column: &str) -> bool {
    matches!(
        column,
        "model"
            | "workspace"
            | "avg_tpm"
            | "avg_rpm"
            | "total_calls"
            | "failed_calls"
            | "failure_rate"
            | "avg_ttft"
            | "avg_latency"
    )
}

/// What does not exist sorts below everything that does.
#[allow(clippy::cast_precision_loss, reason = "it only orders rows")]
fn key(column: &str, it: &Averages) -> f64 {
    match column {
        "avg_tpm" => it.tpm,
        "avg_rpm" => it.rpm,
        "total_calls" => it.calls as f64,
        "failed_calls" => it.failed as f64,
        "failure_rate" => it.failure_rate().unwrap_or(-1.0),
        "avg_ttft" => it.ttft_ms.unwrap_or(-1.0),
        "avg_latency" => it.latency_ms.unwrap_or(-1.0),
        _ => it.criticality(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, tpm: f64, limit: u64, failed: u64) -> Group {
        let total = Averages { calls: 100, failed, tpm, tpm_limit: Some(limit), ..Averages::default() };
        Group { model: name.into(), parts: vec![("search".into(), total.clone())], total }
    }

    fn order(sort: &str) -> Vec<String> {
        let all = vec![model("a", 900.0, 1_000, 1), model("b", 5_000.0, 100_000, 9), model("c", 10.0, 1_000, 0)];
        ordered(all, sort).into_iter().map(|it| it.model).collect()
    }

    #[test]
    fn the_most_critical_stands_first_unless_asked_otherwise() {
        assert_eq!(order(""), ["a", "b", "c"]);
        assert_eq!(order("nonsense"), ["a", "b", "c"]);
        assert_eq!(order("-avg_tpm"), ["b", "a", "c"]);
        assert_eq!(order("failure_rate"), ["c", "a", "b"]);
        assert_eq!(order("-model"), ["c", "b", "a"]);
    }

    #[test]
    fn a_change_is_told_against_the_range_before() {
        let before = Averages { models: 2, calls: 100, failed: 5, latency_ms: Some(400.0), ..Averages::default() };
        let now = Averages {
            models: 2,
            calls: 112,
            failed: 9,
            ttft_ms: Some(300.0),
            latency_ms: Some(350.0),
            ..Averages::default()
        };
        let changes: Vec<_> = tiles(&now, &before, "3 h").into_iter().map(|it| it.change).collect();
        assert_eq!(
            changes,
            [
                "same as before",
                "+12.0% vs previous 3 h",
                "+4 · 8.0% of calls",
                "none vs previous 3 h",
                "−50 ms vs previous 3 h"
            ]
        );
    }

    #[test]
    fn what_does_not_exist_is_a_dash_and_a_true_zero_is_a_zero() {
        let row = Averages { calls: 10, tpm_limit: Some(5), ..Averages::default() }.row();
        assert_eq!(
            (row.ttft.text.as_str(), row.failed.text.as_str(), row.failure_rate.text.as_str()),
            (NOTHING, "0", "0.0%")
        );
        let few = Averages { calls: 1, tpm: 0.3, rpm: 0.04, tpm_limit: Some(5), ..Averages::default() }.row();
        assert_eq!((few.avg_tpm.text.as_str(), few.avg_rpm.text.as_str()), ("<1", "<0.1"));
        assert_eq!((few.avg_tpm.exact.as_str(), few.avg_rpm.exact.as_str()), ("0.30", "0.04"));
    }
}
