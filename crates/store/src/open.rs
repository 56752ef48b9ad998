//! Opening databases: connections, and what their sessions begin with.

use std::{
    path::Path,
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool,
    pool::PoolOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    Result, StoreError,
    error::{is_damage, is_locked, is_read_only},
    sql::within,
};

/// How long one waits for another process's transaction, or for a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What PostgreSQL's sessions begin with, unless the address says otherwise in its `options`.
const SESSION: [(&str, &str); 2] = [("statement_timeout", "15s"), ("idle_in_transaction_session_timeout", "15s")];

/// Between two attempts to open a file that another process is just opening.
const AGAIN: Duration = Duration::from_millis(20);

/// Connections to PostgreSQL for pages, edits and commands.
const FOR_PAGES: u32 = 9;

/// Those of the process's own tasks: the flush, adding up, following edits, and hearing of them. Pages never take these.
const FOR_TASKS: u32 = 4;

/// Connections, those of the process's own tasks apart from all others.
pub(crate) enum Pools {
    /// One writer, since SQLite has no more; readers see the last commit and are never kept waiting by it.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
        task_readers: SqlitePool,
    },
    Postgres {
        pages: PgPool,
        tasks: PgPool,
    },
}

impl Pools {
    /// Opens `sqlite://PATH` (made if missing, with its folder) or `postgres://…`.
    pub(crate) async fn open(url: &str, address: &str) -> Result<Self> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(url, address).await,
            Some("postgres" | "postgresql") => open_postgres(url, address).await,
            _ => Err(StoreError::Address { address: address.to_owned() }),
        }
    }

    /// A SQLite file as it is: nothing is written, neither into it nor beside it.
    pub(crate) async fn open_file(path: &Path, address: &str) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(PATIENCE);
        let pool = PoolOptions::<Sqlite>::new().max_connections(1).acquire_timeout(PATIENCE);
        let failed = |error| StoreError::Open { address: address.to_owned(), cause: engine_words(&error) };
        let readers = pool.connect_with(options).await.map_err(failed)?;
        Ok(Self::Sqlite { writer: readers.clone(), task_readers: readers.clone(), readers })
    }

    /// Waits until every connection is given back and closed.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, task_readers } => {
                task_readers.close().await;
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pages, tasks } => {
                // One that leads nowhere would be waited for until the system gives it up.
                for pool in [tasks, pages] {
                    drop(tokio::time::timeout(PATIENCE, pool.close()).await);
                }
            }
        }
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
        let one = pool().max_connections(1).idle_timeout(None).max_lifetime(None);
        let one = one.after_release(|conn, _| Box::pin(has_ended(conn)));
        // Not the first one: a start on a file that cannot be written says so by itself, at its first statement.
        let first = AtomicBool::new(true);
        let one = one.after_connect(move |conn, _| {
            let first = first.swap(false, Ordering::Relaxed);
            Box::pin(async move { if first { Ok(()) } else { can_write(conn).await } })
        });
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
    let options = options.read_only(true);
    let readers = |connections| pool().max_connections(connections).connect_lazy_with(options.clone());
    Ok(Pools::Sqlite { writer, readers: readers(8), task_readers: readers(3) })
}

async fn open_postgres(url: &str, address: &str) -> Result<Pools> {
    let told = |cause: String| StoreError::Open { address: address.to_owned(), cause };
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| told(error.to_string()))?
        .application_name("sluice")
        .statement_cache_capacity(256);
    let asked = options.get_options().unwrap_or_default().to_owned();
    let options = options.options(SESSION.into_iter().filter(|(name, _)| !asked.contains(name)));
    let pool = || {
        PoolOptions::<Postgres>::new().acquire_timeout(PATIENCE).after_release(|conn, _| {
            // A connection that was given up in the middle of a statement may lead nowhere; asked without a limit whether it
            // still does, it would take up its place until the system gives it up too.
            Box::pin(async move { within(Some(PATIENCE), conn.ping()).await.map(|()| true) })
        })
    };
    let tasks = pool().max_connections(FOR_TASKS).connect_lazy_with(options.clone());
    let pages = pool().max_connections(FOR_PAGES).connect_with(options).await;
    pages.map(|pages| Pools::Postgres { pages, tasks }).map_err(|error| told(engine_words(&error)))
}

/// Whether a connection that comes back is in no transaction. SQLite ends one by itself when the disk is full or broken; the
/// library, whose own end of it then fails, would begin none on that connection ever after.
async fn has_ended(conn: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Behind the end of a transaction that was dropped.
    conn.ping().await?;
    Ok(!conn.is_in_transaction())
}

/// Whether a new connection can be written through. Of a file that cannot be written for a while SQLite makes a connection that
/// only reads, and that it stays when the file can be written again: there must be none until then.
async fn can_write(conn: &mut SqliteConnection) -> sqlx::Result<()> {
    let written = match sqlx::query("begin immediate").execute(&mut *conn).await {
        // Through a connection that only reads this begins as well; it is the first change that fails.
        Ok(_) => {
            let written = sqlx::query("pragma user_version = 0").execute(&mut *conn).await;
            sqlx::query("rollback").execute(conn).await?;
            written
        }
        begun => begun,
    };
    match written {
        Err(error) if is_read_only(&error) => Err(error),
        // Somebody else writes, or whatever else it is: the next statement will tell.
        _ => Ok(()),
    }
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

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}/sluice.db", folder.path().display());
        let Ok(Pools::Sqlite { writer, .. }) = open_sqlite(&url, &url).await else { panic!("it opens") };
        let run = async |text: &'static str| {
            let mut tx = writer.begin_with("begin immediate").await?;
            sqlx::query(text).execute(&mut *tx).await?;
            tx.commit().await
        };
        run("create table t (x blob)").await.expect("there is room");
        // Holds for this connection alone.
        sqlx::query("pragma max_page_count = 8").execute(&writer).await.expect("it is a number");
        let full = run("insert into t values (zeroblob(1000000))").await.expect_err("eight pages are no megabyte");
        assert_eq!(full.as_database_error().and_then(|it| it.code()).as_deref(), Some("13"), "{full}");
        run("insert into t values (zeroblob(1000000))").await.expect("there is room again");
    }

    #[tokio::test]
    async fn a_connection_that_only_reads_is_told_from_one_that_waits() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = SqliteConnectOptions::new().filename(folder.path().join("sluice.db"));
        let file = file.journal_mode(SqliteJournalMode::Wal).busy_timeout(Duration::ZERO);
        let open =
            async |options: SqliteConnectOptions| SqliteConnection::connect_with(&options).await.expect("it opens");
        let mut writing = open(file.clone().create_if_missing(true)).await;
        can_write(&mut writing).await.expect("it may write");
        assert!(!writing.is_in_transaction(), "and has begun nothing");
        let told = can_write(&mut open(file.clone().read_only(true)).await).await.expect_err("it may only read");
        assert!(is_read_only(&told), "{told}");
        sqlx::query("begin immediate").execute(&mut writing).await.expect("nobody else writes");
        can_write(&mut open(file).await).await.expect("it may, once the other has ended");
    }
}
