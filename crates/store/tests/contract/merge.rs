//! What several openings wrote of one hour or day becomes one row, and counts the same.

use domain::TimeRange;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use store::{
    Store,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Packet, Point, SeriesKey, Sum, Together},
};

use crate::engine::Engines;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Calls are of this day and the two after it.
const START: i64 = 20_000 * DAY;

pub(crate) async fn check(engines: &Engines) {
    let stores = engines.empty("merge").await;
    for (at, store) in stores.iter().enumerate() {
        // An opening for each start, and two that go on.
        let mut openings = Vec::new();
        for _ in 0..4 {
            let [sqlite, postgres] = engines.again("merge").await;
            openings.push(if at == 0 { sqlite } else { postgres });
        }
        let rows = async |level_ms: i64| count(engines, at, level_ms).await;
        finished_hours_and_days_become_one_row(store, &openings, &rows).await;
        late_calls_are_counted_once(store, &openings, &rows).await;
        let damage = async || damage(engines, at).await;
        what_is_damaged_keeps_nothing_else_up(store, &openings, &damage, &rows).await;
    }
}

/// Rows and strips of one series, and rows of all pairs, as the engine has them.
async fn count(engines: &Engines, engine: usize, level_ms: i64) -> [i64; 3] {
    let series = "select count(*) from call_series where level_ms = $1 and series_id = (select min(id) from series)";
    let strips = "select count(*) from call_strip where level_ms = $1 and series_id = (select min(id) from series)";
    let sums = "select count(*) from call_sum where level_ms = $1";
    macro_rules! both {
        ($conn:expr) => {{
            let mut conn = $conn;
            let mut counts = Vec::new();
            for sql in [series, strips, sums] {
                counts.push(sqlx::query_scalar::<_, i64>(sql).bind(level_ms).fetch_one(&mut conn).await.unwrap());
            }
            [counts[0], counts[1], counts[2]]
        }};
    }
    if engine == 0 {
        both!(SqliteConnection::connect(&engines.sqlite("merge")).await.unwrap())
    } else {
        both!(PgConnection::connect(&engines.postgres("merge")).await.unwrap())
    }
}

/// Makes the last minute of the first series unreadable.
async fn damage(engines: &Engines, engine: usize) {
    let sql = "update call_series set body = $1 where level_ms = 60000 and series_id = (select min(id) from series)
        and at_ms = (select max(at_ms) from call_series)";
    macro_rules! run {
        ($conn:expr) => {{
            let mut conn = $conn;
            let done = sqlx::query(sql).bind(&[0xff_u8][..]).execute(&mut conn).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
        }};
    }
    if engine == 0 {
        run!(SqliteConnection::connect(&engines.sqlite("merge")).await.unwrap());
    } else {
        run!(PgConnection::connect(&engines.postgres("merge")).await.unwrap());
    }
}

fn series(workspace: &str, model: &str) -> SeriesKey {
    SeriesKey { account: "g".to_owned(), lane: Lane::Limited, workspace: workspace.to_owned(), model: model.to_owned() }
}

/// Makes calls durable and adds them up, as a process does at `now_ms`.
async fn write(store: &Store, seq: i64, calls: &[i64], now_ms: i64) {
    let mut latency = Histogram::default();
    latency.count(42_000);
    let delta = |&at_ms: &i64| CallDelta {
        series: series("w", "m"),
        first_at_ms: at_ms,
        figures: Figures { calls: 1, tokens_total: at_ms % 1_000, ..Figures::default() },
        latency,
        ttft: Histogram::default(),
    };
    let body = Batch { deltas: calls.iter().map(delta).collect(), ..Batch::default() }.to_bytes();
    let packet = Packet { writer: store.writer().to_owned(), seq, at_ms: now_ms, body };
    store.append(&[packet], None).await.unwrap();
    store.fold(store.writer(), now_ms).await.unwrap();
}

