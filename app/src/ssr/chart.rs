//! Drawings as pure functions of numbers and a size. They know nothing of pages, and no text enters unescaped.

use crate::format::{compact, whole};
use html_escape::encode_text;
use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 168.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 24.0;

/// A series over time: the instant of each bucket and its value; `None` is a gap.
pub(crate) type Points = [(i64, Option<f64>)];

/// What the time axis covers, and how its instants are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// First instant.
    pub(crate) from_ms: i64,
    /// Last instant.
    pub(crate) to_ms: i64,
    /// How an instant is written under the axis.
    pub(crate) label: fn(i64) -> String,
}

impl Axis {
    #[allow(clippy::cast_precision_loss, reason = "instants are exact in a double")]
    fn x(&self, ms: i64) -> f64 {
        let span = (self.to_ms - self.from_ms).max(1) as f64;
        LEFT + (ms - self.from_ms) as f64 / span * (WIDTH - LEFT - RIGHT)
    }
}

fn y(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP)
}

/// The next round number at or above `highest`: 1, 2, 2.5 or 5 times a power of ten.
pub(crate) fn nice_top(highest: f64) -> f64 {
    if highest <= 1.0 {
        return 1.0;
    }
    let power = 10_f64.powf(highest.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|top| *top >= highest).unwrap_or(highest)
}

