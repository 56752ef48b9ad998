//! Figures over HTTP: who is told which, for which range, in which order, and for how long.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]
#![allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "counts are small, and exact in a double")]

mod common;

use app::{
    api::{
        monitoring::{MonitoringView, NowView},
        rate_limit::RateLimitView,
    },
    format::iso,
    paths,
};
use axum::{
    body::Body,
    http::{Method, Request, Response, header},
};
use common::{Console, OWNER, PASSWORD, SEARCH_USES, VIEWER};
use control::{
    Actor, Passwords,
    increases::{self, IncreaseForm},
};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use store::rollup::{Batch, CallDelta, Figures, Histogram, Lane, SeriesKey};
use tower::ServiceExt;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

async fn seeded(folder: &tempfile::TempDir) -> Console {
    common::seeded(folder.path(), Passwords::cheap_for_tests()).await
}

async fn send(console: &Console, method: Method, address: &str, cookie: &str, body: String) -> Response<Body> {
    let request = Request::builder()
        .method(method)
        .uri(address)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::COOKIE, cookie);
    console.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
}

async fn signed_in(console: &Console, email: &str) -> String {
    let form = paths::with_query("", &[("email", email), ("password", PASSWORD)]);
    let response = send(console, Method::POST, "/api/sign-in", "", form.trim_start_matches('?').to_owned()).await;
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn get(console: &Console, address: &str, cookie: &str) -> String {
    let response = send(console, Method::GET, address, cookie, String::new()).await;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn read<T: DeserializeOwned>(console: &Console, address: &str, cookie: &str) -> T {
    let text = get(console, address, cookie).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn of<'a>(view: &'a MonitoringView, model: &str) -> &'a NowView {
    view.now.iter().find(|it| it.model == model).unwrap()
}

#[tokio::test]
async fn members_of_one_workspace_are_told_its_use_alone() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let form = IncreaseForm { model: "qwen-plus".to_owned(), tpm: "1500000".to_owned() };
    let asked = Actor { name: OWNER.to_owned(), ..Actor::command_line(&console.account) };
    increases::request(&console.control, &asked, &form).await.unwrap();
    let (owner, viewer) = (signed_in(&console, OWNER).await, signed_in(&console, VIEWER).await);

    let all: MonitoringView = read(&console, "/api/monitoring?query[range]=3h", &owner).await;
    let own: MonitoringView = read(&console, "/api/monitoring?query[range]=3h", &viewer).await;
    assert!(of(&all, "qwen-plus").requests >= 440 && of(&all, "qwen-plus").rpm == Some(600));
    let now = of(&own, "qwen-plus");
    assert_eq!((now.requests, now.tokens, now.rpm, now.tpm), (SEARCH_USES.0, SEARCH_USES.1, Some(100), Some(200_000)));

    let by_name: MonitoringView = read(&console, "/api/monitoring?query[workspace]=search", &owner).await;
    assert_eq!(of(&by_name, "qwen-plus").requests, SEARCH_USES.0, "a name is understood like an id");
    assert!(by_name.workspaces.iter().any(|it| it.value == by_name.query.workspace));

    let all: RateLimitView = read(&console, "/api/rate-limit", &owner).await;
    assert!(all.models.iter().any(|it| it.peak > Some(0)) && all.history[0].by == OWNER);
    let own: RateLimitView = read(&console, "/api/rate-limit", &viewer).await;
    assert!(own.models.iter().all(|it| it.peak.is_none()) && own.history.iter().all(|it| it.peak.is_none()));
    let plus = own.models.iter().find(|it| it.model == "qwen-plus").unwrap();
    assert_eq!((plus.rpm, plus.tpm), (600, Some(1_500_000)), "the account's limits are shown");
    assert_eq!((plus.requests_now, plus.tokens_now), SEARCH_USES);
    assert_eq!((plus.most_requests, plus.most_tokens), (100, Some(200_000)));
    let page = get(&console, paths::RATE_LIMIT, &viewer).await;
    assert!(page.contains("1,500,000") && !page.contains(OWNER) && !page.contains("support-bot"), "{page}");
}

