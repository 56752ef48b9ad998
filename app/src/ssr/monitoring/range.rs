//! The range that was asked for: a preset or two instants, understood or replaced, and the ways to its neighbours.

use crate::{
    api::monitoring::{MonitoringQuery, RangeView},
    format::{iso, left, parse_instant},
    paths,
};
use domain::{Preset, TimeRange, range::MINUTE_MS};

/// The longest range that can be looked at: ten years.
const LONGEST_MINUTES: i64 = 3_660 * 1_440;
/// Ranges that can be gone back to; more would make addresses long.
const ZOOMS: usize = 8;

/// A range that was understood, and what had to be said about it.
pub(super) struct Asked {
    pub(super) range: TimeRange,
    pub(super) live: bool,
    pub(super) note: Option<String>,
    /// Its length in words.
    pub(super) length: String,
}

impl Asked {
    /// Says what is missing where less is `kept` than was asked for.
    pub(super) fn keep_to(&mut self, kept: TimeRange) {
        if kept == self.range {
            return;
        }
        let note = if kept.minutes() <= 0 {
            "Nothing of that range is kept: it is too old, and too short to be told by whole days or hours.".to_owned()
        } else {
            self.length = left(kept.to_ms - kept.from_ms);
            "The range was cut to whole hours or days: older minutes and hours are no longer kept.".to_owned()
        };
        self.note = Some(self.note.take().map_or_else(|| note.clone(), |it| format!("{it} {note}")));
    }
}

/// `3h` → `3 h`.
fn spaced(word: &str) -> String {
    let (digits, unit) = word.split_at(word.len() - 1);
    format!("{digits} {unit}")
}

/// Reads the range: a preset, or two instants. Whatever cannot be shown as it was asked for is cut, and said.
pub(super) fn asked(query: &MonitoringQuery, now_ms: i64) -> Asked {
    let preset = Preset::parse(&query.range).unwrap_or_default();
    let of_preset = |note: Option<String>| Asked {
        range: TimeRange::ending_now(preset.minutes(), now_ms),
        live: true,
        note,
        length: spaced(preset.as_str()),
    };
    if query.from.is_empty() && query.to.is_empty() {
        let unknown = !query.range.is_empty() && Preset::parse(&query.range).is_none();
        return of_preset(
            unknown.then(|| format!("There is no range of that name; these are the last {}.", preset.label())),
        );
    }
    let end_of_now = TimeRange::ending_now(1, now_ms).to_ms;
    let (before_from, before_to) = offsets(&query.offset);
    let from = parse_instant(&query.from).map(|it| it - before_from);
    let to = if query.to.is_empty() { Some(now_ms) } else { parse_instant(&query.to).map(|it| it - before_to) };
    let (Some(from), Some(to)) = (from, to) else {
        return of_preset(Some(format!("That range could not be read; these are the last {}.", preset.label())));
    };
    let Ok(mut range) = TimeRange::custom(from, to) else {
        return of_preset(Some(format!("That range ends before it begins; these are the last {}.", preset.label())));
    };
    let mut note = None;
    if range.from_ms >= end_of_now {
        return of_preset(Some(format!("That range lies in the future; these are the last {}.", preset.label())));
    }
    if range.to_ms > end_of_now {
        range.to_ms = end_of_now;
        note = Some("The range was cut at this moment.".to_owned());
    }
    if range.minutes() > LONGEST_MINUTES {
        range.from_ms = range.to_ms - LONGEST_MINUTES * MINUTE_MS;
        note = Some("The range was cut at ten years.".to_owned());
    }
    Asked { live: range.to_ms >= now_ms, length: left(range.to_ms - range.from_ms), range, note }
}

/// How far `from` and `to` are ahead of UTC, in milliseconds.
fn offsets(text: &str) -> (i64, i64) {
    let minutes = |it: &str| it.trim().parse::<i64>().unwrap_or(0).clamp(-1_440, 1_440) * MINUTE_MS;
    let (from, to) = text.split_once(',').unwrap_or((text, text));
    (minutes(from), minutes(to))
}

/// `shown` is what is kept of the range that was asked for; arrows go from the latter.
pub(super) fn view(query: &MonitoringQuery, asked: &Asked, shown: TimeRange, now_ms: i64) -> RangeView {
    let TimeRange { from_ms, to_ms } = asked.range;
    let shifted = |by: i64| between(query, from_ms + by, to_ms + by).address(paths::MONITORING);
    let length = to_ms - from_ms;
    let forward = if to_ms > now_ms { String::new() } else { shifted(length) };
    RangeView {
        from_ms: shown.from_ms,
        to_ms: shown.to_ms,
        live: asked.live,
        back: shifted(-length),
        forward,
        unzoom: unzoomed(query).map(|it| it.address(paths::MONITORING)).unwrap_or_default(),
        zoom: zoom(query, asked),
        note: asked.note.clone(),
    }
}

