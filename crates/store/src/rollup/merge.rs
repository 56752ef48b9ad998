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
    FIRST_ROW = "select at_ms from call_series where series_id = $1 and level_ms = $2 order by at_ms limit 1";
    TAKE_SERIES = "delete from call_series
        where series_id = $1 and level_ms = $2 and at_ms >= $3 and at_ms < $4
        returning at_ms, body";
    TAKE_SUMS = "delete from call_sum
        where account_id = $1 and lane = $2 and level_ms = $3 and at_ms = $4
        returning at_ms, body";
}

/// The writer of rows that are nobody's own: no opening has this number.
pub(super) const NOBODY: i64 = 0;

/// So many lengths after its beginning nobody writes an hour or day from memory any more; one more than
/// [`super::parts::is_late`] has, for clocks that differ.
const SETTLED: i64 = 3;

/// Hours or days merged in one transaction.
const AT_ONCE: usize = 100;

/// Series whose strips are made in one transaction: some milliseconds, for which others wait to write.
const SERIES_AT_ONCE: usize = 16;

/// Strips made of one series before the next one's turn comes: what an earlier version left is worked off in rounds.
const STRIPS: i64 = 12;

impl Store {
    /// Puts together what is over: rows that several openings wrote of an hour or day become one, minutes and hours of a
    /// series become strips. Sums stay what they are. Answers whether there is more to do, which a later call does.
    ///
    /// # Errors
    /// When the database cannot; what was put together until then stays so.
    pub async fn put_together(&self, now_ms: i64) -> Result<bool> {
        let mut more = false;
        for level in strip::KEPT {
            more |= self.make_strips(level, now_ms).await?;
        }
        self.merge_writers(now_ms).await?;
        Ok(more)
    }

    /// Of days of a series, and of hours and days of all pairs.
    async fn merge_writers(&self, now_ms: i64) -> Result<()> {
        for level in [Level::Hour, Level::Day] {
            let until_ms = level.floor(now_ms) - (SETTLED - 1) * level.ms();
            let (from_ms, every, lanes) = {
                let mut conn = self.read().await?;
                let from_ms = optional!(conn, (i64,), MERGED_UNTIL, level.ms())?.map_or(i64::MIN, |it| it.0);
                if from_ms >= until_ms {
                    continue;
                }
                (from_ms, conn.every_series().await?, conn.lanes().await?)
            };
            for series in every.into_iter().filter(|_| level == Level::Day) {
                self.merge_series(series, level, (from_ms, until_ms)).await?;
            }
            for (account, lane) in lanes {
                let Some(lane) = Lane::parse(&lane) else { continue };
                self.merge_sums(&(account, lane.as_str()), level, (from_ms, until_ms)).await?;
            }
            let mut tx = self.begin().await?;
            run!(tx, NOTE_MERGED, level.ms(), until_ms)?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Makes strips of the rows of `level`, the earliest first; answers whether there are more.
    async fn make_strips(&self, level: Level, now_ms: i64) -> Result<bool> {
        let unit = strip::unit(level);
        let until_ms = unit.floor(Level::Hour.floor(now_ms) - (SETTLED - 1) * Level::Hour.ms());
        let (from_ms, every) = {
            let mut conn = self.read().await?;
            let every = conn.every_series().await?;
            let from_ms = match optional!(conn, (i64,), STRIPS_UNTIL, level.ms())? {
                Some((until_ms,)) => until_ms,
                None => {
                    let mut first_ms = until_ms;
                    for series in &every {
                        if let Some((at_ms,)) = optional!(conn, (i64,), FIRST_ROW, *series, level.ms())? {
                            first_ms = first_ms.min(at_ms);
                        }
                    }
                    unit.floor(first_ms)
                }
            };
            (from_ms, every)
        };
        let to_ms = until_ms.min(from_ms + STRIPS * unit.ms());
        if from_ms >= to_ms {
            return Ok(false);
        }
        for some in every.chunks(SERIES_AT_ONCE) {
            let mut tx = self.begin().await?;
            tx.lock_installation().await?;
            for &series in some {
                tx.make_strips(series, level, (from_ms, to_ms)).await?;
            }
            tx.commit().await?;
        }
        let mut tx = self.begin().await?;
        run!(tx, NOTE_STRIPS, level.ms(), to_ms)?;
        tx.commit().await?;
        Ok(to_ms < until_ms)
    }

    async fn merge_series(&self, series: i64, level: Level, (from_ms, until_ms): (i64, i64)) -> Result<()> {
        let mut conn = self.read().await?;
        let crowded = all!(conn, (i64,), CROWDED_SERIES, series, level.ms(), from_ms, until_ms)?;
        drop(conn);
        for some in crowded.chunks(AT_ONCE) {
            let mut tx = self.begin().await?;
            tx.lock_installation().await?;
            let mut merged = Vec::with_capacity(some.len());
            for &(at_ms,) in some {
                let cells = tx.take_cells(series, level, (at_ms, at_ms + 1)).await?;
                merged.extend(cells.into_iter().map(|(at_ms, it)| (series, at_ms, it.pack(at_ms))));
            }
            tx.keep_series(level, NOBODY, &merged).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn merge_sums(&self, lanes: &Lanes, level: Level, (from_ms, until_ms): (i64, i64)) -> Result<()> {
        let (account, lane) = lanes;
        let mut conn = self.read().await?;
        let crowded = all!(conn, (i64,), CROWDED_SUMS, account, *lane, level.ms(), from_ms, until_ms)?;
        drop(conn);
        for some in crowded.chunks(AT_ONCE) {
            let mut tx = self.begin().await?;
            tx.lock_installation().await?;
            for &(at_ms,) in some {
                let mut entries: BTreeMap<i64, Entry> = BTreeMap::new();
                for (at_ms, body) in all!(tx, (i64, Vec<u8>), TAKE_SUMS, account, *lane, level.ms(), at_ms)? {
                    unpack(at_ms, &body, |number, first_at_ms, figures| {
                        let entry = Entry { first_at_ms, figures: *figures };
                        entries.entry(number).and_modify(|it| it.add(first_at_ms, figures)).or_insert(entry);
                    })?;
                }
                if !entries.is_empty() {
                    tx.keep_sum(lanes, level, at_ms, NOBODY, &entries).await?;
                }
            }
            tx.commit().await?;
        }
        Ok(())
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
