//! Opening a database, and what reads and writes hold of it.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{
    Connection as _, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction, migrate::Migrator,
    pool::PoolConnection,
};

pub use crate::changes::Changes;
use crate::{
    Result, StoreError,
    open::{Pools, without_password},
    rollup::{Newest, Pairs, Parts, SeriesKey},
    sql::within,
};

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// For what may take as long as it takes: the migrator's waiting for another process, and going through whole tables.
const UNHURRIED: &str = "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0";
const UNHURRIED_HERE: &str = "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0";

/// Beyond it a statement's answer does not come any more: more than PostgreSQL gives it.
const ANSWER: Option<Duration> = Some(Duration::from_secs(20));

/// An open database. Cheap to clone; all clones share connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// Whether it takes connections of the process's own tasks.
    for_tasks: bool,
}

struct Inner {
    pools: Pools,
    address: String,
    /// Numbers of series already known, so that a flush asks for each once in a process's life.
    series: Mutex<HashMap<SeriesKey, i64>>,
    /// Names this opening of the database; see [`Store::writer`].
    writer: String,
    /// The same for rows that are many, as a number above 0.
    writer_number: i64,
    /// Rows of the roll-ups that this opening writes.
    parts: tokio::sync::Mutex<Parts>,
    newest: Newest,
    /// What every page of figures asks for; connections have it too.
    pairs: Arc<Pairs>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.inner.address).finish()
    }
}

impl Store {
    /// Opens `sqlite://PATH` (made if missing, with its folder) or `postgres://…`. Changes no schema: see
    /// [`Self::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Address`] or [`StoreError::Open`], naming the address.
    pub async fn open(url: &str) -> Result<Self> {
        let address = without_password(url);
        let pools = Pools::open(url, &address).await?;
        Ok(Self::of(pools, address))
    }

    /// The same database through connections that pages and edits do not take: for the flush, and for following edits.
    #[must_use]
    pub fn for_tasks(&self) -> Self {
        Self { for_tasks: true, ..self.clone() }
    }

