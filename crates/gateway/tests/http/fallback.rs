//! The backup model: when it runs, what is said of it, and what is recorded of both.

use domain::{Cause, ModelCode};
use gateway::{Contents, Outcome, Settings};
use http::Request;
use http_body_util::Full;

use crate::support::*;

fn with_backup(contents: &mut Contents) {
    contents.models[0].backup = Some(ModelCode::parse("fast").unwrap());
}

async fn house() -> House {
    House::with(Settings::default(), with_backup).await
}

fn wishing(mut request: Request<Full<bytes::Bytes>>, wish: &str) -> Request<Full<bytes::Bytes>> {
    request.headers_mut().insert("x-sluice-fallback", wish.parse().unwrap());
    request
}

async fn fill(house: &House) {
    for _ in 0..2 {
        assert_eq!(house.chat(SEARCH, plain()).await.status, 200);
    }
    house.calls(2).await;
}

#[tokio::test]
async fn a_refused_call_runs_on_the_backup_if_it_wishes() {
    let house = house().await;
    fill(&house).await;
    let off = house.chat(SEARCH, plain()).await;
    assert_eq!((off.status, off.header("x-sluice-fallback")), (429, ""), "off by default");
    house.calls(1).await;
    let reply = house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!((reply.header("x-sluice-fallback"), reply.header("x-sluice-model")), ("requests", "fast"));
    assert_eq!(reply.header("x-ratelimit-limit-requests"), "600", "the limits of the model that ran");
    let seen = house.provider.log().received().pop().unwrap();
    assert_eq!(seen.body, plain().replace("\"qwen-plus\"", r#""qwen-flash-\"2026\"""#));
    assert_eq!(seen.headers.get("x-sluice-fallback"), None);
    let calls = house.calls(2).await;
    assert_eq!(calls[0].request_id, calls[1].request_id);
    assert_eq!((calls[0].model.as_str(), calls[0].fell_back), ("qwen-plus", true));
    assert!(matches!(calls[0].outcome, Outcome::Refused(it) if it.cause == Cause::Requests));
    assert_eq!((calls[1].model.as_str(), calls[1].fell_back, calls[1].outcome), ("fast", false, Outcome::Ok));
    assert_eq!((house.used("qwen-plus").0, house.used("fast").0), (2, 1));
}

#[tokio::test]
async fn a_model_may_fall_back_by_itself_unless_the_call_says_otherwise() {
    let house = House::with(Settings::default(), |contents| {
        with_backup(contents);
        contents.models[0].fallback = true;
    })
    .await;
    fill(&house).await;
    assert_eq!(house.chat(SEARCH, plain()).await.header("x-sluice-fallback"), "requests");
    let off = house.call(wishing(post(CHAT, SEARCH, plain()), "off")).await;
    assert_eq!((off.status, off.header("x-sluice-fallback")), (429, ""));
}

#[tokio::test]
async fn a_call_too_large_for_good_may_fall_back_too() {
    let house = house().await;
    let long = format!(r#"{{"model":"qwen-plus","messages":[{{"role":"user","content":"{}"}}]}}"#, "a".repeat(900_000));
    let reply = house.call(wishing(post(CHAT, SEARCH, long), "on")).await;
    assert_eq!((reply.status, reply.header("x-sluice-fallback")), (200, "tokens"), "{}", reply.text());
}

#[tokio::test]
async fn a_backup_that_cannot_take_it_leaves_the_first_refusal() {
    let house = House::with(Settings::default(), |contents| {
        with_backup(contents);
        contents.models[2].limits = limits(1, 1_000_000);
    })
    .await;
    fill(&house).await;
    assert_eq!(house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await.status, 200);
    house.calls(2).await;
    let reply = house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await;
    assert_eq!((reply.status, reply.header("x-sluice-fallback")), (429, "refused"));
    assert!(reply.text().contains("for model qwen-plus;"), "{}", reply.text());
    assert_eq!(reply.header("x-ratelimit-limit-requests"), "100");
    let calls = house.calls(1).await;
    assert_eq!((calls[0].model.as_str(), calls[0].fell_back), ("qwen-plus", false));
    // Nor one that the workspace may not call.
    let house = House::with(Settings::default(), |contents| {
        contents.models[0].backup = Some(ModelCode::parse("qwen-max").unwrap());
    })
    .await;
    fill(&house).await;
    let reply = house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await;
    assert_eq!((reply.status, reply.header("x-sluice-fallback")), (429, "refused"));
}

#[tokio::test]
async fn a_provider_in_trouble_makes_room_for_the_backup() {
    let house = house().await;
    for (behaviour, cause, outcome) in [
        ("status=429", "upstream_429", None),
        ("status=500", "upstream_5xx", Some(Outcome::Provider { status: 500, cause: None })),
        ("close", "upstream_unreachable", Some(Outcome::Unreachable)),
        ("status=401", "upstream_unreachable", Some(Outcome::Unreachable)),
    ] {
        house.clock.advance(1_000_000);
        house.provider.next(behaviour.parse().unwrap());
        let reply = house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await;
        assert_eq!((reply.status, reply.header("x-sluice-fallback")), (200, cause), "{}", reply.text());
        assert_eq!(reply.header("x-sluice-model"), "fast");
        let calls = house.calls(2).await;
        let of = |code: &str| calls.iter().find(|it| it.model.as_str() == code).unwrap();
        assert!(of("qwen-plus").fell_back && of("qwen-plus").outcome.failed());
        assert!(outcome.is_none_or(|it| it == of("qwen-plus").outcome), "{:?}", of("qwen-plus").outcome);
        assert_eq!((of("fast").outcome, of("fast").fell_back), (Outcome::Ok, false));
    }
    house.clock.advance(1_000_000);
    house.provider.next("status=400".parse().unwrap());
    let reply = house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await;
    assert_eq!((reply.status, reply.header("x-sluice-fallback")), (400, ""), "the caller's own mistake is no trouble");
}

#[tokio::test]
async fn a_backup_that_does_not_answer_leaves_what_the_first_came_to() {
    let settings = Settings { first_byte_timeout: std::time::Duration::from_millis(200), ..Settings::default() };
    let house = House::with(settings, with_backup).await;
    house.provider.next("status=500; body={\"first\":1}".parse().unwrap());
    house.provider.next("delay-ms=600000".parse().unwrap());
    let reply = house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await;
    assert_eq!((reply.status, reply.text(), reply.header("x-sluice-fallback")), (500, "{\"first\":1}", "refused"));
    assert!(house.calls(2).await.iter().all(|it| it.outcome.failed() && !it.fell_back));
    house.clock.advance(60_000_000);
    fill(&house).await;
    house.provider.next("delay-ms=600000".parse().unwrap());
    let reply = house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await;
    assert_eq!((reply.status, reply.header("x-sluice-fallback")), (429, "refused"), "{}", reply.text());
    assert!(reply.text().contains("for model qwen-plus;"), "{}", reply.text());
    let calls = house.calls(2).await;
    let of = |code: &str| calls.iter().find(|it| it.model.as_str() == code).unwrap();
    assert!(matches!(of("qwen-plus").outcome, Outcome::Refused(_)) && !of("qwen-plus").fell_back);
    assert_eq!(of("fast").outcome, Outcome::Timeout);
}

#[tokio::test]
async fn if_nothing_works_the_answer_is_that_of_the_model_asked_for() {
    let house = house().await;
    house.provider.next("status=500; body={\"first\":1}".parse().unwrap());
    house.provider.next("status=503; body={\"second\":1}".parse().unwrap());
    let reply = house.call(wishing(post(CHAT, SEARCH, plain()), "on")).await;
    assert_eq!((reply.status, reply.text(), reply.header("x-sluice-fallback")), (500, "{\"first\":1}", "refused"));
    assert_eq!(reply.header("x-sluice-model"), "qwen-plus");
    let calls = house.calls(2).await;
    assert!(calls.iter().all(|it| it.outcome.failed() && !it.fell_back), "{calls:?}");
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_falls_back_and_one_that_has_begun_does_not() {
    let house = house().await;
    house.provider.next("error-event=0".parse().unwrap());
    let reply = house.call(wishing(post(CHAT, SEARCH, stream()), "on")).await;
    assert_eq!((reply.status, reply.header("x-sluice-fallback")), (200, "upstream_429"), "{}", reply.text());
    assert!(!reply.text().contains("\"error\"") && reply.text().ends_with("data: [DONE]\n\n"));
    house.calls(2).await;
    house.clock.advance(1_000_000);
    house.provider.next("error-event=3".parse().unwrap());
    let reply = house.call(wishing(post(CHAT, SEARCH, stream()), "on")).await;
    assert_eq!(reply.header("x-sluice-fallback"), "");
    assert!(reply.text().contains("\"error\""));
}

#[tokio::test]
async fn a_client_that_leaves_the_backup_has_not_left_the_model_asked_for() {
    let house = house().await;
    house.provider.next("status=500".parse().unwrap());
    house.provider.next("delay-ms=600000".parse().unwrap());
    tokio::select! {
        _ = house.send(wishing(post(CHAT, SEARCH, plain()), "on")) => panic!("the backup does not answer"),
        _ = house.provider.log().wait_until(|it| it.len() == 2) => {}
    }
    let calls = house.calls(2).await;
    let of = |code: &str| calls.iter().find(|it| it.model.as_str() == code).unwrap();
    assert_eq!(of("qwen-plus").outcome, Outcome::Provider { status: 500, cause: None });
    assert!(of("qwen-plus").fell_back && of("qwen-plus").outcome.failed());
    assert_eq!((of("fast").outcome, of("fast").fell_back), (Outcome::HangUp, false));
    assert_eq!(house.used("qwen-plus"), (1, 0));
}
