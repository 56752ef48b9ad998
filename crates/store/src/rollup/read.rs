//! Points of one series along a range.

use std::collections::{
    BTreeMap,
    btree_map::Entry::{Occupied, Vacant},
};

use domain::TimeRange;

use super::{
    Figures, Histogram, Level, SeriesKey,
    cover::{cover_in_steps, ends},
    parts::{Cell, Entry},
    strip,
};
use crate::{Conn, Result};

/// Rows of one length of a series between two ends, or strips that may hold something of it.
macro_rules! of_series {
    ($kind:literal, $table:literal, $level:literal, $at:literal $from:literal, $to:literal) => {
        concat!(
            "select ",
            $kind,
            ", at_ms, body
            from ",
            $table,
            "
            where series_id = (select id
                from series
                where account_id = $1 and lane = $2 and workspace_id = $3 and model_code = $4)
                and level_ms = ",
            $level,
            " and at_ms ",
            $at,
            $from,
            " and at_ms < ",
            $to
        )
    };
}

/// Kinds of rows in the answer; what is of neither is a cell by itself.
const MINUTES: i32 = 1;
const HOURS: i32 = 2;

statements! {
    // The up to five pieces of a range, and the strips of the four of them that are not days.
    SERIES_ROWS = concat!(
        of_series!("0", "call_series", "60000", ">= " "$5", "$6"), " union all ",
        of_series!("1", "call_strip", "60000", "> -3600000 + " "$5", "$6"), " union all ",
        of_series!("0", "call_series", "3600000", ">= " "$7", "$8"), " union all ",
        of_series!("2", "call_strip", "3600000", "> -86400000 + " "$7", "$8"), " union all ",
        of_series!("0", "call_series", "86400000", ">= " "$9", "$10"), " union all ",
        of_series!("0", "call_series", "3600000", ">= " "$11", "$12"), " union all ",
        of_series!("2", "call_strip", "3600000", "> -86400000 + " "$11", "$12"), " union all ",
        of_series!("0", "call_series", "60000", ">= " "$13", "$14"), " union all ",
        of_series!("1", "call_strip", "60000", "> -3600000 + " "$13", "$14")
    );
    FIND_SERIES = "select id
        from series
        where account_id = $1 and lane = $2 and workspace_id = $3 and model_code = $4";
}

/// What one series counted in one step of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Where the step begins.
    pub at_ms: i64,
    /// When its first call was admitted or refused.
    pub first_at_ms: i64,
    /// What was counted.
    pub figures: Figures,
}

/// How long calls of one series took in one step of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramPoint {
    /// Where the step begins.
    pub at_ms: i64,
    /// Latencies of calls answered to the end.
    pub latency: Histogram,
    /// Times to the first token.
    pub ttft: Histogram,
}

/// What is read of the packed cells of a series: all of it, or no more than a chart needs.
trait Counted: Sized {
    fn unpack(at_ms: i64, body: &[u8]) -> Result<Self>;
    fn add(&mut self, other: &Self);
}

impl Counted for Cell {
    fn unpack(at_ms: i64, body: &[u8]) -> Result<Self> {
        Self::unpack(at_ms, body)
    }

    fn add(&mut self, other: &Self) {
        self.add(other);
    }
}

impl Counted for Entry {
    fn unpack(at_ms: i64, body: &[u8]) -> Result<Self> {
        Self::unpack(at_ms, body)
    }

    fn add(&mut self, other: &Self) {
        self.add(other.first_at_ms, &other.figures);
    }
}

impl Conn {
    /// What one series counted in each `step_ms` of `range`; steps without calls are left out. `step_ms` is a whole
    /// number of minutes, and steps are counted from the epoch.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn points(
        &mut self,
        series: &SeriesKey,
        range: TimeRange,
        step_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<Point>> {
        let steps = self.steps::<Entry>(series, range, step_ms, now_ms).await?;
        let point = |(at_ms, it): (i64, Entry)| Point { at_ms, first_at_ms: it.first_at_ms, figures: it.figures };
        Ok(steps.into_iter().map(point).collect())
    }

    /// The same with the histograms of latency and time to the first token, from one reading of the rows.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn course(
        &mut self,
        series: &SeriesKey,
        range: TimeRange,
        step_ms: i64,
        now_ms: i64,
    ) -> Result<(Vec<Point>, Vec<HistogramPoint>)> {
        let steps = self.steps::<Cell>(series, range, step_ms, now_ms).await?;
        let both = |(at_ms, it): (i64, Cell)| {
            let Cell { first_at_ms, figures, latency, ttft } = it;
            (Point { at_ms, first_at_ms, figures }, HistogramPoint { at_ms, latency, ttft })
        };
        Ok(steps.into_iter().map(both).unzip())
    }

    async fn steps<T: Counted>(
        &mut self,
        series: &SeriesKey,
        range: TimeRange,
        step_ms: i64,
        now_ms: i64,
    ) -> Result<BTreeMap<i64, T>> {
        let SeriesKey { account, lane, workspace, model } = series;
        let lane = lane.as_str();
        let [a, b, c, d, e] = ends(&cover_in_steps(range, now_ms, step_ms));
        let rows = all!(
            self,
            (i32, i64, Vec<u8>),
            SERIES_ROWS,
            account,
            lane,
            workspace,
            model,
            a.0,
            a.1,
            b.0,
            b.1,
            c.0,
            c.1,
            d.0,
            d.1,
            e.0,
            e.1
        )?;
        let mut steps: BTreeMap<i64, T> = BTreeMap::new();
        let mut take = |at_ms: i64, body: &[u8]| {
            let counted = T::unpack(at_ms, body)?;
            match steps.entry(at_ms.div_euclid(step_ms) * step_ms) {
                Vacant(it) => drop(it.insert(counted)),
                Occupied(mut it) => it.get_mut().add(&counted),
            }
            Ok(())
        };
        for (kind, at_ms, body) in rows {
            let (level, first, last) = match kind {
                MINUTES => (Level::Minute, a, e),
                HOURS => (Level::Hour, b, d),
                _ => {
                    take(at_ms, &body)?;
                    continue;
                }
            };
            let wanted = |at: i64| (first.0..first.1).contains(&at) || (last.0..last.1).contains(&at);
            strip::unpack(level, at_ms, &body, wanted, &mut take)?;
        }
        Ok(steps)
    }

    pub(super) async fn find_series(&mut self, series: &SeriesKey) -> Result<Option<i64>> {
        let SeriesKey { account, lane, workspace, model } = series;
        let found = optional!(self, (i64,), FIND_SERIES, account, lane.as_str(), workspace, model)?;
        Ok(found.map(|it| it.0))
    }
}
