//! Proves from the admission journal that no window went over its limit, or says which did. Shares no code with the
//! log that decided: it counts the journal's admissions anew.
//!
//! What is checked at every admission, in every scope, against the limits that decided it: requests of the sliding
//! minute and second, charges of the sliding minute (actual once settled, else reserved), and prompts of the sliding
//! second, where a prompt bigger than a second may join one that is not full. Charges that were restored at a start are
//! not in the journal: the admissions they stand for are. The journal is never behind what a restart knows of, so each of
//! these is known at least as exactly as it was to the limiter; only of calls that an unclean stop cut off within its last
//! tenth of a second nobody knows what they used, and none of that is called an excess ([`Report::cut_off`]).

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    io::{self, Read},
};

use domain::{Cause, Scope, Window, ceil60};

use crate::{
    Reserved, WorkspaceSlot,
    in_force::NONE,
    journal::{Record, VERSION, checksum, take, take_text, unzigzag},
    log::{MINUTE, SECOND},
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
    /// Whether no window went over its limit.
    pub fn holds(&self) -> bool {
        self.rows.iter().all(|it| it.exceeded == 0)
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
    let mut run = Some((offset, first_sequence));
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
                let entry = Entry { at: now, scope: scope(slot)?, requests: 1, tokens, second: prompt, seen: Some(0) };
                cell.admit(entry, since_us.is_none_or(|since| now >= since));
            }
            Record::Owed { slot, tokens } => {
                cell.join(Entry { at: now, scope: scope(slot)?, requests: 0, tokens, second: 0, seen: None });
            }
            Record::Raised { sequence, tokens } => cell.recharge(now, sequence, tokens, false),
            Record::Settled { sequence, tokens } => cell.recharge(now, sequence, tokens, true),
            Record::Resumed { blackout } => {
                let blackout = i64::try_from(blackout.0).ok()?.checked_add(offset)?;
                cell.cut_off(blackout - SECOND.cast_signed());
            }
        }
    }
    Some(())
}

/// An index into a cell's scopes.
type ScopeIndex = usize;
const ACCOUNT: ScopeIndex = 0;

#[derive(Clone, Copy)]
struct Entry {
    at: i64,
    scope: ScopeIndex,
    requests: u64,
    tokens: Reserved,
    second: u64,
    /// While a call runs, the tokens it is known to have used; `None`: all of its charge is.
    seen: Option<u64>,
}

/// One (account, model) as the journal tells it.
struct Cell {
    /// A minute of charges in order of time.
    entries: VecDeque<Entry>,
    /// So many of the first entries have left the second.
    outside_second: usize,
    /// Tells runs of the process apart: each has a clock of its own.
    offset: Option<i64>,
    /// The numbers that may be corrected: those of this run that follow each other without a gap.
    sequences: std::ops::Range<u64>,
    /// The account first.
    scopes: Vec<Judged>,
    admissions: u64,
    cut_off: u64,
}

/// One scope: what it is charged, what it may be, and the highest it was.
#[derive(Default)]
struct Judged {
    /// The workspace's id; `None` for the account.
    workspace: Option<String>,
    limits: (u64, u64),
    minute: Held,
    second: Held,
    highest: BTreeMap<(Cause, Window), Highest>,
}

#[derive(Clone, Copy, Default)]
struct Held {
    requests: u64,
    tokens: u128,
}

struct Highest {
    used: u64,
    limit: u64,
    at: i64,
    exceeded: u64,
}

impl Default for Cell {
    fn default() -> Self {
        let account = Judged { limits: (NONE, NONE), ..Judged::default() };
        let (entries, scopes) = (VecDeque::new(), vec![account]);
        Self { entries, outside_second: 0, offset: None, sequences: 0..0, scopes, admissions: 0, cut_off: 0 }
    }
}

impl Cell {
    fn scope(&mut self, workspace: String) -> ScopeIndex {
        let workspace = Some(workspace);
        self.scopes.iter().position(|it| it.workspace == workspace).unwrap_or_else(|| {
            self.scopes.push(Judged { workspace, limits: (NONE, NONE), ..Judged::default() });
            self.scopes.len() - 1
        })
    }

    /// Goes on to `now`; `run` is given with the first record of a chunk: its offset and first sequence number.
    fn reach(&mut self, now: i64, run: Option<(i64, u64)>) {
        if let Some((offset, first)) = run {
            if self.entries.back().is_some_and(|it| it.at > now) {
                // The wall clock went back between two runs: their windows cannot be compared.
                self.entries.clear();
                self.outside_second = 0;
                self.scopes.iter_mut().for_each(|it| (it.minute, it.second) = Default::default());
            }
            if self.offset != Some(offset) || self.sequences.end != first {
                (self.offset, self.sequences) = (Some(offset), first..first);
            }
        }
        while let Some(&entry) = self.entries.get(self.outside_second)
            && now - entry.at >= SECOND.cast_signed()
        {
            self.outside_second += 1;
            self.each(entry.scope, |it, _| it.second.leave(entry.requests, entry.second));
        }
        while let Some(&entry) = self.entries.front()
            && now - entry.at >= MINUTE.cast_signed()
        {
            self.entries.pop_front();
            self.outside_second -= 1;
            self.each(entry.scope, |it, of| it.minute.leave(entry.requests, of(entry.tokens)));
        }
    }

