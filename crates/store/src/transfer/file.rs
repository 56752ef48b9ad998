//! Backups of SQLite: one file, taken while processes run on the database, and put in its place while none does.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::sqlite::SqliteConnectOptions;

use super::TransferError;
use crate::{Store, StoreError, connect::Engine};

const BACK_UP: &str = "vacuum into $1";
const CHECK: &str = "pragma integrity_check(1)";

/// Files that SQLite keeps beside a database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Rows by table.
pub type Counts = Vec<(String, i64)>;

/// What a restore did.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup holds, the same in its place.
    pub tables: Counts,
    /// Where what was there before lies now.
    pub former: Option<PathBuf>,
    /// Why that could not be read, if it could not.
    pub damage: Option<String>,
}

impl Store {
    /// Writes everything as of one instant into a new file, readable by its owner alone. Others go on reading and writing.
    ///
    /// # Errors
    /// [`TransferError::File`] if there is such a file already, or it cannot be written: then there is none.
    pub async fn back_up(&self, file: &Path) -> Result<Counts, TransferError> {
        let failed = |cause: &dyn std::fmt::Display| told(file, cause);
        if self.is_postgres() {
            return Err(TransferError::Postgres(self.address().to_owned()));
        }
        if file.exists() {
            return Err(failed(&"there is such a file already, and it is not written over"));
        }
        let draft = beside(file, ".part");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(|error| failed(&error))?;
        let tables = self.back_up_into(&draft).await;
        if tables.is_err() {
            drop(fs::remove_file(&draft));
        }
        let tables = tables?;
        File::open(&draft).and_then(|it| it.sync_all()).map_err(|error| failed(&error))?;
        fs::rename(&draft, file).and_then(|()| sync_folder(file)).map_err(|error| failed(&error))?;
        Ok(tables)
    }

    async fn back_up_into(&self, draft: &Path) -> Result<Counts, TransferError> {
        let path = draft.to_str().ok_or_else(|| told(draft, &"its name is no text"))?;
        {
            let mut conn = self.read().await?;
            let Engine::Sqlite(it) = conn.engine() else {
                return Err(TransferError::Postgres(self.address().to_owned()));
            };
            let done = sqlx::query(BACK_UP).bind(path).execute(it).await;
            done.map_err(|error| told(draft, &crate::open::engine_words(&error)))?;
        }
        let copy = open(draft).await?;
        let tables = copy.whole(draft).await;
        copy.close().await;
        tables
    }

    /// What the file holds, if nothing of it is damaged.
    async fn whole(&self, file: &Path) -> Result<Counts, TransferError> {
        let mut conn = self.read().await?;
        let Engine::Sqlite(it) = conn.engine() else { return Err(TransferError::Postgres(self.address().to_owned())) };
        let found: String = sqlx::query_scalar(CHECK)
            .fetch_one(it)
            .await
            .map_err(|error| told(file, &crate::open::engine_words(&error)))?;
        drop(conn);
        if found != "ok" {
            let what = found.lines().last().unwrap_or_default();
            return Err(told(file, &format!("it is damaged: {what}")));
        }
        if self.version().await.map_err(|error| unreadable(file, &error))? == 0 {
            return Err(told(file, &"it is no backup of Sluice"));
        }
        let mut conn = self.read().await?;
        let mut counts = Counts::new();
        for (table, _) in conn.tables().await? {
            let rows = conn.count_rows(&table).await?;
            counts.push((table, rows));
        }
        Ok(counts)
    }
}

/// Opens a backup for a look into it, as it is.
///
/// # Errors
/// When it is no database, or of a later version.
pub async fn open_backup(file: &Path) -> Result<Store, TransferError> {
    if !file.is_file() {
        return Err(told(file, &"there is no such file"));
    }
    let backup = open(file).await?;
    let found = backup.version().await.map_err(|error| unreadable(file, &error))?;
    let newest = backup.newest_version();
    if found > newest {
        backup.close().await;
        let advice = "use the program that made it";
        return Err(TransferError::Version { address: file.display().to_string(), found, expected: newest, advice });
    }
    Ok(backup)
}

/// Puts a copy of `file` in the place of the database `url`, whose former files are kept beside it under a name that ends
/// with `stamp`. A database that cannot be read any more is no obstacle, as long as no process has it open.
///
/// # Errors
/// [`TransferError`]; then the database is what it was.
pub async fn restore(file: &Path, url: &str, stamp: &str, now_ms: i64) -> Result<Restored, TransferError> {
    let place = sqlite_path(url).ok_or_else(|| TransferError::Postgres(crate::open::without_password(url)))?;
    let failed = |cause: &dyn std::fmt::Display| told(&place, cause);
    let mut damage = None;
    if place.is_file() {
        damage = expect_unused(&place, url, now_ms).await?;
    } else if let Some(folder) = place.parent().filter(|it| !it.as_os_str().is_empty()) {
        crate::open::make_folder(folder).map_err(|error| failed(&error))?;
    }
    let backup = open_backup(file).await?;
    let expected = backup.whole(file).await;
    backup.close().await;
    let expected = expected?;

    let draft = beside(&place, ".part");
    let copied = copy_file(file, &draft).and_then(|()| same_bytes(file, &draft));
    if !matches!(copied, Ok(true)) {
        drop(fs::remove_file(&draft));
        return Err(copied.map_or_else(|error| failed(&error), |_| failed(&"the copy differs from the backup")));
    }
    let former = place.exists().then(|| beside(&place, &format!(".{stamp}")));
    if let Err(error) = exchange(&draft, &place, former.as_deref()) {
        drop(fs::remove_file(&draft));
        return Err(failed(&error));
    }
    Ok(Restored { tables: expected, former, damage })
}

