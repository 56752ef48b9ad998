//! What the numbers of Monitoring mean: one place for console, CSV and `sluice report`. Knows counts and ranges alone.

use domain::{TimeRange, range::MINUTE_MS};
use serde::Serialize;
use store::rollup::Figures;

/// The figures of one row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RowFigures {
    /// Tokens a minute.
    pub avg_tpm: f64,
    /// Calls a minute, refused ones included.
    pub avg_rpm: f64,
    /// Calls that reached the limiter.
    pub total_calls: i64,
    /// Those that did not end well.
    pub failed_calls: i64,
    /// Their share, from 0 to 1; `None` without calls.
    pub failure_rate: Option<f64>,
    /// Mean time to the first token in milliseconds; `None` without streams.
    pub avg_ttft_ms: Option<f64>,
    /// Mean latency in milliseconds of calls answered to the end; `None` without any.
    pub avg_latency_ms: Option<f64>,
}

/// The figures of the tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Models with at least one call that reached the limiter.
    pub total_models: i64,
    /// Calls that reached the limiter.
    pub total_calls: i64,
    /// Those that did not end well.
    pub failures: i64,
    /// Mean time to the first token in milliseconds; `None` without streams.
    pub avg_ttft_ms: Option<f64>,
    /// Mean latency in milliseconds of calls answered to the end; `None` without any.
    pub avg_latency_ms: Option<f64>,
}

impl Summary {
    /// The tiles over everything that was counted of `models` models.
    pub fn of(models: i64, figures: &Figures) -> Self {
        Self {
            total_models: models,
            total_calls: figures.calls,
            failures: figures.failed(),
            avg_ttft_ms: mean_ms(figures.ttft_sum_us, figures.ttft_count),
            avg_latency_ms: mean_ms(figures.latency_sum_us, figures.latency_count),
        }
    }
}

/// A row's figures. Averages a minute are over the part of `range` that has passed at `now_ms` since the row's first
/// call, but over a minute at least.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn row(figures: &Figures, first_at_ms: i64, range: TimeRange, now_ms: i64) -> RowFigures {
    let passed_ms = range.to_ms.min(now_ms).saturating_sub(first_at_ms.max(range.from_ms));
    let minutes = (passed_ms as f64 / MINUTE_MS as f64).max(1.0);
    let failed = figures.failed();
    RowFigures {
        avg_tpm: figures.tokens_total as f64 / minutes,
        avg_rpm: figures.calls as f64 / minutes,
        total_calls: figures.calls,
        failed_calls: failed,
        failure_rate: (figures.calls > 0).then(|| failed as f64 / figures.calls as f64),
        avg_ttft_ms: mean_ms(figures.ttft_sum_us, figures.ttft_count),
        avg_latency_ms: mean_ms(figures.latency_sum_us, figures.latency_count),
    }
}

#[expect(clippy::cast_precision_loss, reason = "sums far below 2^52")]
fn mean_ms(sum_us: i64, count: i64) -> Option<f64> {
    (count > 0).then(|| sum_us as f64 / 1_000.0 / count as f64)
}

/// The change against a former value as a share of it; `None` where there is nothing to compare with.
pub fn change(now: Option<f64>, before: Option<f64>) -> Option<f64> {
    match (now, before) {
        (Some(now), Some(before)) if before != 0.0 => Some((now - before) / before),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first_at_ms: i64, now_ms: i64, expected_rpm: f64) {
        let range = TimeRange { from_ms: 0, to_ms: 180 * MINUTE_MS };
        let figures = Figures { calls: 90, tokens_total: 900, ..Figures::default() };
        let row = row(&figures, first_at_ms, range, now_ms);
        assert!((row.avg_rpm - expected_rpm).abs() < 1e-9, "{} instead of {expected_rpm}", row.avg_rpm);
        assert!((row.avg_tpm - 10.0 * expected_rpm).abs() < 1e-6);
    }

    #[test]
    fn averages_count_from_the_rows_first_call() {
        check(0, 180 * MINUTE_MS, 0.5);
        check(0, 500 * MINUTE_MS, 0.5);
        check(90 * MINUTE_MS, 180 * MINUTE_MS, 1.0);
        check(90 * MINUTE_MS + 30_000, 150 * MINUTE_MS, 90.0 / 59.5);
        check(100, 200, 90.0);
    }

    #[test]
    fn refused_calls_are_calls_and_failures_and_a_client_that_hangs_up_is_no_failure() {
        let figures = Figures {
            calls: 10,
            refused_requests: 1,
            refused_tokens: 1,
            refused_surge: 1,
            upstream_4xx: 1,
            upstream_5xx: 1,
            broken: 1,
            timed_out: 1,
            unreachable: 1,
            hung_up: 1,
            ..Figures::default()
        };
        let row = row(&figures, 0, TimeRange { from_ms: 0, to_ms: MINUTE_MS }, MINUTE_MS);
        assert_eq!((row.total_calls, row.failed_calls, row.failure_rate), (10, 8, Some(0.8)));
        assert_eq!((row.avg_ttft_ms, row.avg_latency_ms), (None, None));
    }

    #[test]
    fn means_are_over_what_was_measured() {
        let figures = Figures {
            calls: 9,
            ttft_sum_us: 3_000,
            ttft_count: 2,
            latency_sum_us: 0,
            latency_count: 1,
            ..Figures::default()
        };
        let summary = Summary::of(3, &figures);
        assert_eq!((summary.total_models, summary.avg_ttft_ms, summary.avg_latency_ms), (3, Some(1.5), Some(0.0)));
        assert_eq!(change(Some(3.0), Some(2.0)), Some(0.5));
        assert_eq!(change(Some(3.0), Some(0.0)), None);
        assert_eq!(change(None, Some(1.0)), None);
    }
}
