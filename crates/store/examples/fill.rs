//! Fills an installation with the statistics of a past: what a page costs after a hundred million calls is measured on
//! it. Calls are drawn with the shape of days and weeks, added up as the flush does, and take the same way: packets that are
//! made durable and added up, of two openings in turn as of two processes. The last days have a call log.
//!
//! `fill URL CALLS [DAYS] [SEED]`: the installation has workspaces and models already; about 500 of their pairs are used.
#![expect(clippy::unwrap_used, reason = "a tool that cannot go on says so by panicking")]
#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shapes")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use store::{
    Store,
    call_log::CallRow,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Packet, SeriesKey},
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Pairs of workspace and model that are called at all.
const PAIRS: usize = 500;

/// Days of which minutes are kept; of the time before, hours are drawn at once.
const MINUTES_KEPT: i64 = 35;

/// Days that the call log is kept for, and rows of an hour at most.
const LOG_DAYS: i64 = 7;
const LOGGED: usize = 2_000;

/// A pair and its share of the calls.
struct Pair {
    account: String,
    workspace: String,
    model: String,
    share: f64,
    /// Hours by which its day lies later, and how much of it happens at weekends.
    shift: f64,
    weekend: f64,
    /// Usual latency in ms, and whether it streams.
    latency_ms: f64,
    streams: bool,
}

/// A small generator of numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many calls happen where `mean` are expected.
    fn calls(&mut self, mean: f64) -> i64 {
        if mean > 30.0 {
            // Near enough to the exact shape: a sum of twelve even draws.
            let sum: f64 = (0..12).map(|_| self.next()).sum::<f64>() - 6.0;
            return (mean + sum * mean.sqrt()).round().max(0.0) as i64;
        }
        let (least, mut product, mut calls) = ((-mean).exp(), self.next(), 0);
        while product > least {
            product *= self.next();
            calls += 1;
        }
        calls
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, calls, rest @ ..] = arguments.as_slice() else { panic!("fill URL CALLS [DAYS] [SEED]") };
    let calls: f64 = calls.parse().unwrap();
    let days: i64 = rest.first().map_or(90, |it| it.parse().unwrap());
    let mut chance = Chance(rest.get(1).map_or(20_261_124, |it| it.parse().unwrap()));

    let store = Store::open(url).await.unwrap();
    store.migrate().await.unwrap();
    let openings = [store.clone(), Store::open(url).await.unwrap()];
    let mut pairs = pairs(&store, &mut chance).await;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let end = now / HOUR * HOUR;
    let from = end / DAY * DAY - days * DAY;
    let hours = || (from..end).step_by(HOUR as usize);
    // Scaled so that the expected number of calls is the one asked for.
    let weight: f64 = hours().map(|at| pairs.iter().map(|it| it.share * shape(it, at)).sum::<f64>()).sum();
    pairs.iter_mut().for_each(|it| it.share *= calls / weight);

    let begun = Instant::now();
    let (mut total, mut written) = (0, 0_usize);
    for (seq, hour) in (1..).zip(hours()) {
        let by_minute = hour >= end - MINUTES_KEPT * DAY;
        let step = if by_minute { MINUTE } else { HOUR };
        let mut batch = Batch::default();
        for at in (hour..hour + HOUR).step_by(step as usize) {
            for pair in &pairs {
                let expected = pair.share * shape(pair, at) * step as f64 / HOUR as f64;
                let calls = chance.calls(expected);
                if calls > 0 {
                    total += calls;
                    batch.deltas.push(delta(pair, at, calls, &mut chance));
                }
            }
        }
        written += batch.deltas.len();
        if hour >= end - LOG_DAYS * DAY {
            batch.calls = batch.deltas.iter().take(LOGGED).zip(0..).map(|(it, n)| row(it, hour, n)).collect();
        }
        let opening = &openings[usize::try_from(seq % 2).unwrap()];
        let writer = opening.writer();
        let packet = Packet { writer: writer.to_owned(), seq, at_ms: hour + HOUR, body: batch.to_bytes() };
        opening.append(&[packet], None).await.unwrap();
        while opening.fold(writer, hour + HOUR).await.unwrap().more {}
        if hour % (10 * DAY) == 0 {
            eprintln!("{} days, {total} calls, {:.0} s", (hour - from) / DAY, begun.elapsed().as_secs_f64());
        }
    }
    store.forget(now - MINUTES_KEPT * DAY, now - 400 * DAY).await.unwrap();
    while store.put_together(now).await.unwrap().more {}
    for opening in openings {
        opening.close().await;
    }
    println!("{total} calls in {written} pairs of minutes or hours, {:.0} s", begun.elapsed().as_secs_f64());
}

