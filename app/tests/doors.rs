//! Server functions are public endpoints: each is called as nobody and as a viewer, and none may do what it should not.

#![cfg(feature = "ssr")]

mod common;

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
};
use common::{OWNER, PASSWORD, VIEWER};
use control::{Passwords, Sessions};
use http_body_util::BodyExt;
use leptos::server_fn::axum::server_fn_paths;
use tower::ServiceExt;
use tower_sessions::SessionStore;

/// What somebody who is not signed in may call: the way in.
const FOR_NOBODY: [&str; 3] = ["/api/sign-in", "/api/set-up", "/api/invitations/accept"];

/// What a viewer may call: reading, and what concerns the own session.
const FOR_VIEWERS: [&str; 13] = [
    "/api/set-up",
    "/api/invitations/accept",
    "/api/monitoring",
    "/api/rate-limit",
    "/api/models",
    "/api/workspaces",
    "/api/workspaces/editor",
    "/api/keys",
    "/api/providers",
    "/api/account",
    "/api/account/password",
    "/api/refusals",
    "/api/refusals/explain",
];

fn request(method: Method, path: &str, cookie: &str, accept: &str, body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
    if !cookie.is_empty() {
        request = request.header(header::COOKIE, cookie);
    }
    let form = "application/x-www-form-urlencoded";
    request.header(header::CONTENT_TYPE, form).body(Body::from(body.to_owned())).expect("a request")
}

async fn send(router: &Router, request: Request<Body>) -> Response<Body> {
    router.clone().oneshot(request).await.expect("the router answers everything")
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn location(response: &Response<Body>) -> &str {
    response.headers().get(header::LOCATION).map_or("", |it| it.to_str().expect("ASCII"))
}

/// Signs in the way a browser without script does, and returns the cookie.
async fn sign_in(router: &Router, email: &str) -> String {
    let body = format!("email={email}&password={}", PASSWORD.replace(' ', "+"));
    let response = send(router, request(Method::POST, "/api/sign-in", "", "text/html", &body)).await;
    assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, "/monitoring"), "{email} signs in");
    cookie(&response)
}

fn cookie(response: &Response<Body>) -> String {
    let cookie = response.headers().get(header::SET_COOKIE).expect("a session").to_str().expect("ASCII");
    cookie.split(';').next().expect("a pair").to_owned()
}

/// Arguments that every function can read: names it does not know are left aside.
fn arguments(path: &str) -> String {
    let names = [
        "id",
        "model",
        "tpm",
        "rpm",
        "name",
        "email",
        "password",
        "current",
        "token",
        "code",
        "provider",
        "upstream",
        "metering",
        "revision",
        "workspace",
        "role",
        "error_dialect",
        "expires",
        "expires_at",
        "backup",
        "tpm_upper_limit",
        "default_output_tokens",
        "openai_base_url",
        "dashscope_base_url",
        "anthropic_base_url",
        "credential",
        "next",
        "former",
        "draft",
        "kind",
    ];
    let mut pairs: Vec<String> = names.iter().map(|name| format!("{name}=1")).collect();
    if path.ends_with("monitoring") {
        pairs.push("query[range]=3h".to_owned());
    }
    if path.contains("/limits/") || path.ends_with("/import") {
        pairs.retain(|it| !it.starts_with("rpm") && !it.starts_with("tpm"));
        pairs.extend(["grant[0]=qwen-plus", "rpm[qwen-plus]=1", "tpm[qwen-plus]=1"].map(str::to_owned));
    }
    pairs.join("&")
}

async fn call(router: &Router, path: &str, method: &Method, cookie: &str) -> StatusCode {
    let arguments = arguments(path);
    let uri = if *method == Method::GET { format!("{path}?{arguments}") } else { path.to_owned() };
    send(router, request(method.clone(), &uri, cookie, "application/json", &arguments)).await.status()
}

