//! Asking an engine what it makes of a statement, without running it.

use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::{Conn, connect::Engine};

impl Conn {
    /// Asks the engine to parse and plan `sql` without running it.
    ///
    /// # Errors
    /// What the engine finds wrong with it.
    pub async fn prepare(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self.engine() {
            Engine::Sqlite(it) => it.prepare(sql.into_sql_str()).await.map(drop),
            Engine::Postgres(it) => it.prepare(sql.into_sql_str()).await.map(drop),
        }
    }

    /// The lines of the engine's plan for `sql`, whatever its values; PostgreSQL's as if no table were small.
    ///
    /// # Errors
    /// What the engine finds wrong with it.
    pub async fn plan(&mut self, sql: &'static str) -> Result<Vec<String>, sqlx::Error> {
        match self.engine() {
            Engine::Sqlite(it) => {
                let sql = AssertSqlSafe(format!("explain query plan {sql}"));
                let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).persistent(false).fetch_all(it).await?;
                Ok(rows.into_iter().map(|it| it.3).collect())
            }
            Engine::Postgres(it) => {
                let mut values = 0;
                while sql.contains(&format!("${}", values + 1)) {
                    values += 1;
                }
                let nulls = if values == 0 { String::new() } else { format!("({})", vec!["null"; values].join(", ")) };
                let set = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_sort = on";
                it.execute(sqlx::raw_sql(set)).await?;
                it.execute(sqlx::raw_sql(AssertSqlSafe(format!("prepare planned as {sql}")))).await?;
                let explain = AssertSqlSafe(format!("explain execute planned{nulls}"));
                let rows = it.fetch_all(sqlx::raw_sql(explain)).await?;
                it.execute(sqlx::raw_sql("deallocate planned; reset plan_cache_mode; reset enable_seqscan")).await?;
                rows.iter().map(|it| sqlx::Row::try_get(it, 0)).collect()
            }
        }
    }
}