async fn figures(store: &Store, now_ms: i64) -> (Vec<Sum>, Vec<Point>, Vec<i64>) {
    let whole = TimeRange { from_ms: START, to_ms: START + 3 * DAY };
    let mut conn = store.read().await.unwrap();
    let sums = conn.sums("g", Lane::Limited, "", "", whole, now_ms).await.unwrap();
    let points = conn.points(&series("", ""), whole, HOUR, now_ms).await.unwrap();
    let (_, histograms) = conn.course(&series("w", ""), whole, DAY, now_ms).await.unwrap();
    (sums, points, histograms.iter().map(|it| it.latency.total()).collect())
}

async fn finished_hours_and_days_become_one_row(
    store: &Store,
    openings: &[Store],
    rows: &impl AsyncFn(i64) -> [i64; 3],
) {
    for (n, opening) in (0_i64..).zip(openings) {
        write(opening, 1, &[START + n, START + HOUR + n, START + DAY + n, START + 2 * DAY + n], START + 2 * DAY).await;
    }
    let now = START + 2 * DAY + HOUR;
    assert_eq!((rows(HOUR).await, rows(DAY).await), ([16, 0, 16], [12, 0, 12]));
    let before = figures(store, now).await;
    assert_eq!(before.0.iter().map(|it| it.figures.calls).sum::<i64>(), 16);
    while store.put_together(now).await.unwrap().more {}
    // Hours and days that may still be written from memory stay as they are.
    // The first day's hours are one strip; of all pairs they are still hours, and one row each.
    assert_eq!((rows(HOUR).await, rows(DAY).await), ([8, 1, 3 + 4], [12, 0, 12]));
    assert_eq!(rows(MINUTE).await, [4, 3, 16], "minutes of an hour that is over are one strip");
    assert_eq!(figures(store, now).await, before);
    let now = START + 6 * DAY;
    while store.put_together(now).await.unwrap().more {}
    assert_eq!(store.put_together(now).await.unwrap(), Together::default());
    assert_eq!((rows(HOUR).await, rows(DAY).await), ([0, 3, 4], [3, 0, 3]));
    assert_eq!(rows(MINUTE).await, [0, 4, 16]);
    assert_eq!(figures(store, now).await, before);
}

/// A process that was idle remembers rows that are no longer its own, and calls of long ago may come from a spool.
async fn late_calls_are_counted_once(store: &Store, openings: &[Store], rows: &impl AsyncFn(i64) -> [i64; 3]) {
    let now = START + 6 * DAY;
    let before = figures(store, now).await.0[0].figures.calls;
    for opening in openings {
        write(opening, 2, &[START + 7, START + 2 * DAY + 7], now).await;
        write(opening, 3, &[START + 8], now).await;
    }
    let sums = figures(store, now).await;
    assert_eq!(sums.0[0].figures.calls, before + 12);
    assert_eq!(sums.1.iter().map(|it| it.figures.calls).sum::<i64>(), before + 12, "charts and tables tell the same");
    // The rest of each is forgotten with its strip: nothing of it is kept any more.
    store.forget(START + DAY + HOUR, START + 2 * DAY).await.unwrap();
    assert_eq!((rows(MINUTE).await[..2].to_vec(), rows(HOUR).await[1]), (vec![4, 1], 1));
}

async fn what_is_damaged_keeps_nothing_else_up(
    store: &Store,
    openings: &[Store],
    damage: &impl AsyncFn(),
    rows: &impl AsyncFn(i64) -> [i64; 3],
) {
    let at_ms = START + 7 * DAY;
    write(&openings[0], 4, &[at_ms], at_ms).await;
    write(&openings[1], 4, &[at_ms + MINUTE], at_ms).await;
    damage().await;
    let (before, days) = (rows(MINUTE).await, rows(DAY).await[2]);
    let mut damaged = 0;
    loop {
        let together = store.put_together(START + 12 * DAY).await.unwrap();
        damaged += together.damaged;
        if !together.more {
            break;
        }
    }
    assert_eq!((damaged, rows(MINUTE).await), (1, before), "its series is left as it is");
    let of_others = TimeRange { from_ms: at_ms, to_ms: at_ms + HOUR };
    let points = store.read().await.unwrap().points(&series("w", "m"), of_others, MINUTE, at_ms).await.unwrap();
    assert_eq!(points.iter().map(|it| it.figures.calls).sum::<i64>(), 2);
    assert_eq!(rows(DAY).await[2], days - 1, "and days of all pairs were reached");
}