/// Makes sure that no process runs on the database; why it cannot be read, if it cannot.
async fn expect_unused(place: &Path, url: &str, now_ms: i64) -> Result<Option<String>, TransferError> {
    let looked = match Store::open(url).await {
        Ok(present) => {
            let stopped = present.expect_stopped(now_ms).await;
            present.close().await;
            stopped
        }
        Err(error) => Err(error.into()),
    };
    let error = match looked {
        Ok(()) => return Ok(None),
        Err(TransferError::Store(error)) if error.is_damage() => error,
        Err(error) => return Err(error),
    };
    // Signs of life are not to be read; but whoever has a database open holds a lock of SQLite's on it.
    let file = OpenOptions::new().read(true).write(true).open(place).map_err(|error| told(place, &error))?;
    match rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(words(&error))),
        Err(_) => Err(told(place, &"it is damaged, and a process still has it open; stop that first")),
    }
}

/// `draft` in the place of `place`, which is called `former` then. At every moment one of the two is whole in that place.
fn exchange(draft: &Path, place: &Path, former: Option<&Path>) -> io::Result<()> {
    let Some(former) = former else {
        return fs::rename(draft, place).and_then(|()| sync_folder(place));
    };
    // A second name first: it fails where there is such a file already, instead of writing over it.
    let linked = match fs::hard_link(place, former) {
        // A file system without second names: for a moment there is only the former one.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && place.exists() && !former.exists() => {
            fs::rename(place, former)?;
            false
        }
        outcome => outcome.map(|()| true)?,
    };
    let mut moved: Vec<&str> = Vec::new();
    let mut outcome = Ok(());
    // What lies beside a database that was closed well is empty of changes, or gone.
    for end in BESIDE {
        if outcome.is_ok() && beside(place, end).exists() {
            outcome = fs::rename(beside(place, end), beside(former, end));
            moved.extend(outcome.is_ok().then_some(end));
        }
    }
    match outcome.and_then(|()| fs::rename(draft, place)) {
        Ok(()) => sync_folder(place),
        Err(error) => {
            for end in moved {
                drop(fs::rename(beside(former, end), beside(place, end)));
            }
            drop(if linked { fs::remove_file(former) } else { fs::rename(former, place) });
            Err(error)
        }
    }
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// Reads both from the disk: what was written may not be what lies there.
fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let length = left.len().min(right.len());
        if left[..length] != right[..length] || (length == 0 && left.len() != right.len()) {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
        one.consume(length);
        other.consume(length);
    }
}

/// Opened as it is: in its own journal mode, and without a file beside it.
async fn open(file: &Path) -> Result<Store, TransferError> {
    Store::open_file(file).await.map_err(|error| unreadable(file, &error))
}

fn sqlite_path(url: &str) -> Option<PathBuf> {
    let options: SqliteConnectOptions = url.starts_with("sqlite:").then(|| url.parse().ok())??;
    Some(options.get_filename().to_path_buf())
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The engine's own words, since it is the file that is wrong and not the database.
fn unreadable(path: &Path, error: &StoreError) -> TransferError {
    told(path, &words(error))
}

fn words(error: &StoreError) -> String {
    if let StoreError::Damaged { cause, .. } = error {
        return cause.clone();
    }
    match std::error::Error::source(error).and_then(|it| it.downcast_ref::<sqlx::Error>()) {
        Some(cause) => crate::open::engine_words(cause),
        None => error.to_string(),
    }
}

fn told(path: &Path, cause: &dyn std::fmt::Display) -> TransferError {
    TransferError::File { path: path.display().to_string(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_exchange_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
            names.sort();
            names
        };
        for name in ["it.part", "it", "it-wal", "it-shm", "it.taken"] {
            fs::write(at(name), name).unwrap();
        }
        fs::create_dir_all(at("it.blocked-shm").join("full")).unwrap();
        let before = names();
        // The name is taken; the second of the files beside cannot be moved; there is no draft.
        for (draft, former) in [("it.part", "it.taken"), ("it.part", "it.blocked"), ("none", "it.free")] {
            exchange(&at(draft), &at("it"), Some(&at(former))).unwrap_err();
            assert_eq!(names(), before, "{draft} and {former}");
            for name in ["it", "it-wal", "it-shm", "it.taken"] {
                assert_eq!(fs::read_to_string(at(name)).unwrap(), name);
            }
        }
        exchange(&at("it.part"), &at("it"), Some(&at("it.free"))).unwrap();
        for (name, holds) in
            [("it", "it.part"), ("it.free", "it"), ("it.free-wal", "it-wal"), ("it.free-shm", "it-shm")]
        {
            assert_eq!(fs::read_to_string(at(name)).unwrap(), holds);
        }
        assert!(!at("it.part").exists() && !at("it-wal").exists());
    }
}