#[tokio::test]
async fn every_door_is_closed_to_nobody_and_what_changes_is_closed_to_viewers() {
    let folder = tempfile::tempdir().unwrap();
    let router = common::seeded(folder.path(), Passwords::cheap_for_tests()).await.router;
    let viewer = sign_in(&router, VIEWER).await;
    let paths: Vec<(String, Method)> = server_fn_paths().map(|(path, method)| (path.to_owned(), method)).collect();
    assert!(paths.len() >= 8, "the server functions are registered: {paths:?}");
    for (path, method) in &paths {
        let status = call(&router, path, method, "").await;
        if !FOR_NOBODY.contains(&path.as_str()) {
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} as nobody");
        }
        // Ends the session, which the others need; its own test is below.
        if path.starts_with("/api/sign-") {
            continue;
        }
        let status = call(&router, path, method, &viewer).await;
        if !FOR_VIEWERS.contains(&path.as_str()) {
            assert!(
                matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
                "{method} {path} as a viewer: {status}"
            );
        }
    }
}

#[tokio::test]
async fn names_of_doors_are_plain_and_stable() {
    for (path, _) in server_fn_paths() {
        let name = path.strip_prefix("/api/").expect("every function lies under /api");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'/' || b == b'-'), "{path} carries a hash");
    }
}

