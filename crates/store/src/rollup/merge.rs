//! Rows of one hour or day as one: each opening of a database writes rows of its own, and without this every start would
//! leave one for ever in each day of each series.

use std::collections::BTreeMap;

use super::{
    Lane, Level,
    parts::{Cell, Entry, Lanes, unpack},
};
use crate::{Result, Store};

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
    TAKE_SERIES = "delete from call_series
        where series_id = $1 and level_ms = $2 and at_ms = $3
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

impl Store {
    /// Makes one row of the rows that several openings wrote of an hour or day, when it is over. Sums stay what they are.
    ///
    /// # Errors
    /// When the database cannot; what was merged until then stays merged.
    pub async fn merge_writers(&self, now_ms: i64) -> Result<()> {
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
            for series in every {
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

    async fn merge_series(&self, series: i64, level: Level, (from_ms, until_ms): (i64, i64)) -> Result<()> {
        let mut conn = self.read().await?;
        let crowded = all!(conn, (i64,), CROWDED_SERIES, series, level.ms(), from_ms, until_ms)?;
        drop(conn);
        for some in crowded.chunks(AT_ONCE) {
            let mut tx = self.begin().await?;
            tx.lock_installation().await?;
            let mut merged = Vec::with_capacity(some.len());
            for &(at_ms,) in some {
                let mut total: Option<Cell> = None;
                for (at_ms, body) in all!(tx, (i64, Vec<u8>), TAKE_SERIES, series, level.ms(), at_ms)? {
                    let cell = Cell::unpack(at_ms, &body)?;
                    match &mut total {
                        Some(total) => total.add(&cell),
                        none => *none = Some(cell),
                    }
                }
                merged.extend(total.map(|it| (series, at_ms, it.pack(at_ms))));
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