/// A line over a filled area, with a dashed limit.
pub(crate) fn line(title: &str, points: &Points, limit: Option<u64>, axis: Axis) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    let limit_value = limit.map(|it| it as f64);
    let highest = points.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
    // A limit far above what is used would press the line flat; then it is said in words instead.
    let shown_limit = limit_value.filter(|limit| *limit <= highest.max(1.0) * 12.0);
    let top = nice_top(highest.max(shown_limit.unwrap_or(0.0)));
    let mut svg = frame(title, top, axis);
    for run in runs(points) {
        let path = path(&run, top, axis);
        let (first, last) = (axis.x(run[0].0), axis.x(run[run.len() - 1].0));
        let ground = y(0.0, top);
        let _ = write!(
            svg,
            r#"<path class="area" d="{path}L{last:.1} {ground:.1}L{first:.1} {ground:.1}Z"/><path class="line" d="{path}"/>"#
        );
    }
    if let (Some(value), Some(limit)) = (shown_limit, limit) {
        let at = y(value, top);
        let _ = write!(
            svg,
            r#"<line class="limit" x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/><text x="{}" y="{:.1}" text-anchor="end">limit {}</text>"#,
            WIDTH - RIGHT,
            WIDTH - RIGHT,
            at - 5.0,
            compact(limit)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Several lines on one scale; each has a class of its own.
pub(crate) fn lines(title: &str, series: &[(&str, &Points)], axis: Axis) -> String {
    let values = series.iter().flat_map(|(_, points)| points.iter()).filter_map(|(_, value)| *value);
    let top = nice_top(values.fold(0.0, f64::max));
    let mut svg = frame(title, top, axis);
    for (class, points) in series {
        for run in runs(points) {
            let _ = write!(svg, r#"<path class="{class}" d="{}"/>"#, path(&run, top, axis));
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A stretch without gaps; a single point becomes a short dash that can be seen.
fn path(run: &[(i64, f64)], top: f64, axis: Axis) -> String {
    let mut path = String::new();
    for (i, (ms, value)) in run.iter().enumerate() {
        let _ = write!(path, "{}{:.1} {:.1}", if i == 0 { "M" } else { "L" }, axis.x(*ms), y(*value, top));
    }
    if run.len() == 1 {
        path.push_str("h2");
    }
    path
}

/// Columns made of parts that add up; each part has a class of its own.
pub(crate) fn stacked(title: &str, columns: &[(i64, Vec<u64>)], classes: &[&str], axis: Axis) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    let sum = |parts: &[u64]| parts.iter().sum::<u64>() as f64;
    let top = nice_top(columns.iter().map(|(_, parts)| sum(parts)).fold(0.0, f64::max));
    let mut svg = frame(title, top, axis);
    #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    let width = ((WIDTH - LEFT - RIGHT) / columns.len().max(1) as f64 * 0.8).max(1.0);
    for (ms, parts) in columns {
        let mut below = 0.0;
        for (part, class) in parts.iter().zip(classes) {
            if *part == 0 {
                continue;
            }
            #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
            let part = *part as f64;
            let (upper, lower) = (y(below + part, top), y(below, top));
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{:.1}" y="{upper:.1}" width="{width:.1}" height="{:.1}"/>"#,
                axis.x(*ms),
                lower - upper
            );
            below += part;
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Title, scale and instants.
fn frame(title: &str, top: f64, axis: Axis) -> String {
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#,
        html_escape::encode_double_quoted_attribute(title)
    );
    for share in [0.0, 0.5, 1.0] {
        let value = top * share;
        let at = y(value, top);
        let _ = write!(
            svg,
            r#"<line class="axis" x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            encode_text(&scale(value))
        );
    }
    for (step, anchor) in [(0, "start"), (1, "middle"), (2, "end")] {
        let ms = axis.from_ms + (axis.to_ms - axis.from_ms) / 2 * step;
        let label = (axis.label)(ms);
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{}" text-anchor="{anchor}">{}</text>"#,
            axis.x(ms),
            HEIGHT - 6.0,
            encode_text(&label)
        );
    }
    svg
}

fn scale(value: f64) -> String {
    if value.fract() != 0.0 && value < 10.0 { format!("{value:.1}") } else { short(crate::format::round(value)) }
}

/// `1M` and not `1.0M`: a scale has round numbers.
fn short(n: u64) -> String {
    if n < 10_000 { whole(n) } else { compact(n).replace(".0", "") }
}

/// The stretches without gaps.
fn runs(points: &Points) -> Vec<Vec<(i64, f64)>> {
    let mut runs: Vec<Vec<(i64, f64)>> = vec![Vec::new()];
    for (ms, value) in points {
        match (value, runs.last_mut()) {
            (Some(value), Some(run)) => run.push((*ms, *value)),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIS: Axis = Axis { from_ms: 0, to_ms: 3_600_000, label: crate::format::clock_text };

    #[test]
    fn a_scale_ends_at_a_round_number() {
        assert_eq!(
            [0.0, 1.0, 3.0, 21.0, 100.0, 600.0, 912_600.0].map(nice_top),
            [1.0, 1.0, 5.0, 25.0, 100.0, 1_000.0, 1_000_000.0]
        );
    }

    #[test]
    fn more_is_higher_and_nothing_is_the_ground() {
        assert!(y(10.0, 100.0) > y(20.0, 100.0));
        assert!((y(0.0, 100.0) - (HEIGHT - BOTTOM)).abs() < 0.001);
        assert!((y(100.0, 100.0) - TOP).abs() < 0.001);
    }

    #[test]
    fn gaps_are_gaps() {
        let points = [(0, Some(1.0)), (1, None), (2, None), (3, Some(2.0)), (4, Some(3.0))];
        assert_eq!(runs(&points), [vec![(0, 1.0)], vec![(3, 2.0), (4, 3.0)]]);
        assert_eq!(line("t", &points, None, AXIS).matches("class=\"line\"").count(), 2);
    }

    #[test]
    fn a_limit_is_drawn_while_it_is_within_sight() {
        let points = [(0, Some(500.0)), (60_000, Some(900.0))];
        assert!(line("t", &points, Some(1_000), AXIS).contains("limit 1,000"));
        assert!(!line("t", &points, Some(1_000_000), AXIS).contains("class=\"limit\""));
    }

    #[test]
    fn titles_cannot_leave_their_attribute() {
        assert!(!line("\"><script>", &[], None, AXIS).contains("<script>"));
    }

    #[test]
    fn parts_stand_on_each_other() {
        let svg = stacked("t", &[(0, vec![2, 0, 2])], &["requests", "tokens", "surge"], AXIS);
        assert_eq!(svg.matches("<rect").count(), 2);
    }
}
