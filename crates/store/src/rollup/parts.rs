//! Rows of the roll-ups, and the latest of them in memory. Each opening of a database writes rows of its own and adds to
//! them here, so that a change is one value written and never one read, changed and written; readers add up all openings.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicI64, Ordering},
};

use super::{
    CallDelta, Figures, Histogram, Level,
    bytes::{Bytes, Reading},
};
use crate::{Conn, Result, StoreError, Tx, connect::Engine, text};

/// Rows of one statement.
const ROWS: [usize; 4] = [64, 16, 4, 1];

macro_rules! keep_series {
    ($rows:expr, $placeholder:ident) => {
        insert_rows!(
            "insert into call_series (series_id, level_ms, at_ms, writer, body) values ",
            5,
            $rows,
            " on conflict (series_id, level_ms, at_ms, writer) do update set body = excluded.body",
            $placeholder
        )
    };
}

/// For SQLite.
const BARE: [&str; 4] = [keep_series!(64, Bare), keep_series!(16, Bare), keep_series!(4, Bare), keep_series!(1, Bare)];

statements! {
    KEEP_64_SERIES = keep_series!(64, Numbered);
    KEEP_16_SERIES = keep_series!(16, Numbered);
    KEEP_4_SERIES = keep_series!(4, Numbered);
    KEEP_1_SERIES = keep_series!(1, Numbered);
    OWN_SERIES = "select at_ms, body
        from call_series
        where series_id = $1 and level_ms = $2 and at_ms = $3 and writer = $4";
    KEEP_SUM = "insert into call_sum (account_id, lane, level_ms, at_ms, writer, body)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (account_id, lane, level_ms, at_ms, writer) do update set body = excluded.body";
    OWN_SUM = "select at_ms, body
        from call_sum
        where account_id = $1 and lane = $2 and level_ms = $3 and at_ms = $4 and writer = $5";
}

/// What one series counted in one minute, hour or day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) first_at_ms: i64,
    pub(super) figures: Figures,
    pub(super) latency: Histogram,
    pub(super) ttft: Histogram,
}

impl Cell {
    pub(super) fn of(delta: &CallDelta) -> Self {
        let CallDelta { first_at_ms, figures, latency, ttft, .. } = *delta;
        Self { first_at_ms, figures, latency, ttft }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.first_at_ms = self.first_at_ms.min(other.first_at_ms);
        self.figures.add(&other.figures);
        self.latency.add(&other.latency);
        self.ttft.add(&other.ttft);
    }

    pub(super) fn pack(&self, at_ms: i64) -> Vec<u8> {
        let mut bytes = Bytes::default();
        bytes.number(self.first_at_ms - at_ms);
        bytes.sparse(self.figures.values().chain(self.latency.0).chain(self.ttft.0));
        bytes.0
    }

    pub(super) fn unpack(at_ms: i64, body: &[u8]) -> Result<Self> {
        let mut from = Reading(body);
        let read = |from: &mut Reading<'_>| {
            let first_at_ms = at_ms.checked_add(from.number()?)?;
            let (mut figures, mut latency, mut ttft) =
                ([0; Figures::COUNT], Histogram::default(), Histogram::default());
            from.sparse(|at, value| {
                let slot = match at.checked_sub(Figures::COUNT) {
                    None => figures.get_mut(at),
                    Some(at) if at < latency.0.len() => latency.0.get_mut(at),
                    Some(at) => ttft.0.get_mut(at - latency.0.len()),
                };
                if let Some(slot) = slot {
                    *slot = value;
                }
            })?;
            Some(Self { first_at_ms, figures: Figures::of(figures), latency, ttft })
        };
        read(&mut from).ok_or_else(damaged)
    }
}

/// What a pair of workspace and model counted: the part of a [`Cell`] that tables show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) first_at_ms: i64,
    pub(super) figures: Figures,
}

impl Entry {
    /// The part of a packed [`Cell`] that is one of these.
    pub(super) fn unpack(at_ms: i64, body: &[u8]) -> Result<Self> {
        let mut from = Reading(body);
        let mut figures = [0; Figures::COUNT];
        let first_at_ms = from.number().and_then(|it| at_ms.checked_add(it)).ok_or_else(damaged)?;
        from.sparse_before(Figures::COUNT, |at, value| figures[at] = value).ok_or_else(damaged)?;
        Ok(Self { first_at_ms, figures: Figures::of(figures) })
    }

    pub(super) fn add(&mut self, first_at_ms: i64, figures: &Figures) {
        self.first_at_ms = self.first_at_ms.min(first_at_ms);
        self.figures.add(figures);
    }
}

