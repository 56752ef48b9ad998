//! Proves from the admission journal that no window went over its limit, or says which did. Shares no code with the
//! log that decided: it counts the journal's admissions anew.
//!
//! What is checked at every admission, in every scope, against the limits that decided it: requests of the sliding
//! minute and second, charges of the sliding minute (actual once settled, else reserved), and prompts of the sliding
//! second, where a prompt bigger than a second may join one that is not full. Charges that were restored at a start are
//! not in the journal: the admissions they stand for are. The journal is never behind what a restart knows of, so each of
//! these is known at least as exactly as it was to the limiter; only of calls that an unclean stop cut off within its last
//! tenth of a second nobody knows what they used, and none of that is called an excess ([`Report::cut_off`]). What is known
//! here and was not stored when the process was killed, the limiter did not know after its start: an excess that comes of
//! that is told apart ([`Row::lost`]).

mod windows;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::{self, Read},
};

use domain::{Cause, Scope, Window};

use self::windows::{ACCOUNT, Cell, Entry};
use crate::{
    Reserved, WorkspaceSlot,
    journal::{Record, VERSION, checksum, take, take_text, unzigzag},
    log::SECOND,
};

/// What a journal proves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One for each limit of each scope that decided an admission, in order of names.
    pub rows: Vec<Row>,
    /// Admissions that were checked.
    pub admissions: u64,
    /// Those of each account.
    pub by_account: BTreeMap<String, u64>,
    /// Calls of each account that an unclean stop cut off before their charge was kept, or whose end was lost. They count as requests, and of
    /// their tokens what had been seen until then: what they used in all is not known.
    pub cut_off: BTreeMap<String, u64>,
    /// Whether the journal ends inside a chunk, as it does after an unclean stop.
    pub torn: bool,
}

impl Report {
    /// Whether no window went over its limit, but by tokens that an unclean stop had lost.
    pub fn holds(&self) -> bool {
        self.rows.iter().all(|it| it.over() == 0)
    }

    /// What a reader of the rows must know, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let sum = |of: fn(&Row) -> u64| self.rows.iter().map(of).sum::<u64>();
        let bigger = sum(|it| it.bigger);
        let joined = (bigger > 0).then(|| {
            format!(
                "{bigger} prompts were bigger than what a second may hold; such a call may join a second that is not full, \
                 and its second then holds more than the limit without being over it"
            )
        });
        let lost = sum(|it| it.lost);
        let spanned = (lost > 0).then(|| {
            format!(
                "{lost} more led to a window that held more than its limit by tokens that an unclean stop had lost before their \
                 charge was stored: a second's worth is held back for such, and more than that may be reserved in a second"
            )
        });
        spanned.into_iter().chain(joined).collect()
    }
}

/// The highest use of one limit, as a share of the limit then in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The account.
    pub account: String,
    /// The model.
    pub model: String,
    /// Whose limit.
    pub scope: Scope,
    /// The workspace's id; `None` for the account.
    pub workspace: Option<String>,
    /// Of what.
    pub cause: Cause,
    /// Over which time.
    pub window: Window,
    /// The highest use that an admission led to.
    pub highest: u64,
    /// The limit in force then.
    pub limit: u64,
    /// When that was, in microseconds since 1970.
    pub at_us: i64,
    /// Admissions that led to more than was allowed.
    pub exceeded: u64,
    /// Those of them that would not have, but for tokens whose charge an unclean stop lost before it was stored. The limits
    /// hold back a second's worth for that, and what one second may reserve is bounded by the minute alone: so this may be,
    /// as long as the minute spans the stop, by what was lost beyond that second's worth. Told generously: all that was lost
    /// excuses, the second's worth that was held back for it included.
    pub lost: u64,
    /// Admissions of prompts bigger than what a second may hold, for tokens of the second. Each may join a second that is
    /// not full, so `highest` may lie above `limit` and nothing be exceeded.
    pub bigger: u64,
}

impl Row {
    /// Admissions that nothing but a broken limit explains.
    pub fn over(&self) -> u64 {
        self.exceeded - self.lost
    }
}

/// Why a journal could not be read.
#[derive(Debug)]
pub enum VerifyError {
    /// Reading failed.
    Io(io::Error),
    /// A chunk, counted from 1, is not what was written.
    Damaged {
        /// Which one.
        chunk: u64,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the journal cannot be read"),
            Self::Damaged { chunk } => write!(f, "chunk {chunk} of the journal is damaged"),
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Damaged { .. } => None,
        }
    }
}

