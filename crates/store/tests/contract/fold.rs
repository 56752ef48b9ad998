//! From packets to rows: everything a packet has arrives, and processes that add up at once never wait in a circle.

use domain::TimeRange;
use store::{
    Store,
    refusal::Gap,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Packet, Peak, SeriesKey},
};

use crate::{accounts, engine::Engines, statistics, transfer::until_waiting};

const NOW: i64 = 20_000 * 86_400_000;

pub(crate) async fn check(engines: &Engines) {
    for store in engines.empty("fold").await {
        accounts::check(&store).await;
        everything_of_a_packet_arrives(&store).await;
        what_cannot_be_read_keeps_nobody_up_and_is_told(&store).await;
    }
    nobody_waits_in_a_circle(engines).await;
}

fn packet(writer: &str, seq: i64, batch: &Batch) -> Packet {
    Packet { writer: writer.to_owned(), seq, at_ms: NOW, body: batch.to_bytes() }
}

/// Named one by one, so that a field to come is asked for here too.
fn full(calls: i64) -> Batch {
    let series =
        SeriesKey { account: "a".to_owned(), lane: Lane::Limited, workspace: "w".to_owned(), model: "m".to_owned() };
    let mut latency = Histogram::default();
    latency.count(42_000);
    let figures = Figures { calls, ..Figures::default() };
    let gap = |workspace: &str, notable| Gap {
        account: "a".to_owned(),
        at_ms: NOW,
        workspace: workspace.to_owned(),
        notable,
        calls: 7,
    };
    let peak = |tokens| Peak { account: "a".to_owned(), model: "m".to_owned(), at_ms: NOW + 5, tokens };
    Batch {
        deltas: vec![CallDelta { series, first_at_ms: NOW, figures, latency, ttft: latency }],
        calls: vec![statistics::call(&calls.to_string(), NOW, true)],
        gaps: vec![gap("w", true), gap("v", true), gap("w", false), gap("w", true)],
        keys_used: vec![("a-k1".to_owned(), NOW + calls)],
        peaks: vec![peak(100 * calls), peak(1)],
        usage: None,
    }
}

async fn everything_of_a_packet_arrives(store: &Store) {
    store.append(&[packet("full", 1, &full(3)), packet("full", 2, &full(2))], None).await.unwrap();
    store.fold("full", NOW).await.unwrap();
    let mut conn = store.read().await.unwrap();
    let minute = TimeRange { from_ms: NOW, to_ms: NOW + 60_000 };
    let sums = conn.sums("a", Lane::Limited, "w", "m", minute, NOW).await.unwrap();
    assert_eq!(sums.iter().map(|it| it.figures.calls).collect::<Vec<_>>(), [5]);
    for id in ["2", "3"] {
        assert!(conn.refusal("a", id, NOW).await.unwrap().is_some(), "the call log has {id}");
    }
    let gaps = async |conn: &mut store::Conn, workspace, notable| {
        conn.gaps("a", (NOW, NOW), workspace, notable).await.unwrap()
    };
    assert_eq!(gaps(&mut conn, "", true).await, 2 * 21);
    assert_eq!((gaps(&mut conn, "w", true).await, gaps(&mut conn, "w", false).await), (2 * 14, 2 * 7));
    assert_eq!(conn.key("a", "a-k1").await.unwrap().unwrap().last_used_at, Some(NOW + 3));
    assert_eq!(conn.peak_since("a", "m", NOW).await.unwrap(), 300);
}

/// As after a return to an earlier version: what the later one left waits for it, in whatever order the writers are named.
async fn what_cannot_be_read_keeps_nobody_up_and_is_told(store: &Store) {
    let later: Vec<Packet> = (1..=450)
        .map(|seq| {
            // Of a version to come; and now and then one that a disk damaged.
            let body = if seq % 10 == 0 { vec![2, 255] } else { vec![9, 1, 2, 3] };
            Packet { writer: "a-later".to_owned(), seq, at_ms: NOW, body }
        })
        .collect();
    store.append(&later, None).await.unwrap();
    let mut mine: Vec<Packet> = (1..=4).map(|seq| packet("mine", seq, &full(1))).collect();
    // Between two that can be read.
    mine[2].body = vec![2, 255];
    store.append(&mine, None).await.unwrap();
    let minute = TimeRange { from_ms: NOW, to_ms: NOW + 60_000 };
    let calls = async || {
        let sums = store.read().await.unwrap().sums("a", Lane::Limited, "w", "m", minute, NOW).await.unwrap();
        sums.iter().map(|it| it.figures.calls).sum::<i64>()
    };
    let before = calls().await;
    let folded = store.fold("mine", NOW + 60_000).await.unwrap();
    assert_eq!((calls().await - before, folded.unreadable, folded.more), (3, 451, false));
    // The numbers of two that are gone follow each other across one that cannot be read.
    let damaged = Packet { body: vec![2, 255], ..packet("gone-a", 2, &full(1)) };
    store.append(&[packet("gone-a", 1, &full(1)), damaged], None).await.unwrap();
    store.append(&[packet("gone-b", 2, &full(1)), packet("gone-b", 3, &full(1))], None).await.unwrap();
    let folded = store.fold("mine", NOW + 60_000).await.unwrap();
    assert_eq!((calls().await - before, folded.unreadable), (6, 452));
    let again = store.fold("mine", NOW + 60_000).await.unwrap();
    assert_eq!((calls().await - before, again), (6, folded), "they stay where they are");
}

/// Another process holds the first of the rows that a fold raises, and then wants the second: if the fold had taken that one
/// before it waited, neither could go on.
async fn nobody_waits_in_a_circle(engines: &Engines) {
    let [_, one] = engines.empty("circle").await;
    let [_, other] = engines.again("circle").await;
    let peak = |model: &str| Peak { account: "a".to_owned(), model: model.to_owned(), at_ms: NOW, tokens: 5 };
    let gap = |workspace: &str| Gap {
        account: "a".to_owned(),
        at_ms: NOW,
        workspace: workspace.to_owned(),
        notable: true,
        calls: 1,
    };
    let batch = Batch {
        peaks: vec![peak("second"), peak("first")],
        gaps: vec![gap("second"), gap("first")],
        ..Batch::default()
    };
    one.append(&[packet("one", 1, &batch)], None).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    tx.raise_peak("a", "first", NOW, 4).await.unwrap();
    let (folded, ()) = tokio::join!(one.fold("one", NOW), async {
        until_waiting(&engines.postgres("circle"), 1).await;
        tx.raise_peak("a", "second", NOW, 4).await.unwrap();
        tx.commit().await.unwrap();
    });
    folded.unwrap();
    assert_eq!(one.read().await.unwrap().peak_since("a", "first", 0).await.unwrap(), 5);
}
