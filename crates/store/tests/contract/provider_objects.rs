//! Whose the things are that were made at a provider.

use store::{Store, provider_object::ProviderObjectRow};

use crate::accounts;

pub(crate) async fn check(store: &Store) {
    accounts::seed(store, "a").await;
    they_belong_to_one_workspace(store).await;
    a_batch_is_counted_once(store).await;
}

fn row(kind: &str, id: &str, created_at: i64) -> ProviderObjectRow {
    ProviderObjectRow {
        kind: kind.to_owned(),
        object_id: id.to_owned(),
        provider_id: "a-p".to_owned(),
        model_code: Some("qwen-plus".to_owned()),
        checked: true,
        created_at,
    }
}

async fn keep(store: &Store, workspace: &str, row: &ProviderObjectRow) {
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.keep_provider_object(workspace, row).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

async fn they_belong_to_one_workspace(store: &Store) {
    let (old, new) = (row("file", "f1", 1), row("file", "f2", 2));
    keep(store, "a-search", &old).await;
    keep(store, "a-search", &new).await;
    keep(store, "a-search", &row("task", "f1", 3)).await;
    let mut conn = store.read().await.unwrap();
    assert_eq!(conn.provider_object("a-search", "file", "f1").await.unwrap(), Some(old.clone()));
    assert_eq!(conn.provider_object("a-default", "file", "f1").await.unwrap(), None);
    assert_eq!(conn.provider_object("a-search", "batch", "f1").await.unwrap(), None);
    assert_eq!(conn.provider_objects("a-search", "file").await.unwrap(), [new.clone(), old]);
    assert!(conn.provider_objects("a-default", "file").await.unwrap().is_empty());
    drop(conn);
    // What is kept again keeps its place.
    let again = ProviderObjectRow { model_code: None, checked: false, created_at: 9, ..row("file", "f1", 1) };
    keep(store, "a-search", &again).await;
    let found = store.read().await.unwrap().provider_objects("a-search", "file").await.unwrap();
    assert_eq!(found, [new, ProviderObjectRow { created_at: 1, ..again }]);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.forget_provider_object("a-default", "file", "f1").await.unwrap(), 0);
    assert_eq!(tx.forget_provider_object("a-search", "file", "f1").await.unwrap(), 1);
    assert_eq!(tx.forget_tasks(3).await.unwrap(), 0);
    assert_eq!(tx.forget_tasks(4).await.unwrap(), 1, "the task of the same id");
    tx.commit().await.unwrap();
    assert_eq!(store.read().await.unwrap().provider_objects("a-search", "file").await.unwrap().len(), 1);
}

async fn a_batch_is_counted_once(store: &Store) {
    keep(store, "a-search", &row("batch", "b", 1)).await;
    keep(store, "a-search", &row("file", "b", 1)).await;
    for (workspace, changed) in [("a-default", 0), ("a-search", 1), ("a-search", 0)] {
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.count_batch(workspace, "b", 7).await.unwrap(), changed, "{workspace}");
        tx.commit().await.unwrap();
    }
}