#[tokio::test]
async fn the_last_minutes_are_those_of_the_most_critical_model_wherever_its_row_is() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let owner = signed_in(&console, OWNER).await;
    let first: MonitoringView = read(&console, "/api/monitoring?query[range]=3h", &owner).await;
    let critical = &first.drawn[0];
    let title = |view: &MonitoringView| view.strips.first().map(|it| it.note.clone()).unwrap_or_default();
    assert!(title(&first).starts_with(critical), "{}", title(&first));
    // A page of the table that begins behind its row.
    let behind = format!("/api/monitoring?query[range]=3h&query[after]={critical}");
    let behind: MonitoringView = read(&console, &behind, &owner).await;
    assert!(behind.groups.iter().all(|it| it.model != *critical) && behind.drawn[0] == *critical);
    assert_eq!(title(&behind), title(&first));
}

#[tokio::test]
async fn live_figures_are_the_own_ones_and_end_with_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let viewer = signed_in(&console, VIEWER).await;
    let address = paths::with_query(paths::LIVE, &[("page", paths::RATE_LIMIT)]);
    let mut stream = send(&console, Method::GET, &address, &viewer, String::new()).await.into_body();
    let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("qwen-plus/tokens") && first.contains("12,345"), "{first}");
    assert!(!(910..950).any(|thousand| first.contains(&format!("\"{thousand},"))), "the account's use: {first}");
    send(&console, Method::POST, "/api/sign-out", &viewer, String::new()).await;
    while let Some(frame) = stream.frame().await {
        frame.unwrap();
    }
}

#[tokio::test]
async fn a_range_that_is_no_longer_kept_is_cut_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let owner = signed_in(&console, OWNER).await;
    let hour = (console.control.now_ms() - 60 * DAY).div_euclid(HOUR) * HOUR;
    let asked = async |from_ms: i64, to_ms: i64| {
        let pairs = [("query[from]", iso(from_ms)), ("query[to]", iso(to_ms))];
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        read::<MonitoringView>(&console, &paths::with_query("/api/monitoring", &pairs), &owner).await.range
    };
    let cut = asked(hour + 600_000, hour + 3 * HOUR).await;
    assert_eq!((cut.from_ms, cut.to_ms), (hour + HOUR, hour + 3 * HOUR));
    assert!(cut.note.unwrap().contains("cut"));
    let none = asked(hour + 600_000, hour + 1_200_000).await;
    assert!(none.from_ms == none.to_ms && none.note.unwrap().contains("Nothing"));
    let kept = asked(hour + 40 * DAY, hour + 40 * DAY + HOUR).await;
    assert_eq!((kept.to_ms - kept.from_ms, kept.note), (HOUR, None));
}

#[tokio::test]
async fn a_file_of_figures_has_the_order_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let owner = signed_in(&console, OWNER).await;
    let mut orders = Vec::new();
    for sort in ["", "-total_calls", "total_calls", "-model"] {
        let view = read::<MonitoringView>(&console, &format!("/api/monitoring?query[sort]={sort}"), &owner).await;
        let rows =
            view.groups.iter().flat_map(|it| it.parts.iter().map(|part| format!("{},{}", it.model, part.workspace)));
        let shown: Vec<String> = rows.collect();
        let file = get(&console, &paths::with_query(paths::MONITORING_CSV, &[("sort", sort)]), &owner).await;
        let mut names = file.lines().skip(1).map(|it| it.split(',').take(2).collect::<Vec<_>>().join(","));
        assert!(shown.len() > 3 && names.by_ref().eq(shown.iter().cloned()), "{sort}: {shown:?}\n{file}");
        orders.push(shown);
    }
    assert_ne!(orders[1], orders[2]);
}

/// What was counted in a range, added up call by call.
#[derive(Default)]
struct Sum {
    calls: u64,
    failed: u64,
    tokens: u64,
    refused: [u64; 3],
}

