//! What the flush of 20,000 calls a second over 500 pairs of workspace and model costs: packets ten times a second, adding
//! up once a second, as the process does it. `cargo bench -p store [-- URL [SECONDS]]`: SQLite in a temporary folder, and
//! 20 s, unless told.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on says so by panicking")]
#![expect(clippy::cast_precision_loss, reason = "printed with three digits")]

use std::time::{Duration, Instant};

use store::{
    Store,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Packet, SeriesKey},
    usage::{Heartbeat, UsageFlush, UsageRow},
};

const PAIRS: i64 = 500;
const CALLS_A_FLUSH: i64 = 2_000;
const START: i64 = 20_000 * 86_400_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let folder = tempfile::tempdir().unwrap();
    let own = format!("sqlite://{}/bench.db", folder.path().display());
    let url = arguments.first().map_or(own.as_str(), |it| it);
    let seconds: i64 = arguments.get(1).map_or(20, |it| it.parse().unwrap());
    let store = Store::open(url).await.unwrap();
    store.migrate().await.unwrap();
    // Series get their numbers before the clock runs, as they do once in their life.
    store.record(&batch(START, 0)).await.unwrap();

    let (wall, cpu) = (Instant::now(), cpu());
    let mut slowest = (Duration::ZERO, Duration::ZERO);
    let mut bytes = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for n in 1..=seconds * 10 {
        ticks.tick().await;
        let at_ms = START + n * 100;
        let body = batch(at_ms, n).to_bytes();
        bytes += body.len();
        let packet = Packet { writer: store.writer().to_owned(), seq: n, at_ms, body };
        let began = Instant::now();
        store.append(&[packet], Some(&usage(n, at_ms))).await.unwrap();
        slowest.0 = slowest.0.max(began.elapsed());
        if n % 10 == 0 {
            let began = Instant::now();
            while store.fold(store.writer(), at_ms).await.unwrap().more {}
            slowest.1 = slowest.1.max(began.elapsed());
        }
    }
    let (wall, cpu) = (wall.elapsed(), self::cpu() - cpu);
    println!(
        "{} calls over {PAIRS} pairs in {:.1} s: {:.1} % of one core, packets of {:.1} kB, {:.0} MiB resident",
        seconds * 10 * CALLS_A_FLUSH,
        wall.as_secs_f64(),
        cpu.as_secs_f64() / wall.as_secs_f64() * 100.0,
        bytes as f64 / (seconds * 10) as f64 / 1e3,
        resident_mib()
    );
    println!(
        "slowest packet {:.1} ms, slowest adding up {:.1} ms",
        slowest.0.as_secs_f64() * 1e3,
        slowest.1.as_secs_f64() * 1e3
    );
}

fn pair(n: i64) -> (String, String) {
    (format!("0193a7c2-0000-7000-8000-0000000000{:02}", n % 20), format!("model-{}", n % 200 + n / 400 * 7))
}

/// What 2,000 calls leave, spread over all pairs.
fn batch(at_ms: i64, n: i64) -> Batch {
    let delta = |it: i64| {
        let (workspace, model) = pair(it);
        let calls = CALLS_A_FLUSH / PAIRS;
        let mut latency = Histogram::default();
        for call in 0..calls.unsigned_abs() {
            latency.count(300_000 + (it.unsigned_abs() * 37 + n.unsigned_abs() * 101 + call * 977) % 3_000 * 1_000);
        }
        CallDelta {
            series: SeriesKey {
                account: "0193a7c2-0000-7000-8000-000000000000".to_owned(),
                lane: Lane::Limited,
                workspace,
                model,
            },
            first_at_ms: at_ms,
            figures: Figures {
                calls,
                tokens_prompt: calls * 731,
                tokens_output: calls * 269,
                tokens_total: calls * 1_000,
                latency_sum_us: calls * 1_300_000,
                latency_count: calls,
                ttft_sum_us: calls * 260_000,
                ttft_count: calls,
                ..Figures::default()
            },
            latency,
            ttft: latency,
        }
    };
    Batch { deltas: (0..PAIRS).map(delta).collect(), ..Batch::default() }
}

/// The charges of the same calls.
fn usage(n: i64, at_ms: i64) -> UsageFlush {
    let at_us = n * 100_000;
    let row = |it: i64| {
        let (workspace_id, model_code) = pair(it);
        let account_id = "0193a7c2-0000-7000-8000-000000000000".to_owned();
        let (requests, tokens) = (CALLS_A_FLUSH / PAIRS, CALLS_A_FLUSH / PAIRS * 1_000);
        UsageRow {
            end_us: at_us,
            account_id,
            model_code,
            workspace_id,
            requests,
            tokens,
            workspace_requests: requests,
            workspace_tokens: tokens,
        }
    };
    UsageFlush {
        node: "this".to_owned(),
        beat: Heartbeat { boot: "b".to_owned(), at_us, at_ms, clean: false },
        changes: (0..PAIRS).map(row).collect(),
        forget_before_us: (n % 50 == 0).then_some(at_us - 120_000_000),
    }
}

/// User and system time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|it| it.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
