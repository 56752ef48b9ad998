//! Packets on their way to the store: in memory while it answers, in files while it does not. Each has a number, so that
//! none is counted twice, and files of earlier runs are taken up by later ones.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use store::rollup::Packet;

/// Packets that wait in memory: a second of them.
const IN_MEMORY: usize = 10;

/// Packets handed to the store at once.
const AT_ONCE: usize = 100;

/// Length, number and time before each packet's body.
const HEAD: usize = 4 + 8 + 8;

/// Longer than any packet: what claims more is no packet.
const LONGEST: usize = 256 << 20;

/// What waits, the oldest first.
pub struct Outbox {
    writer: String,
    seq: i64,
    memory: VecDeque<Packet>,
    /// Files of earlier runs, then this run's own.
    files: VecDeque<Spooled>,
    folder: Option<PathBuf>,
    most_bytes: u64,
    taken: Taken,
}

/// What [`Outbox::next`] handed out.
#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    Memory(usize),
    /// Up to this place of the first file.
    File(u64),
}

struct Spooled {
    path: PathBuf,
    writer: String,
    file: File,
    /// Where the first packet begins that is not known to be durable.
    from: u64,
    to: u64,
}

impl Outbox {
    /// An empty one, and what earlier runs left in `folder`; `None` keeps everything in memory.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(writer: &str, folder: Option<&Path>, most_bytes: u64) -> io::Result<Self> {
        let mut files = VecDeque::new();
        if let Some(folder) = folder {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let mut left: Vec<PathBuf> = fs::read_dir(folder)?.filter_map(|it| Some(it.ok()?.path())).collect();
            left.retain(|it| it.extension().is_some_and(|it| it == "spool"));
            left.sort();
            for path in left {
                files.extend(Spooled::of_earlier_run(path)?);
            }
        }
        Ok(Self {
            writer: writer.to_owned(),
            seq: 0,
            memory: VecDeque::new(),
            files,
            folder: folder.map(Path::to_owned),
            most_bytes,
            taken: Taken::Nothing,
        })
    }

    /// Whether one more packet may be pushed.
    pub fn has_room(&self) -> bool {
        self.memory.len() < IN_MEMORY
    }

    /// Takes up a packet's body, numbered and stamped.
    pub fn push(&mut self, body: Vec<u8>, at_ms: i64) {
        self.seq += 1;
        self.memory.push_back(Packet { writer: self.writer.clone(), seq: self.seq, at_ms, body });
    }

    /// The oldest packets: those to hand to the store until [`Self::sent`] says that it has them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn next(&mut self) -> io::Result<Vec<Packet>> {
        self.taken = Taken::Nothing;
        while let Some(file) = self.files.front_mut() {
            let (packets, to) = file.read(AT_ONCE)?;
            if !packets.is_empty() {
                self.taken = Taken::File(to);
                return Ok(packets);
            }
            self.finished()?;
        }
        let count = self.memory.len().min(AT_ONCE);
        self.taken = Taken::Memory(count);
        Ok(self.memory.iter().take(count).cloned().collect())
    }

    /// What [`Self::next`] handed out is durable.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn sent(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.taken, Taken::Nothing) {
            Taken::Nothing => {}
            Taken::Memory(count) => drop(self.memory.drain(..count)),
            Taken::File(to) => {
                let Some(file) = self.files.front_mut() else { return Ok(()) };
                file.from = to;
                if file.from >= file.to {
                    self.finished()?;
                }
            }
        }
        Ok(())
    }

    fn finished(&mut self) -> io::Result<()> {
        self.files.pop_front().map_or(Ok(()), |it| fs::remove_file(&it.path))
    }

    /// Moves what waits in memory to this run's file, if there is a folder and room; whether nothing waits in memory then.
    ///
    /// # Errors
    /// When the file cannot be made or written; then the packets stay in memory.
    pub fn spill(&mut self, durably: bool) -> io::Result<bool> {
        if self.memory.is_empty() {
            return Ok(true);
        }
        let Some(folder) = &self.folder else { return Ok(false) };
        let used: u64 = self.files.iter().map(|it| it.to).sum();
        if used >= self.most_bytes {
            return Ok(false);
        }
        if self.files.back().is_none_or(|it| it.writer != self.writer) {
            self.files.push_back(Spooled::create(folder, &self.writer)?);
        }
        let Some(file) = self.files.back_mut() else { return Ok(false) };
        file.append(self.memory.make_contiguous())?;
        if durably {
            file.file.sync_data()?;
        }
        // What was handed out from memory is on its way, and known by its number if the file hands it out again.
        self.memory.clear();
        self.taken = match self.taken {
            Taken::Memory(_) => Taken::Nothing,
            other => other,
        };
        Ok(true)
    }

    /// Whether anything waits.
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.files.is_empty()
    }
}

