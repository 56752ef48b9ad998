//! Moving whole installations: every table from one database to another, of either kind, compared at the end.
//! Knows rows and columns as the schema tells them; knows no table by its meaning, so that none can be forgotten.

mod cells;
mod file;
mod tables;

use std::time::Duration;

use crate::{Column, Result, Store, StoreError};

pub use cells::Tally;
pub use file::{Counts, Restored, open_backup, restore};
pub(crate) use tables::STATEMENTS;

/// The one table whose row is there from the first migration on.
const SEEDED: &str = "installation";

/// A sign of life younger than this says that a process runs on a database.
pub const ALIVE_MS: i64 = 5_000;

/// A process that runs gives more than two signs of life in this time.
const BEATS: Duration = Duration::from_secs(1);

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A process still writes to it.
    #[error("{address} is in use: {node} gave a sign of life {seconds} s ago; stop it first")]
    Running {
        /// The database.
        address: String,
        /// Which process.
        node: String,
        /// Seconds since.
        seconds: i64,
    },
    /// It holds something, and nothing is written over.
    #[error("{address} is not empty: {table} has rows; name a database that has none")]
    NotEmpty {
        /// The database.
        address: String,
        /// The first table with rows.
        table: String,
    },
    /// It is of another version than this program.
    #[error("{address} has schema version {found}, and this program has {expected}: {advice}")]
    Version {
        /// The database.
        address: String,
        /// Its version; 0 without a schema.
        found: i64,
        /// This program's.
        expected: i64,
        /// What to do.
        advice: &'static str,
    },
    /// What arrived is not what was sent.
    #[error("{table} differs after the copy: {sent} were read and {arrived} were written; nothing was kept")]
    Differs {
        /// The table.
        table: String,
        /// Rows read.
        sent: u64,
        /// Rows found.
        arrived: u64,
    },
    /// Somebody wrote to it meanwhile.
    #[error("{0} was changed while it was copied, and nothing was kept: stop whatever writes to it first")]
    Changed(String),
    /// Source and target are one.
    #[error("{0} cannot be copied to itself")]
    Same(String),
    /// A file stands in the way, or cannot be used.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// It is no SQLite database.
    #[error("{0} is PostgreSQL: back it up with pg_dump and bring it back with pg_restore, as docs/operating.md shows")]
    Postgres(String),
    /// The database could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was moved of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The table.
    pub table: String,
    /// What it holds, the same on both sides.
    pub tally: Tally,
}

/// Columns by table, tables in an order in which rows can be written: what others refer to comes first.
pub(crate) type Tables = Vec<(String, Vec<Column>)>;

impl Store {
    /// Copies every row of every table to `target`, which is brought to this version's schema first, in one transaction,
    /// and compares what arrived.
    ///
    /// # Errors
    /// [`TransferError`]; then `target` holds no row.
    pub async fn copy_to(&self, target: &Self, now_ms: i64) -> std::result::Result<Vec<Moved>, TransferError> {
        if self.address() == target.address() {
            return Err(TransferError::Same(self.address().to_owned()));
        }
        self.expect_version().await?;
        self.expect_stopped(now_ms).await?;
        let mut conn = target.read().await?;
        if !conn.columns().await?.is_empty() {
            target.expect_stopped(now_ms).await?;
            target.expect_empty(&conn.tables().await?).await?;
        }
        drop(conn);
        target.migrate().await?;

        let traces = self.traces().await?;
        let mut from = self.as_of_now().await?;
        let tables = from.tables().await?;
        target.expect_empty(&tables).await?;
        let mut to = target.begin_unhurried().await?;
        let theirs = to.columns().await?;
        to.clear(SEEDED).await?;
        let mut moved = Vec::with_capacity(tables.len());
        for (table, columns) in &tables {
            let theirs: Vec<_> = columns
                .iter()
                .filter_map(|it| theirs.iter().find(|other| other.table == it.table && other.name == it.name).cloned())
                .collect();
            let sent = from.copy_table(&mut to, table, columns, &theirs).await?;
            let arrived = to.tally(table, &theirs).await?;
            if sent != arrived {
                return Err(TransferError::Differs { table: table.clone(), sent: sent.rows, arrived: arrived.rows });
            }
            moved.push(Moved { table: table.clone(), tally: arrived });
        }
        drop(from);
        if self.traces().await? != traces {
            return Err(TransferError::Changed(self.address().to_owned()));
        }
        to.commit().await?;
        Ok(moved)
    }

    /// Whether a process runs on this database: by its last sign of life, and where clocks differ, by whether another one
    /// comes.
    ///
    /// # Errors
    /// [`TransferError::Running`], naming the process.
    pub async fn expect_stopped(&self, now_ms: i64) -> std::result::Result<(), TransferError> {
        let running = |node: &str, ago_ms: i64| TransferError::Running {
            address: self.address().to_owned(),
            node: node.to_owned(),
            seconds: ago_ms.div_euclid(1_000),
        };
        let before = self.read().await?.unclean().await?;
        for (node, _, at_ms) in &before {
            // A clock that is ahead elsewhere must not make a running process look stopped.
            let ago = (now_ms - at_ms).abs();
            if ago < ALIVE_MS {
                return Err(running(node, ago));
            }
        }
        if before.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(BEATS).await;
        let after = self.read().await?.unclean().await?;
        match after.iter().find(|it| !before.contains(it)) {
            Some((node, ..)) => Err(running(node, 0)),
            None => Ok(()),
        }
    }

    /// What any process that runs on it changes: the number of its edits, and signs of life.
    async fn traces(&self) -> Result<(i64, Vec<(String, i64, i64)>)> {
        let mut conn = self.read().await?;
        Ok((conn.revision().await?, conn.unclean().await?))
    }

    /// What every table holds, by table.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn tallies(&self) -> Result<Vec<Moved>> {
        let mut conn = self.read().await?;
        let mut all = Vec::new();
        for (table, columns) in conn.tables().await? {
            let tally = conn.tally(&table, &columns).await?;
            all.push(Moved { table, tally });
        }
        Ok(all)
    }

    async fn expect_version(&self) -> std::result::Result<(), TransferError> {
        let (found, expected) = (self.version().await?, self.newest_version());
        let advice = match found {
            0 => "it holds no installation of Sluice",
            found if found < expected => "run `sluice migrate` on it first",
            _ if found > expected => "use the program that migrated it",
            _ => return Ok(()),
        };
        Err(TransferError::Version { address: self.address().to_owned(), found, expected, advice })
    }

    async fn expect_empty(&self, tables: &Tables) -> std::result::Result<(), TransferError> {
        let mut conn = self.read().await?;
        for (table, _) in tables.iter().filter(|it| it.0 != SEEDED) {
            if conn.any_row(table).await? {
                return Err(TransferError::NotEmpty { address: self.address().to_owned(), table: table.clone() });
            }
        }
        Ok(())
    }
}
