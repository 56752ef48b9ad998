//! What versions before packed roll-ups left is packed by one process, however many start at once.

use domain::TimeRange;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::rollup::Lane;

use crate::{
    engine::Engines,
    transfer::{hold, until_waiting},
};

/// Pairs and minutes; so many that they are not read at once, and that a minute's pairs are cut apart.
const PAIRS: i64 = 3;
const MINUTES: i64 = 701;

pub(crate) async fn two_that_start_at_once_pack_old_rows_once(engines: &Engines) {
    let [_, one] = engines.empty("old").await;
    let [_, two] = engines.again("old").await;
    let url = engines.postgres("old");
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let columns = one.read().await.unwrap().columns().await.unwrap();
    let mut run = async |sql: String| sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.map(drop).unwrap();
    run(format!(
        "insert into series (account_id, lane, workspace_id, model_code)
        select 'o', 'limited', 'w', 'm' || n from generate_series(1, {PAIRS}) n"
    ))
    .await;
    for (table, minutes) in [("call_minute", MINUTES), ("call_hour", 1), ("call_day", 1)] {
        let names: Vec<&str> = columns.iter().filter(|it| it.table == table).map(|it| it.name.as_str()).collect();
        let values: Vec<&str> = names
            .iter()
            .map(|it| match *it {
                "series_id" => "s.id",
                "at_ms" | "first_at_ms" => "n * 60000",
                "calls" => "1",
                _ => "0",
            })
            .collect();
        run(format!(
            "insert into {table} ({}) select {} from series s, generate_series(0, {minutes} - 1) n",
            names.join(", "),
            values.join(", ")
        ))
        .await;
    }
    // Both have begun when either may go on.
    let held = hold(&url, "lock table call_series in share mode").await;
    let go = async {
        until_waiting(&url, 2).await;
        held.close().await.unwrap();
    };
    let ((), first, second) = tokio::join!(go, one.migrate(), two.migrate());
    first.unwrap();
    second.unwrap();
    let mut conn = one.read().await.unwrap();
    let mut calls = 0;
    for minute in 0..MINUTES {
        let range = TimeRange { from_ms: minute * 60_000, to_ms: (minute + 1) * 60_000 };
        let sums = conn.sums("o", Lane::Limited, "", "", range, i64::MAX).await.unwrap();
        calls += sums.iter().map(|it| it.figures.calls).sum::<i64>();
    }
    assert_eq!(calls, PAIRS * MINUTES);
}
