//! Refusals by the limits: whole bodies, every header, and what is recorded.

use domain::{Cause, ModelCode, Scope, Window};
use gateway::{Outcome, Refused, snapshot::Grants};

use crate::support::*;

async fn admit(house: &House, count: usize) {
    for _ in 0..count {
        let reply = house.chat(SEARCH, plain()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[tokio::test]
async fn the_minute_s_requests_with_every_header() {
    let house = House::new().await;
    for _ in 0..50 {
        admit(&house, 2).await;
        house.clock.advance(1_000_000);
    }
    house.taken();
    house.clock.advance(5_655_001);
    let reply = house.chat(SEARCH, plain()).await;
    assert_eq!(reply.status, 429);
    let wait = "60 s for model qwen-plus; retry in 4.345 s.";
    assert_eq!(
        reply.masked(),
        format!(
            r#"{{"error":{{"message":"You exceeded your current requests list. Workspace search has used 100 of 100 requests in {wait}","type":"limit_requests","param":null,"code":"limit_requests","details":[{{"cause":"requests","scope":"workspace","window_s":60,"limit":100,"used":100,"needed":1,"retry_after_ms":4345}}]}},"request_id":"RID"}}"#
        )
    );
    for (name, value) in [
        ("content-type", "application/json"),
        ("retry-after", "5"),
        ("retry-after-ms", "4345"),
        ("x-should-retry", "true"),
        ("x-ratelimit-limit-requests", "100"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "4.345s"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-tokens", "197700"),
        ("x-ratelimit-reset-tokens", "4.345s"),
        ("ratelimit", r#""rpm";r=0;t=5"#),
        (
            "ratelimit-policy",
            r#""rpm";q=100;w=60;sluice-scope="workspace", "tpm";q=200000;w=60;sluice-scope="workspace";sluice-unit="tokens", "rps";q=2;w=1;sluice-scope="workspace", "tps";q=3334;w=1;sluice-scope="workspace";sluice-unit="tokens""#,
        ),
        ("x-sluice-origin", "gateway"),
        ("x-sluice-cause", "requests"),
        ("x-sluice-scope", "workspace"),
        ("x-sluice-window", "60"),
        ("x-sluice-model", ""),
        ("server-timing", "limiter;dur=0, wait;dur=0"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let call = house.calls(1).await.remove(0);
    let refused = Refused {
        cause: Cause::Requests,
        scope: Scope::Workspace,
        window: Window::Minute,
        limit: 100,
        used: 100,
        needed: 1,
        retry_after_us: Some(4_344_999),
    };
    assert_eq!((call.outcome, call.tokens.total, call.outcome.failed()), (Outcome::Refused(refused), 0, true));
    house.clock.advance(4_344_998);
    assert_eq!(house.chat(SEARCH, plain()).await.status, 429, "a microsecond early");
    house.clock.advance(1);
    assert_eq!(house.chat(SEARCH, plain()).await.status, 200);
}

#[tokio::test]
async fn each_key_has_its_own_error_dialect() {
    let house = House::new().await;
    admit(&house, 2).await;
    let s = "Workspace search has used 2 of 2 requests in 1 s for model qwen-plus; retry in 1.000 s.";
    let d = r#"[{"cause":"requests","scope":"workspace","window_s":1,"limit":2,"used":2,"needed":1,"retry_after_ms":1000}]"#;
    let openai = house.chat(OPENAI, plain()).await;
    assert_eq!(
        openai.masked(),
        format!(
            r#"{{"error":{{"message":"You exceeded your current requests list. {s}","type":"requests","param":null,"code":"rate_limit_exceeded","details":{d}}},"request_id":"RID"}}"#
        )
    );
    assert_eq!((openai.header("x-sluice-window"), openai.header("ratelimit")), ("1", r#""rps";r=0;t=1"#));
    let native = house
        .call(post("/api/v1/services/aigc/text-generation/generation", OPENAI, r#"{"model":"qwen-plus","input":{}}"#))
        .await;
    assert_eq!(
        native.masked(),
        format!(
            r#"{{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later. {s}","request_id":"RID","details":{d}}}"#
        )
    );
    let anthropic = house.call(post("/v1/messages", OPENAI, r#"{"model":"qwen-plus","max_tokens":1}"#)).await;
    assert_eq!(
        anthropic.masked(),
        format!(
            r#"{{"type":"error","error":{{"type":"rate_limit_error","message":"Requests rate limit exceeded, please try again later. {s}","details":{d}}},"request_id":"RID"}}"#
        )
    );
    // A stream that is refused is refused with JSON too.
    let streamed = house.chat(SEARCH, stream()).await;
    assert_eq!((streamed.status, streamed.header("content-type")), (429, "application/json"));
}

#[tokio::test]
async fn tokens_and_what_can_never_be() {
    let house = House::new().await;
    let reply = house.chat(SEARCH, plain().replace("64", "199000")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(house.used("qwen-plus"), (1, 23), "settled at what was used");
    let long =
        format!(r#"{{"model":"qwen-plus","messages":[{{"role":"user","content":"{}"}}]}}"#, "a".repeat(1_000_000));
    house.clock.advance(1_000_000);
    let reply = house.chat(SEARCH, long).await;
    assert_eq!(reply.status, 429);
    assert_eq!(
        reply.masked(),
        r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details. This call needs at least 250000 tokens and workspace search may use 200000 in 60 s for model qwen-plus; it can never be admitted under this limit.","type":"insufficient_quota","param":null,"code":"insufficient_quota","details":[{"cause":"tokens","scope":"workspace","window_s":60,"limit":200000,"used":23,"needed":250000,"retry_after_ms":null}]},"request_id":"RID"}"#
    );
    assert_eq!(
        (reply.header("x-should-retry"), reply.header("retry-after"), reply.header("retry-after-ms")),
        ("false", "", "")
    );
    assert_eq!(reply.header("ratelimit"), r#""tpm";r=199977"#, "what is left, though it is too little");
}

#[tokio::test]
async fn an_edit_holds_from_the_next_decision() {
    let house = House::new().await;
    admit(&house, 1).await;
    let with = |limits| {
        let mut contents = house.contents();
        let Grants::These(grants) = &mut contents.workspaces[1].grants else { panic!("search has grants") };
        grants[0] = (ModelCode::parse("qwen-plus").unwrap(), limits);
        house.set(contents);
    };
    with(limits(1, 200_000));
    let reply = house.chat(SEARCH, plain()).await;
    assert_eq!((reply.status, reply.header("x-ratelimit-limit-requests")), (429, "1"));
    with(limits(0, 200_000));
    let reply = house.chat(SEARCH, plain()).await;
    assert_eq!((reply.status, reply.header("x-should-retry")), (429, "false"));
    assert!(
        reply.text().contains("Workspace search may use 0 requests in 60 s for model qwen-plus; no call is admitted.")
    );
    with(limits(200, 200_000));
    admit(&house, 1).await;
    assert_eq!(house.chat(DEFAULT, plain()).await.header("x-ratelimit-limit-requests"), "600");
}

#[tokio::test]
async fn a_refusal_counts_towards_nothing_and_reaches_no_provider() {
    let house = House::new().await;
    admit(&house, 2).await;
    for _ in 0..50 {
        assert_eq!(house.chat(SEARCH, plain()).await.status, 429);
    }
    assert_eq!(house.used("qwen-plus"), (2, 46));
    assert_eq!(house.provider.log().received().len(), 2);
    house.clock.advance(1_000_000);
    admit(&house, 1).await;
}