/// Pairs of the first account: every model in some workspaces, a few of them called far more than the others.
async fn pairs(store: &Store, chance: &mut Chance) -> Vec<Pair> {
    let mut conn = store.read().await.unwrap();
    let account = conn.accounts().await.unwrap().remove(0).id;
    let workspaces = conn.workspaces(&account).await.unwrap();
    let models = conn.models(&account).await.unwrap();
    let mut pairs = Vec::new();
    while pairs.len() < PAIRS.min(workspaces.len() * models.len()) {
        let (model, workspace) = (
            &models[pairs.len() % models.len()].code,
            &workspaces[(chance.next() * workspaces.len() as f64) as usize].id,
        );
        if pairs.iter().any(|it: &Pair| it.model == *model && it.workspace == *workspace) {
            continue;
        }
        pairs.push(Pair {
            account: account.clone(),
            workspace: workspace.clone(),
            model: model.clone(),
            share: 1.0 / (chance.next() * PAIRS as f64 + 8.0),
            shift: chance.next() * 9.0,
            weekend: 0.1 + 0.6 * chance.next(),
            latency_ms: 300.0 + 4_000.0 * chance.next() * chance.next(),
            streams: chance.next() < 0.6,
        });
    }
    pairs
}

/// How busy a pair is at an instant: a working day with a noon, and quieter weekends. Between 0.004 and 1.
fn shape(pair: &Pair, at: i64) -> f64 {
    let hour = (at.rem_euclid(DAY)) as f64 / HOUR as f64 - pair.shift;
    let day = 0.5 - 0.5 * ((hour - 2.0) / 24.0 * std::f64::consts::TAU).cos();
    // The epoch was a Thursday.
    let weekday = (at / DAY + 3).rem_euclid(7);
    let week = if weekday >= 5 { pair.weekend } else { 1.0 };
    (0.04 + 0.96 * day * day) * week
}

fn delta(pair: &Pair, at: i64, calls: i64, chance: &mut Chance) -> CallDelta {
    let share = |of: i64, chance: &mut Chance, much: f64| chance.calls(of as f64 * much).min(of);
    let refused = share(calls, chance, 0.01);
    let broken = share(calls - refused, chance, 0.004);
    let ended = calls - refused - broken;
    let streams = if pair.streams { ended } else { 0 };
    let (mut latency, mut ttft) = (Histogram::default(), Histogram::default());
    let (mut latency_sum_us, mut ttft_sum_us) = (0, 0);
    // A few durations stand for many calls of one minute.
    let drawn = ended.min(6);
    for n in 0..drawn {
        let stands_for = ended / drawn + i64::from(n < ended % drawn);
        let us = (pair.latency_ms * 1e3 * (0.4 + 1.8 * chance.next() * chance.next())) as u64;
        let (mut one, mut first) = (Histogram::default(), Histogram::default());
        one.count(us);
        first.count(us / 5);
        one.0.iter_mut().chain(&mut first.0).for_each(|it| *it *= stands_for);
        latency.add(&one);
        latency_sum_us += i64::try_from(us).unwrap() * stands_for;
        if pair.streams {
            ttft.add(&first);
            ttft_sum_us += i64::try_from(us / 5).unwrap() * stands_for;
        }
    }
    let prompt = calls * (200 + (chance.next() * 900.0) as i64);
    let output = ended * (40 + (chance.next() * 500.0) as i64);
    CallDelta {
        series: SeriesKey {
            account: pair.account.clone(),
            lane: Lane::Limited,
            workspace: pair.workspace.clone(),
            model: pair.model.clone(),
        },
        first_at_ms: at + (chance.next() * MINUTE as f64) as i64,
        figures: Figures {
            calls,
            refused_requests: refused,
            broken,
            tokens_prompt: prompt,
            tokens_output: output,
            tokens_total: prompt + output,
            latency_sum_us,
            latency_count: ended,
            ttft_sum_us,
            ttft_count: streams,
            ..Figures::default()
        },
        latency,
        ttft,
    }
}

/// A call of a pair and minute; one in twenty was refused.
fn row(of: &CallDelta, hour: i64, n: i64) -> CallRow {
    let refused = n % 20 == 0;
    let word = |it: &str| refused.then(|| it.to_owned());
    CallRow {
        account_id: of.series.account.clone(),
        at_ms: of.first_at_ms,
        id: format!("{hour:x}-{n:x}"),
        workspace_id: of.series.workspace.clone(),
        key_id: format!("key of {}", of.series.workspace),
        model_code: of.series.model.clone(),
        lane: of.series.lane.as_str().to_owned(),
        outcome: if refused { "refused" } else { "ok" }.to_owned(),
        status: if refused { 429 } else { 200 },
        cause: word("requests"),
        scope: word("workspace"),
        window_s: refused.then_some(60),
        explanation: None,
        tokens_prompt: 900,
        tokens_output: if refused { 0 } else { 250 },
        tokens_total: if refused { 0 } else { 1_150 },
        estimated: false,
        streamed: false,
        latency_us: (!refused).then_some(1_800_000),
        ttft_us: None,
        upstream_id: None,
        notable: refused,
        fell_back: false,
        retries: 0,
    }
}
