//! What the provider sees of a call, and what the client sees of its answer.

use gateway::{Lane, Outcome, Tokens};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn a_call_is_passed_on_and_recorded() {
    let house = House::new().await;
    let mut request = post(&format!("{CHAT}?a=1&b=%2F"), SEARCH, plain());
    for (name, value) in [
        ("cookie", "a=b"),
        ("x-request-id", "theirs"),
        ("x-forwarded-for", "10.0.0.1"),
        ("openai-organization", "org"),
        ("x-dashscope-workspace", "w9"),
        ("x-stainless-retry-count", "2"),
        ("user-agent", "test/1"),
        ("accept-encoding", "gzip"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let reply = house.call(request).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let id = reply.header("x-request-id").to_owned();

    let seen = &house.provider.log().received()[0];
    assert_eq!(seen.path, "/compatible-mode/v1/chat/completions?a=1&b=%2F");
    assert_eq!(seen.body, plain());
    let headers: Vec<_> = {
        let mut all: Vec<_> =
            seen.headers.iter().map(|(name, it)| format!("{name}: {}", it.to_str().unwrap())).collect();
        all.sort();
        all
    };
    assert_eq!(
        headers,
        [
            format!("authorization: Bearer {CREDENTIAL}"),
            format!("content-length: {}", plain().len()),
            "content-type: application/json".into(),
            format!("host: {}", house.provider.addr),
            "user-agent: test/1".into(),
            format!("x-request-id: {id}"),
            "x-stainless-retry-count: 2".into(),
        ]
    );

    let value: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(value["usage"]["total_tokens"], 3 + 20);
    assert_eq!(reply.header("x-sluice-model"), "qwen-plus");
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    assert_eq!(reply.header("x-sluice-origin"), "");
    assert_eq!(reply.header("server-timing"), "limiter;dur=0, wait;dur=0, upstream;dur=0");
    for (name, value) in [
        ("x-ratelimit-limit-requests", "100"),
        ("x-ratelimit-remaining-requests", "99"),
        ("x-ratelimit-reset-requests", "1m0s"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-tokens", "199933"),
        ("x-ratelimit-reset-tokens", "1m0s"),
        ("ratelimit", r#""rpm";r=99;t=60, "tpm";r=199933;t=60"#),
        (
            "ratelimit-policy",
            r#""rpm";q=100;w=60;sluice-scope="workspace", "tpm";q=200000;w=60;sluice-scope="workspace";sluice-unit="tokens", "rps";q=2;w=1;sluice-scope="workspace", "tps";q=3334;w=1;sluice-scope="workspace";sluice-unit="tokens""#,
        ),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }

    let call = house.calls(1).await.remove(0);
    assert_eq!(
        (call.caller.workspace.as_str(), call.caller.key.as_str(), call.model.as_str()),
        ("w1", "k1", "qwen-plus")
    );
    assert_eq!((call.outcome, call.lane, call.streamed, call.ttft_us), (Outcome::Ok, Lane::Limited, false, None));
    assert_eq!(call.tokens, Tokens { prompt: 3, output: 20, total: 23, estimated: false });
    assert_eq!((call.client_retries, call.started_at_ms, call.request_id.to_string()), (2, NOW_MS, id));
    assert_eq!(house.used("qwen-plus"), (1, 23));
}

#[tokio::test]
async fn the_provider_s_headers_pass_but_those_that_sluice_sets() {
    let house = House::new().await;
    let behaviour =
        "header=x-ratelimit-limit-requests:7; header=set-cookie:a=b; header=server:x; header=openai-processing-ms:12";
    let reply = house.call(acting(post(CHAT, SEARCH, plain()), behaviour)).await;
    let theirs = reply.header("x-sluice-upstream-request-id");
    assert!(theirs.len() == 36 && theirs != reply.header("x-request-id"), "{theirs}");
    assert_eq!(reply.header("x-ratelimit-limit-requests"), "100");
    assert_eq!((reply.header("set-cookie"), reply.header("server")), ("", ""));
    assert_eq!(reply.header("openai-processing-ms"), "12");
}

#[tokio::test]
async fn a_model_has_the_provider_s_name_there() {
    let house = House::new().await;
    let body =
        "{ \"messages\":[{\"role\":\"user\",\"content\":\"a\\u4e2d\"}], \"model\" : \"f\\u0061st\" ,\"x\":1e400}";
    let reply = house.chat(SEARCH, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-sluice-model"), "fast");
    let seen = &house.provider.log().received()[0];
    assert_eq!(seen.body, body.replace("\"f\\u0061st\"", r#""qwen-flash-\"2026\"""#));
}

#[tokio::test]
async fn connections_are_kept() {
    let house = House::new().await;
    for _ in 0..5 {
        house.clock.advance(1_000_000);
        assert_eq!(house.chat(SEARCH, plain()).await.status, 200);
    }
    let connections: Vec<_> = house.provider.log().received().iter().map(|it| it.connection).collect();
    assert_eq!(connections, [0; 5]);
}

#[tokio::test]
async fn each_dialect_goes_to_its_own_place_with_its_own_credential() {
    let house = House::new().await;
    for (path, body, there, credential) in [
        ("/compatible-mode/v1/chat/completions", plain(), "/compatible-mode/v1/chat/completions", "authorization"),
        (
            "/v1/completions",
            r#"{"model":"qwen-plus","prompt":"hi","max_tokens":5}"#,
            "/compatible-mode/v1/completions",
            "authorization",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"qwen-plus","input":["hi"]}"#,
            "/compatible-mode/v1/embeddings",
            "authorization",
        ),
        (
            "/v1/responses",
            r#"{"model":"qwen-plus","input":"hi","max_output_tokens":5}"#,
            "/compatible-mode/v1/responses",
            "authorization",
        ),
        (
            "/api/v1/services/aigc/text-generation/generation",
            r#"{"model":"qwen-plus","input":{"messages":[{"role":"user","content":"hi"}]},"parameters":{"max_tokens":5}}"#,
            "/api/v1/services/aigc/text-generation/generation",
            "authorization",
        ),
        (
            "/v1/messages",
            r#"{"model":"qwen-plus","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#,
            "/apps/anthropic/v1/messages",
            "x-api-key",
        ),
        (
            "/apps/anthropic/v1/messages",
            r#"{"model":"qwen-plus","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#,
            "/apps/anthropic/v1/messages",
            "x-api-key",
        ),
    ] {
        house.clock.advance(1_000_000);
        let reply = house.call(post(path, SEARCH, body)).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let seen = house.provider.log().received().pop().unwrap();
        assert_eq!((seen.path.as_str(), &*seen.body), (there, body.as_bytes()));
        assert!(seen.headers[credential].to_str().unwrap().ends_with(CREDENTIAL));
        let other = if credential == "x-api-key" { "authorization" } else { "x-api-key" };
        assert_eq!(seen.headers.get(other), None);
        let call = house.calls(1).await.remove(0);
        assert_eq!(call.outcome, Outcome::Ok);
        assert!(!call.tokens.estimated, "{path}: {:?}", call.tokens);
        assert_eq!(seen.headers.get("anthropic-version").is_some(), credential == "x-api-key");
    }
}

#[tokio::test]
async fn an_anthropic_key_may_come_in_either_header() {
    let house = House::new().await;
    let body = r#"{"model":"qwen-plus","max_tokens":5,"messages":[]}"#;
    let mut request = post("/v1/messages", "sk-wrong", body);
    request.headers_mut().insert("x-api-key", SEARCH.parse().unwrap());
    let reply = house.call(request).await;
    assert_eq!((reply.status, reply.header("request-id")), (200, reply.header("x-request-id")));
    assert_eq!(reply.header("anthropic-ratelimit-requests-limit"), "100");
    assert_eq!(reply.header("anthropic-ratelimit-requests-remaining"), "99");
    assert_eq!(reply.header("anthropic-ratelimit-requests-reset"), "2026-11-22T00:01:00Z");
    let mut wrong = post("/v1/messages", SEARCH, body);
    wrong.headers_mut().insert("x-api-key", "sk-wrong".parse().unwrap());
    let reply = house.call(wrong).await;
    assert_eq!(
        reply.masked(),
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"RID"}"#
    );
    let mut chat = post(CHAT, "sk-wrong", plain());
    chat.headers_mut().insert("x-api-key", SEARCH.parse().unwrap());
    assert_eq!(house.call(chat).await.status, 401, "elsewhere the header means nothing");
}

#[tokio::test]
async fn a_model_metered_in_calls_has_no_token_headers() {
    let house = House::new().await;
    let reply = house.chat(SEARCH, plain().replace("qwen-plus", "images")).await;
    assert_eq!(reply.status, 200);
    assert_eq!((reply.header("x-ratelimit-limit-requests"), reply.header("x-ratelimit-limit-tokens")), ("600", ""));
    assert_eq!(reply.header("ratelimit"), r#""rpm";r=599;t=60"#);
    assert_eq!(
        reply.header("ratelimit-policy"),
        r#""rpm";q=600;w=60;sluice-scope="account", "rps";q=10;w=1;sluice-scope="account""#
    );
}

#[test]
fn generated_bodies_arrive_byte_for_byte() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let house = runtime.block_on(House::new());
    let text = prop_oneof![any::<String>(), "[ -~]{0,60}", Just("中文 😀".to_owned())];
    let body = (text, any::<bool>(), prop::option::of(0_u32..100), any::<bool>(), any::<f64>()).prop_map(
        |(text, pretty, max, ascii, temperature)| {
            let body = json!({
                "model": "qwen-plus", "messages": [{"role": "user", "content": text}], "max_tokens": max,
                "temperature": temperature, "unknown": {"nested": [null, true, {"": []}]},
            });
            let body = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
            if !ascii {
                return body;
            }
            let escape = |c: char| {
                if c.is_ascii() {
                    c.to_string()
                } else {
                    c.encode_utf16(&mut [0; 2]).iter().map(|it| format!("\\u{it:04X}")).collect()
                }
            };
            body.chars().map(escape).collect()
        },
    );
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    runner
        .run(&body, |body| {
            house.clock.advance(1_000_000);
            house.provider.log().clear();
            let reply = runtime.block_on(house.chat(DEFAULT, body.clone()));
            prop_assert_eq!(reply.status, 200, "{}", reply.text());
            prop_assert_eq!(&house.provider.log().received()[0].body, body.as_bytes());
            Ok(())
        })
        .unwrap();
}
