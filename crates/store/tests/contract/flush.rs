//! Packets: made durable, added up, and counted once whatever happens in between.

use domain::TimeRange;
use store::{
    Store,
    call_log::CallQuery,
    rollup::{Batch, CallDelta, Figures, Folded, Histogram, Lane, Packet, SeriesKey},
    usage::{Heartbeat, UsageFlush, UsageRow},
};

use crate::statistics::call;

const NOW: i64 = 20_000 * 86_400_000;

/// `store` and `other` are two openings of one database, as two processes have them.
pub(crate) async fn check(store: &Store, other: &Store) {
    a_packet_handed_in_twice_counts_once(store, other).await;
    two_that_add_up_at_once_count_once(store, other).await;
    what_a_run_left_is_added_up_by_another(store, other).await;
    charges_handed_in_twice_count_once(store).await;
    both_openings_add_to_the_same_minutes(store, other).await;
    two_that_begin_a_day_at_once_lose_no_call(store, other).await;
}

fn packet(writer: &str, seq: i64, calls: i64) -> Packet {
    let series =
        SeriesKey { account: "f".to_owned(), lane: Lane::Limited, workspace: "w".to_owned(), model: "m".to_owned() };
    let figures = Figures { calls, ..Figures::default() };
    let (latency, ttft) = (Histogram::default(), Histogram::default());
    let deltas = vec![CallDelta { series, first_at_ms: NOW, figures, latency, ttft }];
    let body = Batch { deltas, ..Batch::default() }.to_bytes();
    Packet { writer: writer.to_owned(), seq, at_ms: NOW, body }
}

async fn counted(store: &Store) -> i64 {
    let range = TimeRange { from_ms: NOW, to_ms: NOW + 60_000 };
    let mut conn = store.read().await.unwrap();
    let sums = conn.sums("f", Lane::Limited, "", "", range, NOW).await.unwrap();
    let sums: i64 = sums.iter().map(|it| it.figures.calls).sum();
    let all =
        SeriesKey { account: "f".to_owned(), lane: Lane::Limited, workspace: String::new(), model: String::new() };
    let points = conn.points(&all, range, 60_000, NOW).await.unwrap();
    assert_eq!(points.iter().map(|it| it.figures.calls).sum::<i64>(), sums, "tables and charts tell the same");
    sums
}

async fn a_packet_handed_in_twice_counts_once(store: &Store, other: &Store) {
    let (one, two) = (packet("run", 1, 1), packet("run", 2, 10));
    store.append(std::slice::from_ref(&one), None).await.unwrap();
    assert_eq!(counted(store).await, 0, "it is durable and waits");
    // The answer was lost: it comes again, with the next one, before and after it was added up.
    store.append(&[one.clone(), two.clone()], None).await.unwrap();
    assert_eq!(store.fold("run", NOW).await.unwrap(), Folded::default());
    assert_eq!(counted(store).await, 11);
    store.append(&[one, two.clone()], None).await.unwrap();
    other.append(&[two], None).await.unwrap();
    store.fold("run", NOW).await.unwrap();
    assert_eq!(counted(store).await, 11);
}

async fn two_that_add_up_at_once_count_once(store: &Store, other: &Store) {
    let before = counted(store).await;
    for seq in 3..23 {
        store.append(&[packet("run", seq, 1)], None).await.unwrap();
    }
    let (one, two) = tokio::join!(store.fold("run", NOW), other.fold("run", NOW));
    one.unwrap();
    two.unwrap();
    assert_eq!(counted(store).await, before + 20);
}

async fn what_a_run_left_is_added_up_by_another(store: &Store, other: &Store) {
    let before = counted(store).await;
    store.append(&[packet("killed", 1, 5)], None).await.unwrap();
    other.fold("another", NOW).await.unwrap();
    let at_once = if store.is_postgres() { 0 } else { 5 };
    assert_eq!(counted(store).await, before + at_once, "its own process may live, but on SQLite there is no other");
    other.fold("another", NOW + 60_000).await.unwrap();
    assert_eq!(counted(store).await, before + 5);
}

async fn charges_handed_in_twice_count_once(store: &Store) {
    let row = UsageRow {
        end_us: 100,
        account_id: "f".to_owned(),
        model_code: "m".to_owned(),
        workspace_id: "w".to_owned(),
        requests: 3,
        tokens: 30,
        workspace_requests: 3,
        workspace_tokens: 30,
    };
    let beat = Heartbeat { boot: "b".to_owned(), at_us: 100, at_ms: NOW, clean: false };
    let usage = UsageFlush { node: "once".to_owned(), beat, changes: vec![row.clone()], forget_before_us: None };
    store.append(&[], Some(&usage)).await.unwrap();
    store.append(&[], Some(&usage)).await.unwrap();
    assert_eq!(store.read().await.unwrap().usage("once").await.unwrap(), [row]);
}

async fn both_openings_add_to_the_same_minutes(store: &Store, other: &Store) {
    let before = counted(store).await;
    let write = async |store: &Store, writer: &str| {
        for seq in 1..=10 {
            store.append(&[packet(writer, seq, 1)], None).await.unwrap();
            store.fold(writer, NOW).await.unwrap();
        }
    };
    tokio::join!(write(store, store.writer()), write(other, other.writer()));
    assert_eq!(counted(store).await, before + 20);
    store.forget_writers(NOW + 1).await.unwrap();
}

/// The table of a day is emptied of another day's calls by the first that comes, and by nobody after it.
async fn two_that_begin_a_day_at_once_lose_no_call(store: &Store, other: &Store) {
    for day in 0..40 {
        let at_ms = NOW + day * 86_400_000;
        let batch = |n: i64| Batch { calls: vec![call(&format!("{day}-{n}"), at_ms, true)], ..Batch::default() };
        let (one, two) = (batch(1), batch(2));
        let (one, two) = tokio::join!(store.record(&one), other.record(&two));
        one.and(two).unwrap();
        let before = (i64::MAX, "");
        let query = CallQuery { workspace: "", model: "", notable: true, from_ms: at_ms, before, limit: 9 };
        let calls = store.read().await.unwrap().calls("a", query).await.unwrap();
        assert_eq!(calls.len(), 2, "day {day}: {calls:?}");
    }
}
