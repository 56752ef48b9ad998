//! The last ten minutes of one model in seconds, against a sixtieth of its limits: bursts that a minute's mean hides.
//! From the process's own memory; no query is made for it.

use super::Limits;
use crate::{
    api::monitoring::ChartView,
    format::{compact, push_whole, whole},
    ssr::{
        Caller, ConsoleState, SecondUse,
        chart::{Axis, Drawing, Limit, Readings, Rows, table_rows},
    },
};
use domain::{ModelCode, WorkspaceId, ceil60};

const SECONDS: i64 = 600;
/// A flush takes a tenth of a second; until then a second is not whole.
const SETTLED_MS: i64 = 300;

/// One strip for requests and one for tokens of `model`; none where its code is none.
pub(super) fn of(
    state: &ConsoleState,
    caller: &Caller,
    workspace: Option<&WorkspaceId>,
    model: &str,
    limits: Limits,
    now_ms: i64,
) -> Vec<ChartView> {
    let standing = &caller.viewer.standing;
    // Whoever sees one workspace alone is told of that one, whatever is asked for.
    let workspace = if standing.sees_all() { workspace } else { standing.workspace.as_ref() };
    let Ok(code) = ModelCode::parse(model) else { return Vec::new() };
    if !standing.sees_all() && workspace.is_none() {
        return Vec::new();
    }
    let last = state.live.seconds(&standing.account, &code, workspace);
    let end_s = (now_ms - SETTLED_MS).div_euclid(1_000);
    let strip = Strip { model, from_s: end_s - SECONDS, end_s, since_s: last.since_s, seconds: &last.seconds };
    let mut strips =
        vec![strip.drawn("requests-second", "Requests by the second", limits.rpm, |it| it.requests, |it| it.refused)];
    if limits.tpm.is_some() {
        strips.push(strip.drawn("tokens-second", "Tokens by the second", limits.tpm, |it| it.tokens, |_| 0));
    }
    strips
}

struct Strip<'a> {
    model: &'a str,
    from_s: i64,
    end_s: i64,
    /// Nothing is known from before.
    since_s: i64,
    seconds: &'a [SecondUse],
}

