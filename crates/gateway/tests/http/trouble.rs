//! A provider in trouble, and a gateway that stops.

use std::time::Duration;

use domain::Cause;
use gateway::{Outcome, Settings};
use testkit::{Provider, ProviderSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::*;

fn server_error(message: &str, code: &str) -> String {
    format!(
        r#"{{"error":{{"message":"{message}","type":"server_error","param":null,"code":"{code}"}},"request_id":"RID"}}"#
    )
}

fn failed(sentence: &str) -> String {
    server_error(&format!("Failed to request model service. {sentence}"), "model_service_failed")
}

async fn check(house: &House, behaviour: &str, status: u16, body: &str, retry: &str, outcome: Outcome) {
    house.clock.advance(1_000_000);
    let before = house.used("qwen-plus");
    let reply = house.call(acting(post(CHAT, SEARCH, plain()), behaviour)).await;
    assert_eq!((reply.status, reply.masked().as_str()), (status, body), "{behaviour}");
    assert_eq!((reply.header("x-should-retry"), reply.header("x-sluice-origin")), (retry, "gateway"), "{behaviour}");
    assert_eq!(reply.header("x-sluice-model"), "qwen-plus");
    assert_eq!(reply.header("x-ratelimit-limit-requests"), "100");
    assert!(reply.header("server-timing").contains("upstream;dur="));
    let call = house.calls(1).await.remove(0);
    assert_eq!((call.outcome, call.tokens.total, call.outcome.failed()), (outcome, 0, true));
    assert_eq!(house.used("qwen-plus"), (before.0 + 1, before.1), "the request stays charged, the tokens do not");
}

#[tokio::test]
async fn what_the_gateway_says_of_a_provider_in_trouble() {
    let settings = Settings { first_byte_timeout: Duration::from_millis(300), ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let unreachable = failed("Provider dashscope cannot be reached.");
    check(&house, "close", 502, &unreachable, "true", Outcome::Unreachable).await;
    let credential = failed("The provider refused the gateway's credential.");
    check(&house, "status=401", 502, &credential, "false", Outcome::Unreachable).await;
    check(&house, "redirect", 502, &failed("The provider answered with a redirect."), "true", Outcome::Unreachable)
        .await;
    let silent = server_error(
        "Request timed out, please try again later. Provider dashscope sent nothing for 0 s.",
        "request_timeout",
    );
    check(&house, "delay-ms=600000", 504, &silent, "", Outcome::Timeout).await;
    let house = House::with(Settings::default(), |contents| {
        contents.providers[0].openai_base_url = Some("http://127.0.0.1:1/v1".into());
    })
    .await;
    check(&house, "", 502, &unreachable, "true", Outcome::Unreachable).await;
}

#[tokio::test]
async fn other_answers_of_the_provider_pass_as_they_come() {
    let house = House::new().await;
    for (status, cause) in [(429, Some(Cause::Requests)), (500, None), (400, None), (503, None), (418, None)] {
        house.clock.advance(1_000_000);
        let body = "{\"error\": {\"code\":\"limit_requests\"} }";
        let behaviour = format!("status={status}; header=retry-after:7; header=x-should-retry:false; body={body}");
        let reply = house.call(acting(post(CHAT, SEARCH, plain()), &behaviour)).await;
        assert_eq!((reply.status, reply.text()), (status, body));
        assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("7", "false"));
        assert_eq!(reply.header("x-sluice-origin"), "provider");
        let call = house.calls(1).await.remove(0);
        assert_eq!((call.outcome, call.tokens.total), (Outcome::Provider { status, cause }, 0));
    }
    let counted =
        "status=500; body={\"error\":{},\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}";
    house.clock.advance(1_000_000);
    house.call(acting(post(CHAT, SEARCH, plain()), counted)).await;
    assert_eq!(house.calls(1).await[0].tokens.total, 7, "counts in an error are used");
}

#[tokio::test]
async fn an_answer_that_is_no_json_passes_and_is_estimated() {
    let house = House::new().await;
    let reply = house.call(acting(post(CHAT, SEARCH, plain()), "garbage")).await;
    assert_eq!(reply.status, 200);
    let call = house.calls(1).await.remove(0);
    assert_eq!(call.outcome, Outcome::Ok);
    assert!(call.tokens.estimated, "{:?}", call.tokens);
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let house = House::new().await;
    let response = house.send(acting(post(CHAT, SEARCH, plain()), "break-after=30")).await;
    assert_eq!(response.status(), 200);
    assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err());
    assert_eq!(house.calls(1).await[0].outcome, Outcome::Broken);
}

