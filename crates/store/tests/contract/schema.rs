//! Statements and migrations of both engines.

use crate::engine::Engines;
use std::collections::BTreeSet;

pub(crate) async fn every_statement_can_be_prepared(engines: &Engines) {
    for store in engines.empty("statements").await {
        let mut conn = store.read().await.unwrap();
        let mut prepared = 0;
        for (name, sql) in store::STATEMENTS.iter().copied().flatten() {
            if let Err(error) = conn.prepare(sql).await {
                panic!("{name} on {}: {error}\n{sql}", store.address());
            }
            prepared += 1;
        }
        assert!(prepared > 100, "the list of statements has shrunk to {prepared}");
    }
}

/// Columns by table, whether they may be null, and what kind of value they hold.
pub(crate) async fn both_schemas_are_the_same(engines: &Engines) {
    let [sqlite, postgres] = engines.again("statements").await;
    let kind = |declared: &str| match declared.to_ascii_lowercase().as_str() {
        "integer" | "bigint" | "boolean" => "number",
        "text" => "text",
        "blob" | "bytea" => "bytes",
        other => panic!("a column of type {other}"),
    };
    let read = |columns: Vec<store::Column>| -> BTreeSet<_> {
        columns.into_iter().map(|it| (it.table, it.name, kind(&it.declared), it.nullable)).collect()
    };
    let left = read(sqlite.read().await.unwrap().columns().await.unwrap());
    let right = read(postgres.read().await.unwrap().columns().await.unwrap());
    assert!(left.len() > 100);
    assert_eq!(left.difference(&right).collect::<Vec<_>>(), right.difference(&left).collect::<Vec<_>>());
}

pub(crate) async fn migrating_twice_at_once_is_safe(engines: &Engines) {
    let one = engines.bare("twice").await;
    let two = engines.again("twice").await;
    for (one, two) in one.iter().zip(&two) {
        let (first, second) = tokio::join!(one.migrate(), two.migrate());
        first.unwrap();
        second.unwrap();
        assert_eq!(two.read().await.unwrap().revision().await.unwrap(), 0);
    }
}