/// All pairs of one minute, hour or day in one value, by number of their series.
pub(super) fn pack(at_ms: i64, entries: &BTreeMap<i64, Entry>) -> Vec<u8> {
    let mut bytes = Bytes::default();
    let mut before = 0;
    for (&number, entry) in entries {
        bytes.number(number - before);
        bytes.number(entry.first_at_ms - at_ms);
        bytes.sparse(entry.figures.values());
        before = number;
    }
    bytes.0
}

/// What some pairs counted in all the packed values that were added.
#[derive(Debug)]
pub(super) struct Totals {
    /// The pairs' numbers, in order.
    numbers: Vec<i64>,
    /// When the first call of each came, and its figures in the order of the columns; the end of time if there was none.
    totals: Vec<(i64, [i64; Figures::COUNT])>,
}

impl Totals {
    /// Of the pairs of these numbers, which are in order.
    pub(super) fn of(numbers: Vec<i64>) -> Self {
        let totals = vec![(i64::MAX, [0; Figures::COUNT]); numbers.len()];
        Self { numbers, totals }
    }

    /// Adds what [`pack`] made of all pairs of one minute, hour or day.
    pub(super) fn add(&mut self, at_ms: i64, body: &[u8]) -> Result<()> {
        let mut from = Reading(body);
        let (mut number, mut place) = (0, 0);
        let mut read = |from: &mut Reading<'_>| {
            number = from.number().and_then(|it| i64::checked_add(number, it))?;
            let begun_ms = at_ms.checked_add(from.number()?)?;
            // Both are in order.
            while self.numbers.get(place).is_some_and(|it| *it < number) {
                place += 1;
            }
            if self.numbers.get(place) != Some(&number) {
                return from.sparse(|_, _| ());
            }
            let (first_at_ms, figures) = &mut self.totals[place];
            *first_at_ms = begun_ms.min(*first_at_ms);
            from.sparse(|at, value| {
                if let Some(figure) = figures.get_mut(at) {
                    *figure = figure.saturating_add(value);
                }
            })
        };
        while !from.is_empty() {
            read(&mut from).ok_or_else(damaged)?;
        }
        Ok(())
    }

    /// One for each number, in their order; `None` for a pair of which nothing was added.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Option<Entry>> {
        self.totals.into_iter().map(|(first_at_ms, figures)| {
            (first_at_ms < i64::MAX).then(|| Entry { first_at_ms, figures: Figures::of(figures) })
        })
    }
}

/// Hands each pair's number, first call and figures to `take`.
pub(super) fn unpack(at_ms: i64, body: &[u8], mut take: impl FnMut(i64, i64, &Figures)) -> Result<()> {
    let mut from = Reading(body);
    let mut number = 0;
    let mut read = |from: &mut Reading<'_>| {
        number = from.number().and_then(|it| i64::checked_add(number, it))?;
        let first_at_ms = at_ms.checked_add(from.number()?)?;
        let mut figures = [0; Figures::COUNT];
        from.sparse(|at, value| {
            if let Some(figure) = figures.get_mut(at) {
                *figure = value;
            }
        })?;
        take(number, first_at_ms, &Figures::of(figures));
        Some(())
    };
    while !from.is_empty() {
        read(&mut from).ok_or_else(damaged)?;
    }
    Ok(())
}

pub(super) fn damaged() -> StoreError {
    StoreError::Refused(sqlx::Error::Decode("a row of the roll-ups is damaged".into()))
}

/// Whether a minute, hour or day ended so long ago that its rows may have been put together (see `merge`), so that what
/// memory holds of them counts no more. Minutes are put together by the hour.
pub(super) fn is_late(level: Level, at_ms: i64, now_ms: i64) -> bool {
    let level = level.max(Level::Hour);
    level.floor(at_ms).saturating_add(2 * level.ms()) <= now_ms
}

/// Whose pairs lie together in a row.
pub(super) type Lanes = (String, &'static str);

/// What this opening writes now, as far as it is committed.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    cells: BTreeMap<(Level, i64, i64), Cell>,
    sums: BTreeMap<(Level, i64, Lanes), BTreeMap<i64, Entry>>,
}

/// The latest minute, hour and day that this opening ever wrote to, or tried to: later ones need not be looked for.
#[derive(Debug)]
pub(crate) struct Newest([AtomicI64; 3]);

impl Default for Newest {
    fn default() -> Self {
        Self([const { AtomicI64::new(i64::MIN) }; 3])
    }
}

impl Newest {
    fn of(&self, level: Level) -> &AtomicI64 {
        &self.0[level as usize]
    }
}

