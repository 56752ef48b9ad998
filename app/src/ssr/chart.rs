//! Drawings as pure functions of numbers. They know nothing of pages, and no text enters unescaped.
//!
//! A drawing has no size of its own: lines are stretched over whatever room there is, texts keep theirs. What a pointer
//! over it reads lies in its `data-` attributes, already written out.

use crate::format::{compact, iso, minute_text, push_digits, round, whole};
use html_escape::{encode_double_quoted_attribute, encode_text};
use std::fmt::Write;

/// Side of the square that lines are drawn in before they are stretched.
const SIDE: f64 = 1_000.0;

/// A series over time: the instant of each step and its value; `None` is a gap.
pub(crate) type Points = [(i64, Option<f64>)];

/// What the time axis covers, and how its instants are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// First instant.
    pub(crate) from_ms: i64,
    /// Last instant.
    pub(crate) to_ms: i64,
    /// `clock` or `day`: how an instant is written under the axis.
    pub(crate) label: &'static str,
}

impl Axis {
    /// From 0 at the first instant to [`SIDE`] at the last.
    #[allow(clippy::cast_precision_loss, reason = "instants are exact in a double")]
    fn x(&self, ms: i64) -> f64 {
        let span = (self.to_ms - self.from_ms).max(1) as f64;
        (ms - self.from_ms) as f64 / span * SIDE
    }
}

fn y(value: f64, top: f64) -> f64 {
    SIDE - value / top * SIDE
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

/// A limit as a dashed line.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    /// Where it lies.
    pub(crate) at: f64,
    /// What stands at it.
    pub(crate) words: String,
}

/// What a pointer over a drawing reads: one row of written values for each step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings {
    /// What each value of a row is of.
    pub(crate) names: Vec<String>,
    /// Begin of the first step.
    pub(crate) first_ms: i64,
    /// Length of a step.
    pub(crate) step_ms: i64,
    /// Values by step, without holes between steps.
    pub(crate) rows: Rows,
    /// Whether a step is an area of time, as in columns, and not an instant of a line.
    pub(crate) columns: bool,
}

/// Written values of steps, as the script reads them. They are figures: none holds what separates them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    text: String,
    begun: bool,
}

impl Rows {
    /// Begins the next step, which has the values of `each`, written by `write`.
    pub(crate) fn step<T>(&mut self, each: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
        if std::mem::replace(&mut self.begun, true) {
            self.text.push(';');
        }
        for (i, value) in each.into_iter().enumerate() {
            if i > 0 {
                self.text.push('|');
            }
            write(&mut self.text, value);
        }
    }
}

/// A drawing that is being made.
pub(crate) struct Drawing {
    axis: Axis,
    top: f64,
    /// What is not stretched and lies under the lines.
    ground: String,
    /// What is stretched.
    series: String,
    /// What is not stretched and lies above them.
    above: String,
}

impl Drawing {
    /// A drawing up to at least `highest`. A limit far above it would press everything flat; then it is left to words.
    pub(crate) fn new(axis: Axis, highest: f64, unit: &str, limit: Option<Limit>) -> Self {
        let limit = limit.filter(|it| it.at <= highest.max(1.0) * 12.0);
        let top = nice_top(highest.max(limit.as_ref().map_or(0.0, |it| it.at)));
        let mut it = Self { axis, top, ground: String::new(), series: String::new(), above: String::new() };
        it.scales(unit);
        if let Some(limit) = limit {
            let at = it.percent(y(limit.at, top));
            let _ = write!(
                it.above,
                r#"<line class="limit" x2="100%" y1="{at}" y2="{at}"/><text x="100%" y="{at}" dy="-5" text-anchor="end">{}</text>"#,
                encode_text(&limit.words)
            );
        }
        it
    }

    #[allow(clippy::unused_self, reason = "reads as part of the drawing")]
    fn percent(&self, of_side: f64) -> String {
        format!("{:.2}%", of_side / SIDE * 100.0)
    }

    fn scales(&mut self, unit: &str) {
        for share in [0.0, 0.5, 1.0] {
            let (value, at) = (self.top * share, self.percent(SIDE - share * SIDE));
            let _ = write!(
                self.ground,
                r#"<line class="axis" x2="100%" y1="{at}" y2="{at}"/><text x="-6" y="{at}" dy="4" text-anchor="end">{}{unit}</text>"#,
                encode_text(&scale(value))
            );
        }
        for (step, anchor) in [(0, "start"), (1, "middle"), (2, "end")] {
            let ms = self.axis.from_ms + (self.axis.to_ms - self.axis.from_ms) / 2 * step;
            let words =
                if self.axis.label == "day" { crate::format::day_text(ms) } else { crate::format::clock_text(ms) };
            let _ = write!(
                self.ground,
                r#"<text x="{}%" y="100%" dy="17" text-anchor="{anchor}" data-local="{}" data-at="{}">{words}</text>"#,
                step * 50,
                self.axis.label,
                iso(ms)
            );
        }
    }

