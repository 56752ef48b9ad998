//! Event streams: what passes, what is kept back, what is learned, and how they end.

use std::time::Duration;

use domain::Cause;
use gateway::{Outcome, Settings};
use http_body_util::BodyExt;
use testkit::provider::Ending;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::*;

const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";

fn asking(options: &str) -> String {
    stream().replace("\"stream\":true", &format!("\"stream\":true,\"stream_options\":{options}"))
}

#[tokio::test]
async fn counts_are_asked_for_and_kept_back() {
    let house = House::new().await;
    let reply = house.chat(SEARCH, stream()).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/event-stream;charset=UTF-8"));
    assert_eq!((reply.header("cache-control"), reply.header("x-accel-buffering")), ("no-cache", "no"));
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    assert!(!reply.text().contains("total_tokens"), "{}", reply.text());
    let seen = house.provider.log().received().pop().unwrap();
    let expected = stream().replace("true}", r#"true,"stream_options":{"include_usage":true}}"#);
    assert_eq!(seen.body, expected);
    let call = house.calls(1).await.remove(0);
    assert_eq!((call.outcome, call.streamed, call.ttft_us), (Outcome::Ok, true, Some(0)));
    assert_eq!((call.tokens.prompt, call.tokens.total, call.tokens.estimated), (3, 23, false));
    assert_eq!(house.used("qwen-plus"), (1, 23));
}

#[tokio::test]
async fn a_client_that_asked_sees_every_byte() {
    let house = House::new().await;
    let body = asking(r#"{"include_usage":true}"#);
    let asked = house.chat(SEARCH, body.clone()).await;
    assert_eq!(house.provider.log().received().pop().unwrap().body, body);
    assert!(asked.text().contains(r#""total_tokens":23"#));
    // The same events but one, whatever pieces they come in.
    for behaviour in ["", "split=1", "split=7", "crlf", "crlf; split=3"] {
        house.clock.advance(1_000_000);
        let with = house.call(acting(post(CHAT, SEARCH, body.clone()), behaviour)).await;
        let without = house.call(acting(post(CHAT, SEARCH, stream()), behaviour)).await;
        let events = |reply: &Reply| reply.text().replace("\r\n", "\n").matches("\n\n").count();
        assert_eq!(events(&with), events(&without) + 1, "{behaviour}");
        assert_eq!(with.text().contains("\r\n"), behaviour.contains("crlf"));
        assert!(with.text().replace("\r\n", "\n").ends_with("data: [DONE]\n\n"));
    }
    assert!(house.calls(11).await.iter().all(|it| it.tokens.total == 23 && !it.tokens.estimated));
}

#[tokio::test]
async fn an_event_passes_when_it_is_there() {
    let house = House::new().await;
    let response = house.send(acting(post(CHAT, SEARCH, stream()), "silence-after=2")).await;
    let mut body = response.into_body();
    let mut got = Vec::new();
    while got.windows(2).filter(|it| it == b"\n\n").count() < 2 {
        got.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    assert_eq!(house.gateway.running(), 1, "the provider has not finished, and its first events are here");
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_the_provider_s_call_with_it() {
    let house = House::new().await;
    let response = house.send(acting(post(CHAT, SEARCH, stream()), "silence-after=6")).await;
    let mut body = response.into_body();
    let mut got = Vec::new();
    while got.windows(2).filter(|it| it == b"\n\n").count() < 6 {
        got.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    drop(body);
    let call = house.calls(1).await.remove(0);
    assert_eq!((call.outcome, call.outcome.status(), call.outcome.failed()), (Outcome::HangUp, 499, false));
    assert!(call.tokens.estimated && call.tokens.output > 0, "{:?}", call.tokens);
    assert_eq!(call.tokens.total, call.tokens.prompt + call.tokens.output);
    assert_eq!(house.used("qwen-plus"), (1, call.tokens.total), "settled at what was counted");
    house.provider.log().wait_until(|it| matches!(it[0].ended, Some((Ending::HungUp, _)))).await;
    assert_eq!(house.gateway.running(), 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_answer_does_too() {
    let house = House::new().await;
    let sending = house.send(acting(post(CHAT, SEARCH, plain()), "delay-ms=600000"));
    tokio::select! {
        _ = sending => panic!("the provider does not answer"),
        _ = house.provider.log().wait_until(|it| !it.is_empty()) => {}
    }
    let call = house.calls(1).await.remove(0);
    assert_eq!(call.outcome, Outcome::HangUp);
    house.provider.log().wait_until(|it| matches!(it[0].ended, Some((Ending::HungUp, _)))).await;
}

fn broke_off(dialect: &str) -> &'static str {
    match dialect {
        "native" => include_str!("../../src/refusal/fixtures/broke-off-native.txt"),
        "responses" => include_str!("../../src/refusal/fixtures/broke-off-responses.txt"),
        "anthropic" => include_str!("../../src/refusal/fixtures/broke-off-anthropic.txt"),
        _ => include_str!("../../src/refusal/fixtures/broke-off-chat.txt"),
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_event_of_its_dialect() {
    let house = House::new().await;
    let native = r#"{"model":"qwen-plus","input":{"messages":[{"role":"user","content":"hi"}]}}"#;
    let messages = r#"{"model":"qwen-plus","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let responses = r#"{"model":"qwen-plus","stream":true,"input":"hi"}"#;
    for behaviour in ["break-after=4", "break-inside=4", "end-after=4"] {
        for (dialect, path, body) in [
            ("chat", CHAT, stream()),
            ("native", NATIVE, native),
            ("responses", "/v1/responses", responses),
            ("anthropic", "/v1/messages", messages),
        ] {
            house.clock.advance(1_000_000);
            let mut request = acting(post(path, SEARCH, body), behaviour);
            if dialect == "native" {
                request.headers_mut().insert("x-dashscope-sse", "enable".parse().unwrap());
            }
            let reply = house.call(request).await;
            let text = reply.masked();
            let (before, last) = text.trim_end_matches('\n').rsplit_once("\n\n").unwrap();
            // The numbers follow those of the events before.
            let number = before.split("\n\n").count() as u64;
            let expected = broke_off(dialect)
                .replace("id:8", &format!("id:{}", number + 1))
                .replace(":43}", &format!(":{number}}}"));
            assert_eq!(format!("{last}\n\n"), expected, "{dialect} {behaviour}\n{text}");
            assert_eq!(number, 4, "{dialect}: what was begun is dropped");
            let call = house.calls(1).await.remove(0);
            assert_eq!((call.outcome, call.outcome.failed()), (Outcome::Broken, true), "{dialect} {behaviour}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_with_a_504_event() {
    let settings = Settings { silence_timeout: Duration::from_millis(50), ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let reply = house.call(acting(post(CHAT, SEARCH, stream()), "silence-after=3")).await;
    assert!(reply.masked().ends_with(
        "data: {\"error\":{\"message\":\"Request timed out, please try again later. Provider dashscope sent nothing for 0 s.\",\"type\":\"server_error\",\"param\":null,\"code\":\"request_timeout\"},\"request_id\":\"RID\"}\n\n"
    ));
    assert_eq!(house.calls(1).await[0].outcome, Outcome::Timeout);
    house.provider.log().wait_until(|it| matches!(it[0].ended, Some((Ending::HungUp, _)))).await;
}

#[tokio::test]
async fn an_error_of_the_provider_inside_a_stream_passes_and_is_recorded() {
    let house = House::new().await;
    let reply = house.call(acting(post(CHAT, SEARCH, stream()), "error-event=2")).await;
    let events: Vec<_> = reply.text().trim_end_matches('\n').split("\n\n").collect();
    assert_eq!(events.len(), 3, "two events, the error, and nothing of Sluice's own: {}", reply.text());
    assert!(events[2].contains("\"error\""));
    let outcome = house.calls(1).await[0].outcome;
    assert!(
        matches!(
            outcome,
            Outcome::Provider { status: 429, cause: Some(Cause::Tokens | Cause::Surge | Cause::Requests) }
        ),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_stream_without_counts_is_estimated() {
    let house = House::new().await;
    let reply = house.call(acting(post(CHAT, SEARCH, stream()), "no-usage")).await;
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    let call = house.calls(1).await.remove(0);
    assert_eq!(call.outcome, Outcome::Ok);
    assert!(call.tokens.estimated && (10..40).contains(&call.tokens.output), "{:?}", call.tokens);
    assert_eq!(house.used("qwen-plus").1, call.tokens.total);
}

/// Reads that many events of an answer, and leaves it then.
async fn leave_after(house: &House, request: http::Request<http_body_util::Full<bytes::Bytes>>, events: usize) {
    let mut body = house.send(request).await.into_body();
    let mut got = Vec::new();
    while got.windows(2).filter(|it| it == b"\n\n").count() < events {
        got.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
}

const MESSAGES: &str =
    r#"{"model":"qwen-plus","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn words_after_the_last_counts_are_charged_when_a_client_hangs_up() {
    let house = House::new().await;
    let request = acting(post("/v1/messages", SEARCH, MESSAGES), "prompt=3; silence-after=8");
    leave_after(&house, request, 8).await;
    let call = house.calls(1).await.remove(0);
    assert_eq!(call.outcome, Outcome::HangUp);
    assert!(call.tokens.estimated && call.tokens.output > 4, "more than message_start says: {:?}", call.tokens);
    assert_eq!(house.used("qwen-plus"), (1, call.tokens.total));
    // Counts that know all that has passed are taken as they are.
    house.clock.advance(60_000_000);
    let native = r#"{"model":"qwen-plus","input":{"messages":[{"role":"user","content":"hi"}]}}"#;
    let mut request = acting(post(NATIVE, SEARCH, native), "prompt=300; silence-after=4");
    request.headers_mut().insert("x-dashscope-sse", "enable".parse().unwrap());
    leave_after(&house, request, 4).await;
    let call = house.calls(1).await.remove(0);
    assert!(!call.tokens.estimated && call.tokens.prompt == 300 && call.tokens.output > 0, "{:?}", call.tokens);
    assert_eq!(house.used("qwen-plus"), (1, call.tokens.total));
}

#[tokio::test]
async fn words_after_the_last_counts_are_charged_while_they_pass() {
    let house = House::with(Settings::default(), |it| it.models[0].limits = limits(600, 20)).await;
    // What may come is more than there is room for, so all the room is held at first.
    let body = MESSAGES.replace(":50", ":400");
    let request = acting(post("/v1/messages", DEFAULT, body), "prompt=3; output=400; silence-after=20");
    let mut body = house.send(request).await.into_body();
    let mut got = Vec::new();
    while got.windows(2).filter(|it| it == b"\n\n").count() < 20 {
        got.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    assert_eq!(house.gateway.running(), 1, "it goes on");
    assert!(house.used("qwen-plus").1 > 20, "{:?}", house.used("qwen-plus"));
}

#[tokio::test]
async fn a_stream_that_breaks_off_before_its_first_words_is_charged_its_prompt() {
    let house = House::new().await;
    for (behaviour, charged) in [("break-after=1", true), ("break-inside=0", true), ("error-event=0", false)] {
        house.clock.advance(60_000_000);
        house.call(acting(post(CHAT, SEARCH, stream()), behaviour)).await;
        let call = house.calls(1).await.remove(0);
        assert!(call.outcome.failed());
        assert_eq!((call.tokens.total > 0, call.tokens.output), (charged, 0), "{behaviour}: {:?}", call.tokens);
        assert_eq!(house.used("qwen-plus"), (1, call.tokens.total), "{behaviour}");
    }
}

#[tokio::test]
async fn an_event_of_any_length_is_told_and_counted() {
    let house = House::new().await;
    let responses = r#"{"model":"qwen-plus","stream":true,"input":"hi"}"#;
    let native = r#"{"model":"qwen-plus","input":{"messages":[{"role":"user","content":"hi"}]},"parameters":{"result_format":"message"}}"#;
    for (path, body) in [("/v1/responses", responses), (NATIVE, native)] {
        house.clock.advance(60_000_000);
        let mut request = acting(post(path, DEFAULT, body), "prompt=9; output=14000");
        request.headers_mut().insert("x-dashscope-sse", "enable".parse().unwrap());
        let reply = house.call(request).await;
        assert!(!reply.text().contains("event:error"));
        let (_, last) = reply.text().trim_end_matches('\n').rsplit_once("\n\n").unwrap();
        assert!(last.len() > 64 << 10 && !last.starts_with("event: error"), "{path}: {last:.300}");
        let call = house.calls(1).await.remove(0);
        assert_eq!(call.outcome, Outcome::Ok, "{path}");
        assert_eq!((call.tokens.total, call.tokens.estimated), (14_009, false), "{path}");
        assert_eq!(house.used("qwen-plus"), (1, 14_009), "{path}");
    }
}

#[tokio::test]
async fn a_stream_whose_last_event_nobody_can_tell_ends_well_and_is_estimated() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let house = House::with(Settings::default(), |it| it.providers[0].anthropic_base_url = Some(url)).await;
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}"#;
    let words = r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"0123456789012345"}}"#;
    let last = format!(r#"{{"type":"message_stop","numbers":[{}1]}}"#, "1,".repeat(200_000));
    let text = format!("data: {start}\n\ndata: {words}\n\ndata: {last}\n\n");
    let sent = text.clone();
    tokio::spawn(async move {
        // The second answer breaks off where the first one ends.
        for length in [sent.len(), sent.len() + 1] {
            let (mut io, _) = listener.accept().await.unwrap();
            assert!(io.read(&mut [0; 4096]).await.unwrap() > 0);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n");
            io.write_all(format!("{head}connection: close\r\n\r\n{sent}").as_bytes()).await.unwrap();
        }
    });
    let reply = house.call(post("/v1/messages", SEARCH, MESSAGES)).await;
    assert!(reply.text() == text, "every byte, and no other");
    let call = house.calls(1).await.remove(0);
    assert_eq!((call.outcome, call.tokens.output, call.tokens.estimated), (Outcome::Ok, 4, true));
    house.clock.advance(60_000_000);
    let reply = house.call(post("/v1/messages", SEARCH, MESSAGES)).await;
    let (passed, error) = reply.text().split_at(text.len());
    assert!(passed == text && error.starts_with("event: error\n"), "{error}");
    assert_eq!(house.calls(1).await[0].outcome, Outcome::Broken);
}