    /// An unclean stop cut off what was running, and the run that follows knows of no charge after `last_flush`; or records
    /// were lost, and any running call may have ended in them. What a call admitted later used is known only as far as it
    /// was seen: its reservation would be an excess that may not have been.
    fn cut_off(&mut self, last_flush: i64) {
        for index in 0..self.entries.len() {
            let Entry { at, seen, scope, tokens: reserved, .. } = self.entries[index];
            let Some(seen) = seen.filter(|_| at > last_flush) else { continue };
            self.cut_off += 1;
            let known = Reserved { account: reserved.account.min(seen), workspace: reserved.workspace.min(seen) };
            (self.entries[index].tokens, self.entries[index].seen) = (known, None);
            self.each(scope, |it, of| {
                it.minute.leave(0, of(reserved));
                it.minute.join(0, of(known));
            });
        }
    }

    /// Does something to the account and to a workspace, with which of a charge's two numbers is theirs.
    fn each(&mut self, scope: ScopeIndex, act: impl Fn(&mut Judged, fn(Reserved) -> u64)) {
        act(&mut self.scopes[ACCOUNT], |it| it.account);
        act(&mut self.scopes[scope], |it| it.workspace);
    }

    fn join(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        self.sequences.end += 1;
        self.each(entry.scope, |it, of| {
            it.minute.join(entry.requests, of(entry.tokens));
            it.second.join(entry.requests, entry.second);
        });
    }

    fn recharge(&mut self, now: i64, sequence: u64, tokens: Reserved, settled: bool) {
        let back = self.sequences.end.saturating_sub(sequence);
        let index = usize::try_from(back).ok().and_then(|back| self.entries.len().checked_sub(back));
        let known = self.sequences.contains(&sequence);
        let Some(entry) = index.filter(|_| known).and_then(|it| self.entries.get_mut(it)) else { return };
        let old = std::mem::replace(&mut entry.tokens, tokens);
        // A charge is raised to exactly what was seen, in the scopes where that is more than was reserved.
        let raised =
            [(tokens.account, old.account), (tokens.workspace, old.workspace)].into_iter().filter(|it| it.0 > it.1);
        entry.seen = entry.seen.filter(|_| !settled).map(|seen| raised.map(|it| it.0).max().unwrap_or(seen));
        let second = settled && entry.requests > 0 && now - entry.at < SECOND.cast_signed();
        let old_second = entry.second;
        if second {
            entry.second = tokens.account;
        }
        let (scope, new_second) = (entry.scope, entry.second);
        self.each(scope, |it, of| {
            it.minute.leave(0, of(old));
            it.minute.join(0, of(tokens));
            if second {
                it.second.leave(0, old_second);
                it.second.join(0, new_second);
            }
        });
    }

    fn admit(&mut self, entry: Entry, judged: bool) {
        let before = [ACCOUNT, entry.scope].map(|it| self.scopes[it].second.tokens);
        self.join(entry);
        if judged {
            self.admissions += 1;
            for (scope, before) in [ACCOUNT, entry.scope].into_iter().zip(before) {
                self.scopes[scope].judge(entry.at, entry.second, before);
            }
        }
    }
}

impl Judged {
    /// Judges an admission of `prompt` tokens that joined a second of `before` tokens.
    fn judge(&mut self, at: i64, prompt: u64, before: u128) {
        let (rpm, tpm) = self.limits;
        let (minute, second) = (self.minute, self.second);
        if rpm != NONE {
            self.rise((Cause::Requests, Window::Minute), minute.requests.into(), rpm, minute.requests > rpm, at);
            let rps = ceil60(rpm);
            self.rise((Cause::Requests, Window::Second), second.requests.into(), rps, second.requests > rps, at);
        }
        if tpm != NONE {
            self.rise((Cause::Tokens, Window::Minute), minute.tokens, tpm, minute.tokens > tpm.into(), at);
            let tps = ceil60(tpm);
            // A prompt bigger than a second may join one that is not full: what counts then is what it joined.
            let (used, most) = if prompt > tps { (before, tps - 1) } else { (second.tokens, tps) };
            self.rise((Cause::Tokens, Window::Second), used, tps, used > most.into(), at);
        }
    }

    fn rise(&mut self, what: (Cause, Window), used: u128, limit: u64, over: bool, at: i64) {
        let used = u64::try_from(used).unwrap_or(u64::MAX);
        let highest = self.highest.entry(what).or_insert(Highest { used, limit, at, exceeded: 0 });
        let share = |used: u64, of: u64| u128::from(used) * u128::from(of);
        if share(used, highest.limit) > share(highest.used, limit) {
            (highest.used, highest.limit, highest.at) = (used, limit, at);
        }
        highest.exceeded += u64::from(over);
    }
}

impl Held {
    fn join(&mut self, requests: u64, tokens: u64) {
        self.requests += requests;
        self.tokens += u128::from(tokens);
    }

    fn leave(&mut self, requests: u64, tokens: u64) {
        self.requests -= requests;
        self.tokens -= u128::from(tokens);
    }
}