    /// A line with the class `name`; over a filled area if it is alone.
    pub(crate) fn line(&mut self, name: &str, points: &Points, filled: bool) {
        for run in runs(points) {
            let path = self.path(&run);
            if filled {
                let (first, last) = (self.axis.x(run[0].0), self.axis.x(run[run.len() - 1].0));
                let _ = write!(self.series, r#"<path class="area" d="{path}L{last:.1} {SIDE}L{first:.1} {SIDE}Z"/>"#);
            }
            let _ = write!(self.series, r#"<path class="line {name}" d="{path}"/>"#);
        }
    }

    /// A stretch without gaps; a single point becomes a short dash that can be seen.
    fn path(&self, run: &[(i64, f64)]) -> String {
        let mut path = String::with_capacity(run.len() * 12);
        for (i, (ms, value)) in run.iter().enumerate() {
            path.push(if i == 0 { 'M' } else { 'L' });
            push_tenths(&mut path, self.axis.x(*ms));
            path.push(' ');
            push_tenths(&mut path, y(*value, self.top));
        }
        if run.len() == 1 {
            path.push_str("h4");
        }
        path
    }

    /// Thin strokes from one value up to another, at the middle of each second: what was charged, or what came on top.
    pub(crate) fn strokes(&mut self, name: &str, strokes: impl Iterator<Item = (i64, f64, f64)>) {
        let mut path = String::new();
        for (at_ms, from, to) in strokes {
            let _ = write!(
                path,
                "M{:.1} {:.1}V{:.1}",
                self.axis.x(at_ms + 500),
                y(from, self.top),
                y(to.min(self.top), self.top)
            );
        }
        if !path.is_empty() {
            let _ = write!(self.series, r#"<path class="stroke {name}" d="{path}"/>"#);
        }
    }

    /// Columns of `width_ms` made of parts that add up; each part has a class, and a pattern to be told apart without
    /// colour.
    pub(crate) fn columns(&mut self, columns: &[(i64, Vec<u64>)], width_ms: i64, parts: &[&str]) {
        self.ground.push_str("<defs>");
        for name in parts {
            let _ = write!(
                self.ground,
                concat!(
                    r#"<pattern id="pattern-{}" width="6" height="6" patternUnits="userSpaceOnUse">"#,
                    r#"<rect class="{}" width="6" height="6"/><path class="hatch {}" d="M0 6 6 0M-1 1 1 -1M5 7 7 5"/></pattern>"#
                ),
                name, name, name
            );
        }
        self.ground.push_str("</defs>");
        let width = (self.axis.x(self.axis.from_ms + width_ms) * 0.82).max(1.0);
        for (at_ms, values) in columns {
            let mut below = 0.0;
            for (value, name) in values.iter().zip(parts).filter(|(value, _)| **value > 0) {
                #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
                let value = *value as f64;
                let (upper, lower) = (y(below + value, self.top), y(below, self.top));
                let _ = write!(
                    self.above,
                    r##"<rect class="column {name}" fill="url(#pattern-{name})" x="{}" y="{}" width="{}" height="{}"/>"##,
                    self.percent(self.axis.x(*at_ms)),
                    self.percent(upper),
                    self.percent(width),
                    self.percent(lower - upper)
                );
                below += value;
            }
        }
    }

    /// A stretch of time of which nothing is known.
    pub(crate) fn unknown(&mut self, until_ms: i64) {
        if until_ms > self.axis.from_ms {
            let width = self.percent(self.axis.x(until_ms.min(self.axis.to_ms)));
            let _ = write!(self.ground, r#"<rect class="unknown" width="{width}" height="100%"/>"#);
        }
    }

    /// The markup, named `title`.
    pub(crate) fn svg(self, title: &str, readings: &Readings) -> String {
        let attribute = |text: &str| encode_double_quoted_attribute(text).into_owned();
        let clean = |text: &String| text.replace(['|', ';'], " ");
        let names: Vec<String> = readings.names.iter().map(clean).collect();
        format!(
            concat!(
                r#"<svg class="plot" role="img" aria-label="{}" data-from="{}" data-to="{}" data-first="{}" data-step="{}" "#,
                r#"data-names="{}" data-rows="{}"{}>{}<svg class="series" viewBox="0 0 1000 1000" preserveAspectRatio="none">{}</svg>{}"#,
                r#"<rect class="band" height="100%" width="0"/><line class="cross" y2="100%"/></svg>"#
            ),
            attribute(title),
            self.axis.from_ms,
            self.axis.to_ms,
            readings.first_ms,
            readings.step_ms.max(1),
            attribute(&names.join("|")),
            attribute(&readings.rows.text),
            if readings.columns { " data-columns=\"\"" } else { "" },
            self.ground,
            self.series,
            self.above,
        )
    }
}

/// Rows of the table that says the same: instants first, the newest on top.
pub(crate) fn table_rows(rows: impl DoubleEndedIterator<Item = (i64, Vec<String>)>) -> String {
    let mut html = String::new();
    for (at_ms, values) in rows.rev() {
        let (machine, words) = (iso(at_ms), minute_text(at_ms));
        let _ = write!(html, r#"<tr><td><time datetime="{machine}" data-local="minute">{words}</time></td>"#);
        for value in values {
            let _ = write!(html, "<td>{}</td>", encode_text(&value));
        }
        html.push_str("</tr>");
    }
    html
}

fn scale(value: f64) -> String {
    if value.fract() != 0.0 && value < 100.0 { format!("{value:.1}") } else { short(round(value)) }
}

/// `1M` and not `1.0M`: a scale has round numbers.
fn short(n: u64) -> String {
    if n < 10_000 { whole(n) } else { compact(n).replace(".0", "") }
}

/// A coordinate to the nearest tenth. There are thousands on a page, and the standard library's way of writing a fraction
/// is exact at ten times the cost.
fn push_tenths(text: &mut String, value: f64) {
    let tenths = round(value.abs() * 10.0);
    if value < 0.0 && tenths > 0 {
        text.push('-');
    }
    push_digits(text, tenths / 10, 1);
    if !tenths.is_multiple_of(10) {
        text.push('.');
        push_digits(text, tenths % 10, 1);
    }
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

    const AXIS: Axis = Axis { from_ms: 0, to_ms: 3_600_000, label: "clock" };

    fn line(points: &Points, limit: Option<f64>) -> String {
        let highest = points.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
        let limit = limit.map(|at| Limit { at, words: format!("limit {at}") });
        let mut drawing = Drawing::new(AXIS, highest, "", limit);
        drawing.line("s1", points, true);
        drawing.svg("\"><script>", &Readings { names: vec!["a|b".into(), "<i>".into()], ..Readings::default() })
    }

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
        assert!((y(0.0, 100.0) - SIDE).abs() < 0.001 && y(100.0, 100.0).abs() < 0.001);
    }

    #[test]
    fn coordinates_have_a_tenth_where_it_is_not_nothing() {
        let written = |value| {
            let mut text = String::new();
            push_tenths(&mut text, value);
            text
        };
        assert_eq!([0.0, 1_000.0, 12.34, 12.36, -0.04, -7.25].map(written), ["0", "1000", "12.3", "12.4", "0", "-7.3"]);
    }

    #[test]
    fn a_step_without_values_keeps_its_place() {
        let mut rows = Rows::default();
        for step in [vec![], vec!["1", "2"], vec![], vec!["3"]] {
            rows.step(step, |text, it| text.push_str(it));
        }
        assert_eq!(rows.text, ";1|2;;3");
    }

    #[test]
    fn gaps_are_gaps() {
        let points = [(0, Some(1.0)), (1, None), (2, None), (3, Some(2.0)), (4, Some(3.0))];
        assert_eq!(runs(&points), [vec![(0, 1.0)], vec![(3, 2.0), (4, 3.0)]]);
        assert_eq!(line(&points, None).matches("class=\"line s1\"").count(), 2);
    }

    #[test]
    fn a_limit_is_drawn_while_it_is_within_sight() {
        let points = [(0, Some(500.0)), (60_000, Some(900.0))];
        assert!(line(&points, Some(1_000.0)).contains("limit 1000"));
        assert!(!line(&points, Some(1_000_000.0)).contains("class=\"limit\""));
    }

    #[test]
    fn titles_and_names_cannot_leave_their_attribute() {
        let svg = line(&[], None);
        assert!(!svg.contains("<script>") && !svg.contains("<i>") && svg.contains("a b|"), "{svg}");
    }

    #[test]
    fn parts_stand_on_each_other() {
        let mut drawing = Drawing::new(AXIS, 4.0, "", None);
        drawing.columns(&[(0, vec![2, 0, 2])], 60_000, &["requests", "tokens", "surge"]);
        let svg = drawing.svg("t", &Readings::default());
        assert!(svg.contains(r#"y="60.00%" width="1.37%" height="40.00%""#), "{svg}");
        assert!(svg.contains(r#"y="20.00%" width="1.37%" height="40.00%""#), "{svg}");
    }
}
