//! Rows that are over, put together. Each opening of a database writes rows of its own, and without this every start would
//! leave one for ever in each day of each series; and the minutes of an hour and the hours of a day of a series become one
//! strip, which is read at the price of a row.

use std::collections::BTreeMap;

use super::{
    Lane, Level,
    parts::{Cell, Entry, Lanes, unpack},
    strip,
};
use crate::{Result, Store, Tx};

statements! {
    MERGED_UNTIL = "select until_ms from rollup_merged where level_ms = $1";
    NOTE_MERGED = "insert into rollup_merged (level_ms, until_ms)
        values ($1, $2)
        on conflict (level_ms) do update set until_ms = excluded.until_ms where rollup_merged.until_ms < excluded.until_ms";
    CROWDED_SERIES = "select at_ms
        from call_series
        where series_id = $1 and level_ms = $2 and at_ms >= $3 and at_ms < $4
        group by at_ms
        having count(*) > 1
        order by at_ms";
    CROWDED_SUMS = "select at_ms
        from call_sum
        where account_id = $1 and lane = $2 and level_ms = $3 and at_ms >= $4 and at_ms < $5
        group by at_ms
        having count(*) > 1
        order by at_ms";
    STRIPS_UNTIL = "select until_ms from strip_made where level_ms = $1";
    NOTE_STRIPS = "insert into strip_made (level_ms, until_ms)
        values ($1, $2)
        on conflict (level_ms) do update set until_ms = excluded.until_ms where strip_made.until_ms < excluded.until_ms";
    STRIP = "select body from call_strip where series_id = $1 and level_ms = $2 and at_ms = $3";
    KEEP_STRIP = "insert into call_strip (series_id, level_ms, at_ms, body)
        values ($1, $2, $3, $4)
        on conflict (series_id, level_ms, at_ms) do update set body = excluded.body";
    FIRST_ROW = "select at_ms
        from call_series
        where series_id = $1 and level_ms = $2 and at_ms >= $3
        order by at_ms
        limit 1";
    TAKE_SERIES = "delete from call_series
        where series_id = $1 and level_ms = $2 and at_ms >= $3 and at_ms < $4
        returning at_ms, body";
    TAKE_SUMS = "delete from call_sum
        where account_id = $1 and lane = $2 and level_ms = $3 and at_ms = $4
        returning at_ms, body";
}

/// The writer of rows that are nobody's own: no opening has this number.
pub(super) const NOBODY: i64 = 0;

/// So many lengths after its beginning nobody writes an hour or day from memory any more; two more than
/// [`super::parts::is_late`] has: one for clocks that differ, one for a writer that was held up after it looked at its own.
const SETTLED: i64 = 4;

/// Hours or days merged in one transaction.
const AT_ONCE: usize = 100;

/// Series whose strips are made in one transaction: some milliseconds, for which others wait to write.
const SERIES_AT_ONCE: usize = 16;

/// Strips made of one series before the next one's turn comes: what an earlier version left is worked off in rounds.
const STRIPS: i64 = 12;

/// What came of putting together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// Whether there is more to do, which a later call does.
    pub more: bool,
    /// Hours, days or series that cannot be read: they stay as they are.
    pub damaged: u64,
}

/// Something to be done for each of some numbers, several in one transaction.
enum Work<'a> {
    /// Strips of these series from the rows in a time.
    Strips(Level, (i64, i64)),
    /// One row of each of these days of a series.
    Days(i64),
    /// One row of each of these hours or days of all pairs.
    Sums(&'a Lanes, Level),
}

impl Work<'_> {
    /// How many at once.
    const fn at_once(&self) -> usize {
        match self {
            Self::Strips(..) => SERIES_AT_ONCE,
            Self::Days(_) | Self::Sums(..) => AT_ONCE,
        }
    }
}

impl Store {
    /// Puts together what is over: rows that several openings wrote of an hour or day become one, minutes and hours of a
    /// series become strips. Sums stay what they are.
    ///
    /// # Errors
    /// When the database cannot; what was put together until then stays so.
    pub async fn put_together(&self, now_ms: i64) -> Result<Together> {
        let mut together = Together::default();
        for level in strip::KEPT {
            self.make_strips(level, now_ms, &mut together).await?;
        }
        together.damaged += self.merge_writers(now_ms).await?;
        Ok(together)
    }

    /// Of days of a series, and of hours and days of all pairs. Answers how many cannot be read.
    async fn merge_writers(&self, now_ms: i64) -> Result<u64> {
        let mut damaged = 0;
        for level in [Level::Hour, Level::Day] {
            let until_ms = level.floor(now_ms) - (SETTLED - 1) * level.ms();
            let mut conn = self.read().await?;
            let from_ms = optional!(conn, (i64,), MERGED_UNTIL, level.ms())?.map_or(i64::MIN, |it| it.0);
            if from_ms >= until_ms {
                continue;
            }
            if level == Level::Day {
                for series in conn.every_series().await? {
                    let crowded = all!(conn, (i64,), CROWDED_SERIES, series, level.ms(), from_ms, until_ms)?;
                    damaged += self.work(&Work::Days(series), crowded).await?;
                }
            }
            for (account, lane) in conn.lanes().await? {
                let Some(lane) = Lane::parse(&lane) else { continue };
                let lane = lane.as_str();
                let crowded = all!(conn, (i64,), CROWDED_SUMS, &account, lane, level.ms(), from_ms, until_ms)?;
                damaged += self.work(&Work::Sums(&(account, lane), level), crowded).await?;
            }
            drop(conn);
            let mut tx = self.begin().await?;
            run!(tx, NOTE_MERGED, level.ms(), until_ms)?;
            tx.commit().await?;
        }
        Ok(damaged)
    }

