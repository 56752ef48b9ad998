//! The admission journal: one compact record for each admission, correction and change of limits, with its exact
//! microsecond, written in the order in which the cell decided. Knows bytes; knows nothing of files.
//!
//! A cell gathers records until it is drained into a *chunk*, which can be read alone: it names its cell, the workspaces
//! in it and every limit it was decided by. All numbers are LEB128. An admission takes about 10 bytes and its settlement
//! about 11: a day of 100 calls a second is 180 MB.
//!
//! ```text
//! chunk   = length u32, checksum u32 (both little-endian; FNV-1a over what follows), body
//! body    = version 2, wall − monotonic µs (zigzag), account, model, first sequence number,
//!           count × (slot, workspace), records
//! record  = kind, µs since the record before (the first: since 0), and
//!           limits:   0 = account or slot + 1, rpm + 1 or 0, tpm + 1 or 0
//!           admitted: slot, prompt, tokens in the account, tokens in the workspace
//!           raised, settled: sequence number, tokens in the account, tokens in the workspace
//!           owed:     slot, tokens in the account, tokens in the workspace
//!           resumed:  stamp of the blackout, µs of the same clock (since version 2)
//! ```
//!
//! A chunk without an account, a model and all that follows them says that chunks of this run were lost here.
//! Admissions and debts are numbered one after the other from the chunk's first sequence number on.

use domain::WorkspaceId;

use crate::{
    CellKey, Micros, Reserved, WorkspaceSlot,
    in_force::{InForce, NONE},
    spares::Buffer,
};

pub(crate) const VERSION: u8 = 2;

/// The account, or a workspace.
type Of = Option<WorkspaceSlot>;

/// What happened to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The limits that decide from here on; [`NONE`] where there is none.
    Limits {
        of: Of,
        rpm: u64,
        tpm: u64,
    },
    Admitted {
        slot: WorkspaceSlot,
        prompt: u64,
        tokens: Reserved,
    },
    /// A charge that changed while its call runs.
    Raised {
        sequence: u64,
        tokens: Reserved,
    },
    /// A charge that is final: in its second too, if it is still in it.
    Settled {
        sequence: u64,
        tokens: Reserved,
    },
    Owed {
        slot: WorkspaceSlot,
        tokens: Reserved,
    },
    /// A start after an unclean stop. What was charged up to a second before the blackout's stamp is known to this run,
    /// what was charged later is not.
    Resumed {
        blackout: Micros,
    },
}

/// Bytes of records that every buffer has room for: a call with its limits and its settlement. A buffer that was shrunk to
/// less would have to grow again with the next call.
const RECORDS: usize = 64;
/// Scopes that every buffer has room for: the account and one workspace.
const SCOPES: usize = 2;

/// The records of one cell since it was drained.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    records: Vec<u8>,
    first_sequence: u64,
    last: u64,
    /// The limits stated in this chunk, and every workspace in it.
    stated: Vec<(Of, Option<(u64, u64)>)>,
}

impl Journal {
    /// States the limits of a scope unless they are those stated last.
    pub(crate) fn limits(&mut self, at: Micros, next_sequence: u64, of: Of, limits: &InForce) {
        let now = Some((limits.rpm, limits.tpm));
        match self.stated.iter_mut().find(|it| it.0 == of) {
            Some(stated) if stated.1 == now => return,
            Some(stated) => stated.1 = now,
            None => self.state(of, now),
        }
        self.write(at, next_sequence, Record::Limits { of, rpm: limits.rpm, tpm: limits.tpm });
    }

    /// Adds a record; `next_sequence` is the number that the next admission or debt will have, this one included.
    pub(crate) fn write(&mut self, at: Micros, next_sequence: u64, record: Record) {
        if self.records.is_empty() {
            (self.first_sequence, self.last) = (next_sequence, 0);
        }
        if let Record::Owed { slot, .. } = record
            && !self.stated.iter().any(|it| it.0 == Some(slot))
        {
            self.state(Some(slot), None);
        }
        let (kind, numbers) = record.parts();
        self.records.push(kind);
        put(&mut self.records, at.since(Micros(self.last)));
        numbers.into_iter().flatten().for_each(|it| put(&mut self.records, it));
        self.last = at.0;
    }

    fn state(&mut self, of: Of, limits: Option<(u64, u64)>) {
        if self.stated.len() == self.stated.capacity() {
            // Not four at once, as a vector would: most cells have the account and one workspace.
            self.stated.reserve_exact(2);
        }
        self.stated.push((of, limits));
    }

    /// Appends what was gathered to `into` as one chunk, if there is anything, and begins anew. The chunk is whole when it
    /// is closed, which needs no cell.
    pub(crate) fn drain(
        &mut self,
        into: &mut Vec<u8>,
        key: &CellKey,
        wall_offset_us: i64,
        workspace: impl Fn(WorkspaceSlot) -> Option<WorkspaceId>,
    ) -> Option<Opened> {
        if self.records.is_empty() {
            return None;
        }
        let opened = open(into, wall_offset_us, key.account.as_str(), key.model.as_str());
        put(into, self.first_sequence);
        let slots = || self.stated.iter().filter_map(|it| it.0);
        put(into, slots().count() as u64);
        for slot in slots() {
            put(into, slot.0.into());
            put_text(into, workspace(slot).as_ref().map_or("", |it| it.as_str()));
        }
        into.extend_from_slice(&self.records);
        // Room for twice as many stays; thousands of cells must not keep that of their busiest tenth of a second.
        let (records, stated) = (self.records.len().max(RECORDS), self.stated.len().max(SCOPES));
        self.records.clear();
        self.stated.clear();
        if self.records.capacity() > 2 * records {
            self.records.shrink_to(records);
        }
        if self.stated.capacity() > 2 * stated {
            self.stated.shrink_to(stated);
        }
        Some(opened)
    }
}

