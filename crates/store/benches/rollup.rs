//! What a flush costs, and what pages cost on a filled store: 500 pairs of workspace and model, SQLite.
//! `cargo bench -p store [-- DAYS]` fills so many days (3 unless told), through the real flush.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on says so by panicking")]
#![expect(clippy::cast_precision_loss, reason = "printed with three digits")]

use std::time::{Duration, Instant};

use domain::TimeRange;
use store::{
    Store,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, SeriesKey},
};

const PAIRS: i64 = 500;
const MINUTE: i64 = 60_000;
const START: i64 = 20_000 * 86_400_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let days = std::env::args().filter_map(|it| it.parse::<i64>().ok()).next().unwrap_or(3);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/bench.db", folder.path().display())).await.unwrap();
    store.migrate().await.unwrap();
    store.record(&flush(START)).await.unwrap();

    let (wall, cpu) = (Instant::now(), cpu());
    let flushes = 50;
    for _ in 0..flushes {
        store.record(&flush(START)).await.unwrap();
    }
    let per_flush = |it: Duration| it.as_secs_f64() * 1_000.0 / f64::from(flushes);
    println!(
        "flush of {PAIRS} pairs: {:.2} ms, {:.2} ms of CPU",
        per_flush(wall.elapsed()),
        per_flush(self::cpu() - cpu)
    );

    let end = START + days * 86_400_000;
    let filling = Instant::now();
    for minute in 0..days * 1_440 {
        store.record(&flush(START + minute * MINUTE)).await.unwrap();
    }
    let bytes = std::fs::metadata(folder.path().join("bench.db")).unwrap().len();
    println!("filled {days} days in {:.0} s: {:.0} MB", filling.elapsed().as_secs_f64(), bytes as f64 / 1e6);

    let now = end + 5;
    for minutes in [60, 180, 1_440, 10_080] {
        let range = TimeRange::ending_now(minutes, now - 7 * MINUTE);
        let mut conn = store.read().await.unwrap();
        let mut times = Vec::new();
        for _ in 0..20 {
            let begun = Instant::now();
            let rows = conn.sums("a", Lane::Limited, "", "", range, now).await.unwrap();
            assert!(rows.len() <= 500);
            times.push(begun.elapsed());
        }
        times.sort();
        let series =
            SeriesKey { account: "a".to_owned(), lane: Lane::Limited, workspace: String::new(), model: String::new() };
        let begun = Instant::now();
        let points = conn.points(&series, range, MINUTE, now).await.unwrap().len();
        println!(
            "{minutes} minutes: sums {:.1} ms (worst {:.1}), {points} points {:.1} ms",
            times[10].as_secs_f64() * 1e3,
            times[19].as_secs_f64() * 1e3,
            begun.elapsed().as_secs_f64() * 1e3
        );
    }
}

fn flush(at_ms: i64) -> Batch {
    let mut latency = Histogram::default();
    latency.count(800_000);
    let delta = |pair: i64| CallDelta {
        series: SeriesKey {
            account: "a".to_owned(),
            lane: Lane::Limited,
            workspace: format!("workspace-{}", pair % 20),
            model: format!("model-{}", pair % 200 + pair / 400 * 7),
        },
        first_at_ms: at_ms,
        figures: Figures {
            calls: 4,
            tokens_total: 4_000,
            latency_sum_us: 3_200_000,
            latency_count: 4,
            ..Figures::default()
        },
        latency,
        ttft: latency,
    };
    Batch { deltas: (0..PAIRS).map(delta).collect(), ..Batch::default() }
}

/// User and system time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