impl Strip<'_> {
    #[allow(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    fn drawn(
        &self,
        key: &str,
        title: &str,
        limit: Option<u64>,
        used: fn(&SecondUse) -> u64,
        refused: fn(&SecondUse) -> u64,
    ) -> ChartView {
        let shown: Vec<&SecondUse> =
            self.seconds.iter().filter(|it| (self.from_s..self.end_s).contains(&it.at_s)).collect();
        let limit = limit.map(ceil60);
        let axis = Axis { from_ms: self.from_s * 1_000, to_ms: self.end_s * 1_000, label: "clock" };
        let highest = shown.iter().map(|it| used(it)).max().unwrap_or(0) as f64;
        // What was refused may be any number of times the limit; the scale is that of what passed.
        let asked = shown.iter().map(|it| used(it) + refused(it)).max().unwrap_or(0) as f64;
        let room = asked.min(highest.max(limit.unwrap_or(0) as f64) * 2.0).max(highest);
        let drawn_limit = limit.map(|it| Limit { at: it as f64, words: format!("limit {} / s", compact(it)) });
        let mut drawing = Drawing::new(axis, room, "", drawn_limit);
        drawing.unknown(self.since_s * 1_000);
        let strokes = |it: &&SecondUse| (it.at_s * 1_000, 0.0, used(it) as f64);
        drawing.strokes("used", shown.iter().filter(|it| used(it) > 0).map(strokes));
        let above = |it: &&SecondUse| (it.at_s * 1_000, used(it) as f64, (used(it) + refused(it)) as f64);
        drawing.strokes("refused", shown.iter().filter(|it| refused(it) > 0).map(above));
        let counts_refusals = shown.iter().any(|it| refused(it) > 0);
        let readings = Readings {
            names: if counts_refusals { vec!["admitted".into(), "refused".into()] } else { vec!["charged".into()] },
            first_ms: self.from_s * 1_000,
            step_ms: 1_000,
            rows: self.rows(&shown, used, refused, counts_refusals),
            columns: true,
        };
        let over = limit.map_or(0, |limit| shown.iter().filter(|it| used(it) >= limit).count());
        let note = match (limit, over) {
            (Some(limit), 0) => format!("{} · last 10 minutes · limit {} / s", self.model, whole(limit)),
            (Some(limit), n) => {
                let seconds = if n == 1 { "second" } else { "seconds" };
                format!("{} · last 10 minutes · limit {} / s reached in {n} {seconds}", self.model, whole(limit))
            }
            (None, _) => format!("{} · last 10 minutes", self.model),
        };
        ChartView {
            key: key.to_owned(),
            rows: table_rows(self.minutes(&shown, used, refused).into_iter()),
            svg: drawing.svg(&format!("{title}, {note}"), &readings),
            title: title.to_owned(),
            note,
            legend: Vec::new(),
            columns: ["Minute", "Highest second", "Together", "Refused"].map(str::to_owned).to_vec(),
            zooms: false,
        }
    }

    fn rows(
        &self,
        shown: &[&SecondUse],
        used: fn(&SecondUse) -> u64,
        refused: fn(&SecondUse) -> u64,
        both: bool,
    ) -> Rows {
        let mut by_second = vec![None; usize::try_from(SECONDS).unwrap_or(0)];
        for &it in shown {
            if let Some(place) = usize::try_from(it.at_s - self.from_s).ok().and_then(|i| by_second.get_mut(i)) {
                *place = Some(it);
            }
        }
        // A second without calls is written as nothing, which keeps the page small; a pointer reads it as 0.
        let mut rows = Rows::default();
        for second in by_second {
            let values = second.into_iter().flat_map(|it| [Some(used(it)), both.then(|| refused(it))]);
            rows.step(values.flatten(), push_whole);
        }
        rows
    }

    /// By minute: the highest second, all together, and what was refused.
    fn minutes(
        &self,
        shown: &[&SecondUse],
        used: fn(&SecondUse) -> u64,
        refused: fn(&SecondUse) -> u64,
    ) -> Vec<(i64, Vec<String>)> {
        let first = self.from_s.div_euclid(60);
        let last = (self.end_s - 1).div_euclid(60);
        let row = |minute: i64| {
            let of: Vec<&&SecondUse> = shown.iter().filter(|it| it.at_s.div_euclid(60) == minute).collect();
            let known = (minute + 1) * 60 > self.since_s;
            let figures = [
                of.iter().map(|it| used(it)).max().unwrap_or(0),
                of.iter().map(|it| used(it)).sum(),
                of.iter().map(|it| refused(it)).sum(),
            ];
            let written = figures.map(|it| if known { whole(it) } else { crate::format::NOTHING.to_owned() });
            (minute * 60_000, written.to_vec())
        };
        (first..=last).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_stands_in_its_second_and_in_its_minute() {
        let second = |at_s, requests, refused| SecondUse { at_s, requests, tokens: 0, refused };
        let seconds = [second(59, 9, 0), second(120, 10, 4), second(121, 1, 0), second(700, 1, 0)];
        let strip = Strip { model: "qwen-plus", from_s: 60, end_s: 660, since_s: 90, seconds: &seconds };
        let view = strip.drawn("k", "Requests", Some(600), |it| it.requests, |it| it.refused);
        assert!(view.note.ends_with("limit 10 / s reached in 1 second"), "{}", view.note);
        let text = view.rows.replace("</td><td>", " ");
        assert!(text.contains("10 11 4") && !text.contains(" 9 "), "{text}");
        assert!(view.svg.contains(";10|4;1|0;") && view.svg.contains("class=\"unknown\""), "{}", view.svg);
    }
}
