//! Roll-ups and the call log.

use domain::TimeRange;
use store::{
    Store,
    call_log::{CallQuery, CallRow},
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Level, SeriesKey},
};

const DAY: i64 = 86_400_000;
const START: i64 = 20_000 * DAY + 23 * 3_600_000 + 58 * 60_000;

pub(crate) async fn check(store: &Store) {
    sums_are_exact_for_any_range_of_minutes(store).await;
    points_and_histograms(store).await;
    stopped_calls_are_counted_apart(store).await;
    calls_come_back_as_they_were(store).await;
    the_call_log_is_read_by_cursor_and_emptied_whole(store).await;
    minutes_can_be_forgotten_without_changing_days(store).await;
}

fn series(workspace: &str, model: &str) -> SeriesKey {
    SeriesKey { account: "a".to_owned(), lane: Lane::Limited, workspace: workspace.to_owned(), model: model.to_owned() }
}

pub(crate) fn delta(workspace: &str, model: &str, at_ms: i64, calls: i64) -> CallDelta {
    let mut latency = Histogram::default();
    latency.count(42_000);
    CallDelta {
        series: series(workspace, model),
        first_at_ms: at_ms,
        figures: Figures {
            calls,
            tokens_total: calls * 10,
            latency_count: 1,
            latency_sum_us: 42_000,
            ..Default::default()
        },
        latency,
        ttft: Histogram::default(),
    }
}

/// Deltas scattered over four days, flushed in several batches; compared with a plain sum over them.
async fn sums_are_exact_for_any_range_of_minutes(store: &Store) {
    let mut all = Vec::new();
    let mut random = 12_345_u64;
    let mut next = |below: i64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(random >> 33).unwrap() % below
    };
    for _ in 0..6 {
        let mut batch = Batch::default();
        for _ in 0..40 {
            let (workspace, model) =
                (if next(2) == 0 { "w1" } else { "w2" }, ["m1", "m2", "m3"][usize::try_from(next(3)).unwrap()]);
            batch.deltas.push(delta(workspace, model, START + next(4 * DAY), 1 + next(5)));
        }
        store.record(&batch).await.unwrap();
        all.extend(batch.deltas);
    }
    let now = START + 4 * DAY;
    let mut conn = store.read().await.unwrap();
    for _ in 0..60 {
        let from = START + next(3 * DAY) - 3_600_000;
        let range = TimeRange::custom(from, from + 60_000 + next(3 * DAY)).unwrap();
        let sums = conn.sums("a", Lane::Limited, "", "", range, now).await.unwrap();
        for workspace in ["w1", "w2"] {
            for model in ["m1", "m2", "m3"] {
                let mine: Vec<_> = all
                    .iter()
                    .filter(|it| it.series == series(workspace, model))
                    .filter(|it| (range.from_ms..range.to_ms).contains(&it.first_at_ms))
                    .collect();
                let sum = sums.iter().find(|it| it.workspace_id == workspace && it.model_code == model);
                assert_eq!(sum.map_or(0, |it| it.figures.calls), mine.iter().map(|it| it.figures.calls).sum::<i64>());
                let counted = sum.map_or(0, |it| it.figures.latency_count);
                assert_eq!(counted, i64::try_from(mine.len()).unwrap());
                // Minutes at the edges and whole hours between: the first call is found in whichever row holds it.
                assert_eq!(sum.map(|it| it.first_at_ms), mine.iter().map(|it| it.first_at_ms).min());
            }
        }
    }
    let whole = TimeRange::custom(START - DAY, now + DAY).unwrap();
    let filtered = conn.sums("a", Lane::Limited, "w1", "m2", whole, now + DAY).await.unwrap();
    assert_eq!(filtered.len(), 1);
    assert!(conn.sums("b", Lane::Limited, "", "", whole, now).await.unwrap().is_empty());
    assert!(conn.sums("a", Lane::Batch, "", "", whole, now).await.unwrap().is_empty());
}

