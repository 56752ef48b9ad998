//! Figures over HTTP: who is told which, for which range, in which order, and for how long.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

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
async fn live_figures_are_the_own_ones_and_end_with_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let viewer = signed_in(&console, VIEWER).await;
    let address = paths::with_query(paths::LIVE, &[("page", paths::RATE_LIMIT)]);
    let mut stream = send(&console, Method::GET, &address, &viewer, String::new()).await.into_body();
    let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("qwen-plus/tokens") && first.contains("12,345"), "{first}");
    assert!(!first.contains("\"91") && !first.contains("\"93"), "the account's use: {first}");
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
