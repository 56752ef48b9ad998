//! Monitoring as the page shows it: the range that was asked for, figures in words, drawings, and CSV.

mod csv;
mod drawings;
mod first_use;
mod limits;
mod now;
mod range;
mod strips;
mod words;

pub(crate) use csv::{csv, field as csv_field};
pub(super) use now::{refresh as refresh_now, show};

use super::{Caller, ConsoleState, choices, failure, live::fingerprint, rate_limit::unsigned};
use crate::{
    api::monitoring::{BatchView, MonitoringQuery, MonitoringView, NowView, PagesView},
    error::ApiError,
    format::whole,
    paths,
    ui::Choice,
};
use control::{
    InForce,
    monitoring::{self, ModelRows, Monitoring, Query},
};
use limits::Limits;
use range::Asked;
use std::collections::HashMap;
use words::{Averages, Group};

/// Models on one page of the table.
const PAGE: usize = 25;
/// Models whose use of this moment is shown; Rate Limit shows that of all.
const NOW: usize = 8;

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

/// Which drawings a view is made with.
pub(super) enum Draw<'a> {
    /// Those of the models that are closest to their limits now.
    Afresh,
    /// Those of these models, which a page shows already.
    These(&'a [String]),
    /// None: the page has them, of these models.
    Nothing(&'a [String]),
}

async fn read(state: &ConsoleState, caller: &Caller, mut query: MonitoringQuery) -> Result<Read, ApiError> {
    let (control, actor) = (&state.control, &caller.actor);
    let now_ms = control.now_ms();
    let mut asked = range::asked(&query, now_ms);
    let shown = monitoring::show(control, actor, &wanted(&query, &asked)).await.map_err(failure)?;
    asked.keep_to(shown.range);
    if !query.workspace.is_empty() {
        // A name is understood as well; everything else goes by the id.
        query.workspace.clone_from(&shown.workspace);
    }
    let in_force = control::in_force(control, actor).await.map_err(failure)?;
    let limits: HashMap<String, Limits> =
        in_force.models().map(|it| (it.to_owned(), in_force.workspace(&shown.workspace, it).into())).collect();
    let groups: Vec<Group> =
        shown.by_model(now_ms).into_iter().map(|it| group(it, &shown.workspace, &in_force)).collect();
    let groups = words::ordered(groups, &query.sort);
    Ok(Read { query, asked, shown, limits, groups })
}

/// Everything on the page.
pub(crate) async fn view(
    state: &ConsoleState,
    caller: &Caller,
    query: MonitoringQuery,
) -> Result<MonitoringView, ApiError> {
    let mut view = drawn(state, caller, query, Draw::Afresh).await?;
    refresh_now(state, caller, &mut view);
    view.rows = fingerprint(&now::rows(&view));
    Ok(view)
}

/// Everything on the page except for the use of this moment.
pub(super) async fn drawn(
    state: &ConsoleState,
    caller: &Caller,
    query: MonitoringQuery,
    draw: Draw<'_>,
) -> Result<MonitoringView, ApiError> {
    let now_ms = state.control.now_ms();
    // Which models are drawn, the table tells; what is drawn of all of them need not wait for it.
    let whole = async {
        match draw {
            Draw::Nothing(_) => Ok(None),
            _ => drawings::of_all(state, caller, &wanted(&query, &range::asked(&query, now_ms))).await.map(Some),
        }
    };
    let (read, whole) = tokio::try_join!(read(state, caller, query.clone()), whole)?;
    let Read { query, asked, shown, limits, groups } = read;
    let workspaces = choices::workspaces(state, caller, &query.workspace).await?;
    let tiles = words::tiles(&averages_of(&shown.summary), &averages_of(&shown.previous), &asked.length);
    let limits_of = |model: &str| limits.get(model).copied().unwrap_or_default();
    let models: Vec<String> = match &draw {
        _ if groups.is_empty() => Vec::new(),
        Draw::These(models) | Draw::Nothing(models) => models.to_vec(),
        _ if !query.model.is_empty() => vec![query.model.clone()],
        _ => words::critical(&groups).into_iter().take(drawings::LINES.len()).collect(),
    };
    let charts = match whole {
        Some(whole) if !groups.is_empty() => {
            let of = |model: &String| (model.clone(), limits_of(model));
            let models: Vec<_> = models.iter().map(of).collect();
            drawings::of(state, caller, &wanted(&query, &asked), &models, &whole).await?
        }
        _ => Vec::new(),
    };
    // A page has chosen which it shows; live figures are of whichever these are.
    let now_rows = if matches!(draw, Draw::Afresh) { NOW } else { usize::MAX };
    let (groups, pages) = paged(groups, &query);
    let first_use = if shown.summary.total_calls == 0 { first_use::of(state, caller, now_ms).await? } else { None };
    let now = |model: &String| {
        let limit = limits_of(model);
        NowView { model: model.clone(), rpm: limit.rpm, tpm: limit.tpm, ..NowView::default() }
    };
    let mut codes: Vec<_> = limits.keys().cloned().collect();
    codes.sort();
    Ok(MonitoringView {
        range: range::view(&query, &asked, shown.range, now_ms),
        tiles,
        now: groups.iter().take(now_rows).map(|it| now(&it.model)).collect(),
        groups: words::written(groups),
        pages,
        batch: batch(&shown),
        workspaces,
        models: codes.into_iter().map(|it| Choice::new(it.clone(), it)).collect(),
        charts,
        strips: Vec::new(),
        rows: String::new(),
        // Wherever its row is: a sorted or a later page of the table may not hold it.
        by_second: models.first().map(now),
        drawn: models,
        stopped: stopped(shown.stopped),
        first_use,
        query,
    })
}

/// What is asked for, as the figures are asked for.
fn wanted(query: &MonitoringQuery, asked: &Asked) -> Query {
    Query { range: asked.range, workspace: query.workspace.clone(), model: query.model.clone() }
}

/// One page of the groups: those behind the model that the address names.
fn paged(mut groups: Vec<Group>, query: &MonitoringQuery) -> (Vec<Group>, PagesView) {
    let models = groups.len();
    let before = groups.iter().position(|it| it.model == query.after).map_or(0, |it| it + 1);
    // Behind the last one there is nothing; then the page begins anew.
    let before = if before >= models { 0 } else { before };
    let mut page = groups.split_off(before);
    let more = page.len() > PAGE;
    page.truncate(PAGE);
    let to = |after: &str| MonitoringQuery { after: after.to_owned(), ..query.clone() }.address(paths::MONITORING);
    let next = page.last().filter(|_| more).map(|it| to(&it.model)).unwrap_or_default();
    let first = if before > 0 { to("") } else { String::new() };
    (page, PagesView { models, before, first, next })
}

/// A model's figures against the limits of the account, or of the one workspace that is shown; those of each workspace
/// against its own.
fn group(rows: ModelRows, workspace: &str, in_force: &InForce) -> Group {
    let part = |it: &monitoring::Row| {
        let limits = in_force.workspace(&it.workspace_id, &it.model);
        (it.workspace.clone(), averages(&it.figures, limits.into()))
    };
    let total = averages(&rows.figures, in_force.workspace(workspace, &rows.model).into());
    Group { parts: rows.rows.iter().map(part).collect(), model: rows.model, total }
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

fn batch(shown: &Monitoring) -> Vec<BatchView> {
    let row = |it: &monitoring::Row| BatchView {
        model: it.model.clone(),
        workspace: it.workspace.clone(),
        calls: words::count(unsigned(it.figures.total_calls)),
        failed: words::count(unsigned(it.figures.failed_calls)),
        tokens: words::count(unsigned(it.sum.figures.tokens_total)),
        latency: words::time(it.figures.avg_latency_ms),
    };
    shown.batch.iter().map(row).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(models: usize, after: &str) -> (Vec<String>, PagesView) {
        let group = |i: usize| Group { model: format!("m{i}"), total: Averages::default(), parts: Vec::new() };
        let query = MonitoringQuery { after: after.into(), sort: "-model".into(), ..MonitoringQuery::default() };
        let (page, pages) = paged((0..models).map(group).collect(), &query);
        (page.into_iter().map(|it| it.model).collect(), pages)
    }

    #[test]
    fn pages_follow_each_other_without_a_hole() {
        let (first, view) = pages(60, "");
        assert_eq!((first.len(), first[24].as_str(), view.first.as_str()), (25, "m24", ""));
        assert_eq!(view.next, "/monitoring?sort=-model&after=m24");
        let (last, view) = pages(60, "m49");
        assert_eq!((last.len(), last[0].as_str(), view.before, view.next.as_str()), (10, "m50", 50, ""));
        assert_eq!(pages(25, "").1.next, "");
        assert_eq!(pages(25, "gone").0.len(), 25);
        assert_eq!(pages(25, "m24").0.len(), 25);
    }
}