async fn points_and_histograms(store: &Store) {
    let now = START + 4 * DAY;
    let whole = TimeRange { from_ms: Level::Day.floor(START), to_ms: Level::Day.floor(now) + DAY };
    let mut conn = store.read().await.unwrap();
    let rows = conn.sums("a", Lane::Limited, "", "", whole, now).await.unwrap();
    let calls: i64 = rows.iter().map(|it| it.figures.calls).sum();
    for step in [60_000, 3_600_000, DAY] {
        let points = conn.points(&series("", ""), whole, step, now).await.unwrap();
        assert_eq!(points.iter().map(|it| it.figures.calls).sum::<i64>(), calls, "steps of {step} ms");
        assert!(points.windows(2).all(|it| it[0].at_ms < it[1].at_ms && it[1].at_ms % step == 0));
        assert_eq!(conn.course(&series("", ""), whole, step, now).await.unwrap().0, points);
    }
    let of_one = conn.points(&series("w1", ""), whole, DAY, now).await.unwrap();
    let expected: i64 = rows.iter().filter(|it| it.workspace_id == "w1").map(|it| it.figures.calls).sum();
    assert_eq!(of_one.iter().map(|it| it.figures.calls).sum::<i64>(), expected);
    let counted: i64 = rows.iter().map(|it| it.figures.latency_count).sum();
    let (_, histograms) = conn.course(&series("", ""), whole, DAY, now).await.unwrap();
    assert_eq!(histograms.iter().map(|it| it.latency.total()).sum::<i64>(), counted);
    assert_eq!(histograms.iter().map(|it| it.latency.0[6]).sum::<i64>(), counted, "42 ms lies in the seventh bucket");
    assert_eq!(histograms.iter().map(|it| it.ttft.total()).sum::<i64>(), 0);
}

async fn stopped_calls_are_counted_apart(store: &Store) {
    let stopped = SeriesKey { lane: Lane::Stopped, ..series("w1", "") };
    let mut one = delta("w1", "", START, 3);
    one.series = stopped;
    store.record(&Batch { deltas: vec![one], ..Default::default() }).await.unwrap();
    let range = TimeRange::custom(START, START + 60_000).unwrap();
    let mut conn = store.read().await.unwrap();
    let sums = conn.sums("a", Lane::Stopped, "", "", range, START).await.unwrap();
    assert_eq!(sums.iter().map(|it| (it.workspace_id.as_str(), it.figures.calls)).collect::<Vec<_>>(), [("w1", 3)]);
}

pub(crate) fn call(id: &str, at_ms: i64, notable: bool) -> CallRow {
    CallRow {
        account_id: "a".to_owned(),
        at_ms,
        id: id.to_owned(),
        workspace_id: "w1".to_owned(),
        key_id: "k".to_owned(),
        model_code: "m1".to_owned(),
        lane: "limited".to_owned(),
        outcome: "refused".to_owned(),
        status: 429,
        cause: Some("requests".to_owned()),
        scope: Some("account".to_owned()),
        window_s: Some(60),
        explanation: None,
        tokens_prompt: 1,
        tokens_output: 0,
        tokens_total: 0,
        estimated: false,
        streamed: true,
        latency_us: None,
        ttft_us: None,
        upstream_id: None,
        notable,
        fell_back: false,
        retries: 0,
    }
}

/// Written some at a time: each value is in its own column and row.
async fn calls_come_back_as_they_were(store: &Store) {
    let some = |n: i64, text: &str| (n % 3 > 0).then(|| format!("{text} {n}"));
    let calls: Vec<CallRow> = (0..16 + 4 + 4 + 3)
        .map(|n| CallRow {
            account_id: "many".to_owned(),
            at_ms: START + n,
            id: format!("id {n}"),
            workspace_id: format!("workspace {n}"),
            key_id: format!("key {n}"),
            model_code: format!("model {n}"),
            lane: format!("lane {n}"),
            outcome: format!("outcome {n}"),
            status: 100 + n,
            cause: some(n, "cause"),
            scope: some(n + 1, "scope"),
            window_s: (n % 2 > 0).then_some(200 + n),
            explanation: some(n + 2, "explanation"),
            tokens_prompt: 300 + n,
            tokens_output: 400 + n,
            tokens_total: 500 + n,
            estimated: n % 2 == 0,
            streamed: n % 3 == 0,
            latency_us: (n % 4 > 0).then_some(600 + n),
            ttft_us: (n % 5 > 0).then_some(700 + n),
            upstream_id: some(n, "upstream"),
            notable: n % 4 == 0,
            fell_back: n % 5 == 0,
            retries: 800 + n,
        })
        .collect();
    store.record(&Batch { calls: calls.clone(), ..Default::default() }).await.unwrap();
    let query = CallQuery { workspace: "", model: "", notable: false, from_ms: 0, before: (i64::MAX, ""), limit: 100 };
    let mut found = store.read().await.unwrap().calls("many", query).await.unwrap();
    found.reverse();
    assert_eq!(found, calls);
}

