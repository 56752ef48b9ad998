//! Monitoring as the page shows it: the range that was asked for, figures in words, drawings, and CSV.

mod csv;
mod drawings;
mod words;

pub(crate) use csv::{csv, field as csv_field};

use super::{
    Caller, ConsoleState, failure,
    live::Shown,
    rate_limit::{unsigned, use_now},
};
use crate::{
    api::monitoring::{MonitoringQuery, MonitoringView, NowView, RangeView, RowView},
    error::ApiError,
    format::{compact, iso, parse_instant, whole},
    paths,
    ui::Choice,
};
use control::{
    monitoring::{self, ModelRows, Monitoring, Query},
    workspaces::EditorModel,
};
use domain::{Preset, TimeRange, WorkspaceId, range::MINUTE_MS};
use std::collections::HashMap;
use words::{Averages, Group};

/// Minutes, hours and days that are kept by default: the longest range that can be looked at.
const LONGEST_MINUTES: i64 = 3_660 * 1_440;

/// A range that was understood, and what had to be said about it.
struct Asked {
    range: TimeRange,
    live: bool,
    note: Option<String>,
    /// Its length in words.
    length: String,
}

/// Limits of one model: the account's, or what is in force for a workspace.
#[derive(Clone, Copy, Default)]
struct Limits {
    rpm: Option<u64>,
    tpm: Option<u64>,
}

impl Asked {
    /// Says what is missing where less is `kept` than was asked for.
    fn keep_to(&mut self, kept: TimeRange) {
        if kept == self.range {
            return;
        }
        let note = if kept.minutes() <= 0 {
            "Nothing of that range is kept: it is too old, and too short to be told by whole days or hours.".to_owned()
        } else {
            self.length = crate::format::left(kept.to_ms - kept.from_ms);
            "The range was cut to whole hours or days: older minutes and hours are no longer kept.".to_owned()
        };
        self.note = Some(self.note.take().map_or_else(|| note.clone(), |it| format!("{it} {note}")));
    }
}

/// What the table and everything around it is made of.
struct Read {
    query: MonitoringQuery,
    asked: Asked,
    shown: Monitoring,
    /// Of the account, or in force for the one workspace that is shown.
    limits: HashMap<String, Limits>,
    /// In the order of the page.
    groups: Vec<Group>,
}

async fn read(state: &ConsoleState, caller: &Caller, mut query: MonitoringQuery) -> Result<Read, ApiError> {
    let (control, actor) = (&state.control, &caller.actor);
    let now_ms = control.now_ms();
    let mut asked = asked(&query, now_ms);
    let wanted = Query { range: asked.range, workspace: query.workspace.clone(), model: query.model.clone() };
    let shown = monitoring::show(control, actor, &wanted).await.map_err(failure)?;
    asked.keep_to(shown.range);
    if !query.workspace.is_empty() {
        // A name is understood as well; everything else goes by the id.
        query.workspace.clone_from(&shown.workspace);
    }
    let account = limits(state, caller).await?;
    let limits = match shown.workspace.as_str() {
        "" => account,
        id => limits_of_workspace(state, caller, id, account).await,
    };
    let by_model = shown.by_model(now_ms);
    let own_limits = own_limits(state, caller, &by_model).await?;
    let groups: Vec<Group> = by_model.into_iter().map(|it| group(it, &limits, &own_limits)).collect();
    let groups = words::ordered(groups, &query.sort);
    Ok(Read { query, asked, shown, limits, groups })
}

/// Everything on the page.
pub(crate) async fn view(
    state: &ConsoleState,
    caller: &Caller,
    query: MonitoringQuery,
) -> Result<MonitoringView, ApiError> {
    let now_ms = state.control.now_ms();
    let Read { query, asked, shown, limits, groups } = read(state, caller, query).await?;
    let workspaces = control::workspaces::list(&state.control, &caller.actor).await.map_err(failure)?;
    let untouched = shown.summary.total_calls == 0 && is_untouched(state, caller, now_ms).await?;
    let now = averages_of(&shown.summary);
    let tiles = words::tiles(&now, &averages_of(&shown.previous), &asked.length);
    let groups = words::written(groups);
    let charts = if groups.is_empty() {
        Vec::new()
    } else {
        let model = if query.model.is_empty() { groups[0].model.clone() } else { query.model.clone() };
        let limit = limits.get(&model).copied().unwrap_or_default();
        let wanted = Query { range: asked.range, workspace: query.workspace.clone(), model: query.model.clone() };
        drawings::of(state, caller, &wanted, &model, limit).await?
    };
    let now = groups
        .iter()
        .map(|group| {
            let limit = limits.get(&group.model).copied().unwrap_or_default();
            NowView { model: group.model.clone(), rpm: limit.rpm, tpm: limit.tpm, ..NowView::default() }
        })
        .collect();
    let mut codes: Vec<_> = limits.keys().cloned().collect();
    codes.sort();
    let mut view = MonitoringView {
        range: range_view(&query, &asked, shown.range, now_ms),
        tiles,
        groups,
        workspaces: workspaces.into_iter().map(|it| Choice::new(it.id, it.name)).collect(),
        models: codes.into_iter().map(|it| Choice::new(it.clone(), it)).collect(),
        charts,
        now,
        stopped: stopped(shown.stopped),
        untouched,
        query,
    };
    refresh_now(state, caller, &mut view);
    Ok(view)
}

