//! Charges that survive a restart.

use store::{
    Store,
    rollup::Batch,
    usage::{Heartbeat, UsageFlush, UsageRow},
};

pub(crate) async fn check(store: &Store) {
    changes_of_a_bucket_add_up_and_old_ones_are_forgotten(store).await;
    nodes_keep_to_themselves(store).await;
    a_new_name_takes_over_from_the_last_that_ended(store).await;
}

fn row(end_us: i64, requests: i64, tokens: i64) -> UsageRow {
    UsageRow {
        end_us,
        account_id: "a".to_owned(),
        model_code: "m".to_owned(),
        workspace_id: "w".to_owned(),
        requests,
        tokens,
        workspace_requests: requests,
        workspace_tokens: tokens + 1,
    }
}

async fn flush(store: &Store, node: &str, at_us: i64, changes: Vec<UsageRow>, forget_before_us: Option<i64>) {
    let beat = Heartbeat { boot: "b".to_owned(), at_us, at_ms: at_us / 1000, clean: false };
    let usage = UsageFlush { node: node.to_owned(), beat, changes, forget_before_us };
    store.record(&Batch { usage: Some(usage), ..Default::default() }).await.unwrap();
}

async fn changes_of_a_bucket_add_up_and_old_ones_are_forgotten(store: &Store) {
    assert_eq!(store.read().await.unwrap().heartbeat("n1").await.unwrap(), None);
    flush(store, "n1", 100, vec![row(100, 2, 50), row(200, 1, 5)], None).await;
    flush(store, "n1", 200, vec![row(100, 0, -20)], None).await;
    let mut conn = store.read().await.unwrap();
    let mut first = row(100, 2, 30);
    first.workspace_tokens = 51 - 19;
    assert_eq!(conn.usage("n1").await.unwrap(), [first, row(200, 1, 5)]);
    let beat = conn.heartbeat("n1").await.unwrap().unwrap();
    assert_eq!((beat.at_us, beat.clean), (200, false));
    drop(conn);
    flush(store, "n1", 300, vec![row(300, 4, 4)], Some(200)).await;
    assert_eq!(store.read().await.unwrap().usage("n1").await.unwrap().len(), 3, "a bucket that ends at 200 is kept");
    flush(store, "n1", 300, vec![row(300, 1, 1)], Some(201)).await;
    let mut both = row(300, 5, 5);
    both.workspace_tokens = 7;
    assert_eq!(store.read().await.unwrap().usage("n1").await.unwrap(), [both], "two of one instant add up");
}

async fn nodes_keep_to_themselves(store: &Store) {
    flush(store, "n2", 100, vec![row(100, 9, 9)], Some(1_000_000)).await;
    assert_eq!(store.read().await.unwrap().usage("n1").await.unwrap().len(), 1);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.forget_usage("n1").await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert!(store.read().await.unwrap().usage("n1").await.unwrap().is_empty());
}

async fn a_new_name_takes_over_from_the_last_that_ended(store: &Store) {
    const NOW: i64 = 50_000_000;
    for (node, ago_ms, clean) in [
        ("alive", 100, false),
        ("killed", 6_000, false),
        ("stopped", 1_000, true),
        ("long-gone", 200_000, true),
        ("lately-killed", 4_000, false),
    ] {
        let beat = Heartbeat { boot: "b".to_owned(), at_us: 700, at_ms: NOW - ago_ms, clean };
        let changes = vec![row(600, ago_ms, 1)];
        let usage = UsageFlush { node: node.to_owned(), beat, changes, forget_before_us: None };
        store.record(&Batch { usage: Some(usage), ..Default::default() }).await.unwrap();
    }
    let adopt = async |node: &str| {
        let mut tx = store.begin().await.unwrap();
        let adopted = tx.adopt_usage(node, NOW).await.unwrap();
        tx.commit().await.unwrap();
        adopted
    };
    let stopped = Heartbeat { boot: "b".to_owned(), at_us: 700, at_ms: NOW - 1_000, clean: true };
    assert_eq!(adopt("one").await, Some(("stopped".to_owned(), stopped)));
    let mut conn = store.read().await.unwrap();
    assert_eq!(conn.usage("one").await.unwrap(), [row(600, 1_000, 1)]);
    let beat = conn.heartbeat("one").await.unwrap().unwrap();
    assert_eq!((beat.at_us, beat.at_ms, beat.clean), (700, NOW, false), "it runs");
    assert_eq!(conn.heartbeat("stopped").await.unwrap(), None, "it is taken once");
    drop(conn);
    assert_eq!(adopt("two").await.map(|it| it.0).as_deref(), Some("killed"));
    assert_eq!(adopt("three").await, None, "of the others two may be alive, and one is of no use");
    assert_eq!(store.read().await.unwrap().usage("alive").await.unwrap().len(), 1);

    // What nobody will come back for goes, with its sign of life.
    store.forget_nodes(NOW - 100_000).await.unwrap();
    let mut conn = store.read().await.unwrap();
    assert_eq!((conn.heartbeat("long-gone").await.unwrap(), conn.usage("long-gone").await.unwrap()), (None, vec![]));
    assert!(conn.heartbeat("alive").await.unwrap().is_some() && !conn.usage("alive").await.unwrap().is_empty());
}
