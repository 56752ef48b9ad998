//! Rows of any table as both engines have them, and sums over whole tables to compare them by.

use std::{
    fmt::Write as _,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash},
};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row};

use super::tables::name;
use crate::{Column, Conn, Result, Tx, connect::Engine};

/// Values of one statement at most: well within what both engines take.
const VALUES: usize = 4_000;

/// Value types of columns; the same on both engines, but for flags, which SQLite keeps as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Flag,
    Text,
    Bytes,
}

impl Kind {
    fn of(column: &Column) -> Self {
        match column.declared.to_ascii_lowercase().as_str() {
            "boolean" => Self::Flag,
            "text" => Self::Text,
            "blob" | "bytea" => Self::Bytes,
            _ => Self::Number,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Cell {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a table holds, so far that two tables of the same tally are equal: rows, sums of every column of numbers, and a
/// sum over digests of all rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many rows.
    pub rows: u64,
    /// Sums of columns; of texts and bytes, of their lengths.
    pub sums: Vec<i128>,
    digest: u64,
}

impl Tally {
    fn count(&mut self, row: &[Cell]) {
        self.rows += 1;
        self.sums.resize(row.len(), 0);
        for (sum, cell) in self.sums.iter_mut().zip(row) {
            *sum += match cell {
                Cell::Null => 0,
                Cell::Number(it) => i128::from(*it),
                Cell::Text(it) => it.len() as i128,
                Cell::Bytes(it) => it.len() as i128,
            };
        }
        // The order of rows is the engine's own, so digests are added.
        let digest = BuildHasherDefault::<DefaultHasher>::default().hash_one(row);
        self.digest = self.digest.wrapping_add(digest);
    }
}

macro_rules! read_row {
    ($row:expr, $kinds:expr) => {{
        let mut cells = Vec::with_capacity($kinds.len());
        for (at, kind) in $kinds.iter().enumerate() {
            cells.push(match kind {
                Kind::Number => $row.try_get::<Option<i64>, _>(at)?.map_or(Cell::Null, Cell::Number),
                Kind::Flag => $row.try_get::<Option<bool>, _>(at)?.map_or(Cell::Null, |it| Cell::Number(it.into())),
                Kind::Text => $row.try_get::<Option<String>, _>(at)?.map_or(Cell::Null, Cell::Text),
                Kind::Bytes => $row.try_get::<Option<Vec<u8>>, _>(at)?.map_or(Cell::Null, Cell::Bytes),
            });
        }
        cells
    }};
}

macro_rules! write_rows {
    ($conn:expr, $sql:expr, $kinds:expr, $rows:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql));
        for row in $rows {
            for (cell, kind) in row.iter().zip($kinds) {
                query = match (cell, kind) {
                    (Cell::Null, Kind::Number) => query.bind(None::<i64>),
                    (Cell::Null, Kind::Flag) => query.bind(None::<bool>),
                    (Cell::Null, Kind::Text) => query.bind(None::<&str>),
                    (Cell::Null, Kind::Bytes) => query.bind(None::<&[u8]>),
                    (Cell::Number(it), Kind::Flag) => query.bind(*it != 0),
                    (Cell::Number(it), _) => query.bind(*it),
                    (Cell::Text(it), _) => query.bind(it.as_str()),
                    (Cell::Bytes(it), _) => query.bind(it.as_slice()),
                };
            }
        }
        query.execute($conn).await.map(drop)
    }};
}

fn select(table: &str, columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|it| name(&it.name)).collect();
    format!("select {} from {}", names.join(", "), name(table))
}