impl Parts {
    /// Adds `changes`, by number of the series and minute, and writes the rows they belong to. `pairs` are the series of
    /// one workspace and one model.
    pub(super) async fn add(
        &mut self,
        tx: &mut Tx,
        (writer, now_ms): (i64, i64),
        newest: &Newest,
        changes: &BTreeMap<(i64, i64), Cell>,
        pairs: &HashMap<i64, Lanes>,
    ) -> Result<()> {
        let first_ms = changes.keys().map(|it| it.1).min().unwrap_or(i64::MAX);
        if is_late(Level::Hour, Level::Hour.floor(first_ms), now_ms) {
            tx.lock_installation().await?;
        }
        for level in Level::ALL {
            let known_ms = newest.of(level).load(Ordering::Relaxed);
            let mut merged: BTreeMap<(i64, i64), Cell> = BTreeMap::new();
            for (&(series, minute_ms), cell) in changes {
                let key = (level.floor(minute_ms), series);
                merged.entry(key).and_modify(|it| it.add(cell)).or_insert(*cell);
            }
            let Some(&(last_ms, _)) = merged.keys().next_back() else { return Ok(()) };
            newest.of(level).fetch_max(last_ms, Ordering::Relaxed);
            let mut rows = Vec::with_capacity(merged.len());
            let mut touched: BTreeMap<(i64, Lanes), Vec<(i64, Entry)>> = BTreeMap::new();
            for ((at_ms, series), change) in merged {
                let key = (level, at_ms, series);
                let own = match self.cells.remove(&key) {
                    Some(own) if !is_late(level, at_ms, now_ms) => Some(own),
                    None if at_ms > known_ms => None,
                    _ => tx.own_cell(series, level, at_ms, writer).await?,
                };
                let mut total = change;
                if let Some(own) = &own {
                    total.add(own);
                }
                self.cells.insert(key, total);
                rows.push((series, at_ms, total.pack(at_ms)));
                if let Some(lanes) = pairs.get(&series) {
                    // Added to what the row of all pairs holds, not put in its place: rows of series and rows of all pairs
                    // are put together each at their own time.
                    let entry = Entry { first_at_ms: change.first_at_ms, figures: change.figures };
                    touched.entry((at_ms, lanes.clone())).or_default().push((series, entry));
                }
            }
            tx.keep_series(level, writer, &rows).await?;
            for ((at_ms, lanes), changes) in touched {
                let key = (level, at_ms, lanes);
                let mut entries = match self.sums.remove(&key) {
                    Some(entries) if !is_late(level, at_ms, now_ms) => entries,
                    None if at_ms > known_ms => BTreeMap::new(),
                    _ => tx.own_sum(&key.2, level, at_ms, writer).await?,
                };
                for (series, Entry { first_at_ms, figures }) in changes {
                    let add = |it: &mut Entry| it.add(first_at_ms, &figures);
                    entries.entry(series).and_modify(add).or_insert(Entry { first_at_ms, figures });
                }
                let (account, lane) = &key.2;
                run!(tx, KEEP_SUM, account, *lane, level.ms(), at_ms, writer, pack(at_ms, &entries))?;
                self.sums.insert(key, entries);
            }
        }
        Ok(())
    }

    /// Keeps in memory what the next calls will be added to: the last two of each length.
    pub(super) fn keep_latest(&mut self) {
        let newest = Level::ALL.map(|level| {
            let after = (level, i64::MAX, i64::MAX);
            self.cells.range(..=after).next_back().filter(|it| it.0.0 == level).map_or(i64::MIN, |it| it.0.1)
        });
        let late = |level: Level, at_ms: i64| at_ms.saturating_add(2 * level.ms()) > newest[level as usize];
        self.cells.retain(|&(level, at_ms, _), _| late(level, at_ms));
        self.sums.retain(|(level, at_ms, _), _| late(*level, *at_ms));
    }
}

impl Conn {
    pub(super) async fn own_cell(
        &mut self,
        series: i64,
        level: Level,
        at_ms: i64,
        writer: i64,
    ) -> Result<Option<Cell>> {
        let found = optional!(self, (i64, Vec<u8>), OWN_SERIES, series, level.ms(), at_ms, writer)?;
        found.map(|(at_ms, body)| Cell::unpack(at_ms, &body)).transpose()
    }

    pub(super) async fn own_sum(
        &mut self,
        (account, lane): &Lanes,
        level: Level,
        at_ms: i64,
        writer: i64,
    ) -> Result<BTreeMap<i64, Entry>> {
        let found = optional!(self, (i64, Vec<u8>), OWN_SUM, account, *lane, level.ms(), at_ms, writer)?;
        let mut entries = BTreeMap::new();
        if let Some((at_ms, body)) = found {
            unpack(at_ms, &body, |number, first_at_ms, figures| {
                entries.insert(number, Entry { first_at_ms, figures: *figures });
            })?;
        }
        Ok(entries)
    }
}

