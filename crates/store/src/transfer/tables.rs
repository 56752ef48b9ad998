//! Which tables there are, and in which order they can be filled.

use sqlx::{AssertSqlSafe, FromRow};

use super::Tables;
use crate::{Conn, Result, Store, Tx, connect::Engine};

const SQLITE_REFERENCES: &str = "select t.name as table_name, f.\"table\" as refers_to
    from sqlite_schema t
    join pragma_foreign_key_list(t.name) f
    where t.type = 'table'";
const POSTGRES_REFERENCES: &str = "select c.relname::text as table_name, r.relname::text as refers_to
    from pg_constraint k
    join pg_class c on c.oid = k.conrelid
    join pg_class r on r.oid = k.confrelid
    where k.contype = 'f' and k.connamespace = current_schema()::regnamespace";
const SQLITE_HAS_VERSIONS: &str = "select count(*) from sqlite_schema where name = '_sqlx_migrations'";
const POSTGRES_HAS_VERSIONS: &str =
    "select count(*) from pg_tables where schemaname = current_schema() and tablename = '_sqlx_migrations'";
const VERSION: &str = "select cast(coalesce(max(version), 0) as bigint) from _sqlx_migrations where success";

statements! {
    UNCLEAN = "select node, at_us, at_ms from usage_heartbeat where not clean order by at_ms desc, node";
}

#[derive(FromRow)]
struct Reference {
    table_name: String,
    refers_to: String,
}

impl Conn {
    /// Every table with its columns, what others refer to first.
    pub(crate) async fn tables(&mut self) -> Result<Tables> {
        let mut left: Tables = Vec::new();
        for column in self.columns().await? {
            match left.last_mut() {
                Some((table, columns)) if *table == column.table => columns.push(column),
                _ => left.push((column.table.clone(), vec![column])),
            }
        }
        let references: Vec<Reference> = match self.engine() {
            Engine::Sqlite(it) => sqlx::query_as(SQLITE_REFERENCES).fetch_all(it).await?,
            Engine::Postgres(it) => sqlx::query_as(POSTGRES_REFERENCES).fetch_all(it).await?,
        };
        let mut ordered: Tables = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let waits = |table: &str| {
                references.iter().any(|it| {
                    it.table_name == table && it.refers_to != table && left.iter().any(|other| other.0 == it.refers_to)
                })
            };
            let ready: Vec<bool> = left.iter().map(|it| !waits(&it.0)).collect();
            // Tables that refer to each other in a circle are taken as they come; the engine then says what it misses.
            let any = ready.contains(&true);
            let mut ready = ready.into_iter();
            let (now, later) = left.into_iter().partition(|_| ready.next() == Some(true) || !any);
            ordered.extend::<Tables>(now);
            left = later;
        }
        Ok(ordered)
    }

    /// Whether a table has a row.
    pub(crate) async fn any_row(&mut self, table: &str) -> Result<bool> {
        let sql = AssertSqlSafe(format!("select 1 from {} limit 1", name(table)));
        Ok(match self.engine() {
            Engine::Sqlite(it) => sqlx::query(sql).fetch_optional(it).await?.is_some(),
            Engine::Postgres(it) => sqlx::query(sql).fetch_optional(it).await?.is_some(),
        })
    }

    /// How many rows a table has.
    pub(crate) async fn count_rows(&mut self, table: &str) -> Result<i64> {
        let sql = AssertSqlSafe(format!("select count(*) from {}", name(table)));
        Ok(match self.engine() {
            Engine::Sqlite(it) => sqlx::query_scalar(sql).fetch_one(it).await?,
            Engine::Postgres(it) => sqlx::query_scalar(sql).fetch_one(it).await?,
        })
    }

    /// Processes that did not stop, or not cleanly, and their last sign of life: by the clock of their machine, which only
    /// goes on, and by the wall clock.
    pub(crate) async fn unclean(&mut self) -> Result<Vec<(String, i64, i64)>> {
        if !self.columns().await?.iter().any(|it| it.table == "usage_heartbeat") {
            return Ok(Vec::new());
        }
        all!(self, (String, i64, i64), UNCLEAN)
    }
}

impl Tx {
    /// Empties one table.
    pub(crate) async fn clear(&mut self, table: &str) -> Result<()> {
        let sql = AssertSqlSafe(format!("delete from {}", name(table)));
        match self.engine() {
            Engine::Sqlite(it) => sqlx::query(sql).execute(it).await.map(drop)?,
            Engine::Postgres(it) => sqlx::query(sql).execute(it).await.map(drop)?,
        }
        Ok(())
    }
}

impl Store {
    /// The version of its schema; 0 if it has none.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn version(&self) -> Result<i64> {
        let mut conn = self.read().await?;
        let has: i64 = match conn.engine() {
            Engine::Sqlite(it) => sqlx::query_scalar(SQLITE_HAS_VERSIONS).fetch_one(it).await?,
            Engine::Postgres(it) => sqlx::query_scalar(POSTGRES_HAS_VERSIONS).fetch_one(it).await?,
        };
        if has == 0 {
            return Ok(0);
        }
        Ok(match conn.engine() {
            Engine::Sqlite(it) => sqlx::query_scalar(VERSION).fetch_one(it).await?,
            Engine::Postgres(it) => sqlx::query_scalar(VERSION).fetch_one(it).await?,
        })
    }
}

/// A name out of the schema as it stands in a statement. What the schema says is ours; this makes sure of it.
pub(super) fn name(of_schema: &str) -> &str {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
    assert!(of_schema.bytes().all(plain), "{of_schema} is no name of a migration");
    of_schema
}