    /// Brings the schema to this version. Safe when several processes start at once.
    ///
    /// # Errors
    /// [`StoreError::Migrate`] when a migration fails, or the database is of a later version.
    pub async fn migrate(&self) -> Result<()> {
        let told = |cause: String| StoreError::Migrate { address: self.inner.address.clone(), cause };
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => {
                // The migrator takes no lock on SQLite; held in one immediate transaction, a second process waits.
                let mut tx = writer.begin_with("begin immediate").await.map_err(|error| told(error.to_string()))?;
                SQLITE.run(&mut *tx).await.map_err(|error| told(error.to_string()))?;
                tx.commit().await.map_err(|error| told(error.to_string()))
            }
            Pools::Postgres { pages: pool, .. } => {
                let words = |error: sqlx::Error| told(error.to_string());
                // Not given back: neither its settings nor, after a failure, the migrator's lock may stay with the pool.
                let mut conn = pool.acquire().await.map_err(words)?.detach();
                sqlx::raw_sql(UNHURRIED).execute(&mut conn).await.map_err(words)?;
                POSTGRES.run(&mut conn).await.map_err(|error| told(error.to_string()))?;
                conn.close().await.map_err(words)
            }
        }?;
        self.pack_old_rows().await
    }

    /// Opens a SQLite file to look at it as it is: nothing is written, neither into it nor beside it.
    pub(crate) async fn open_file(path: &Path) -> Result<Self> {
        let address = path.display().to_string();
        Ok(Self::of(Pools::open_file(path, &address).await?, address))
    }

    fn of(pools: Pools, address: String) -> Self {
        let inner = Arc::new(Inner {
            pools,
            address,
            series: Mutex::default(),
            writer: format!("{:016x}{:016x}", once(), once()),
            writer_number: i64::try_from(once() >> 1).unwrap_or(0).max(1),
            parts: tokio::sync::Mutex::default(),
            newest: Newest::default(),
            pairs: Arc::default(),
        });
        Self { inner, for_tasks: false }
    }

    /// The version of the newest migration that this program knows.
    pub(crate) fn newest_version(&self) -> i64 {
        let migrations = if self.is_postgres() { &POSTGRES } else { &SQLITE };
        migrations.iter().map(|it| it.version).max().unwrap_or(0)
    }

    /// Tells of edits that other processes commit.
    ///
    /// # Errors
    /// When the database is gone.
    pub async fn changes(&self) -> Result<Changes> {
        match &self.inner.pools {
            Pools::Sqlite { .. } => Ok(Changes::none()),
            Pools::Postgres { tasks, .. } => Changes::listen(tasks).await,
        }
    }

    /// A connection for reading.
    ///
    /// # Errors
    /// When none is free in time or the database is gone.
    pub async fn read(&self) -> Result<Conn> {
        let (held, patience) = match &self.inner.pools {
            Pools::Sqlite { readers, task_readers, .. } => {
                (Held::Sqlite(self.own(readers, task_readers).acquire().await?), None)
            }
            Pools::Postgres { pages, tasks } => (Held::Postgres(self.own(pages, tasks).acquire().await?), ANSWER),
        };
        Ok(self.conn(held, patience))
    }

    fn conn(&self, held: Held, patience: Option<Duration>) -> Conn {
        Conn { held, patience, pairs: Arc::clone(&self.inner.pairs) }
    }

    fn own<'a, T>(&self, of_pages: &'a T, of_tasks: &'a T) -> &'a T {
        if self.for_tasks { of_tasks } else { of_pages }
    }

    /// A transaction that may write. Dropped without [`Tx::commit`], it changes nothing.
    ///
    /// # Errors
    /// When the database is busy for too long, or gone.
    pub async fn begin(&self) -> Result<Tx> {
        let (held, patience) = match &self.inner.pools {
            // Upgrading a deferred transaction would fail at once instead of waiting.
            Pools::Sqlite { writer, .. } => (Held::SqliteTx(writer.begin_with("begin immediate").await?), None),
            Pools::Postgres { pages, tasks } => {
                let begun = self.own(pages, tasks).begin();
                (Held::PostgresTx(within(ANSWER, begun).await?), ANSWER)
            }
        };
        Ok(Tx(self.conn(held, patience)))
    }

    /// A transaction that may write, however long it takes.
    ///
    /// # Errors
    /// When the database is busy for too long, or gone.
    pub(crate) async fn begin_unhurried(&self) -> Result<Tx> {
        let mut tx = self.begin().await?;
        tx.take_time().await?;
        Ok(tx)
    }

    /// Everything as of one instant, however long reading it takes.
    ///
    /// # Errors
    /// When none is free in time or the database is gone.
    pub(crate) async fn as_of_now(&self) -> Result<Conn> {
        let (held, patience) = match &self.inner.pools {
            Pools::Sqlite { readers, .. } => (Held::SqliteTx(readers.begin().await?), None),
            Pools::Postgres { pages, .. } => {
                let begun = pages.begin_with("begin isolation level repeatable read");
                (Held::PostgresTx(within(ANSWER, begun).await?), ANSWER)
            }
        };
        let mut conn = self.conn(held, patience);
        conn.take_time().await?;
        Ok(conn)
    }

    /// A transaction for an edit of what is configured: bumps the installation's revision first, which on PostgreSQL
    /// also makes edits take turns, as SQLite's single writer does.
    ///
    /// # Errors
    /// When the database is busy for too long, or gone.
    pub async fn edit(&self) -> Result<Tx> {
        let mut tx = self.begin().await?;
        tx.bump_revision().await?;
        tx.tell().await?;
        Ok(tx)
    }

    /// The address it was opened with, without a password.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Whether this is PostgreSQL, where several processes may share one store.
    pub fn is_postgres(&self) -> bool {
        matches!(self.inner.pools, Pools::Postgres { .. })
    }

    /// Waits until every connection is given back and closed.
    pub async fn close(&self) {
        self.inner.pools.close().await;
    }

    /// The name under which this opening of the database writes statistics; no other ever had it.
    pub fn writer(&self) -> &str {
        &self.inner.writer
    }

    pub(crate) fn writer_number(&self) -> i64 {
        self.inner.writer_number
    }

    pub(crate) fn newest(&self) -> &Newest {
        &self.inner.newest
    }

    pub(crate) fn parts(&self) -> &tokio::sync::Mutex<Parts> {
        &self.inner.parts
    }

    pub(crate) fn series_cache(&self) -> &Mutex<HashMap<SeriesKey, i64>> {
        &self.inner.series
    }
}

/// A connection for reading; carries every query of the crate.
pub struct Conn {
    held: Held,
    /// How long a statement may go unanswered; the server's own limit is shorter, so that then there is no server.
    patience: Option<Duration>,
    pairs: Arc<Pairs>,
}

enum Held {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTx(Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTx(Transaction<'static, Postgres>),
}

pub(crate) enum Engine<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Conn {
    pub(crate) fn engine(&mut self) -> Engine<'_> {
        match &mut self.held {
            Held::Sqlite(it) => Engine::Sqlite(it),
            Held::SqliteTx(it) => Engine::Sqlite(it),
            Held::Postgres(it) => Engine::Postgres(it),
            Held::PostgresTx(it) => Engine::Postgres(it),
        }
    }

    pub(crate) const fn patience(&self) -> Option<Duration> {
        self.patience
    }

    pub(crate) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    async fn take_time(&mut self) -> Result<()> {
        self.patience = None;
        if let Engine::Postgres(it) = self.engine() {
            sqlx::raw_sql(UNHURRIED_HERE).execute(it).await?;
        }
        Ok(())
    }
}

/// A transaction that may write; reads within it see its own writes.
pub struct Tx(Conn);

impl Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}

impl Tx {
    /// Makes everything written durable.
    ///
    /// # Errors
    /// When the database cannot; then nothing was changed.
    pub async fn commit(self) -> Result<()> {
        let Conn { held, patience, .. } = self.0;
        match held {
            Held::SqliteTx(tx) => tx.commit().await?,
            Held::PostgresTx(tx) => within(patience, tx.commit()).await?,
            Held::Sqlite(_) | Held::Postgres(_) => unreachable!("a Tx is made by Store::begin alone"),
        }
        Ok(())
    }
}

/// A number that comes up once: the standard library's hashers begin with random keys.
fn once() -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id())
}