/// `3h` → `3 h`.
fn spaced(word: &str) -> String {
    let (digits, unit) = word.split_at(word.len() - 1);
    format!("{digits} {unit}")
}

/// Reads the range: a preset, or two instants. Whatever cannot be shown as it was asked for is cut, and said.
fn asked(query: &MonitoringQuery, now_ms: i64) -> Asked {
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
    let offset_ms = query.offset.parse::<i64>().unwrap_or(0).clamp(-1_440, 1_440) * MINUTE_MS;
    let instant = |text: &str| parse_instant(text).map(|it| it - offset_ms);
    let (from, to) = (instant(&query.from), if query.to.is_empty() { Some(now_ms) } else { instant(&query.to) });
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
    Asked { live: range.to_ms >= now_ms, length: crate::format::left(range.to_ms - range.from_ms), range, note }
}

/// `shown` is what is kept of the range that was asked for; arrows go from the latter.
fn range_view(query: &MonitoringQuery, asked: &Asked, shown: TimeRange, now_ms: i64) -> RangeView {
    let TimeRange { from_ms, to_ms } = asked.range;
    let shifted = |by: i64| {
        let (from, to) = (iso(from_ms + by), iso(to_ms + by));
        let query = MonitoringQuery { range: String::new(), offset: String::new(), from, to, ..query.clone() };
        query.address(paths::MONITORING)
    };
    let length = to_ms - from_ms;
    let forward = if to_ms > now_ms { String::new() } else { shifted(length) };
    let (from_ms, to_ms) = (shown.from_ms, shown.to_ms);
    RangeView { from_ms, to_ms, live: asked.live, back: shifted(-length), forward, note: asked.note.clone() }
}

async fn limits(state: &ConsoleState, caller: &Caller) -> Result<HashMap<String, Limits>, ApiError> {
    let now_ms = state.control.now_ms();
    let models = control::models::list(&state.control, &caller.actor).await.map_err(failure)?;
    let limit = |rpm: i64, tpm: Option<i64>| Limits { rpm: Some(unsigned(rpm)), tpm: tpm.map(unsigned) };
    Ok(models.into_iter().map(|it| (it.code.clone(), limit(it.rpm, it.effective_tpm(now_ms)))).collect())
}

/// What is in force for one workspace; the account's limits for one that was archived since.
async fn limits_of_workspace(
    state: &ConsoleState,
    caller: &Caller,
    id: &str,
    mut limits: HashMap<String, Limits>,
) -> HashMap<String, Limits> {
    if let Ok(editor) = control::workspaces::editor(&state.control, &caller.actor, id).await {
        for model in editor.models {
            let limit = lower(&model);
            limits.insert(model.code, limit);
        }
    }
    limits
}

/// The lower of a workspace's own limits and the account's.
fn lower(model: &EditorModel) -> Limits {
    let lower = |own: Option<i64>, account: Option<i64>| own.into_iter().chain(account).min().map(unsigned);
    // Without an account limit of tokens there is none at all.
    let tpm = model.account_tpm.and_then(|account| lower(model.tpm, Some(account)));
    Limits { rpm: lower(model.rpm, Some(model.account_rpm)), tpm }
}

/// The lower of a workspace's own limits and the account's, for the bars of its rows.
async fn own_limits(
    state: &ConsoleState,
    caller: &Caller,
    rows: &[ModelRows],
) -> Result<HashMap<(String, String), Limits>, ApiError> {
    let mut found = HashMap::new();
    let mut ids: Vec<&str> = rows.iter().flat_map(|it| &it.rows).map(|it| it.workspace_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        // A workspace that was archived since has rows, but no editor.
        let Ok(editor) = control::workspaces::editor(&state.control, &caller.actor, id).await else { continue };
        for model in editor.models {
            let limit = lower(&model);
            found.insert((model.code, id.to_owned()), limit);
        }
    }
    Ok(found)
}

