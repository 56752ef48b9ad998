//! Points of one series along a range.

use std::collections::BTreeMap;

use domain::TimeRange;

use super::{Figures, Histogram, SeriesKey, cover::{cover_in_steps, ends}, parts::Cell};
use crate::{Conn, Result};

statements! {
    SERIES_ROWS = of_pieces!("select at_ms, body
        from call_series
        where series_id = (select id
            from series
            where account_id = $1 and lane = $2 and workspace_id = $3 and model_code = $4)",
        "$5" "$6", "$7" "$8", "$9" "$10", "$11" "$12", "$13" "$14");
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
        let steps = self.steps(series, range, step_ms, now_ms).await?;
        let point = |(at_ms, it): (i64, Cell)| Point { at_ms, first_at_ms: it.first_at_ms, figures: it.figures };
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
        let steps = self.steps(series, range, step_ms, now_ms).await?;
        let both = |(at_ms, it): (i64, Cell)| {
            let Cell { first_at_ms, figures, latency, ttft } = it;
            (Point { at_ms, first_at_ms, figures }, HistogramPoint { at_ms, latency, ttft })
        };
        Ok(steps.into_iter().map(both).unzip())
    }

    async fn steps(
        &mut self,
        series: &SeriesKey,
        range: TimeRange,
        step_ms: i64,
        now_ms: i64,
    ) -> Result<BTreeMap<i64, Cell>> {
        let mut steps: BTreeMap<i64, Cell> = BTreeMap::new();
        let SeriesKey { account, lane, workspace, model } = series;
        let lane = lane.as_str();
        let [a, b, c, d, e] = ends(&cover_in_steps(range, now_ms, step_ms));
        let rows = all!(
            self, (i64, Vec<u8>), SERIES_ROWS, account, lane, workspace, model, a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1,
            e.0, e.1
        )?;
        for (at_ms, body) in rows {
            let cell = Cell::unpack(at_ms, &body)?;
            steps.entry(at_ms.div_euclid(step_ms) * step_ms).and_modify(|it| it.add(&cell)).or_insert(cell);
        }
        Ok(steps)
    }

    pub(super) async fn find_series(&mut self, series: &SeriesKey) -> Result<Option<i64>> {
        let SeriesKey { account, lane, workspace, model } = series;
        let found = optional!(self, (i64,), FIND_SERIES, account, lane.as_str(), workspace, model)?;
        Ok(found.map(|it| it.0))
    }
}