    /// Makes strips of the rows of `level`, the earliest first.
    async fn make_strips(&self, level: Level, now_ms: i64, together: &mut Together) -> Result<()> {
        let unit = strip::unit(level);
        let until_ms = unit.floor(Level::Hour.floor(now_ms) - (SETTLED - 1) * Level::Hour.ms());
        let mut conn = self.read().await?;
        let known_ms = optional!(conn, (i64,), STRIPS_UNTIL, level.ms())?.map_or(i64::MIN, |it| it.0);
        if known_ms >= until_ms {
            return Ok(());
        }
        let every: Vec<(i64,)> = conn.every_series().await?.into_iter().map(|it| (it,)).collect();
        let mut first_ms = until_ms;
        for (series,) in &every {
            if let Some((at_ms,)) = optional!(conn, (i64,), FIRST_ROW, *series, level.ms(), known_ms)? {
                first_ms = first_ms.min(at_ms);
            }
        }
        drop(conn);
        // Times without rows are passed over, however long they are.
        let from_ms = unit.floor(first_ms);
        let to_ms = until_ms.min(from_ms.saturating_add(STRIPS * unit.ms()));
        together.damaged += self.work(&Work::Strips(level, (from_ms, to_ms)), every).await?;
        together.more |= to_ms < until_ms;
        let mut tx = self.begin().await?;
        run!(tx, NOTE_STRIPS, level.ms(), to_ms)?;
        tx.commit().await
    }

    /// Does the work for all numbers. What cannot be read keeps nothing else up; answers how many such there are.
    async fn work(&self, work: &Work<'_>, numbers: Vec<(i64,)>) -> Result<u64> {
        let mut damaged = 0;
        for some in numbers.chunks(work.at_once()) {
            match self.work_at_once(work, some).await {
                Err(error) if error.is_damaged_row() => {
                    for one in some.chunks(1) {
                        match self.work_at_once(work, one).await {
                            Err(error) if error.is_damaged_row() => damaged += 1,
                            done => done?,
                        }
                    }
                }
                done => done?,
            }
        }
        Ok(damaged)
    }

    async fn work_at_once(&self, work: &Work<'_>, numbers: &[(i64,)]) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.lock_installation().await?;
        for &(number,) in numbers {
            match work {
                Work::Strips(level, range) => tx.make_strips(number, *level, *range).await?,
                Work::Days(series) => tx.merge_day(*series, number).await?,
                Work::Sums(lanes, level) => tx.merge_sums(lanes, *level, number).await?,
            }
        }
        tx.commit().await
    }
}

impl Tx {
    /// Takes the rows of a series in a time away, those of all openings added up.
    async fn take_cells(
        &mut self,
        series: i64,
        level: Level,
        (from_ms, to_ms): (i64, i64),
    ) -> Result<BTreeMap<i64, Cell>> {
        let mut cells: BTreeMap<i64, Cell> = BTreeMap::new();
        for (at_ms, body) in all!(self, (i64, Vec<u8>), TAKE_SERIES, series, level.ms(), from_ms, to_ms)? {
            let cell = Cell::unpack(at_ms, &body)?;
            cells.entry(at_ms).and_modify(|it| it.add(&cell)).or_insert(cell);
        }
        Ok(cells)
    }

    async fn merge_day(&mut self, series: i64, at_ms: i64) -> Result<()> {
        let cells = self.take_cells(series, Level::Day, (at_ms, at_ms + 1)).await?;
        let rows: Vec<_> = cells.into_iter().map(|(at_ms, it)| (series, at_ms, it.pack(at_ms))).collect();
        self.keep_series(Level::Day, NOBODY, &rows).await
    }

    async fn merge_sums(&mut self, lanes: &Lanes, level: Level, at_ms: i64) -> Result<()> {
        let (account, lane) = lanes;
        let mut entries: BTreeMap<i64, Entry> = BTreeMap::new();
        for (at_ms, body) in all!(self, (i64, Vec<u8>), TAKE_SUMS, account, *lane, level.ms(), at_ms)? {
            unpack(at_ms, &body, |number, first_at_ms, figures| {
                let entry = Entry { first_at_ms, figures: *figures };
                entries.entry(number).and_modify(|it| it.add(first_at_ms, figures)).or_insert(entry);
            })?;
        }
        if !entries.is_empty() {
            self.keep_sum(lanes, level, at_ms, NOBODY, &entries).await?;
        }
        Ok(())
    }

    /// Puts the rows of a series in `[from_ms, to_ms)`, which begins and ends with a strip, into strips.
    async fn make_strips(&mut self, series: i64, level: Level, (from_ms, to_ms): (i64, i64)) -> Result<()> {
        let unit = strip::unit(level);
        let mut strips: BTreeMap<i64, BTreeMap<i64, Cell>> = BTreeMap::new();
        for (at_ms, cell) in self.take_cells(series, level, (from_ms, to_ms)).await? {
            strips.entry(unit.floor(at_ms)).or_default().insert(at_ms, cell);
        }
        for (at_ms, mut cells) in strips {
            // There is one already if a process ended before it noted how far it came, or if two did this.
            if let Some((body,)) = optional!(self, (Vec<u8>,), STRIP, series, level.ms(), at_ms)? {
                strip::unpack(
                    level,
                    at_ms,
                    &body,
                    |_| true,
                    |at_ms, body| {
                        let cell = Cell::unpack(at_ms, body)?;
                        cells.entry(at_ms).and_modify(|it| it.add(&cell)).or_insert(cell);
                        Ok(())
                    },
                )?;
            }
            run!(self, KEEP_STRIP, series, level.ms(), at_ms, strip::pack(level, at_ms, &cells))?;
        }
        Ok(())
    }
}