async fn the_call_log_is_read_by_cursor_and_emptied_whole(store: &Store) {
    let calls = vec![
        call("1", START, true),
        call("2", START, false),
        call("3", START + DAY, true),
        call("4", START - DAY, true),
    ];
    store.record(&Batch { calls: calls.clone(), ..Default::default() }).await.unwrap();
    // Handed in again after a doubtful commit, nothing is doubled.
    store.record(&Batch { calls, ..Default::default() }).await.unwrap();
    let query = CallQuery { workspace: "", model: "", notable: true, from_ms: 0, before: (i64::MAX, ""), limit: 2 };
    let mut conn = store.read().await.unwrap();
    let ids = |rows: Vec<CallRow>| rows.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(conn.calls("a", query).await.unwrap()), ["3", "1"]);
    assert_eq!(ids(conn.calls("a", CallQuery { before: (START, "1"), ..query }).await.unwrap()), ["4"]);
    assert_eq!(
        ids(conn.calls("a", CallQuery { notable: false, limit: 9, ..query }).await.unwrap()),
        ["3", "2", "1", "4"]
    );
    assert!(conn.calls("b", query).await.unwrap().is_empty());
    drop(conn);

    store.empty_call_log(Level::Day.floor(START) + DAY).await.unwrap();
    let left = store.read().await.unwrap().calls("a", CallQuery { notable: false, limit: 9, ..query }).await.unwrap();
    assert_eq!(ids(left), ["3"]);
    // Sixteen days later the same table is taken by another day; a straggler of the former day is not mixed in.
    let later = vec![call("5", START + 17 * DAY, true), call("6", START + DAY, true)];
    store.record(&Batch { calls: later, ..Default::default() }).await.unwrap();
    let left = store.read().await.unwrap().calls("a", CallQuery { notable: false, limit: 9, ..query }).await.unwrap();
    assert_eq!(ids(left), ["5"]);
}

async fn minutes_can_be_forgotten_without_changing_days(store: &Store) {
    let now = START + 4 * DAY;
    let whole = TimeRange { from_ms: Level::Day.floor(START), to_ms: Level::Day.floor(now) + DAY };
    let mut conn = store.read().await.unwrap();
    let before = conn.sums("a", Lane::Limited, "", "", whole, now).await.unwrap();
    drop(conn);
    store.forget(i64::MAX, i64::MAX).await.unwrap();
    let mut conn = store.read().await.unwrap();
    assert_eq!(conn.sums("a", Lane::Limited, "", "", whole, now).await.unwrap(), before);
    assert!(conn.points(&series("", ""), whole, 60_000, now).await.unwrap().is_empty());
}

pub(crate) async fn a_new_series_has_a_number_of_its_own(store: &Store) {
    let one = delta("w9", "m9", START, 7);
    store.record(&Batch { deltas: vec![one], ..Default::default() }).await.unwrap();
    let range = TimeRange::custom(START, START + 60_000).unwrap();
    let sums = store.read().await.unwrap().sums("a", Lane::Limited, "w9", "", range, START).await.unwrap();
    assert_eq!(sums.iter().map(|it| (it.model_code.as_str(), it.figures.calls)).collect::<Vec<_>>(), [("m9", 7)]);
}
