//! Figures of any range against a slow sum over the call log, in whole days of zones that are no whole hours from UTC too.

use std::collections::BTreeMap;

use domain::TimeRange;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use store::{
    Store,
    call_log::{CallQuery, CallRow},
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Packet, SeriesKey},
};

use crate::{engine::Engines, statistics};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const START: i64 = 20_000 * DAY;
const DAYS: i64 = 5;

/// Nepal, the Marquesas, the Chatham Islands, Kiribati, and zones of whole hours.
const ZONES_MIN: [i64; 6] = [5 * 60 + 45, -(9 * 60 + 30), 12 * 60 + 45, 14 * 60, -5 * 60, 0];

pub(crate) async fn sums_are_those_of_the_call_log(engines: &Engines) {
    let mut chance = TestRunner::default();
    let ms = START..START + DAYS * DAY;
    let call = (ms, 0..3_usize, 0..3_usize, 1..5_000_i64, 1..40_000_u64);
    let flushes = proptest::collection::vec(proptest::collection::vec(call, 1..60), 12);
    // A whole day somewhere, or a range that begins and ends at any minute.
    let days = (0..ZONES_MIN.len(), -1..DAYS, 1..=DAYS).prop_map(|(zone, first, days)| {
        let from_ms = START + first * DAY - ZONES_MIN[zone] * MINUTE;
        TimeRange { from_ms, to_ms: from_ms + days * DAY }
    });
    let minutes = (0..DAYS * 1_440, 1..DAYS * 1_440).prop_map(|(first, minutes)| {
        let from_ms = START + first * MINUTE;
        TimeRange { from_ms, to_ms: from_ms + minutes * MINUTE }
    });
    let ranges = proptest::collection::vec(prop_oneof![days, minutes], 60);
    let flushes = flushes.new_tree(&mut chance).unwrap().current();
    let ranges = ranges.new_tree(&mut chance).unwrap().current();
    for (store, other) in engines.empty("exact").await.iter().zip(&engines.again("exact").await) {
        // Half of it comes at once, a quarter after the first days were put together, the rest from a spool when all were.
        let now_ms = [START + DAYS * DAY, START + DAYS * DAY, START + 6 * DAY, START + 30 * DAY];
        let put_together_ms = [0, START + 2 * DAY, START + 6 * DAY, START + 30 * DAY];
        for (part, ranges) in ranges.chunks(ranges.len() / 4).enumerate() {
            let begun = part * flushes.len() / 4;
            for (n, calls) in (0_i64..).zip(&flushes).skip(begun).take(flushes.len() / 4) {
                flush(if n % 2 == 0 { store } else { other }, n, calls, now_ms[part]).await;
            }
            let log = whole_log(store).await;
            assert_eq!(log.len(), flushes[..begun + flushes.len() / 4].iter().map(Vec::len).sum::<usize>());
            for (at, range) in ranges.iter().enumerate() {
                if at == ranges.len() / 2 && part > 0 {
                    // Two processes at once, which may both think it is theirs to do.
                    let until_ms = put_together_ms[part] + 13 * HOUR;
                    let (one, two) = tokio::join!(until_done(store, until_ms), until_done(other, until_ms));
                    one.and(two).unwrap();
                }
                compare(store, &log, *range).await;
            }
        }
    }
}

async fn until_done(store: &Store, now_ms: i64) -> Result<(), store::StoreError> {
    while store.put_together(now_ms).await?.more {}
    Ok(())
}

/// One flush's calls through a packet, each in the call log too.
async fn flush(store: &Store, n: i64, calls: &[(i64, usize, usize, i64, u64)], now_ms: i64) {
    let mut batch = Batch::default();
    for (i, &(at_ms, workspace, model, tokens, latency_ms)) in calls.iter().enumerate() {
        let (workspace, model) = (format!("w{workspace}"), format!("m{model}"));
        let mut latency = Histogram::default();
        latency.count(latency_ms * 1_000);
        batch.deltas.push(CallDelta {
            series: series(&workspace, &model),
            first_at_ms: at_ms,
            figures: Figures { calls: 1, tokens_total: tokens, latency_count: 1, ..Figures::default() },
            latency,
            ttft: Histogram::default(),
        });
        let row = statistics::call(&format!("{n}-{i}"), at_ms, n % 3 == 0);
        batch.calls.push(CallRow { workspace_id: workspace, model_code: model, tokens_total: tokens, ..row });
    }
    let packet = Packet { writer: store.writer().to_owned(), seq: n + 1, at_ms: now_ms, body: batch.to_bytes() };
    store.append(&[packet], None).await.unwrap();
    store.fold(store.writer(), now_ms).await.unwrap();
}

fn series(workspace: &str, model: &str) -> SeriesKey {
    SeriesKey { account: "a".to_owned(), lane: Lane::Limited, workspace: workspace.to_owned(), model: model.to_owned() }
}

async fn whole_log(store: &Store) -> Vec<CallRow> {
    let all =
        CallQuery { workspace: "", model: "", notable: false, from_ms: 0, before: (i64::MAX, ""), limit: 1_000_000 };
    store.read().await.unwrap().calls("a", all).await.unwrap()
}

async fn compare(store: &Store, log: &[CallRow], range: TimeRange) {
    let mut slow: BTreeMap<(&str, &str), (i64, i64, i64)> = BTreeMap::new();
    for it in log.iter().filter(|it| (range.from_ms..range.to_ms).contains(&it.at_ms)) {
        let sum = slow.entry((&it.workspace_id, &it.model_code)).or_insert((0, 0, i64::MAX));
        *sum = (sum.0 + 1, sum.1 + it.tokens_total, sum.2.min(it.at_ms));
    }
    let now_ms = START + 30 * DAY;
    let mut conn = store.read().await.unwrap();
    let sums = conn.sums("a", Lane::Limited, "", "", range, now_ms).await.unwrap();
    let fast: BTreeMap<_, _> = sums
        .iter()
        .map(|it| {
            let sum = (it.figures.calls, it.figures.tokens_total, it.first_at_ms);
            ((it.workspace_id.as_str(), it.model_code.as_str()), sum)
        })
        .collect();
    assert_eq!(fast, slow, "{range:?} on {}", store.address());
    let calls: i64 = slow.values().map(|it| it.0).sum();
    for step_ms in [MINUTE, 5 * MINUTE, HOUR, 6 * HOUR, DAY] {
        let (points, histograms) = conn.course(&series("", ""), range, step_ms, now_ms).await.unwrap();
        let counted: i64 = points.iter().map(|it| it.figures.calls).sum();
        let timed: i64 = histograms.iter().map(|it| it.latency.total()).sum();
        assert_eq!((counted, timed), (calls, calls), "{range:?} in steps of {step_ms} ms on {}", store.address());
    }
}
