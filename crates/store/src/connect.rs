//! Opening a database, and what reads and writes hold of it.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    path::Path,
    str::FromStr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::Migrator,
    pool::{PoolConnection, PoolOptions},
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

pub use crate::changes::Changes;
use crate::{
    Result, StoreError,
    error::{is_damage, is_locked},
    rollup::{Newest, Parts, SeriesKey},
};

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How long one waits for another process's transaction, or for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// What PostgreSQL's sessions begin with, unless the address says otherwise in its `options`.
const SESSION: [(&str, &str); 2] = [("statement_timeout", "15s"), ("idle_in_transaction_session_timeout", "15s")];

/// For what may take as long as it takes: the migrator's waiting for another process, and going through whole tables.
const UNHURRIED: &str = "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0";
const UNHURRIED_HERE: &str = "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0";

/// Between two attempts to open a file that another process is just opening.
const AGAIN: Duration = Duration::from_millis(20);

/// An open database. Cheap to clone; all clones share connections.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

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
}

enum Pools {
    /// One writer, since SQLite has no more; readers see the last commit and are never kept waiting by it.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.0.address).finish()
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
        let pools = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(url, &address).await?,
            Some("postgres" | "postgresql") => open_postgres(url, &address).await?,
            _ => return Err(StoreError::Address { address }),
        };
        Ok(Self::of(pools, address))
    }

    /// Brings the schema to this version. Safe when several processes start at once.
    ///
    /// # Errors
    /// [`StoreError::Migrate`] when a migration fails, or the database is of a later version.
    pub async fn migrate(&self) -> Result<()> {
        let told = |cause: String| StoreError::Migrate { address: self.0.address.clone(), cause };
        match &self.0.pools {
            Pools::Sqlite { writer, .. } => {
                // The migrator takes no lock on SQLite; held in one immediate transaction, a second process waits.
                let mut tx = writer.begin_with("begin immediate").await.map_err(|error| told(error.to_string()))?;
                SQLITE.run(&mut *tx).await.map_err(|error| told(error.to_string()))?;
                tx.commit().await.map_err(|error| told(error.to_string()))
            }
            Pools::Postgres(pool) => {
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
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(PATIENCE);
        let pool = PoolOptions::<Sqlite>::new().max_connections(1).acquire_timeout(PATIENCE);
        let address = path.display().to_string();
        let failed = |error| StoreError::Open { address: address.clone(), cause: engine_words(&error) };
        let readers = pool.connect_with(options).await.map_err(failed)?;
        Ok(Self::of(Pools::Sqlite { writer: readers.clone(), readers }, address))
    }

    fn of(pools: Pools, address: String) -> Self {
        Self(Arc::new(Inner {
            pools,
            address,
            series: Mutex::default(),
            writer: format!("{:016x}{:016x}", once(), once()),
            writer_number: i64::try_from(once() >> 1).unwrap_or(0).max(1),
            parts: tokio::sync::Mutex::default(),
            newest: Newest::default(),
        }))
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
        match &self.0.pools {
            Pools::Sqlite { .. } => Ok(Changes::none()),
            Pools::Postgres(pool) => Changes::listen(pool).await,
        }
    }

    /// A connection for reading.
    ///
    /// # Errors
    /// When none is free in time or the database is gone.
    pub async fn read(&self) -> Result<Conn> {
        Ok(Conn(match &self.0.pools {
            Pools::Sqlite { readers, .. } => Held::Sqlite(readers.acquire().await?),
            Pools::Postgres(pool) => Held::Postgres(pool.acquire().await?),
        }))
    }

    /// A transaction that may write. Dropped without [`Tx::commit`], it changes nothing.
    ///
    /// # Errors
    /// When the database is busy for too long, or gone.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx(Conn(match &self.0.pools {
            // Upgrading a deferred transaction would fail at once instead of waiting.
            Pools::Sqlite { writer, .. } => Held::SqliteTx(writer.begin_with("begin immediate").await?),
            Pools::Postgres(pool) => Held::PostgresTx(pool.begin().await?),
        })))
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
        let mut conn = Conn(match &self.0.pools {
            Pools::Sqlite { readers, .. } => Held::SqliteTx(readers.begin().await?),
            Pools::Postgres(pool) => Held::PostgresTx(pool.begin_with("begin isolation level repeatable read").await?),
        });
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
        &self.0.address
    }

    /// Whether this is PostgreSQL, where several processes may share one store.
    pub fn is_postgres(&self) -> bool {
        matches!(self.0.pools, Pools::Postgres(_))
    }

    /// Waits until every connection is given back and closed.
    pub async fn close(&self) {
        match &self.0.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// The name under which this opening of the database writes statistics; no other ever had it.
    pub fn writer(&self) -> &str {
        &self.0.writer
    }

    pub(crate) fn writer_number(&self) -> i64 {
        self.0.writer_number
    }

    pub(crate) fn newest(&self) -> &Newest {
        &self.0.newest
    }

    pub(crate) fn parts(&self) -> &tokio::sync::Mutex<Parts> {
        &self.0.parts
    }

    pub(crate) fn series_cache(&self) -> &Mutex<HashMap<SeriesKey, i64>> {
        &self.0.series
    }
}

