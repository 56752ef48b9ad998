use control::{
    ControlError,
    monitoring::{self, Query},
    report,
};
use domain::TimeRange;
use store::rollup::{Batch, CallDelta, Figures, Histogram, Lane, SeriesKey};

use crate::fixture::{DAY, Fixture, NOW};

async fn record(it: &Fixture, workspace: &str, model: &str, at_ms: i64, lane: Lane, figures: Figures) {
    let series = SeriesKey {
        account: it.owner.account().to_owned(),
        lane,
        workspace: it.workspace(&it.owner, workspace).await,
        model: model.to_owned(),
    };
    let (latency, ttft) = (Histogram::default(), Histogram::default());
    let delta = CallDelta { series, first_at_ms: at_ms, figures, latency, ttft };
    it.control.store().record(&Batch { deltas: vec![delta], ..Batch::default() }).await.unwrap();
}

fn calls(calls: i64, refused_requests: i64) -> Figures {
    Figures { calls, refused_requests, tokens_total: 100 * calls, ..Figures::default() }
}

async fn filled() -> Fixture {
    let it = Fixture::new().await;
    record(&it, "search", "qwen-plus", NOW - 600_000, Lane::Limited, calls(30, 10)).await;
    record(&it, "search", "qwen-plus", NOW - 300_000, Lane::Limited, calls(30, 0)).await;
    record(&it, "default", "qwen-plus", NOW - 60_000, Lane::Limited, calls(5, 0)).await;
    record(&it, "default", "qwen-flash", NOW - 100, Lane::Limited, calls(1, 1)).await;
    record(&it, "default", "qwen-flash", NOW - 4 * 3_600_000, Lane::Limited, calls(7, 0)).await;
    record(&it, "default", "qwen-flash", NOW - 100, Lane::Batch, calls(1_000, 0)).await;
    record(&it, "search", "", NOW - 100, Lane::Stopped, calls(3, 0)).await;
    it
}

fn query(minutes: i64, workspace: &str) -> Query {
    Query { range: TimeRange::ending_now(minutes, NOW), workspace: workspace.to_owned(), model: String::new() }
}

#[tokio::test]
async fn rows_tiles_and_the_previous_range() {
    let it = filled().await;
    let shown = monitoring::show(&it.control, &it.owner, &query(180, "")).await.unwrap();
    let rows: Vec<_> = shown
        .rows
        .iter()
        .map(|it| (it.model.as_str(), it.workspace.as_str(), it.figures.total_calls, it.figures.failed_calls))
        .collect();
    assert_eq!(
        rows,
        [("qwen-flash", "default", 1, 1), ("qwen-plus", "default", 5, 0), ("qwen-plus", "search", 60, 10)]
    );
    assert!((shown.rows[2].figures.avg_rpm - 6.0).abs() < 1e-9, "60 calls in the 10 minutes since the first");
    assert_eq!((shown.summary.total_models, shown.summary.total_calls, shown.summary.failures), (2, 66, 11));
    assert_eq!((shown.previous.total_models, shown.previous.total_calls), (1, 7));
    assert_eq!(shown.stopped, 3);

    let folded = shown.by_model(NOW);
    assert_eq!(
        folded.iter().map(|it| (it.model.as_str(), it.rows.len())).collect::<Vec<_>>(),
        [("qwen-flash", 1), ("qwen-plus", 2)]
    );
    assert!((folded[1].figures.avg_rpm - 6.5).abs() < 1e-9, "from the first call of any of its workspaces");
    let charts = monitoring::charts(&it.control, &it.owner, &query(180, "")).await.unwrap();
    assert_eq!(charts.step_ms, 60_000);
    assert_eq!(charts.points.iter().map(|it| it.figures.calls).sum::<i64>(), 66);
}