/// Every delta that is recorded, kept as well for a slow sum.
async fn known_calls(console: &Console) -> Vec<CallDelta> {
    let control = &console.control;
    let actor = Actor::command_line(&console.account);
    let ids = control::workspaces::list(control, &actor).await.unwrap();
    let now = control.now_ms().div_euclid(60_000) * 60_000;
    let mut deltas = Vec::new();
    let mut chance = 7_u64;
    let mut next = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    // An account of its own minutes: five to seven days ago, where nothing is seeded.
    for minute in (0..2_880).step_by(7) {
        for (i, model) in ["qwen-plus", "qwen-flash"].into_iter().enumerate() {
            let signed = |n: u64| i64::try_from(n).unwrap();
            let (calls, tokens) = (next(40) + 4, next(9_000));
            let refused = [next(2), next(2), next(2)].map(signed);
            let figures = Figures {
                calls: signed(calls),
                refused_requests: refused[0],
                refused_tokens: refused[1],
                refused_surge: refused[2],
                tokens_total: signed(tokens),
                ..Figures::default()
            };
            let series = SeriesKey {
                account: console.account.clone(),
                lane: if minute % 5 == 0 { Lane::Batch } else { Lane::Limited },
                workspace: ids[i % ids.len()].id.clone(),
                model: model.to_owned(),
            };
            let first_at_ms = now - 7 * DAY + minute * 60_000;
            let (latency, ttft) = (Histogram::default(), Histogram::default());
            deltas.push(CallDelta { series, first_at_ms, figures, latency, ttft });
        }
    }
    let batch = Batch { deltas: deltas.clone(), ..Batch::default() };
    control.store().record(&batch).await.unwrap();
    deltas
}

fn slow_sum(deltas: &[CallDelta], lane: &Lane, model: &str, from_ms: i64, to_ms: i64) -> Sum {
    let mut sum = Sum::default();
    let unsigned = |n: i64| u64::try_from(n).unwrap();
    for it in deltas {
        let inside = (from_ms..to_ms).contains(&it.first_at_ms) && it.series.lane == *lane;
        if inside && (model.is_empty() || it.series.model == model) {
            sum.calls += unsigned(it.figures.calls);
            sum.failed += unsigned(it.figures.failed());
            sum.tokens += unsigned(it.figures.tokens_total);
            let refused = [it.figures.refused_requests, it.figures.refused_tokens, it.figures.refused_surge];
            sum.refused.iter_mut().zip(refused).for_each(|(sum, n)| *sum += unsigned(n));
        }
    }
    sum
}

/// `12,345` or `1.5` as a number; a dash is none.
fn number(text: &str) -> f64 {
    text.replace(',', "").trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0.0)
}

fn exact(text: &str, exact: &str) -> f64 {
    number(if exact.is_empty() { text } else { exact })
}

/// The cells of a drawing's table behind the time, top row first.
fn cells(rows: &str) -> Vec<Vec<String>> {
    let row = |row: &str| {
        let cells = row.split("<td>").skip(2).map(|it| it.split('<').next().unwrap_or_default().to_owned());
        cells.collect()
    };
    rows.split("<tr>").skip(1).map(row).collect()
}