impl Spooled {
    fn create(folder: &Path, writer: &str) -> io::Result<Self> {
        let path = folder.join(format!("{writer}.spool"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        file.try_lock()?;
        Ok(Self { path, writer: writer.to_owned(), file, from: 0, to: 0 })
    }

    /// `None` if the run that wrote it still runs.
    fn of_earlier_run(path: PathBuf) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let writer = path.file_stem().and_then(|it| it.to_str()).unwrap_or_default().to_owned();
        let to = file.metadata()?.len();
        Ok(Some(Self { path, writer, file, from: 0, to }))
    }

    fn append(&mut self, packets: &[Packet]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for packet in packets {
            let length = u32::try_from(packet.body.len()).map_err(io::Error::other)?;
            bytes.extend(length.to_le_bytes());
            bytes.extend(packet.seq.to_le_bytes());
            bytes.extend(packet.at_ms.to_le_bytes());
            bytes.extend(&packet.body);
        }
        // A write that failed halfway is written over by the next one.
        self.file.seek(SeekFrom::Start(self.to))?;
        self.file.write_all(&bytes)?;
        self.to += bytes.len() as u64;
        Ok(())
    }

    /// Some packets from the first one that is not durable, and where they end. What was cut off by a crash ends the
    /// file.
    fn read(&mut self, most: usize) -> io::Result<(Vec<Packet>, u64)> {
        self.file.seek(SeekFrom::Start(self.from))?;
        let mut from = io::BufReader::new((&self.file).take(self.to - self.from));
        let (mut packets, mut to) = (Vec::new(), self.from);
        while packets.len() < most {
            let mut head = [0; HEAD];
            if from.read_exact(&mut head).is_err() {
                break;
            }
            let (length, rest) = head.split_at(4);
            let (seq, at_ms) = rest.split_at(8);
            let number = |bytes: &[u8]| bytes.try_into().map_or(0, i64::from_le_bytes);
            let length = length.try_into().map_or(usize::MAX, |it| u32::from_le_bytes(it) as usize);
            if length > LONGEST {
                break;
            }
            let mut body = vec![0; length];
            if from.read_exact(&mut body).is_err() {
                break;
            }
            to += (HEAD + length) as u64;
            packets.push(Packet { writer: self.writer.clone(), seq: number(seq), at_ms: number(at_ms), body });
        }
        Ok((packets, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(packets: &[Packet]) -> Vec<i64> {
        packets.iter().map(|it| it.seq).collect()
    }

    #[test]
    fn packets_wait_in_order_in_memory_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open("one", Some(folder.path()), 1 << 20).unwrap();
        outbox.push(vec![1], 10);
        assert_eq!(numbers(&outbox.next().unwrap()), [1]);
        assert_eq!(numbers(&outbox.next().unwrap()), [1], "until it is sent");
        outbox.push(vec![2], 20);
        outbox.spill(false).unwrap();
        outbox.push(vec![3; 1000], 30);
        assert_eq!(outbox.next().unwrap().iter().map(|it| it.body[0]).collect::<Vec<_>>(), [1, 2]);
        outbox.sent().unwrap();
        assert_eq!(numbers(&outbox.next().unwrap()), [3], "the file is done, memory follows");
        outbox.sent().unwrap();
        assert!(outbox.is_empty() && outbox.next().unwrap().is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_packet_handed_out_and_spilled_comes_again_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open("one", Some(folder.path()), 1 << 20).unwrap();
        outbox.push(vec![1], 10);
        outbox.next().unwrap();
        outbox.spill(false).unwrap();
        outbox.sent().unwrap();
        assert_eq!(numbers(&outbox.next().unwrap()), [1]);
    }

    #[test]
    fn another_run_takes_up_what_was_left_and_what_was_cut_off_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Outbox::open("one", Some(folder.path()), 1 << 20).unwrap();
        for n in 0..3 {
            first.push(vec![n; 50], 10);
        }
        first.spill(true).unwrap();
        let beside = Outbox::open("beside", Some(folder.path()), 1 << 20).unwrap();
        assert!(beside.is_empty(), "the file is in use");
        drop((first, beside));
        let path = folder.path().join("one.spool");
        let whole = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(whole - 1).unwrap();

        let mut second = Outbox::open("two", Some(folder.path()), 1 << 20).unwrap();
        second.push(vec![9], 20);
        let left = second.next().unwrap();
        assert_eq!((numbers(&left), left[0].writer.as_str()), (vec![1, 2], "one"));
        second.sent().unwrap();
        let own = second.next().unwrap();
        assert_eq!((numbers(&own), own[0].writer.as_str()), (vec![1], "two"));
        second.sent().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_a_folder_packets_stay_in_memory() {
        let mut outbox = Outbox::open("one", None, 1 << 20).unwrap();
        assert!(outbox.spill(true).unwrap(), "there is nothing to move");
        outbox.push(vec![1], 10);
        assert!(!outbox.spill(true).unwrap());
        assert_eq!(numbers(&outbox.next().unwrap()), [1]);
    }

    #[test]
    fn a_full_spool_leaves_packets_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open("one", Some(folder.path()), 10).unwrap();
        outbox.push(vec![1; 20], 10);
        assert!(outbox.spill(false).unwrap());
        for n in 0..IN_MEMORY {
            assert!(outbox.has_room(), "{n}");
            outbox.push(vec![2], 20);
            assert!(!outbox.spill(true).unwrap(), "and that is told");
        }
        assert!(!outbox.has_room());
        outbox.next().unwrap();
        outbox.sent().unwrap();
        assert_eq!(outbox.next().unwrap().len(), IN_MEMORY);
    }
}