fn between(query: &MonitoringQuery, from_ms: i64, to_ms: i64) -> MonitoringQuery {
    let (from, to) = (iso(from_ms), iso(to_ms));
    MonitoringQuery { range: String::new(), offset: String::new(), from, to, ..query.clone() }
}

/// The address that a zoom's `from` and `to` are added to; it remembers the range it came from.
fn zoom(query: &MonitoringQuery, asked: &Asked) -> String {
    let minute = |ms: i64| ms.div_euclid(MINUTE_MS);
    let here = if query.from.is_empty() {
        Preset::parse(&query.range).unwrap_or_default().as_str().to_owned()
    } else {
        format!("{}-{}", minute(asked.range.from_ms), minute(asked.range.to_ms))
    };
    let mut from: Vec<&str> = query.zoom.split(',').filter(|it| !it.is_empty()).collect();
    from.push(&here);
    let from = from.split_off(from.len().saturating_sub(ZOOMS)).join(",");
    let pairs =
        [("zoom", from.as_str()), ("workspace", &query.workspace), ("model", &query.model), ("sort", &query.sort)];
    paths::with_query(paths::MONITORING, &pairs)
}

/// The range that the last zoom came from; `None` if there was none, or it cannot be read.
fn unzoomed(query: &MonitoringQuery) -> Option<MonitoringQuery> {
    if query.from.is_empty() || query.zoom.is_empty() {
        return None;
    }
    let (rest, last) = query.zoom.rsplit_once(',').unwrap_or(("", &query.zoom));
    if let Some(preset) = Preset::parse(last) {
        return Some(query.over(preset.as_str()));
    }
    let (from, to) = last.split_once('-')?;
    let ms =
        |it: &str| it.parse::<i64>().ok()?.checked_mul(MINUTE_MS).filter(|it| (0..=4_102_444_800_000).contains(it));
    Some(MonitoringQuery { zoom: rest.to_owned(), ..between(query, ms(from)?, ms(to)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_347_720_000;

    fn query(range: &str, from: &str, to: &str) -> MonitoringQuery {
        MonitoringQuery { range: range.into(), from: from.into(), to: to.into(), ..MonitoringQuery::default() }
    }

    fn ask(range: &str, from: &str, to: &str) -> Asked {
        asked(&query(range, from, to), NOW)
    }

    #[test]
    fn a_range_is_understood_or_replaced_and_said() {
        assert_eq!((ask("", "", "").range.minutes(), ask("7d", "", "").range.minutes()), (180, 10_080));
        assert!(ask("", "", "").note.is_none() && ask("soon", "", "").note.is_some());
        let hour = ask("", &iso(NOW - 7_200_000), &iso(NOW - 3_600_000));
        assert_eq!((hour.range.minutes(), hour.live, hour.note), (60, false, None));
        for (from, to) in
            [("2027-01-01T00:00", "2027-02-01T00:00"), ("2026-02-01T00:00", "2026-01-01T00:00"), ("x", "y")]
        {
            let asked = ask("", from, to);
            assert_eq!(asked.range.minutes(), 180, "{from}");
            assert!(asked.note.is_some() && asked.live, "{from}");
        }
        let ahead = ask("", &iso(NOW - 3_600_000), &iso(NOW + 3_600_000));
        assert!(ahead.note.is_some() && ahead.live && ahead.range.minutes() <= 61);
        assert!(ask("", "1990-01-01T00:00", &iso(NOW)).note.is_some());
    }

    #[test]
    fn typed_times_are_moved_by_the_offset_of_their_own_day() {
        let mut typed = query("", "2026-03-01T12:00", "2026-04-01T12:00");
        typed.offset = "60,120".to_owned();
        let range = asked(&typed, NOW).range;
        assert_eq!(
            (iso(range.from_ms), iso(range.to_ms)),
            ("2026-03-01T11:00:00Z".into(), "2026-04-01T10:00:00Z".into())
        );
        typed.offset = "60".to_owned();
        assert_eq!(iso(asked(&typed, NOW).range.to_ms), "2026-04-01T11:00:00Z");
    }

    #[test]
    fn a_zoom_can_be_undone_step_by_step() {
        let preset = query("24h", "", "");
        let prefix = view(&preset, &asked(&preset, NOW), asked(&preset, NOW).range, NOW).zoom;
        assert_eq!(prefix, "/monitoring?zoom=24h");
        let mut near = query("", "2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z");
        near.zoom = "24h".to_owned();
        assert_eq!(unzoomed(&near).unwrap().address(paths::MONITORING), "/monitoring?range=24h");
        let nearer = zoom(&near, &asked(&near, NOW));
        let stack = nearer.rsplit_once('=').unwrap().1.replace("%2C", ",");
        near.zoom = stack;
        near.from = "2026-11-22T10:20:00Z".to_owned();
        let back = unzoomed(&near).unwrap();
        assert_eq!((back.from.as_str(), back.zoom.as_str()), ("2026-11-22T10:00:00Z", "24h"));
        near.zoom = "nonsense".to_owned();
        assert_eq!(unzoomed(&near), None);
    }
}