#[tokio::test]
async fn what_a_page_shows_is_the_slow_sum_of_the_calls() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let owner = signed_in(&console, OWNER).await;
    let deltas = known_calls(&console).await;
    let now = console.control.now_ms().div_euclid(60_000) * 60_000;
    let begin = now - 7 * DAY;
    // Whole days, an odd number of minutes, a single minute, across midnight and hours, and past the end of the calls.
    for (from, to) in [(0, 2_880), (13, 1_457), (700, 761), (1_400, 1_407), (777, 778), (2_500, 4_000)] {
        let (from, to) = (begin + from * 60_000, begin + to * 60_000);
        let pairs = [("query[from]", iso(from)), ("query[to]", iso(to))];
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let view: MonitoringView = read(&console, &paths::with_query("/api/monitoring", &pairs), &owner).await;
        let all = slow_sum(&deltas, &Lane::Limited, "", from, to);
        let what = format!("{} to {}", iso(from), iso(to));
        let tile = |i: usize| exact(&view.tiles[i].value, &view.tiles[i].exact);
        assert_eq!((tile(1), tile(2)), (all.calls as f64, all.failed as f64), "tiles, {what}");
        for model in ["qwen-plus", "qwen-flash"] {
            let sum = slow_sum(&deltas, &Lane::Limited, model, from, to);
            let group = view.groups.iter().find(|it| it.model == model);
            assert_eq!(group.is_some(), sum.calls > 0, "{model}, {what}");
            let Some(group) = group else { continue };
            let row = &group.total;
            assert_eq!(exact(&row.calls.text, &row.calls.exact), sum.calls as f64, "{model}, {what}");
            assert_eq!(exact(&row.failed.text, &row.failed.exact), sum.failed as f64, "{model}, {what}");
            let first = deltas.iter().filter(|it| it.series.model == model && it.series.lane == Lane::Limited);
            let first = first.map(|it| it.first_at_ms).filter(|at| (from..to).contains(at)).min().unwrap();
            let minutes = ((to - first) as f64 / 60_000.0).max(1.0);
            let tpm = exact(&row.avg_tpm.text, &row.avg_tpm.exact);
            assert!((tpm - sum.tokens as f64 / minutes).abs() < 0.01, "{model}: {tpm}, {what}");
        }
        let batch = slow_sum(&deltas, &Lane::Batch, "", from, to);
        let shown: f64 = view.batch.iter().map(|it| exact(&it.calls.text, &it.calls.exact)).sum();
        assert_eq!(shown, batch.calls as f64, "batch lane, {what}");
        if view.charts.is_empty() {
            continue;
        }
        let refusals = view.charts.iter().find(|it| it.key == "refusals").unwrap();
        for cause in 0..3 {
            let shown: f64 = cells(&refusals.rows).iter().map(|row| number(&row[cause])).sum();
            assert_eq!(shown, all.refused[cause] as f64, "refusals, {what}");
        }
    }
}

#[tokio::test]
async fn a_drawing_of_one_model_reads_its_calls_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let owner = signed_in(&console, OWNER).await;
    let deltas = known_calls(&console).await;
    let begin = console.control.now_ms().div_euclid(60_000) * 60_000 - 7 * DAY;
    let (from, to) = (begin + 90 * 60_000, begin + 140 * 60_000);
    let pairs = [("query[from]", iso(from)), ("query[to]", iso(to)), ("query[model]", "qwen-plus".to_owned())];
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let view: MonitoringView = read(&console, &paths::with_query("/api/monitoring", &pairs), &owner).await;
    let calls = view.charts.iter().find(|it| it.key == "calls").unwrap();
    let rows = calls.svg.split("data-rows=\"").nth(1).unwrap().split('"').next().unwrap();
    let shown: Vec<f64> = rows.split(';').map(number).collect();
    let expected: Vec<f64> = (0..50)
        .map(|i| {
            slow_sum(&deltas, &Lane::Limited, "qwen-plus", from + i * 60_000, from + (i + 1) * 60_000).calls as f64
        })
        .collect();
    assert_eq!(shown, expected, "{rows}");
    let first = expected.iter().position(|it| *it > 0.0).unwrap();
    assert!(rows.split(';').take(first).all(|it| it == "—"), "before the first call there is a gap: {rows}");
    assert_eq!(cells(&calls.rows).len(), 50, "the table says it all");
}

#[tokio::test]
async fn the_last_ten_minutes_are_those_of_who_may_see_them() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let (owner, viewer) = (signed_in(&console, OWNER).await, signed_in(&console, VIEWER).await);
    let mut highest = Vec::new();
    for cookie in [&owner, &viewer] {
        let view: MonitoringView = read(&console, "/api/monitoring?query[model]=qwen-plus", cookie).await;
        let strip = view.strips.iter().find(|it| it.key == "requests-second").unwrap();
        highest.push(cells(&strip.rows).iter().map(|row| exact(&row[0], "")).fold(0.0, f64::max));
        assert!(strip.rows.contains('—'), "what is not known is not zero: {}", strip.rows);
    }
    assert!(highest[0] >= 4.0 * highest[1] && highest[1] > 0.0, "{highest:?}");
    let old: MonitoringView =
        read(&console, "/api/monitoring?query[from]=2026-01-01T00:00&query[to]=2026-01-02T00:00", &owner).await;
    assert!(old.strips.is_empty(), "a range in the past is not live");
}
