//! The Monitoring page's figures: from roll-ups alone, and of what the actor may see.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Action, TimeRange};
pub use store::rollup::{Figures, Histogram};
use store::{
    rollup::{HistogramPoint, Lane, Level, Point, SeriesKey, Sum},
    workspace::WorkspaceRow,
};

use crate::{
    Actor, Control, ControlError, Result, compared,
    figures::{self, RowFigures, Summary},
};

/// Which figures to show.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whole minutes.
    pub range: TimeRange,
    /// The id of a workspace, or its name in commands; empty for all that the actor may see.
    pub workspace: String,
    /// A model's code; empty for all.
    pub model: String,
}

/// What the page shows, charts apart.
#[derive(Clone, Debug)]
pub struct Monitoring {
    /// The range that the figures are of: the one asked for, unless it reaches beyond what is kept (see [`Kept`]);
    /// empty if nothing of it is kept.
    pub range: TimeRange,
    /// The id of the workspace they are kept to; empty for all of the account.
    pub workspace: String,
    /// The tiles.
    pub summary: Summary,
    /// The tiles of the range of the same length before.
    pub previous: Summary,
    /// One row a model and workspace, by model and workspace.
    pub rows: Vec<Row>,
    /// One row a model and workspace of the batch lane, which no limit holds: in no tile and in no other row.
    pub batch: Vec<Row>,
    /// Calls stopped before the limiter: they are in no row.
    pub stopped: i64,
}

/// For how many days roll-ups are kept; days are kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Minutes.
    pub minutes_days: i64,
    /// Hours.
    pub hours_days: i64,
}

impl Default for Kept {
    fn default() -> Self {
        Self { minutes_days: 35, hours_days: 400 }
    }
}

impl Kept {
    /// The part of `range` that can be told exactly: an end in a time of which minutes, or hours, are gone moves inwards
    /// to a full hour, or day. `None` if nothing is left.
    pub fn cut(self, range: TimeRange, now_ms: i64) -> Option<TimeRange> {
        let from_unit = self.finest(range.from_ms, now_ms);
        let from_ms = from_unit.floor(range.from_ms + from_unit.ms() - 1);
        let to_ms = self.finest(range.to_ms, now_ms).floor(range.to_ms);
        (from_ms < to_ms).then_some(TimeRange { from_ms, to_ms })
    }

    /// The shortest of minutes, hours and days that is kept of a time.
    fn finest(self, at_ms: i64, now_ms: i64) -> Level {
        match now_ms.saturating_sub(at_ms) {
            age if age > self.hours_days * Level::Day.ms() => Level::Day,
            age if age > self.minutes_days * Level::Day.ms() => Level::Hour,
            _ => Level::Minute,
        }
    }

