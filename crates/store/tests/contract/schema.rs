//! Statements and migrations of both engines.

use std::collections::BTreeSet;

use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::engine::Engines;

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

/// Keys, unique columns, indexes, references, and which columns have a default, as both engines tell them.
pub(crate) async fn both_schemas_hold_the_same_together(engines: &Engines) {
    const SQLITE: [&str; 4] = [
        "select t.name || ': primary (' || (select group_concat(name) from
                (select name from pragma_table_info(t.name) where pk > 0 order by pk)) || ')'
            from sqlite_schema t where t.type = 'table' and t.name not like '\\_sqlx%' escape '\\' and t.name not like 'sqlite%'",
        "select t.name || case when i.\"unique\" then ': unique (' else ': index (' end || (select group_concat(name) from
                (select name from pragma_index_info(i.name) order by seqno)) || ')'
                || case when i.partial then ' in part' else '' end
            from sqlite_schema t join pragma_index_list(t.name) i
            where t.type = 'table' and i.origin <> 'pk' and t.name not like '\\_sqlx%' escape '\\'",
        "select t.name || ': (' || group_concat(f.\"from\") || ') refers to ' || f.\"table\" || ' (' || group_concat(f.\"to\") || ')'
            from sqlite_schema t join pragma_foreign_key_list(t.name) f where t.type = 'table' group by t.name, f.id",
        "select t.name || ': ' || c.name || ' has a default' from sqlite_schema t join pragma_table_info(t.name) c
            where t.type = 'table' and c.dflt_value is not null and t.name not like '\\_sqlx%' escape '\\'",
    ];
    const POSTGRES: [&str; 3] = [
        "select c.relname || case when i.indisprimary then ': primary (' when i.indisunique then ': unique (' else ': index (' end
                || (select string_agg(a.attname, ',' order by k.at) from unnest(i.indkey::int[]) with ordinality k (number, at)
                    join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number) || ')'
                || case when i.indpred is not null then ' in part' else '' end
            from pg_index i join pg_class c on c.oid = i.indrelid
            where c.relnamespace = current_schema()::regnamespace and c.relname not like '\\_sqlx%'",
        "select c.relname || ': (' || (select string_agg(a.attname, ',' order by k.at)
                    from unnest(f.conkey) with ordinality k (number, at)
                    join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.number)
                || ') refers to ' || r.relname || ' (' || (select string_agg(a.attname, ',' order by k.at)
                    from unnest(f.confkey) with ordinality k (number, at)
                    join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.number) || ')'
            from pg_constraint f join pg_class c on c.oid = f.conrelid join pg_class r on r.oid = f.confrelid
            where f.contype = 'f' and f.connamespace = current_schema()::regnamespace",
        "select table_name || ': ' || column_name || ' has a default' from information_schema.columns
            where table_schema = current_schema() and column_default is not null and table_name not like '\\_sqlx%'",
    ];
    let (mut left, mut right) = (BTreeSet::new(), BTreeSet::new());
    let mut sqlite = SqliteConnection::connect(&engines.sqlite("statements")).await.unwrap();
    for sql in SQLITE {
        left.extend(sqlx::query_scalar::<_, String>(sql).fetch_all(&mut sqlite).await.unwrap());
    }
    let mut postgres = PgConnection::connect(&engines.postgres("statements")).await.unwrap();
    for sql in POSTGRES {
        right.extend(sqlx::query_scalar::<_, String>(sql).fetch_all(&mut postgres).await.unwrap());
    }
    for kind in ["primary (", "unique (", "index (", "in part", "refers to", "has a default"] {
        assert!(left.iter().any(|it| it.contains(kind)), "{kind}: {left:#?}");
    }
    assert_eq!(left.difference(&right).collect::<Vec<_>>(), right.difference(&left).collect::<Vec<_>>());
}

pub(crate) fn migrations_have_equal_names() {
    let names = |engine: &str| -> BTreeSet<_> {
        let folder = format!("{}/../../migrations/{engine}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name()).collect()
    };
    assert!(names("sqlite").len() > 10);
    assert_eq!(names("sqlite"), names("postgres"));
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

/// Tables that grow with calls, edits or strangers: whatever is asked of them goes by an index.
fn grows(table: &str) -> bool {
    table.starts_with("call_") && table != "call_log_slot"
        || ["series", "session", "audit_event", "sign_in_attempt", "model_peak", "usage_bucket", "usage_packet"]
            .contains(&table)
}

/// Statements that go through a whole table on purpose, and why that is cheap.
const MAY_SCAN: &[(&str, &str)] = &[
    ("EVERY_SERIES", "once in ten minutes, a row for each pair"),
    ("DELETE_PEAKS", "once in ten minutes, a row for each model and hour"),
    ("FORGET_GAPS", "once in ten minutes, a row for each minute in which the call log had no room"),
    ("LANES", "once in ten minutes, a row for each pair"),
    ("ANY_OLD_DAY", "ends with the first row"),
    ("OLD_MINUTES", "once in the life of a database"),
    ("OLD_HOURS", "once in the life of a database"),
    ("OLD_DAYS", "once in the life of a database"),
    ("FORGET_OLD_MINUTES", "once in the life of a database"),
    ("FORGET_OLD_HOURS", "once in the life of a database"),
    ("FORGET_OLD_DAYS", "once in the life of a database"),
];

pub(crate) async fn no_statement_goes_through_a_table_that_grows(engines: &Engines) {
    let mut found = Vec::new();
    for store in engines.again("statements").await {
        let mut conn = store.read().await.unwrap();
        for (name, sql) in store::STATEMENTS.iter().copied().flatten() {
            if MAY_SCAN.iter().any(|it| it.0 == *name) {
                continue;
            }
            let plan = conn.plan(sql).await.unwrap_or_else(|error| panic!("{name} on {}: {error}", store.address()));
            for line in &plan {
                // SQLite: `SCAN table`, with ` USING …INDEX` when it is an index that is gone through from end to end.
                // PostgreSQL: `Seq Scan on table`.
                let words: Vec<&str> = line.split_whitespace().filter(|it| *it != "->").collect();
                let scanned = match words.as_slice() {
                    ["SCAN", alias, ..] => Some(table_of(sql, alias)),
                    ["Seq", "Scan", "on", table, ..] => Some((*table).to_owned()),
                    _ => None,
                };
                if let Some(table) = scanned.filter(|it| grows(it)) {
                    found.push(format!("{name} on {} goes through {table}:\n{}", store.address(), plan.join("\n")));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// SQLite's plans name a table as the statement does, which may be by a letter.
fn table_of(sql: &str, alias: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let named = words.windows(3).find(|it| matches!(it[0], "from" | "join") && it[2] == alias);
    named.map_or(alias, |it| it[1]).to_owned()
}