/// An answer whose words have come, and whose counts have not.
const CUT: &str = r#"{"choices":[{"message":{"role":"assistant","content":"0123456789012345678901234567890123456789"#;

#[tokio::test]
async fn words_of_an_answer_that_broke_off_are_charged() {
    let house = House::new().await;
    for (length, output) in [(30, 0), (CUT.len() - 20, 5), (CUT.len(), 10)] {
        house.clock.advance(60_000_000);
        let behaviour = format!("break-after={length}; body={CUT}{CUT}");
        let response = house.send(acting(post(CHAT, SEARCH, plain()), &behaviour)).await;
        assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err());
        let call = house.calls(1).await.remove(0);
        assert_eq!((call.outcome, call.tokens.output, call.tokens.estimated), (Outcome::Broken, output, true));
        assert!(call.tokens.prompt > 0 && house.used("qwen-plus") == (1, call.tokens.prompt + output), "{length}");
    }
}

#[tokio::test]
async fn words_of_an_answer_that_its_client_left_are_charged() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let house = House::with(Settings::default(), |it| it.providers[0].openai_base_url = Some(url)).await;
    let provider = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
        io.write_all(format!("{head}{CUT}").as_bytes()).await.unwrap();
        // Until the gateway leaves.
        io.read_to_end(&mut Vec::new()).await
    });
    let mut body = house.send(post(CHAT, SEARCH, plain())).await.into_body();
    http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    drop(body);
    let call = house.calls(1).await.remove(0);
    let _ = provider.await.unwrap();
    assert_eq!((call.outcome, call.tokens.output, call.tokens.estimated), (Outcome::HangUp, 10, true));
    assert_eq!(house.used("qwen-plus"), (1, call.tokens.total));
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_silently() {
    let house = House::new().await;
    assert_eq!(house.chat(SEARCH, plain()).await.status, 200);
    let listen = house.provider.addr;
    let House { provider, addr, clock, .. } = &house;
    let _ = (provider, addr);
    clock.advance(1_000_000);
    let mut house = house;
    let settings = ProviderSettings { listen, credential: Some(CREDENTIAL.into()), ..ProviderSettings::instant() };
    let elsewhere = Provider::start(ProviderSettings::instant()).await.unwrap();
    drop(std::mem::replace(&mut house.provider, elsewhere));
    let again = loop {
        match Provider::start(settings.clone()).await {
            Ok(provider) => break provider,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(house.chat(SEARCH, plain()).await.status, 200);
    assert_eq!(again.log().received().len(), 1);
    assert_eq!(house.calls(2).await.iter().filter(|it| it.outcome == Outcome::Ok).count(), 2, "one call, one permit");
}

#[tokio::test]
async fn a_gateway_that_stops_finishes_what_runs_and_takes_nothing_new() {
    let house = House::new().await;
    let mut keep = house.connect().await;
    let slow = keep.send_request(acting(post(CHAT, SEARCH, stream()), "gap-ms=20")).await.unwrap();
    house.shutdown.cancel();
    let new = loop {
        let reply = house.chat(SEARCH, plain()).await;
        if reply.status != 200 {
            break reply;
        }
        house.clock.advance(1_000_000);
    };
    let message = "Model is unavailable, please try again later. This gateway is about to stop and takes no new call.";
    assert_eq!((new.status, new.masked()), (503, server_error(message, "model_unavailable")));
    for (name, value) in
        [("retry-after", "1"), ("retry-after-ms", "1000"), ("x-should-retry", "true"), ("connection", "close")]
    {
        assert_eq!(new.header(name), value, "{name}");
    }
    assert_eq!(house.call(get("/readyz", "")).await.status, 503);
    assert_eq!(house.call(get("/healthz", "")).await.status, 200);
    let body = http_body_util::BodyExt::collect(slow.into_body()).await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    house.served.await.unwrap().unwrap();
    assert_eq!(house.gateway.running(), 0);
}

#[tokio::test]
async fn an_answer_in_another_protocol_is_none() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let house = House::with(Settings::default(), |it| it.providers[0].openai_base_url = Some(url)).await;
    tokio::spawn(async move {
        for head in ["101 Switching Protocols\r\nupgrade: x", "200 OK\r\ntransfer-encoding: gzip, chunked"] {
            let (mut io, _) = listener.accept().await.unwrap();
            assert!(io.read(&mut [0; 4096]).await.unwrap() > 0);
            io.write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).await.unwrap();
        }
    });
    for _ in 0..2 {
        house.clock.advance(1_000_000);
        assert_eq!(house.chat(SEARCH, plain()).await.status, 502);
        assert_eq!(house.calls(1).await[0].outcome, Outcome::Unreachable);
    }
}