impl Buffer for Journal {
    fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn release(&mut self) {
        self.records.shrink_to(RECORDS);
        self.stated.shrink_to(SCOPES);
    }
}

/// A chunk at the end of a journal whose length and checksum are still to be written.
#[must_use]
pub(crate) struct Opened {
    frame: usize,
}

/// Begins a chunk.
fn open(into: &mut Vec<u8>, wall_offset_us: i64, account: &str, model: &str) -> Opened {
    let frame = into.len();
    into.extend_from_slice(&[0; 8]);
    into.push(VERSION);
    put(into, zigzag(wall_offset_us));
    put_text(into, account);
    put_text(into, model);
    Opened { frame }
}

impl Opened {
    /// Ends the chunk: its length and checksum are known now.
    pub(crate) fn close(self, into: &mut [u8]) {
        let Self { frame } = self;
        let body = &into[frame + 8..];
        let length = u32::try_from(body.len()).expect("a chunk is drained long before it has four gigabytes");
        let checksum = checksum(body);
        into[frame..frame + 4].copy_from_slice(&length.to_le_bytes());
        into[frame + 4..frame + 8].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Appends the chunk that stands for chunks that were lost.
pub(crate) fn gap(into: &mut Vec<u8>, wall_offset_us: i64) {
    open(into, wall_offset_us, "", "").close(into);
}

impl Record {
    fn parts(self) -> (u8, [Option<u64>; 4]) {
        let limit = |it: u64| Some(if it == NONE { 0 } else { it + 1 });
        match self {
            Self::Limits { of, rpm, tpm } => {
                let scope = of.map_or(0, |slot| u64::from(slot.0) + 1);
                (0, [Some(scope), limit(rpm), limit(tpm), None])
            }
            Self::Admitted { slot, prompt, tokens } => {
                (1, [Some(slot.0.into()), Some(prompt), Some(tokens.account), Some(tokens.workspace)])
            }
            Self::Raised { sequence, tokens } => {
                (2, [Some(sequence), Some(tokens.account), Some(tokens.workspace), None])
            }
            Self::Settled { sequence, tokens } => {
                (3, [Some(sequence), Some(tokens.account), Some(tokens.workspace), None])
            }
            Self::Owed { slot, tokens } => {
                (4, [Some(slot.0.into()), Some(tokens.account), Some(tokens.workspace), None])
            }
            Self::Resumed { blackout } => (5, [Some(blackout.0), None, None, None]),
        }
    }

    /// Reads the record after its kind and time; `None` if it is none.
    pub(crate) fn read(kind: u8, from: &mut &[u8]) -> Option<Self> {
        let limit = |it: u64| it.checked_sub(1).unwrap_or(NONE);
        let slot = |it: u64| u32::try_from(it).ok().map(WorkspaceSlot);
        let mut next = || take(from);
        Some(match kind {
            0 => {
                let of = match next()? {
                    0 => None,
                    it => Some(slot(it - 1)?),
                };
                Self::Limits { of, rpm: limit(next()?), tpm: limit(next()?) }
            }
            1 => Self::Admitted {
                slot: slot(next()?)?,
                prompt: next()?,
                tokens: Reserved { account: next()?, workspace: next()? },
            },
            2 => Self::Raised { sequence: next()?, tokens: Reserved { account: next()?, workspace: next()? } },
            3 => Self::Settled { sequence: next()?, tokens: Reserved { account: next()?, workspace: next()? } },
            4 => Self::Owed { slot: slot(next()?)?, tokens: Reserved { account: next()?, workspace: next()? } },
            5 => Self::Resumed { blackout: Micros(next()?) },
            _ => return None,
        })
    }
}

/// FNV-1a: enough to tell a torn or foreign chunk from a whole one.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, it| (sum ^ u32::from(*it)).wrapping_mul(0x0100_0193))
}

fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push((number & 0x7f) as u8);
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    put(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

/// Reads a number; `None` if the bytes end first or it has more than 64 bits.
pub(crate) fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Reads a text; `None` if the bytes end first or are not UTF-8.
pub(crate) fn take_text(from: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take(from)?).ok()?;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// The inverse of how an offset is written.
pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_size_come_back() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(take(&mut &bytes[..]), Some(number));
            assert_eq!(take(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(take(&mut &[0xff; 9][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), None, "65 bits");
        for number in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
    }

    #[test]
    fn records_of_every_kind_come_back() {
        let tokens = Reserved { account: 300, workspace: u64::MAX };
        let slot = WorkspaceSlot(70_000);
        for record in [
            Record::Limits { of: None, rpm: 0, tpm: NONE },
            Record::Limits { of: Some(slot), rpm: NONE, tpm: 1_000_000_000_000 },
            Record::Admitted { slot, prompt: 12, tokens },
            Record::Raised { sequence: 9, tokens },
            Record::Settled { sequence: u64::MAX, tokens },
            Record::Owed { slot, tokens },
            Record::Resumed { blackout: Micros(1_200) },
        ] {
            let mut journal = Journal::default();
            journal.write(Micros(200), 7, record);
            let mut bytes = &journal.records[1..];
            assert_eq!(take(&mut bytes), Some(200));
            assert_eq!(Record::read(journal.records[0], &mut bytes), Some(record));
            assert!(bytes.is_empty());
        }
        assert_eq!(Record::read(6, &mut &[0; 8][..]), None);
    }
}