/// A connection for reading; carries every query of the crate.
pub struct Conn(Held);

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
        match &mut self.0 {
            Held::Sqlite(it) => Engine::Sqlite(it),
            Held::SqliteTx(it) => Engine::Sqlite(it),
            Held::Postgres(it) => Engine::Postgres(it),
            Held::PostgresTx(it) => Engine::Postgres(it),
        }
    }

    async fn take_time(&mut self) -> Result<()> {
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
        match self.0.0 {
            Held::SqliteTx(tx) => tx.commit().await?,
            Held::PostgresTx(tx) => tx.commit().await?,
            Held::Sqlite(_) | Held::Postgres(_) => unreachable!("a Tx is made by Store::begin alone"),
        }
        Ok(())
    }
}

async fn open_sqlite(url: &str, address: &str) -> Result<Pools> {
    let told = |cause: String| StoreError::Open { address: address.to_owned(), cause };
    let options = SqliteConnectOptions::from_str(url).map_err(|error| told(error.to_string()))?;
    if let Some(folder) = options.get_filename().parent().filter(|it| !it.as_os_str().is_empty()) {
        make_folder(folder).map_err(|error| told(format!("folder {} cannot be made: {error}", folder.display())))?;
    }
    let options = options.foreign_keys(true).busy_timeout(PATIENCE).statement_cache_capacity(256);
    let writing = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // `normal` may lose the last commits at a power cut, and no committed change may be lost.
        .synchronous(SqliteSynchronous::Full);
    let pool = || PoolOptions::<Sqlite>::new().acquire_timeout(PATIENCE).test_before_acquire(false);
    let connect = || {
        let one = pool().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
        one.connect_with(writing.clone())
    };
    let since = Instant::now();
    let writer = loop {
        match connect().await {
            Ok(writer) => break writer,
            // While another process switches the file to its journal mode, SQLite says so at once whatever its time-out.
            Err(error) if is_locked(&error) && since.elapsed() < PATIENCE => tokio::time::sleep(AGAIN).await,
            Err(error) if is_damage(&error) => {
                return Err(StoreError::Damaged { address: address.to_owned(), cause: engine_words(&error) });
            }
            Err(error) => return Err(told(engine_words(&error))),
        }
    };
    let readers = pool().max_connections(8).connect_lazy_with(options.read_only(true));
    Ok(Pools::Sqlite { writer, readers })
}

async fn open_postgres(url: &str, address: &str) -> Result<Pools> {
    let told = |cause: String| StoreError::Open { address: address.to_owned(), cause };
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| told(error.to_string()))?
        .application_name("sluice")
        .statement_cache_capacity(256);
    let asked = options.get_options().unwrap_or_default().to_owned();
    let options = options.options(SESSION.into_iter().filter(|(name, _)| !asked.contains(name)));
    PoolOptions::<Postgres>::new()
        .max_connections(12)
        .acquire_timeout(PATIENCE)
        .connect_with(options)
        .await
        .map(Pools::Postgres)
        .map_err(|error| told(engine_words(&error)))
}

/// A number that comes up once: the standard library's hashers begin with random keys.
fn once() -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id())
}

/// The data folder is its owner's alone: it holds people's addresses and the file that opens sealed credentials.
pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// What the engine itself said, without the library's wrapping.
pub(crate) fn engine_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(told) => told.message().to_owned(),
        sqlx::Error::Io(told) => told.to_string(),
        sqlx::Error::PoolTimedOut => "no connection in time".to_owned(),
        other => other.to_string(),
    }
}

/// `postgres://user:secret@host/db` → `postgres://user@host/db`; parameters go too, since they can hold a password.
pub(crate) fn without_password(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(front, _)| front);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map_or(user, |(name, _)| name);
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://sluice:p@ss:word@db/sluice?password=x", "postgres://sluice@db/sluice"),
            ("postgres://db/sluice", "postgres://db/sluice"),
            ("sqlite://data/sluice.db", "sqlite://data/sluice.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