impl Tx {
    /// Writes rows of (series, instant, body).
    pub(super) async fn keep_series(&mut self, level: Level, writer: i64, rows: &[(i64, i64, Vec<u8>)]) -> Result<()> {
        let patience = self.patience();
        for (which, rows) in text::parts(&ROWS, rows) {
            macro_rules! write {
                ($sql:expr, $conn:expr) => {{
                    let mut query = sqlx::query($sql);
                    for (series, at_ms, body) in rows {
                        query = query.bind(*series).bind(level.ms()).bind(*at_ms).bind(writer).bind(body.as_slice());
                    }
                    crate::sql::within(patience, query.execute($conn)).await.map(drop)?
                }};
            }
            match self.engine() {
                Engine::Sqlite(it) => write!(BARE[which], it),
                Engine::Postgres(it) => {
                    write!([KEEP_64_SERIES, KEEP_16_SERIES, KEEP_4_SERIES, KEEP_1_SERIES][which], it);
                }
            }
        }
        Ok(())
    }

    /// Writes one row of sums.
    pub(super) async fn keep_sum(
        &mut self,
        (account, lane): &Lanes,
        level: Level,
        at_ms: i64,
        writer: i64,
        entries: &BTreeMap<i64, Entry>,
    ) -> Result<u64> {
        run!(self, KEEP_SUM, account, *lane, level.ms(), at_ms, writer, pack(at_ms, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packed_sums_come_back_as_they_were() {
        let entry = |first_at_ms, calls| Entry {
            first_at_ms,
            figures: Figures { calls, ttft_count: calls - 1, ..Figures::default() },
        };
        let entries = BTreeMap::from([(3, entry(60_007, 1)), (4, entry(60_000, 900)), (900, entry(119_999, 0))]);
        let packed = pack(60_000, &entries);
        let mut back = BTreeMap::new();
        unpack(60_000, &packed, |number, first_at_ms, figures| {
            back.insert(number, Entry { first_at_ms, figures: *figures });
        })
        .unwrap();
        assert_eq!(back, entries);
        assert!(packed.len() < 30, "{} bytes", packed.len());
        assert!(unpack(60_000, &packed[..packed.len() - 1], |_, _, _| {}).is_err());
    }

    proptest! {
        #[test]
        fn totals_are_the_sums_of_the_pairs_that_are_asked_for(
            values in prop::collection::vec(prop::collection::btree_map(0..9_i64, (0..60_000_i64, 0..100_i64), 0..9), 0..5),
            numbers in prop::collection::btree_set(-1..12_i64, 0..9),
        ) {
            let mut expected: BTreeMap<i64, Entry> = BTreeMap::new();
            let mut totals = Totals::of(numbers.iter().copied().collect());
            for (at_ms, pairs) in (0..).step_by(60_000).zip(values) {
                let entry = |(number, (after_ms, calls)): (i64, (i64, i64))| {
                    let figures = Figures { calls, ttft_count: -calls, ..Figures::default() };
                    (number, Entry { first_at_ms: at_ms + after_ms, figures })
                };
                let entries: BTreeMap<i64, Entry> = pairs.into_iter().map(entry).collect();
                totals.add(at_ms, &pack(at_ms, &entries)).unwrap();
                for (number, entry) in entries {
                    let total = expected.entry(number).or_insert(Entry { figures: Figures::default(), ..entry });
                    total.add(entry.first_at_ms, &entry.figures);
                }
            }
            let expected: Vec<_> = numbers.iter().map(|it| expected.get(it).copied()).collect();
            prop_assert_eq!(totals.into_entries().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_packed_cell_comes_back_as_it_was() {
        let (mut latency, mut ttft) = (Histogram::default(), Histogram::default());
        latency.count(0);
        ttft.count(u64::MAX / 2_000);
        let figures = Figures { calls: 7, ttft_count: 1, ..Figures::default() };
        let cell = Cell { first_at_ms: 60_500, figures, latency, ttft };
        assert_eq!(Cell::unpack(60_000, &cell.pack(60_000)).unwrap(), cell);
        let entry = Entry { first_at_ms: cell.first_at_ms, figures };
        assert_eq!(Entry::unpack(60_000, &cell.pack(60_000)).unwrap(), entry);
        assert!(Cell::unpack(60_000, &[]).is_err());
    }
}
