//! Roll-ups as versions before packed rows kept them, a column for each figure: packed once, when such a database is
//! migrated.

use std::collections::BTreeMap;

use sqlx::Row;

use super::{
    BUCKETS, Figures, Histogram, Lane, Level,
    merge::NOBODY,
    parts::{Cell, Entry, Lanes},
};
use crate::{Result, Store, connect::Engine};

/// Rows of one page.
const ROWS: i64 = 2_000;

macro_rules! columns {
    ([] $($(#[$doc:meta])* $name:ident;)*) => { concat!($(", c.", stringify!($name)),*) };
}

/// A page of rows with what they are of, by time.
macro_rules! page_of {
    ($table:literal) => {
        concat!(
            "select s.account_id, s.lane, s.workspace_id, s.model_code, c.series_id, c.at_ms, c.first_at_ms",
            for_figures!(columns),
            for_buckets!(columns),
            " from ",
            $table,
            " c join series s on s.id = c.series_id
            where c.at_ms >= $1 and (c.at_ms > $1 or c.series_id > $2)
            order by c.at_ms, c.series_id
            limit $3"
        )
    };
}

statements! {
    ANY_OLD_DAY = "select at_ms from call_day limit 1";
    OLD_MINUTES = page_of!("call_minute");
    OLD_HOURS = page_of!("call_hour");
    OLD_DAYS = page_of!("call_day");
    FORGET_OLD_MINUTES = "delete from call_minute";
    FORGET_OLD_HOURS = "delete from call_hour";
    FORGET_OLD_DAYS = "delete from call_day";
}

struct OldRow {
    account: String,
    lane: String,
    pair: bool,
    series: i64,
    at_ms: i64,
    cell: Cell,
}

macro_rules! read {
    ($row:expr) => {{
        let row = $row;
        let (mut figures, mut latency, mut ttft) = (Figures::default(), Histogram::default(), Histogram::default());
        let slots = figures.slots().into_iter().chain(&mut latency.0).chain(&mut ttft.0);
        for (at, slot) in slots.enumerate() {
            *slot = row.try_get(7 + at)?;
        }
        debug_assert_eq!(row.len(), 7 + Figures::COUNT + 2 * BUCKETS);
        let (workspace, model, lane): (String, String, String) = (row.try_get(2)?, row.try_get(3)?, row.try_get(1)?);
        OldRow {
            account: row.try_get(0)?,
            pair: !workspace.is_empty() && (!model.is_empty() || lane == Lane::Stopped.as_str()),
            lane,
            series: row.try_get(4)?,
            at_ms: row.try_get(5)?,
            cell: Cell { first_at_ms: row.try_get(6)?, figures, latency, ttft },
        }
    }};
}

impl Store {
    /// Packs what earlier versions recorded; does nothing when that was done.
    pub(crate) async fn pack_old_rows(&self) -> Result<()> {
        // Once without a lock, since it is nearly always done; and again when nobody else can be about it.
        let any = {
            let mut conn = self.read().await?;
            optional!(conn, (i64,), ANY_OLD_DAY)?
        };
        if any.is_none() {
            return Ok(());
        }
        let mut tx = self.begin_unhurried().await?;
        tx.lock_installation().await?;
        if optional!(tx, (i64,), ANY_OLD_DAY)?.is_none() {
            return Ok(());
        }
        let tables = [
            (Level::Minute, OLD_MINUTES, FORGET_OLD_MINUTES),
            (Level::Hour, OLD_HOURS, FORGET_OLD_HOURS),
            (Level::Day, OLD_DAYS, FORGET_OLD_DAYS),
        ];
        for (level, page, forget) in tables {
            let mut after = (i64::MIN, i64::MIN);
            let mut sums: BTreeMap<(i64, Lanes), BTreeMap<i64, Entry>> = BTreeMap::new();
            loop {
                let rows: Vec<OldRow> = match tx.engine() {
                    Engine::Sqlite(it) => {
                        let query = sqlx::query(page).bind(after.0).bind(after.1).bind(ROWS);
                        query.fetch_all(it).await?.iter().map(|it| Ok(read!(it))).collect::<Result<_>>()?
                    }
                    Engine::Postgres(it) => {
                        let query = sqlx::query(page).bind(after.0).bind(after.1).bind(ROWS);
                        query.fetch_all(it).await?.iter().map(|it| Ok(read!(it))).collect::<Result<_>>()?
                    }
                };
                let last = rows.last().map(|it| (it.at_ms, it.series));
                let packed: Vec<_> = rows.iter().map(|it| (it.series, it.at_ms, it.cell.pack(it.at_ms))).collect();
                tx.keep_series(level, NOBODY, &packed).await?;
                for row in rows.into_iter().filter(|it| it.pair) {
                    let Some(lane) = Lane::parse(&row.lane) else { continue };
                    let entry = Entry { first_at_ms: row.cell.first_at_ms, figures: row.cell.figures };
                    sums.entry((row.at_ms, (row.account, lane.as_str()))).or_default().insert(row.series, entry);
                }
                // Of what lies before the last row's instant, nothing more comes.
                let complete = |at_ms: i64| last.is_none_or(|it| at_ms < it.0);
                for ((at_ms, lanes), entries) in sums.extract_if(.., |it, _| complete(it.0)) {
                    tx.keep_sum(&lanes, level, at_ms, NOBODY, &entries).await?;
                }
                let Some(last) = last else { break };
                after = last;
            }
            run!(tx, forget)?;
        }
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use domain::TimeRange;

    use super::*;
    use crate::rollup::SeriesKey;

    const DAY: i64 = 86_400_000;

    /// As a database of before is migrated: the figures of its rows are those that pages show.
    #[tokio::test]
    async fn rows_of_before_are_packed_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}/x.db", folder.path().display())).await.unwrap();
        store.migrate().await.unwrap();
        let pair = ("w", "m");
        let mut tx = store.begin().await.unwrap();
        for (number, (workspace, model)) in [pair, ("", "m"), ("w", ""), ("", "")].into_iter().enumerate() {
            let sql = "insert into series (id, account_id, lane, workspace_id, model_code) values ($1, 'a', 'limited', $2, $3)";
            run!(tx, sql, i64::try_from(number).unwrap() + 1, workspace, model).unwrap();
        }
        macro_rules! names {
            ([] $($(#[$doc:meta])* $name:ident;)*) => { concat!($(", ", stringify!($name)),*) };
        }
        let columns = concat!("series_id, at_ms, first_at_ms", for_figures!(names), for_buckets!(names));
        for (table, at_ms) in [("call_minute", DAY + 60_000), ("call_hour", DAY), ("call_day", DAY)] {
            for series in 1..=4 {
                let zeros = ", 0".repeat(Figures::COUNT + 2 * BUCKETS - 2);
                let values = format!("{series}, {at_ms}, {}, 5{zeros}, 3", DAY + 60_007);
                let sql = format!("insert into {table} ({columns}) values ({values})");
                let Engine::Sqlite(it) = tx.engine() else { panic!("it is SQLite") };
                sqlx::query(sqlx::AssertSqlSafe(sql)).execute(it).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        for _ in 0..2 {
            store.migrate().await.unwrap();
            let mut conn = store.read().await.unwrap();
            for range in [(DAY + 60_000, DAY + 120_000), (DAY, DAY + 3_600_000), (DAY, 2 * DAY)] {
                let range = TimeRange { from_ms: range.0, to_ms: range.1 };
                let sums = conn.sums("a", Lane::Limited, "", "", range, 3 * DAY).await.unwrap();
                let sums: Vec<_> =
                    sums.iter().map(|it| (&it.model_code[..], it.first_at_ms, it.figures.calls)).collect();
                assert_eq!(sums, [("m", DAY + 60_007, 5)]);
            }
            let all = |workspace: &str| SeriesKey {
                account: "a".to_owned(),
                lane: Lane::Limited,
                workspace: workspace.to_owned(),
                model: String::new(),
            };
            let day = TimeRange { from_ms: DAY, to_ms: 2 * DAY };
            for step_ms in [60_000, 3_600_000, DAY] {
                let points = conn.points(&all("w"), day, step_ms, 3 * DAY).await.unwrap();
                assert_eq!(points.iter().map(|it| it.figures.calls).collect::<Vec<_>>(), [5]);
                let (_, histograms) = conn.course(&all(""), day, step_ms, 3 * DAY).await.unwrap();
                assert_eq!(histograms.iter().map(|it| it.ttft.0[BUCKETS - 1]).collect::<Vec<_>>(), [3]);
            }
        }
    }
}