    /// The same as [`Self::cut`], with a range without length for nothing.
    fn shown(self, range: TimeRange, now_ms: i64) -> TimeRange {
        self.cut(range, now_ms).unwrap_or(TimeRange { from_ms: range.to_ms, to_ms: range.to_ms })
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The model's code.
    pub model: String,
    /// The workspace's id.
    pub workspace_id: String,
    /// Its name; of the default one its display name.
    pub workspace: String,
    /// Its name in commands.
    pub workspace_in_commands: String,
    /// The figures.
    pub figures: RowFigures,
    /// What they are made of.
    pub sum: Sum,
}

/// One model's rows folded into one.
#[derive(Clone, Debug)]
pub struct ModelRows {
    /// The model's code.
    pub model: String,
    /// The figures of all its workspaces together.
    pub figures: RowFigures,
    /// What they are made of.
    pub total: Figures,
    /// One row a workspace.
    pub rows: Vec<Row>,
}

impl Monitoring {
    /// Rows folded by model, by code.
    pub fn by_model(&self, now_ms: i64) -> Vec<ModelRows> {
        let mut groups: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
        for row in &self.rows {
            groups.entry(&row.model).or_default().push(row.clone());
        }
        let fold = |(model, rows): (&str, Vec<Row>)| {
            let mut total = Figures::default();
            rows.iter().for_each(|it| total.add(&it.sum.figures));
            let first = rows.iter().map(|it| it.sum.first_at_ms).min().unwrap_or(self.range.from_ms);
            ModelRows { model: model.to_owned(), figures: figures::row(&total, first, self.range, now_ms), total, rows }
        };
        groups.into_iter().map(fold).collect()
    }
}

/// Tiles and table.
///
/// # Errors
/// [`ControlError::NotFound`] for a workspace the actor does not see.
pub async fn show(control: &Control, actor: &Actor, query: &Query) -> Result<Monitoring> {
    actor.authorise(Action::View)?;
    let now_ms = control.now_ms();
    let configuration = {
        let mut conn = control.store().read().await?;
        control.configuration(&mut conn, actor.account()).await?
    };
    let workspaces = &configuration.workspaces;
    let workspace = filter(actor, workspaces, &query.workspace)?;
    let range = control.kept().shown(query.range, now_ms);
    let of = Of { control, actor, workspace: &workspace, model: &query.model, now_ms };
    let before = async {
        match control.kept().cut(range.previous(), now_ms) {
            Some(previous) => of.compared(previous).await,
            None => Ok(Summary::default()),
        }
    };
    let stopped = Of { model: "", ..of };
    // At once, each over a connection of its own: together they are most of what the page waits for.
    let (sums, before, (batch, stopped)) = tokio::try_join!(of.sums(Lane::Limited, range), before, async {
        Ok((of.sums(Lane::Batch, range).await?, stopped.sums(Lane::Stopped, range).await?))
    })?;
    let rows = rows(sums, workspaces, range, now_ms);
    let batch = self::rows(batch, workspaces, range, now_ms);
    Ok(Monitoring {
        range,
        workspace,
        summary: summary(rows.iter().map(|it| &it.sum)),
        previous: before,
        rows,
        batch,
        stopped: stopped.iter().map(|it| it.figures.calls).sum(),
    })
}

/// Whether any call reached the limiter since the account exists, of what the actor may see.
///
/// # Errors
/// When the store cannot answer.
pub async fn ever_called(control: &Control, actor: &Actor) -> Result<bool> {
    actor.authorise(Action::View)?;
    let mut conn = control.store().read().await?;
    let workspaces = conn.counted_workspaces(actor.account(), Lane::Limited).await?;
    Ok(workspaces.iter().any(|it| actor.sees(it)))
}

/// Whose sums are asked for.
#[derive(Clone, Copy)]
struct Of<'a> {
    control: &'a Control,
    actor: &'a Actor,
    workspace: &'a str,
    model: &'a str,
    now_ms: i64,
}

impl Of<'_> {
    /// The tiles of a range that is over.
    async fn compared(&self, range: TimeRange) -> Result<Summary> {
        let of = compared::Of::new(self.actor.account(), self.workspace, self.model, range);
        let known = &self.control.parts.compared;
        if let Some(summary) = known.find(&of, self.now_ms) {
            return Ok(summary);
        }
        let summary = summary(self.sums(Lane::Limited, range).await?.iter());
        known.keep(of, self.now_ms, summary);
        Ok(summary)
    }

    async fn sums(&self, lane: Lane, range: TimeRange) -> Result<Vec<Sum>> {
        let mut conn = self.control.store().read().await?;
        let mut sums = conn.sums(self.actor.account(), lane, self.workspace, self.model, range, self.now_ms).await?;
        sums.retain(|it| it.figures.calls > 0);
        Ok(sums)
    }
}

/// Sums with the names of their workspaces, by model and workspace.
fn rows(sums: Vec<Sum>, workspaces: &[WorkspaceRow], range: TimeRange, now_ms: i64) -> Vec<Row> {
    let row = |sum: Sum| {
        let found = workspaces.iter().find(|it| it.id == sum.workspace_id);
        Row {
            model: sum.model_code.clone(),
            workspace_id: sum.workspace_id.clone(),
            workspace: found.map_or_else(|| sum.workspace_id.clone(), |it| it.name.clone()),
            workspace_in_commands: found.map_or_else(|| sum.workspace_id.clone(), |it| it.command_name().to_owned()),
            figures: figures::row(&sum.figures, sum.first_at_ms, range, now_ms),
            sum,
        }
    };
    let mut rows: Vec<Row> = sums.into_iter().map(row).collect();
    rows.sort_by(|a, b| (&a.model, &a.workspace).cmp(&(&b.model, &b.workspace)));
    rows
}

fn summary<'a>(sums: impl Iterator<Item = &'a Sum>) -> Summary {
    let mut total = Figures::default();
    let mut models = BTreeSet::new();
    for sum in sums {
        total.add(&sum.figures);
        models.insert(sum.model_code.as_str());
    }
    Summary::of(i64::try_from(models.len()).unwrap_or(i64::MAX), &total)
}

/// The workspace to keep to: the one asked for, or for someone who sees one alone, that one; empty for all.
pub(crate) fn filter(actor: &Actor, workspaces: &[WorkspaceRow], asked: &str) -> Result<String> {
    let own = || actor.standing.workspace.as_ref().map(|it| it.as_str().to_owned());
    if asked.is_empty() {
        if actor.standing.sees_all() {
            return Ok(String::new());
        }
        return own().ok_or(ControlError::NotFound("this workspace"));
    }
    let found = workspaces.iter().find(|it| it.id == asked || it.command_name() == asked);
    let found = found.filter(|it| actor.sees(&it.id));
    found.map(|it| it.id.clone()).ok_or(ControlError::NotFound("this workspace"))
}

