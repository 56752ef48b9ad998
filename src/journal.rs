//! The admission journal on disk: a file an hour and a process, appended to with every flush, kept for a day.
//!
//! An admission and its settlement take about 20 bytes together, and each model that was called in a tenth of a second a
//! head that names it and its workspaces. Gathered in memory and written ten times a second: a
//! process that is killed loses at most the last tenth of a second of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use app::ssr::{Proof, Proven};
use domain::AccountId;
use limiter::{Clock as _, Ledger, verify};
use parking_lot::Mutex;

use crate::clock::{SystemClock, boot};

const HOUR_MS: i64 = 3_600_000;
const ENDING: &str = "journal";

/// Writes what the ledger gathers.
pub struct Journal {
    ledger: Arc<Ledger>,
    folder: PathBuf,
    keep_hours: u32,
    offset_us: i64,
    open: Option<(i64, File)>,
    waiting: Vec<u8>,
    /// Whether what waits goes on in the middle of a chunk whose beginning is in the open file.
    midway: bool,
    failing: bool,
}

/// What is gathered while the folder cannot be written; beyond it the journal has a gap.
const WAITING: usize = 64 << 20;

impl Journal {
    /// A journal in `folder`, which is made.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(ledger: Arc<Ledger>, folder: &Path, keep_hours: u32) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(named)?;
        let offset_us = offset_us(folder).map_err(named)?;
        let (folder, open, waiting) = (folder.to_owned(), None, Vec::new());
        Ok(Self { ledger, folder, keep_hours, offset_us, open, waiting, midway: false, failing: false })
    }

    /// Appends what was gathered since the last time.
    pub fn write(&mut self) {
        // Not the wall clock itself: a step of it must neither disorder the files nor delete them.
        let now_ms = self.offset_us.saturating_add_unsigned(SystemClock.now().0) / 1_000;
        self.ledger.drain_journal(self.offset_us, &mut self.waiting);
        if self.waiting.is_empty() {
            return;
        }
        match self.append(now_ms) {
            Ok(()) if self.failing => {
                tracing::warn!("the admission journal is written again");
                self.failing = false;
            }
            Ok(()) => {}
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, folder = %self.folder.display(), "the admission journal cannot be written");
                }
                self.failing = true;
                if self.waiting.len() > WAITING {
                    self.waiting = Vec::new();
                    Ledger::journal_gap(self.offset_us, &mut self.waiting);
                    self.midway = false;
                }
                if !self.midway {
                    // The file may be gone with its folder.
                    self.open = None;
                }
            }
        }
    }

    fn append(&mut self, now_ms: i64) -> io::Result<()> {
        let hour = now_ms.div_euclid(HOUR_MS);
        if !self.midway && self.open.as_ref().is_none_or(|(of, _)| *of != hour) {
            self.forget(now_ms)?;
            // Never one that another process began: its last chunk may be torn.
            let path = self.folder.join(format!("{now_ms:015}.{ENDING}"));
            self.open = Some((hour, OpenOptions::new().append(true).create_new(true).open(path)?));
        }
        let Some((_, file)) = &mut self.open else { return Ok(()) };
        let before = self.waiting.len();
        let written = pass_on(&mut self.waiting, file);
        self.midway = !self.waiting.is_empty() && (self.midway || self.waiting.len() < before);
        written
    }

    /// Deletes files that were last written before what is kept.
    fn forget(&self, now_ms: i64) -> io::Result<()> {
        let oldest = now_ms - i64::from(self.keep_hours.saturating_add(1)) * HOUR_MS;
        for (began_ms, path) in files(&self.folder)? {
            if began_ms < oldest {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Writes what waits and keeps what could not be written: written twice, an admission would count twice.
fn pass_on(waiting: &mut Vec<u8>, into: &mut impl Write) -> io::Result<()> {
    while !waiting.is_empty() {
        match into.write(waiting) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => drop(waiting.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The wall clock minus the process's clock. Every process of one boot of the machine uses the first one's, so that
/// windows across a restart are exact to the microsecond.
pub fn offset_us(folder: &Path) -> io::Result<i64> {
    let path = folder.join(format!("{}.offset", boot()));
    if let Some(known) = fs::read_to_string(&path).ok().and_then(|it| it.trim().parse().ok()) {
        return Ok(known);
    }
    let wall_us = control::WallClock::now_ms(&control::SystemWallClock).saturating_mul(1_000);
    let offset = wall_us.saturating_sub_unsigned(SystemClock.now().0);
    fs::write(path, offset.to_string())?;
    Ok(offset)
}

/// The files of a journal with the instant they began at, oldest first.
fn files(folder: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let began = path.file_stem().and_then(|it| it.to_str()).and_then(|it| it.parse().ok());
        if let (Some(began), true) = (began, path.extension().is_some_and(|it| it == ENDING)) {
            found.push((began, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Everything in a journal's folder as one stream of whole chunks: what a killed process left half-written at the end of
/// its file is passed over.
pub struct Whole {
    files: std::vec::IntoIter<(i64, PathBuf)>,
    open: Option<Open>,
    /// Files that end inside a chunk.
    pub torn: u64,
}

struct Open {
    file: BufReader<File>,
    left_in_file: u64,
    left_in_chunk: u64,
    /// The chunk's own head, and how much of it was handed out.
    head: io::Cursor<[u8; HEAD]>,
}

/// Length and checksum in front of a chunk.
const HEAD: usize = 8;

impl Whole {
    /// The journal in `folder`, from the file that holds `since_ms` on.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(folder: &Path, since_ms: Option<i64>) -> io::Result<Self> {
        let mut files = files(folder)?;
        if let Some(since) = since_ms {
            // A minute earlier: the first windows to be judged begin there.
            let from = since - 60_000;
            let first = files.partition_point(|(began, _)| *began <= from).saturating_sub(1);
            // A file is an hour at most, and each process has its own.
            let first = files[..first].partition_point(|(began, _)| *began + HOUR_MS < from).min(first);
            files.drain(..first);
        }
        Ok(Self { files: files.into_iter(), open: None, torn: 0 })
    }

    /// Comes to the next whole chunk; `false` at the end of everything.
    fn next_chunk(&mut self) -> io::Result<bool> {
        loop {
            let Some(open) = &mut self.open else {
                let Some((_, path)) = self.files.next() else { return Ok(false) };
                let file = File::open(path)?;
                let left_in_file = file.metadata()?.len();
                let mut head = io::Cursor::new([0; HEAD]);
                head.set_position(HEAD as u64);
                self.open = Some(Open { file: BufReader::new(file), left_in_file, left_in_chunk: 0, head });
                continue;
            };
            if open.left_in_file == 0 {
                self.open = None;
                continue;
            }
            let mut head = [0; HEAD];
            if open.left_in_file >= HEAD as u64 {
                open.file.read_exact(&mut head)?;
                let [a, b, c, d, ..] = head;
                let length = u64::from(u32::from_le_bytes([a, b, c, d]));
                if open.left_in_file - HEAD as u64 >= length {
                    open.left_in_file -= HEAD as u64 + length;
                    (open.left_in_chunk, open.head) = (length, io::Cursor::new(head));
                    return Ok(true);
                }
            }
            self.torn += 1;
            self.open = None;
        }
    }
}

impl Read for Whole {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(open) = &mut self.open {
                let head = open.head.read(into)?;
                if head > 0 {
                    return Ok(head);
                }
                if open.left_in_chunk > 0 {
                    let read = (&mut open.file).take(open.left_in_chunk).read(into)?;
                    open.left_in_chunk -= read as u64;
                    return Ok(read);
                }
            }
            if !self.next_chunk()? {
                return Ok(0);
            }
        }
    }
}

/// The journal in a folder, as the console checks it: one reader at a time, for a day of it may be large.
pub struct JournalProof {
    folder: PathBuf,
    turn: Mutex<()>,
}

impl JournalProof {
    /// Of what lies in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, turn: Mutex::default() }
    }
}

impl Proof for JournalProof {
    fn prove(&self, account: &AccountId) -> Result<Proven, String> {
        let _turn = self.turn.lock();
        let named = |error: &dyn std::fmt::Display| format!("the admission journal cannot be read: {error}");
        let mut journal = Whole::open(&self.folder, None).map_err(|error| named(&error))?;
        let report = verify::run(&mut journal, None).map_err(|error| named(&error))?;
        let mine: Vec<_> = report.rows.iter().filter(|it| it.account == account.as_str()).collect();
        let fullest = mine
            .iter()
            .filter(|it| it.limit > 0 && it.bigger == 0)
            .max_by_key(|it| u128::from(it.highest) * 1_000_000 / u128::from(it.limit));
        Ok(Proven {
            admissions: report.by_account.get(account.as_str()).copied().unwrap_or(0),
            over: mine.iter().map(|it| it.over()).sum(),
            cut_off: report.cut_off.get(account.as_str()).copied().unwrap_or(0),
            torn: journal.torn,
            fullest: fullest.map(|it| {
                let scope = if it.workspace.is_some() { "a workspace" } else { "the account" };
                let (highest, limit, seconds) = (it.highest, it.limit, it.window.seconds());
                format!("{highest} of {limit} {} in {seconds} s of {scope} for {}", it.cause, it.model)
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(body: &[u8]) -> Vec<u8> {
        let mut chunk = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        chunk.extend_from_slice(&[7; 4]);
        chunk.extend_from_slice(body);
        chunk
    }

    #[test]
    fn half_a_chunk_at_the_end_of_a_file_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b, c) = (chunk(b"first"), chunk(b"torn apart"), chunk(&[9; 40_000]));
        for cut in 1..b.len() {
            fs::write(folder.path().join("000000000000001.journal"), [&a[..], &b[..cut]].concat()).unwrap();
            fs::write(folder.path().join("000000000000002.journal"), &c).unwrap();
            fs::write(folder.path().join("notes.txt"), "not a journal").unwrap();
            let mut whole = Whole::open(folder.path(), None).unwrap();
            let mut read = Vec::new();
            whole.read_to_end(&mut read).unwrap();
            assert!(read == [&a[..], &c[..]].concat(), "cut at {cut}");
            assert_eq!(whole.torn, 1);
        }
    }

    /// A disk with room for so many bytes, a few at a time.
    struct Full {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = bytes.len().min(7).min(self.room);
            if most == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= most;
            self.taken.extend_from_slice(&bytes[..most]);
            Ok(most)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_took_is_not_written_again() {
        let chunks = [chunk(b"first"), chunk(b"second")].concat();
        for room in 0..chunks.len() {
            let mut disk = Full { taken: Vec::new(), room };
            let mut waiting = chunks.clone();
            pass_on(&mut waiting, &mut disk).expect_err("it is full");
            disk.room = usize::MAX;
            pass_on(&mut waiting, &mut disk).expect("there is room");
            assert!(waiting.is_empty() && disk.taken == chunks, "after {room} bytes");
        }
    }

    #[test]
    fn files_that_ended_long_before_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        for began in [0, 10 * HOUR_MS, 11 * HOUR_MS, 11 * HOUR_MS + 5] {
            fs::write(folder.path().join(format!("{began:015}.journal")), chunk(&began.to_le_bytes())).unwrap();
        }
        let read = |since| {
            let mut read = Vec::new();
            Whole::open(folder.path(), Some(since)).unwrap().read_to_end(&mut read).unwrap();
            read.len() / chunk(&[0; 8]).len()
        };
        assert_eq!([read(0), read(11 * HOUR_MS + 61_000), read(13 * HOUR_MS)], [4, 2, 1]);
    }
}
