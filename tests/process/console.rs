//! What the console asks of the world outside, and what it tells it: providers, and `/metrics`.

use http_body_util::Full;
use hyper::{Request, body::Bytes};

use super::{EMAIL, PASSWORD, sign_in};
use crate::installation::{Answer, Installation};

async fn metrics(sluice: &Installation, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(format!("http://{}/metrics", sluice.console));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sluice.send(request.body(Full::<Bytes>::default()).expect("it is a request")).await
}

/// The value of a line of the answer; `None` if it is not there.
fn value(page: &str, line: &str) -> Option<f64> {
    let found = page.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    found.map(|it| it.parse().expect("a value is a number"))
}

#[tokio::test]
async fn calls_are_counted_for_prometheus() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 600\ntpm = 100000", "rpm = 2");
    let key = sluice.key("search");
    sluice.serve();
    assert_eq!(sluice.chat(&key).await.status, 200);
    assert_eq!(sluice.chat(&key).await.status, 429);
    assert_eq!(sluice.chat("sk-unknown").await.status, 401);
    let calls = |outcome: &str| {
        format!(
            "sluice_calls_total{{account=\"main\",workspace=\"search\",model=\"m\",lane=\"limited\",outcome=\"{outcome}\"}}"
        )
    };
    let page = loop {
        let page = metrics(&sluice, &[]).await;
        assert_eq!(page.status, 200);
        let counted = value(&page.body, &calls("refused")).is_some() && value(&page.body, &calls("ok")).is_some();
        // Calls are counted when a flush begins; how long it took is known when it has ended.
        let flushed = value(&page.body, "sluice_flush_duration_seconds").is_some_and(|it| it > 0.0);
        if counted && flushed {
            break page.body;
        }
        tokio::task::yield_now().await;
    };
    let of = "account=\"main\",workspace=\"search\",model=\"m\",lane=\"limited\"";
    for (line, expected) in [
        (calls("ok"), 1.0),
        (calls("refused"), 1.0),
        (format!("sluice_refusals_total{{{of},cause=\"requests\"}}"), 1.0),
        ("sluice_unknown_callers_total".to_owned(), 1.0),
        ("sluice_unrecorded_calls_total".to_owned(), 0.0),
        ("sluice_store_errors_total".to_owned(), 0.0),
        ("sluice_calls_in_flight".to_owned(), 0.0),
        ("sluice_call_duration_seconds_count{account=\"main\",model=\"m\"}".to_owned(), 1.0),
        ("sluice_call_duration_seconds_bucket{account=\"main\",model=\"m\",le=\"+Inf\"}".to_owned(), 1.0),
        ("sluice_window_requests{account=\"main\",model=\"m\"}".to_owned(), 1.0),
    ] {
        assert_eq!(value(&page, &line), Some(expected), "{line}\n{page}");
    }
    let prompt = format!("sluice_tokens_total{{{of},kind=\"prompt\"}}");
    assert!(value(&page, &prompt).is_some_and(|it| it > 0.0), "{prompt}\n{page}");
    assert!(value(&page, "sluice_flush_lag_seconds").is_some());
    // What a client names is no label.
    assert!(!page.contains("sk-unknown"), "{page}");
}

#[tokio::test]
async fn through_a_proxy_metrics_need_the_token() {
    let mut sluice = Installation::new().await;
    sluice.write("sluice.toml", "metrics_token = \"let-me-see\"\n");
    sluice.serve();
    let through = ("x-forwarded-for", "203.0.113.9");
    assert_eq!(metrics(&sluice, &[]).await.status, 200, "from this machine");
    let refused = metrics(&sluice, &[through]).await;
    assert_eq!((refused.status, &refused.headers["www-authenticate"]), (401, &"Bearer".parse().expect("ASCII")));
    assert_eq!(metrics(&sluice, &[through, ("authorization", "Bearer let-me-se")]).await.status, 401);
    assert_eq!(metrics(&sluice, &[through, ("authorization", "Bearer let-me-see")]).await.status, 200);
}

#[tokio::test]
async fn a_provider_is_tested_and_its_models_are_imported() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 600\ntpm = 100000", "rpm = 2");
    sluice.owner(EMAIL, PASSWORD);
    sluice.serve();
    let cookie = sign_in(&sluice).await;
    let address = |path: &str| format!("http://{}{path}", sluice.console);
    let providers: serde_json::Value =
        serde_json::from_str(&sluice.get(&address("/api/providers"), &cookie).await.body).expect("it is JSON");
    let id = providers[0]["id"].as_str().expect("an id").to_owned();

    sluice.form("/api/providers/test", &cookie, &format!("id={id}")).await;
    let told = sluice.get(&address("/settings/providers"), &cookie).await.body;
    assert!(told.contains("Test of stand-in") && told.contains("and lists "), "{told}");

    let offered = sluice.get(&address(&format!("/api/models/offered?provider={id}")), &cookie).await.body;
    let offered: serde_json::Value = serde_json::from_str(&offered).expect("it is JSON");
    let code = offered["models"][0]["code"].as_str().expect("the stand-in lists models").to_owned();
    let form = format!("provider={id}&pick[0]={code}&common_rpm=60&common_tpm=1000");
    let done = sluice.form("/api/models/import", &cookie, &form).await.body;
    assert!(done.contains("1 model imported"), "{done}");
    let again = sluice.form("/api/models/import", &cookie, &form).await.body;
    assert!(again.contains("the account has this model already"), "{again}");

    // With a provider that is gone, both say so, and nothing else breaks.
    drop(std::mem::replace(&mut sluice.provider, other_provider().await));
    loop {
        sluice.form("/api/providers/test", &cookie, &format!("id={id}")).await;
        let told = sluice.get(&address("/settings/providers"), &cookie).await.body;
        assert!(told.contains("Test of stand-in"), "{told}");
        if told.contains("failed") && told.contains("no answer: ") {
            break;
        }
    }
    let page = sluice.get(&address(&format!("/settings/models/import?provider={id}")), &cookie).await.body;
    assert!(page.contains("stand-in did not list its models: no answer: "), "{page}");
}

async fn other_provider() -> testkit::Provider {
    testkit::Provider::start(testkit::ProviderSettings::instant()).await.expect("a loopback port is free")
}
