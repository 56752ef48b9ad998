//! What the schema looks like: for comparing the engines, and for copying from one to the other.

use sqlx::FromRow;

use crate::{Conn, Result, connect::Engine};

// The only two statements that one engine alone understands.
const SQLITE_COLUMNS: &str = "select t.name as table_name, c.name, c.type as declared,
        (c.\"notnull\" = 0 and c.pk = 0) as nullable
    from sqlite_schema t
    join pragma_table_info(t.name) c
    where t.type = 'table' and t.name not like '\\_sqlx%' escape '\\' and t.name not like 'sqlite%'
    order by t.name, c.cid";
const POSTGRES_COLUMNS: &str = "select table_name::text as table_name, column_name::text as name,
        data_type::text as declared, (is_nullable = 'YES') as nullable
    from information_schema.columns
    where table_schema = current_schema() and table_name not like '\\_sqlx%'
    order by table_name, ordinal_position";

/// One column of one table.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Column {
    /// Its table.
    #[sqlx(rename = "table_name")]
    pub table: String,
    /// Its name.
    pub name: String,
    /// The type it was declared with.
    pub declared: String,
    /// Whether it may be null.
    pub nullable: bool,
}

impl Conn {
    /// Every column of every table.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn columns(&mut self) -> Result<Vec<Column>> {
        Ok(match self.engine() {
            Engine::Sqlite(it) => sqlx::query_as(SQLITE_COLUMNS).fetch_all(it).await?,
            Engine::Postgres(it) => sqlx::query_as(POSTGRES_COLUMNS).fetch_all(it).await?,
        })
    }
}