/// What the charts are drawn of.
#[derive(Clone, Debug)]
pub struct Charts {
    /// What they are of, as [`Monitoring::range`].
    pub range: TimeRange,
    /// Length of a step in milliseconds.
    pub step_ms: i64,
    /// Counts by step; steps without calls are left out.
    pub points: Vec<Point>,
    /// Latencies by step, likewise; none from [`points`].
    pub histograms: Vec<HistogramPoint>,
}

/// Steps that a range is drawn in: at most 360 of them. None between five minutes and an hour: it would be read from the
/// rows of minutes, thousands of them, while an hour has a row of its own. Beyond 45 days a day is a step.
pub fn step_ms(range: TimeRange) -> i64 {
    const STEPS_MIN: [(i64, i64); 6] = [(1, 360), (5, 360), (60, 360), (360, 180), (1_440, 360), (7 * 1_440, 360)];
    let fits = |(step, most): &&(i64, i64)| range.minutes() <= step * most;
    STEPS_MIN.iter().find(fits).map_or(30 * 1_440, |it| it.0) * domain::range::MINUTE_MS
}

/// Counts and latencies along the range, over all that the filters leave.
///
/// # Errors
/// [`ControlError::NotFound`] for a workspace the actor does not see.
pub async fn charts(control: &Control, actor: &Actor, query: &Query) -> Result<Charts> {
    along(control, actor, query, true).await
}

/// Counts along the range without latencies, which are the larger part of what is read.
///
/// # Errors
/// [`ControlError::NotFound`] for a workspace the actor does not see.
pub async fn points(control: &Control, actor: &Actor, query: &Query) -> Result<Charts> {
    along(control, actor, query, false).await
}

async fn along(control: &Control, actor: &Actor, query: &Query, latencies: bool) -> Result<Charts> {
    actor.authorise(Action::View)?;
    let now_ms = control.now_ms();
    let mut conn = control.store().read().await?;
    let workspaces = &control.configuration(&mut conn, actor.account()).await?.workspaces;
    let series = SeriesKey {
        account: actor.account().to_owned(),
        lane: Lane::Limited,
        workspace: filter(actor, workspaces, &query.workspace)?,
        model: query.model.clone(),
    };
    let range = control.kept().shown(query.range, now_ms);
    // Within an hour of which the minutes are gone there is nothing to draw.
    let step_ms = step_ms(range).max(control.kept().finest(range.from_ms, now_ms).ms());
    let (points, histograms) = if latencies {
        conn.course(&series, range, step_ms, now_ms).await?
    } else {
        (conn.points(&series, range, step_ms, now_ms).await?, Vec::new())
    };
    Ok(Charts { range, step_ms, points, histograms })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn a_range_is_cut_to_what_is_kept() {
        let now = 1_000 * DAY + 90 * 60_000;
        let cut = |from_ms: i64, to_ms: i64| Kept::default().cut(TimeRange { from_ms, to_ms }, now);
        let minute = now - 30 * DAY;
        assert_eq!(cut(minute, now), Some(TimeRange { from_ms: minute, to_ms: now }));
        let old = 1_000 * DAY - 60 * DAY + 60_000;
        assert_eq!(cut(old, minute).map(|it| it.from_ms - old), Some(HOUR - 60_000));
        let older = 1_000 * DAY - 500 * DAY + 60_000;
        assert_eq!(cut(older, old).map(|it| (it.from_ms % DAY, it.to_ms % HOUR)), Some((0, 0)));
        assert_eq!(cut(older, older + 60_000), None);
    }

    #[test]
    fn a_chart_of_any_range_is_drawn_from_few_rows() {
        let now = 1_000 * DAY + 31 * 60_000;
        for minutes in (1..200 * 1_440).step_by(7) {
            let range = TimeRange { from_ms: now - minutes * 60_000, to_ms: now };
            // A series has a row for each of the longest of these that its steps are made of.
            let step_ms = step_ms(range);
            let unit = Level::ALL.into_iter().rev().find(|it| step_ms % it.ms() == 0).map_or(60_000, Level::ms);
            let rows = minutes * 60_000 / unit;
            // Thirty hours of minutes; 45 days of hours are 1,080.
            assert!(rows <= 30 * 60, "{rows} rows for {minutes} minutes in steps of {step_ms} ms");
        }
    }
}