/// Checks a journal; admissions before `since_us` (microseconds since 1970) count, but are not judged.
///
/// # Errors
/// When it cannot be read or a chunk is damaged. One that merely ends early is [`Report::torn`].
pub fn run(mut journal: impl Read, since_us: Option<i64>) -> Result<Report, VerifyError> {
    let mut cells: HashMap<(String, String), Cell> = HashMap::new();
    let mut report = Report::default();
    for chunk in 1.. {
        let mut frame = [0; 8];
        let read = read_up_to(&mut journal, &mut frame)?;
        if read < frame.len() {
            report.torn = read > 0;
            break;
        }
        let [l0, l1, l2, l3, c0, c1, c2, c3] = frame;
        let mut body = Vec::new();
        let length = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        (&mut journal).take(length).read_to_end(&mut body).map_err(VerifyError::Io)?;
        if (body.len() as u64) < length {
            report.torn = true;
            break;
        }
        let whole = checksum(&body) == u32::from_le_bytes([c0, c1, c2, c3]);
        whole.then(|| follow(&body, &mut cells, since_us)).flatten().ok_or(VerifyError::Damaged { chunk })?;
    }
    for ((account, model), cell) in cells {
        report.admissions += cell.admissions;
        *report.cut_off.entry(account.clone()).or_default() += cell.cut_off;
        *report.by_account.entry(account.clone()).or_default() += cell.admissions;
        for judged in cell.scopes {
            report.rows.extend(judged.highest.into_iter().map(|((cause, window), it)| Row {
                account: account.clone(),
                model: model.clone(),
                scope: if judged.workspace.is_some() { Scope::Workspace } else { Scope::Account },
                workspace: judged.workspace.clone(),
                cause,
                window,
                highest: it.used,
                limit: it.limit,
                at_us: it.at,
                exceeded: it.exceeded,
                lost: it.lost,
                bigger: it.bigger,
            }));
        }
    }
    report.rows.sort_by(|a, b| {
        let name = |it: &Row| (it.account.clone(), it.model.clone(), it.workspace.clone(), it.cause, it.window);
        name(a).cmp(&name(b))
    });
    Ok(report)
}

fn read_up_to(journal: &mut impl Read, buffer: &mut [u8]) -> Result<usize, VerifyError> {
    let mut read = 0;
    while read < buffer.len() {
        match journal.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(VerifyError::Io(error)),
        }
    }
    Ok(read)
}

/// `None`: damaged.
fn follow(mut body: &[u8], cells: &mut HashMap<(String, String), Cell>, since_us: Option<i64>) -> Option<()> {
    let (version, rest) = body.split_first()?;
    body = rest;
    if !(1..=VERSION).contains(version) {
        return None;
    }
    let from = &mut body;
    let offset = unzigzag(take(from)?);
    let (account, model) = (take_text(from)?, take_text(from)?);
    if account.is_empty() && from.is_empty() {
        let of_run = cells.values_mut().filter(|it| it.offset == Some(offset));
        of_run.for_each(|it| it.cut_off(i64::MIN));
        return Some(());
    }
    let first_sequence = take(from)?;
    let cell = cells.entry((account, model)).or_default();
    let mut scopes = HashMap::new();
    for _ in 0..take(from)? {
        scopes.insert(u32::try_from(take(from)?).ok()?, cell.scope(take_text(from)?));
    }
    let (mut run, lost) = (Some((offset, first_sequence)), Reserved::default());
    let mut at = 0u64;
    while let Some((kind, rest)) = from.split_first() {
        *from = rest;
        at = at.checked_add(take(from)?)?;
        let now = i64::try_from(at).ok()?.checked_add(offset)?;
        cell.reach(now, run.take());
        let scope = |slot: WorkspaceSlot| scopes.get(&slot.0).copied();
        match Record::read(*kind, from)? {
            Record::Limits { of, rpm, tpm } => {
                let scope = of.map_or(Some(ACCOUNT), scope)?;
                cell.scopes[scope].limits = (rpm, tpm);
            }
            Record::Admitted { slot, prompt, tokens } => {
                let entry =
                    Entry { at: now, scope: scope(slot)?, requests: 1, tokens, second: prompt, seen: Some(0), lost };
                cell.admit(entry, since_us.is_none_or(|since| now >= since));
            }
            Record::Owed { slot, tokens } => {
                cell.join(Entry { at: now, scope: scope(slot)?, requests: 0, tokens, second: 0, seen: None, lost });
            }
            Record::Raised { sequence, tokens } => cell.recharge(now, sequence, tokens, false),
            Record::Settled { sequence, tokens } => cell.recharge(now, sequence, tokens, true),
            Record::Resumed { blackout } => {
                let blackout = i64::try_from(blackout.0).ok()?.checked_add(offset)?;
                let last_flush = blackout - SECOND.cast_signed();
                cell.cut_off(last_flush);
                cell.lose(last_flush);
            }
        }
    }
    Some(())
}
