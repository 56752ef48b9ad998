//! Refusals in the call log: found by id, listed by workspace, their windows' callers, and what had no room.

use store::{Store, call_log::CallRow, refusal::Gap, rollup::Batch};

const DAY: i64 = 86_400_000;
/// Half a minute before midnight, so that windows span two days.
const NIGHT: i64 = 20_001 * DAY - 30_000;

pub(crate) async fn check(store: &Store) {
    let calls = vec![
        call("a", "w1", 0, "r1", true),
        call("a", "w1", 40_000, "r2", true),
        call("a", "w2", 41_000, "r3", true),
        CallRow { outcome: "provider".to_owned(), notable: true, ..call("a", "w1", 42_000, "f1", false) },
        call("a", "w1", 10_000, "o1", false),
        call("a", "w1", 50_000, "o2", false),
        CallRow { lane: "batch".to_owned(), ..call("a", "w1", 51_000, "o3", false) },
        call("b", "w9", 40_000, "r2", true),
    ];
    store.record(&Batch { calls, ..Batch::default() }).await.unwrap();
    found_by_id(store).await;
    listed_by_workspace(store).await;
    callers_of_a_window(store).await;
    gaps_add_up_and_go_with_their_days(store).await;
}

fn call(account: &str, workspace: &str, after_ms: i64, id: &str, refused: bool) -> CallRow {
    CallRow {
        account_id: account.to_owned(),
        at_ms: NIGHT + after_ms,
        id: id.to_owned(),
        workspace_id: workspace.to_owned(),
        key_id: format!("key of {workspace}"),
        model_code: "m".to_owned(),
        lane: "limited".to_owned(),
        outcome: if refused { "refused" } else { "ok" }.to_owned(),
        status: if refused { 429 } else { 200 },
        cause: None,
        scope: None,
        window_s: None,
        explanation: refused.then(|| "{}".to_owned()),
        tokens_prompt: if refused { 0 } else { 3 },
        tokens_output: 0,
        tokens_total: if refused { 0 } else { 10 },
        estimated: false,
        streamed: false,
        latency_us: None,
        ttft_us: None,
        upstream_id: None,
        notable: refused,
        fell_back: refused,
        retries: 4,
    }
}

async fn found_by_id(store: &Store) {
    let mut conn = store.read().await.unwrap();
    let found = conn.refusal("a", "r2", NIGHT + 39_000).await.unwrap().unwrap();
    assert_eq!(found, call("a", "w1", 40_000, "r2", true));
    // It came in before midnight and was decided after it.
    assert!(conn.refusal("a", "r2", NIGHT).await.unwrap().is_some());
    assert_eq!(conn.refusal("b", "r2", NIGHT).await.unwrap().unwrap().workspace_id, "w9");
    for (account, id) in [("a", "f1"), ("a", "o1"), ("b", "r1"), ("a", "")] {
        assert_eq!(conn.refusal(account, id, NIGHT).await.unwrap(), None, "{account} {id}");
    }
    assert_eq!(conn.refusal("a", "r2", NIGHT + 5 * DAY).await.unwrap(), None);
}

async fn listed_by_workspace(store: &Store) {
    let mut conn = store.read().await.unwrap();
    let ids = |rows: Vec<CallRow>| rows.into_iter().map(|it| it.id).collect::<Vec<_>>();
    let newest = (i64::MAX, "");
    assert_eq!(ids(conn.refusals("a", "w1", 0, newest, 9).await.unwrap()), ["r2", "r1"]);
    assert_eq!(ids(conn.refusals("a", "w1", 0, newest, 1).await.unwrap()), ["r2"]);
    assert_eq!(ids(conn.refusals("a", "w1", 0, (NIGHT + 40_000, "r2"), 9).await.unwrap()), ["r1"]);
    assert_eq!(ids(conn.refusals("a", "w1", NIGHT + 1, newest, 9).await.unwrap()), ["r2"]);
    assert_eq!(ids(conn.refusals("a", "", 0, newest, 9).await.unwrap()), ["f1", "r3", "r2", "r1"]);
    assert!(conn.refusals("b", "w1", 0, newest, 9).await.unwrap().is_empty());
}

async fn callers_of_a_window(store: &Store) {
    let mut conn = store.read().await.unwrap();
    let told = |rows: Vec<store::refusal::CallerRow>| {
        let mut sums = std::collections::BTreeMap::new();
        for it in rows {
            assert_eq!(it.model_code, "m");
            let sum = sums.entry((it.workspace_id, it.key_id)).or_insert((0, 0, 0, 0));
            *sum = (sum.0 + it.admitted, sum.1 + it.refused, sum.2 + it.tokens_prompt, sum.3 + it.tokens_total);
        }
        sums.into_iter().map(|((workspace, _), it)| (workspace, it)).collect::<Vec<_>>()
    };
    let window = conn.callers("a", (NIGHT - 10_000, NIGHT + 50_000), 100).await.unwrap();
    assert_eq!(told(window), [("w1".to_owned(), (3, 2, 9, 30)), ("w2".to_owned(), (0, 1, 0, 0))]);
    let half_open = conn.callers("a", (NIGHT + 10_000, NIGHT + 49_999), 100).await.unwrap();
    assert_eq!(told(half_open), [("w1".to_owned(), (1, 1, 3, 10)), ("w2".to_owned(), (0, 1, 0, 0))]);
    let newest: i64 = conn.callers("a", (0, NIGHT + 90_000), 1).await.unwrap().iter().map(|it| it.calls).sum();
    assert!(newest <= 4, "at most one row of each kind and day: {newest}");
}

async fn gaps_add_up_and_go_with_their_days(store: &Store) {
    let gap = |workspace: &str, at_ms: i64, notable: bool, calls: i64| Gap {
        account: "a".to_owned(),
        at_ms,
        workspace: workspace.to_owned(),
        notable,
        calls,
    };
    let gaps = vec![gap("w1", NIGHT, true, 5), gap("w2", NIGHT, true, 7), gap("w1", NIGHT + DAY, false, 11)];
    for _ in 0..2 {
        store.record(&Batch { gaps: gaps.clone(), ..Batch::default() }).await.unwrap();
    }
    let mut conn = store.read().await.unwrap();
    let all = (0, i64::MAX);
    assert_eq!(conn.gaps("a", all, "", true).await.unwrap(), 24);
    assert_eq!(conn.gaps("a", all, "w1", true).await.unwrap(), 10);
    assert_eq!(conn.gaps("a", all, "", false).await.unwrap(), 22);
    assert_eq!(conn.gaps("a", (NIGHT + 1, i64::MAX), "", true).await.unwrap(), 0);
    assert_eq!(conn.gaps("b", all, "", true).await.unwrap(), 0);
    assert_eq!(conn.call_log_begins().await.unwrap(), Some(20_000 * DAY));
    drop(conn);
    store.empty_call_log(20_001 * DAY).await.unwrap();
    let mut conn = store.read().await.unwrap();
    assert_eq!((conn.gaps("a", all, "", true).await.unwrap(), conn.gaps("a", all, "", false).await.unwrap()), (0, 22));
    assert_eq!(conn.call_log_begins().await.unwrap(), Some(20_001 * DAY));
}
