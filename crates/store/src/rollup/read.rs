//! Sums over a range, and points along it.

use std::collections::BTreeMap;

use domain::TimeRange;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{BUCKETS, Figures, Histogram, Lane, Level, SeriesKey, cover, cover::cover_in_steps};
use crate::{Conn, Result};

macro_rules! sums {
    ([] $($(#[$doc:meta])* $name:ident;)*) => {
        concat!($(", cast(coalesce(sum(c.", stringify!($name), "), 0) as bigint) as ", stringify!($name)),*)
    };
}

/// Sums by workspace and model over the rows of one level.
macro_rules! sum_statement {
    ($table:literal) => {
        concat!(
            "select s.workspace_id, s.model_code, cast(min(c.first_at_ms) as bigint) as first_at_ms",
            for_figures!(sums),
            " from series s join ",
            $table,
            " c on c.series_id = s.id
            where s.account_id = $1 and s.lane = $2 and s.workspace_id <> '' and ($3 = '' or s.workspace_id = $3)
                and ($4 = '' or s.model_code = $4) and (s.model_code <> '' or s.lane = 'stopped')
                and c.at_ms >= $5 and c.at_ms < $6
            group by s.workspace_id, s.model_code"
        )
    };
}

/// Sums of one series by steps of time.
macro_rules! point_statement {
    ($table:literal) => {
        concat!(
            "select c.at_ms / $5 * $5 as at_ms, cast(min(c.first_at_ms) as bigint) as first_at_ms",
            for_figures!(sums),
            " from series s join ",
            $table,
            " c on c.series_id = s.id
            where s.account_id = $1 and s.lane = $2 and s.workspace_id = $3 and s.model_code = $4
                and c.at_ms >= $6 and c.at_ms < $7
            group by 1
            order by 1"
        )
    };
}

/// Histograms of one series by steps of time: the step first, then latency's buckets, then those of the first token.
macro_rules! bucket_statement {
    ($table:literal) => {
        concat!(
            "select c.at_ms / $5 * $5 as at_ms",
            for_buckets!(sums),
            " from series s join ",
            $table,
            " c on c.series_id = s.id
            where s.account_id = $1 and s.lane = $2 and s.workspace_id = $3 and s.model_code = $4
                and c.at_ms >= $6 and c.at_ms < $7
            group by 1
            order by 1"
        )
    };
}

statements! {
    SUM_MINUTES = sum_statement!("call_minute");
    SUM_HOURS = sum_statement!("call_hour");
    SUM_DAYS = sum_statement!("call_day");
    POINTS_OF_MINUTES = point_statement!("call_minute");
    POINTS_OF_HOURS = point_statement!("call_hour");
    POINTS_OF_DAYS = point_statement!("call_day");
    BUCKETS_OF_MINUTES = bucket_statement!("call_minute");
    BUCKETS_OF_HOURS = bucket_statement!("call_hour");
    BUCKETS_OF_DAYS = bucket_statement!("call_day");
}

/// What one workspace did with one model in a range.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Sum {
    /// The workspace.
    pub workspace_id: String,
    /// The model; empty in the lane of stopped calls.
    pub model_code: String,
    /// When the range's first call was admitted or refused.
    pub first_at_ms: i64,
    /// What was counted.
    #[sqlx(flatten)]
    pub figures: Figures,
}

/// What one series counted in one step of time.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Point {
    /// Where the step begins.
    pub at_ms: i64,
    /// When its first call was admitted or refused.
    pub first_at_ms: i64,
    /// What was counted.
    #[sqlx(flatten)]
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

impl<'r, R: Row> FromRow<'r, R> for HistogramPoint
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let mut latency = Histogram::default();
        let mut ttft = Histogram::default();
        for bucket in 0..BUCKETS {
            latency.0[bucket] = row.try_get(1 + bucket)?;
            ttft.0[bucket] = row.try_get(1 + BUCKETS + bucket)?;
        }
        Ok(Self { at_ms: row.try_get(0)?, latency, ttft })
    }
}

impl Conn {
    /// What each workspace did with each model in `range`; an empty `workspace` or `model` means any.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn sums(
        &mut self,
        account: &str,
        lane: Lane,
        workspace: &str,
        model: &str,
        range: TimeRange,
        now_ms: i64,
    ) -> Result<Vec<Sum>> {
        let mut total: BTreeMap<(String, String), Sum> = BTreeMap::new();
        for piece in cover(range, now_ms) {
            let sql = match piece.level {
                Level::Minute => SUM_MINUTES,
                Level::Hour => SUM_HOURS,
                Level::Day => SUM_DAYS,
            };
            let rows = all!(self, Sum, sql, account, lane.as_str(), workspace, model, piece.from_ms, piece.to_ms)?;
            for row in rows {
                total
                    .entry((row.workspace_id.clone(), row.model_code.clone()))
                    .and_modify(|it| {
                        it.first_at_ms = it.first_at_ms.min(row.first_at_ms);
                        it.figures.add(&row.figures);
                    })
                    .or_insert(row);
            }
        }
        Ok(total.into_values().collect())
    }

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
        let mut total: BTreeMap<i64, Point> = BTreeMap::new();
        for piece in cover_in_steps(range, now_ms, step_ms) {
            let sql = match piece.level {
                Level::Minute => POINTS_OF_MINUTES,
                Level::Hour => POINTS_OF_HOURS,
                Level::Day => POINTS_OF_DAYS,
            };
            let rows = all!(
                self,
                Point,
                sql,
                &series.account,
                series.lane.as_str(),
                &series.workspace,
                &series.model,
                step_ms,
                piece.from_ms,
                piece.to_ms
            )?;
            for row in rows {
                total
                    .entry(row.at_ms)
                    .and_modify(|it| {
                        it.first_at_ms = it.first_at_ms.min(row.first_at_ms);
                        it.figures.add(&row.figures);
                    })
                    .or_insert(row);
            }
        }
        Ok(total.into_values().collect())
    }

    /// The histograms of latency and time to the first token in each `step_ms` of `range`, as [`Self::points`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn histograms(
        &mut self,
        series: &SeriesKey,
        range: TimeRange,
        step_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<HistogramPoint>> {
        let mut total: BTreeMap<i64, HistogramPoint> = BTreeMap::new();
        for piece in cover_in_steps(range, now_ms, step_ms) {
            let sql = match piece.level {
                Level::Minute => BUCKETS_OF_MINUTES,
                Level::Hour => BUCKETS_OF_HOURS,
                Level::Day => BUCKETS_OF_DAYS,
            };
            let rows = all!(
                self,
                HistogramPoint,
                sql,
                &series.account,
                series.lane.as_str(),
                &series.workspace,
                &series.model,
                step_ms,
                piece.from_ms,
                piece.to_ms
            )?;
            for row in rows {
                total
                    .entry(row.at_ms)
                    .and_modify(|it| {
                        it.latency.add(&row.latency);
                        it.ttft.add(&row.ttft);
                    })
                    .or_insert(row);
            }
        }
        Ok(total.into_values().collect())
    }
}