fn group(rows: ModelRows, limits: &HashMap<String, Limits>, own: &HashMap<(String, String), Limits>) -> Group {
    let account = limits.get(&rows.model).copied().unwrap_or_default();
    let parts = rows
        .rows
        .iter()
        .map(|it| {
            let limit = own.get(&(it.model.clone(), it.workspace_id.clone())).copied().unwrap_or(account);
            (it.workspace.clone(), averages(&it.figures, limit))
        })
        .collect();
    Group { model: rows.model, total: averages(&rows.figures, account), parts }
}

fn averages(figures: &control::figures::RowFigures, limit: Limits) -> Averages {
    Averages {
        models: 1,
        calls: unsigned(figures.total_calls),
        failed: unsigned(figures.failed_calls),
        tpm: figures.avg_tpm,
        rpm: figures.avg_rpm,
        ttft_ms: figures.avg_ttft_ms,
        latency_ms: figures.avg_latency_ms,
        tpm_limit: limit.tpm,
        rpm_limit: limit.rpm,
    }
}

fn averages_of(summary: &control::figures::Summary) -> Averages {
    Averages {
        models: unsigned(summary.total_models),
        calls: unsigned(summary.total_calls),
        failed: unsigned(summary.failures),
        ttft_ms: summary.avg_ttft_ms,
        latency_ms: summary.avg_latency_ms,
        ..Averages::default()
    }
}

fn stopped(calls: i64) -> String {
    match unsigned(calls) {
        0 => String::new(),
        1 => "One call was stopped before it reached the limiter (400, 401, 403, 404 or 413) and is in no row."
            .to_owned(),
        n => format!(
            "{} calls were stopped before they reached the limiter (400, 401, 403, 404 or 413) and are in no row.",
            whole(n)
        ),
    }
}

/// Whether the account has no call at all, as far back as anything is kept.
async fn is_untouched(state: &ConsoleState, caller: &Caller, now_ms: i64) -> Result<bool, ApiError> {
    let range = TimeRange::ending_now(LONGEST_MINUTES, now_ms);
    let query = Query { range, workspace: String::new(), model: String::new() };
    let all = monitoring::show(&state.control, &caller.actor, &query).await.map_err(failure)?;
    Ok(all.summary.total_calls == 0)
}

/// Brings the use of this moment into a view that was read before.
pub(super) fn refresh_now(state: &ConsoleState, caller: &Caller, view: &mut MonitoringView) {
    let workspace = (!view.query.workspace.is_empty()).then(|| WorkspaceId::new(view.query.workspace.as_str()));
    let used = use_now(state, caller, workspace.as_ref());
    for now in &mut view.now {
        let figures = used.get(&now.model).copied().unwrap_or_default();
        (now.requests, now.tokens) = (figures.requests_minute, figures.tokens_minute);
        (now.requests_second, now.tokens_second) = (figures.requests_second, figures.tokens_second);
    }
}

/// The live parts of the page by their keys.
pub(super) fn show(view: &MonitoringView, shown: &mut Shown) {
    for (i, tile) in view.tiles.iter().enumerate() {
        shown.text(format!("tile/{i}/value"), &tile.value);
        shown.text(format!("tile/{i}/change"), &tile.change);
    }
    for now in &view.now {
        let key = |what: &str| format!("{}/now/{what}", now.model);
        shown.text(key("requests"), compact(now.requests));
        shown.bar(key("requests-bar"), now.requests, now.rpm);
        shown.text(key("requests-second"), whole(now.requests_second));
        shown.text(key("tokens-second"), compact(now.tokens_second));
        if now.tpm.is_some() {
            shown.text(key("tokens"), compact(now.tokens));
            shown.bar(key("tokens-bar"), now.tokens, now.tpm);
        }
    }
    for group in &view.groups {
        match group.parts.as_slice() {
            [part] => show_row(&format!("{}/{}", group.model, part.workspace), &part.row, shown),
            parts => {
                show_row(&format!("{}/*", group.model), &group.total, shown);
                for part in parts {
                    show_row(&format!("{}/{}", group.model, part.workspace), &part.row, shown);
                }
            }
        }
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
    for (column, figure) in figures {
        shown.text(format!("{key}/{column}"), &figure.text);
    }
    shown.bar(format!("{key}/avg_tpm-bar"), row.tpm, row.tpm_limit);
    shown.bar(format!("{key}/avg_rpm-bar"), row.rpm, row.rpm_limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_347_720_000;

    fn ask(range: &str, from: &str, to: &str) -> Asked {
        asked(
            &MonitoringQuery { range: range.into(), from: from.into(), to: to.into(), ..MonitoringQuery::default() },
            NOW,
        )
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
}