impl Conn {
    /// Counts every row of a table.
    pub(super) async fn tally(&mut self, table: &str, columns: &[Column]) -> Result<Tally> {
        let kinds: Vec<Kind> = columns.iter().map(Kind::of).collect();
        let sql = AssertSqlSafe(select(table, columns));
        let mut tally = Tally::default();
        match self.engine() {
            Engine::Sqlite(it) => {
                let mut rows = sqlx::query(sql).fetch(it);
                while let Some(row) = rows.try_next().await? {
                    tally.count(&read_row!(row, kinds));
                }
            }
            Engine::Postgres(it) => {
                let mut rows = sqlx::query(sql).fetch(it);
                while let Some(row) = rows.try_next().await? {
                    tally.count(&read_row!(row, kinds));
                }
            }
        }
        Ok(tally)
    }

    /// Writes every row of a table to `to`, and counts what was read. `theirs` are the same columns as `to` has them.
    pub(super) async fn copy_table(
        &mut self,
        to: &mut Tx,
        table: &str,
        columns: &[Column],
        theirs: &[Column],
    ) -> Result<Tally> {
        let kinds: Vec<Kind> = columns.iter().map(Kind::of).collect();
        let at_once = (VALUES / columns.len().max(1)).max(1);
        let sql = AssertSqlSafe(select(table, columns));
        let mut tally = Tally::default();
        let mut page: Vec<Vec<Cell>> = Vec::with_capacity(at_once);
        macro_rules! each {
            ($rows:expr) => {{
                let mut rows = $rows;
                while let Some(row) = rows.try_next().await? {
                    let cells = read_row!(row, kinds);
                    tally.count(&cells);
                    page.push(cells);
                    if page.len() == at_once {
                        to.write(table, theirs, &page).await?;
                        page.clear();
                    }
                }
            }};
        }
        match self.engine() {
            Engine::Sqlite(it) => each!(sqlx::query(sql).fetch(it)),
            Engine::Postgres(it) => each!(sqlx::query(sql).fetch(it)),
        }
        if !page.is_empty() {
            to.write(table, theirs, &page).await?;
        }
        to.go_on_numbering(table).await?;
        Ok(tally)
    }
}

impl Tx {
    async fn write(&mut self, table: &str, columns: &[Column], rows: &[Vec<Cell>]) -> Result<()> {
        let names: Vec<&str> = columns.iter().map(|it| name(&it.name)).collect();
        let kinds: Vec<Kind> = columns.iter().map(Kind::of).collect();
        let postgres = matches!(self.engine(), Engine::Postgres(_));
        // Numbers that PostgreSQL would choose itself are those that other rows name.
        let overriding = if postgres { " overriding system value" } else { "" };
        let mut sql = format!("insert into {} ({}){overriding} values ", name(table), names.join(", "));
        for row in 0..rows.len() {
            sql.push_str(if row > 0 { ",(" } else { "(" });
            for column in 0..columns.len() {
                if column > 0 {
                    sql.push(',');
                }
                if postgres {
                    let _ = write!(sql, "${}", row * columns.len() + column + 1);
                } else {
                    sql.push('?');
                }
            }
            sql.push(')');
        }
        match self.engine() {
            Engine::Sqlite(it) => write_rows!(it, sql, &kinds, rows)?,
            Engine::Postgres(it) => write_rows!(it, sql, &kinds, rows)?,
        }
        Ok(())
    }

    /// PostgreSQL counts on from the highest number that was written; SQLite does so by itself.
    async fn go_on_numbering(&mut self, table: &str) -> Result<()> {
        const NUMBERED: &str = "select column_name::text
            from information_schema.columns
            where table_schema = current_schema() and table_name = $1 and is_identity = 'YES'";
        let Engine::Postgres(conn) = self.engine() else { return Ok(()) };
        let numbered: Vec<String> = sqlx::query_scalar(NUMBERED).bind(table).fetch_all(&mut *conn).await?;
        for column in numbered {
            let (table, column) = (name(table), name(&column));
            let sql = format!(
                "select setval(pg_get_serial_sequence('{table}', '{column}'), coalesce(max({column}), 0) + 1, false)
                from {table}"
            );
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        }
        Ok(())
    }
}