#[tokio::test]
async fn of_what_is_no_longer_kept_nothing_is_told() {
    let it = Fixture::new().await;
    let hour = 3_600_000;
    let (early, late) = (NOW - 10 * DAY + 10 * 60_000, NOW - 10 * DAY + 70 * 60_000);
    record(&it, "search", "qwen-plus", early, Lane::Limited, calls(30, 0)).await;
    record(&it, "search", "qwen-plus", late, Lane::Limited, calls(7, 0)).await;
    let range = |from_ms: i64, to_ms: i64| {
        let range = TimeRange { from_ms, to_ms };
        Query { range, workspace: "search".to_owned(), model: String::new() }
    };
    let (from, to) = (NOW - 10 * DAY + 60_000, NOW - 10 * DAY + 2 * hour);
    let all = monitoring::show(&it.control, &it.owner, &range(from, to)).await.unwrap();
    assert_eq!((all.range.from_ms, all.summary.total_calls), (from, 37), "by default minutes are kept for longer");
    assert_eq!(all.workspace, it.workspace(&it.owner, "search").await);

    let control = it.control.clone().with_kept(7, 400);
    let cut = monitoring::show(&control, &it.owner, &range(from, to)).await.unwrap();
    assert_eq!((cut.range.from_ms, cut.range.to_ms), (NOW - 10 * DAY + hour, to));
    assert_eq!(cut.summary.total_calls, 7);
    let drawn = monitoring::charts(&control, &it.owner, &range(from, to)).await.unwrap();
    assert_eq!((drawn.range, drawn.step_ms, drawn.points.len()), (cut.range, hour, 1));

    let none = range(from, from + 5 * 60_000);
    let shown = monitoring::show(&control, &it.owner, &range(early, early + 5 * 60_000)).await.unwrap();
    assert_eq!((shown.range.minutes(), shown.rows.len()), (0, 0), "minutes that may be there still are not told");
    assert!(monitoring::charts(&control, &it.owner, &none).await.unwrap().points.is_empty());
}

#[tokio::test]
async fn a_viewer_is_shown_the_own_workspace_alone() {
    let it = filled().await;
    let viewer = it.member(&it.owner, "viewer", "search").await;
    let shown = monitoring::show(&it.control, &viewer, &query(180, "")).await.unwrap();
    assert_eq!((shown.rows.len(), shown.summary.total_calls, shown.stopped), (1, 60, 3));
    let default = it.workspace(&it.owner, "default").await;
    for asked in ["default", default.as_str()] {
        assert!(matches!(
            monitoring::show(&it.control, &viewer, &query(180, asked)).await,
            Err(ControlError::NotFound(_))
        ));
        assert!(monitoring::charts(&it.control, &viewer, &query(180, asked)).await.is_err());
    }
    let charts = monitoring::charts(&it.control, &viewer, &query(180, "")).await.unwrap();
    assert_eq!(charts.points.iter().map(|it| it.figures.calls).sum::<i64>(), 60);
}

#[tokio::test]
async fn the_report_calls_the_default_workspace_by_its_name_in_commands() {
    let it = filled().await;
    let default = it.workspace(&it.owner, "default").await;
    control::workspaces::rename(&it.control, &it.owner, &default, 1, "Headquarters").await.unwrap();
    let report = report::report(&it.control, &it.owner, TimeRange::ending_now(180, NOW)).await.unwrap();
    let names: Vec<_> = report.rows.iter().map(|it| it.workspace.as_str()).collect();
    assert_eq!(names, ["default", "default", "search"]);
    assert_eq!(report.to_csv().lines().count(), 4);
    assert!(report.to_json().unwrap().contains(r#""failure_rate":1.0,"avg_ttft_ms":null"#));
}

#[test]
fn a_chart_has_at_most_360_steps() {
    for minutes in [1, 60, 180, 360, 361, 1_440, 10_080, 43_200, 600_000] {
        let range = TimeRange::ending_now(minutes, NOW);
        assert!(minutes * 60_000 <= monitoring::step_ms(range) * 360, "{minutes} minutes");
    }
}