#[tokio::test]
async fn nothing_changes_by_get() {
    for (path, method) in server_fn_paths() {
        let reads = ["/api/monitoring", "/api/rate-limit", "/api/refusals", "/api/refusals/explain"].contains(&path);
        if reads {
            assert_eq!(method, Method::GET, "{path}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let router = common::seeded(folder.path(), Passwords::cheap_for_tests()).await.router;
    let owner = sign_in(&router, OWNER).await;
    let by_get =
        request(Method::GET, "/api/increases/create?model=qwen-plus&tpm=1500000", &owner, "application/json", "");
    assert!(send(&router, by_get).await.status().is_client_error());
    let page = send(&router, request(Method::GET, "/monitoring/rate-limit", &owner, "text/html", "")).await;
    assert!(text(page).await.contains("No increase was requested yet"));
}

#[tokio::test]
async fn an_increase_without_script_keeps_what_was_typed_and_then_holds() {
    let folder = tempfile::tempdir().unwrap();
    let router = common::seeded(folder.path(), Passwords::cheap_for_tests()).await.router;
    let owner = sign_in(&router, OWNER).await;
    let post = |body: &'static str| request(Method::POST, "/api/increases/create", &owner, "text/html", body);

    let refused = send(&router, post("model=qwen-plus&tpm=2500000")).await;
    assert_eq!(
        (refused.status(), location(&refused)),
        (StatusCode::SEE_OTHER, "/monitoring/rate-limit?increase=qwen-plus")
    );
    let again = text(send(&router, request(Method::GET, location(&refused), &owner, "text/html", "")).await).await;
    for expected in
        ["2500000 is above the upper limit of 2000000", "value=\"2500000\"", "aria-invalid=\"true\"", "<dialog"]
    {
        assert!(again.contains(expected), "{expected} is on the page");
    }
    let third =
        text(send(&router, request(Method::GET, "/monitoring/rate-limit", &owner, "text/html", "")).await).await;
    assert!(!third.contains("above the upper limit"), "a message is shown once");

    let stored = send(&router, post("model=qwen-plus&tpm=1,500,000")).await;
    assert_eq!(location(&stored), "/monitoring/rate-limit");
    let page = text(send(&router, request(Method::GET, "/monitoring/rate-limit", &owner, "text/html", "")).await).await;
    for expected in ["1,500,000", "End now", "active", OWNER] {
        assert!(page.contains(expected), "{expected} is on the page");
    }
}

#[tokio::test]
async fn pages_lead_to_sign_in_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let router = common::seeded(folder.path(), Passwords::cheap_for_tests()).await.router;
    let asked = send(&router, request(Method::GET, "/monitoring?range=24h", "", "text/html", "")).await;
    assert_eq!(location(&asked), "/sign-in?next=%2Fmonitoring%3Frange%3D24h");
    let wrong = send(
        &router,
        request(Method::POST, "/api/sign-in", "", "text/html", "email=a%40b.c&password=x&next=//evil.example"),
    )
    .await;
    assert_eq!(wrong.status(), StatusCode::SEE_OTHER);
    let missing = sign_in(&router, OWNER).await;
    let page = send(&router, request(Method::GET, "/nowhere", &missing, "text/html", "")).await;
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert!(text(page).await.contains("aria-label=\"Main\""), "a 404 stands inside the frame");
}

#[tokio::test]
async fn a_session_is_written_once_a_day_and_not_for_every_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let router = console.router.clone();
    let owner = sign_in(&router, OWNER).await;
    let mut written = 0;
    for page in ["/monitoring", "/monitoring/rate-limit", "/settings/keys"] {
        let response = send(&router, request(Method::GET, page, &owner, "text/html", "")).await;
        assert_eq!(response.status(), StatusCode::OK, "{page}");
        written += u32::from(response.headers().contains_key(header::SET_COOKIE));
    }
    // Signing in wrote it; a day may begin in between.
    assert!(written <= 1, "{written}");
    let used_long_ago = {
        let sessions = Sessions::new(console.control.clone());
        let id = owner.split_once('=').expect("a pair").1.parse().expect("an id");
        let mut record = sessions.load(&id).await.expect("it can be read").expect("a session");
        record.data.insert("used".to_owned(), 20_000.into());
        sessions.save(&record).await.expect("it can be written");
        send(&router, request(Method::GET, "/monitoring", &owner, "text/html", "")).await
    };
    assert!(used_long_ago.headers().contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn set_up_needs_the_token_and_happens_once() {
    let folder = tempfile::tempdir().unwrap();
    let (control, router) = common::empty(folder.path(), Passwords::cheap_for_tests()).await;
    let token = control::setup::begin(&control).await.unwrap().expect("nobody can sign in yet");
    let page = send(&router, request(Method::GET, "/monitoring", "", "text/html", "")).await;
    assert_eq!(location(&page), "/set-up");
    let form = |token: &str| format!("token={token}&email=first%40example.com&password=long+enough+words");
    let wrong = send(&router, request(Method::POST, "/api/set-up", "", "application/json", &form("guess"))).await;
    assert!(text(wrong).await.contains("this is not the token"));
    let right = send(&router, request(Method::POST, "/api/set-up", "", "text/html", &form(token.expose()))).await;
    assert_eq!(location(&right), "/monitoring");
    let again =
        send(&router, request(Method::POST, "/api/set-up", "", "application/json", &form(token.expose()))).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_token_of_the_printed_address_stays_in_the_form() {
    let folder = tempfile::tempdir().unwrap();
    let (_, router) = common::empty(folder.path(), Passwords::cheap_for_tests()).await;
    let page = send(&router, request(Method::GET, "/set-up?token=abc-123", "", "text/html", "")).await;
    assert!(text(page).await.contains("value=\"abc-123\""));
    let form = "token=abc-123&email=first%40example.com&password=short";
    let wrong = send(&router, request(Method::POST, "/api/set-up", "", "text/html", form)).await;
    assert_eq!(location(&wrong), "/set-up?token=abc-123");
}

#[tokio::test]
async fn what_a_stranger_is_told_is_kept_for_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let wrong = request(Method::POST, "/api/sign-in", "", "text/html", "email=a%40b.c&password=a+guess");
    let stranger = cookie(&send(&console.router, wrong).await);
    let owner = sign_in(&console.router, OWNER).await;
    let sessions = Sessions::new(console.control.clone());
    let mut left = Vec::new();
    for cookie in [&stranger, &owner] {
        let id = cookie.split_once('=').expect("a pair").1.parse().expect("an id");
        let record = sessions.load(&id).await.unwrap().expect("a session");
        left.push((record.expiry_date.unix_timestamp() * 1_000 - console.control.now_ms()) / 60_000);
    }
    assert!((1..=5).contains(&left[0]) && left[1] > 24 * 60, "{left:?} minutes");
    // The page that tells it is the last that needs the session.
    let told = text(send(&console.router, request(Method::GET, "/sign-in", &stranger, "text/html", "")).await).await;
    assert!(told.contains("a@b.c"), "{told}");
    let id = stranger.split_once('=').expect("a pair").1.parse().expect("an id");
    assert!(sessions.load(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_page_allows_its_own_scripts_alone() {
    let folder = tempfile::tempdir().unwrap();
    let router = common::seeded(folder.path(), Passwords::cheap_for_tests()).await.router;
    let page = send(&router, request(Method::GET, "/sign-in", "", "text/html", "")).await;
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("style-src 'self';")
            && !policy.contains("unsafe-inline"),
        "{policy}"
    );
    let html = text(page).await;
    assert!(!html.contains("style=\""), "style attributes are blocked");
    assert!(html.trim_end().ends_with("</html>"));
    for script in html.split("<script").skip(1) {
        assert!(script.split('>').next().is_some_and(|tag| tag.contains("nonce=")), "a script without a nonce");
    }
}
