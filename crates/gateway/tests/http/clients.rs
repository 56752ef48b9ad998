//! Clients that are slow to send or slow to read.

use std::time::Duration;

use gateway::{Outcome, Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::*;

#[tokio::test]
async fn a_body_that_trickles_in_is_cut_off() {
    let settings = Settings { client_timeout: Duration::from_millis(100), ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let mut io = TcpStream::connect(house.addr).await.unwrap();
    let length = 2000;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SEARCH}\r\ncontent-length: {length}\r\n\r\n"
    );
    io.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = io.into_split();
    let mut answer = vec![0; 4096];
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let mut sent = 0;
    let count = loop {
        tokio::select! {
            count = reader.read(&mut answer) => break count.unwrap(),
            _ = pace.tick(), if sent < length => {
                // Never silent for long.
                writer.write_all(b" ").await.unwrap();
                sent += 1;
            }
        }
    };
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 400 ") && sent < length, "{sent} bytes: {answer}");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let settings = Settings { client_timeout: Duration::from_millis(300), ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let (mut reader, mut writer) = TcpStream::connect(house.addr).await.unwrap().into_split();
    writer.write_all(b"GET /v1/models HTTP/1.1\r\n").await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let (mut answer, mut sent) = (Vec::new(), 0);
    // Until the gateway ends the connection.
    let ended = reader.read_to_end(&mut answer);
    tokio::pin!(ended);
    loop {
        tokio::select! {
            _ = &mut ended => break,
            _ = pace.tick(), if sent < 20_000 => {
                // Never silent for long.
                sent += 1;
                let _ = writer.write_all(b"x").await;
            }
        }
    }
    assert!(sent < 20_000, "it was not waited for");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with('}'), "{answer}");
    assert!(answer.contains("did not come in time") && answer.contains("\r\nx-request-id: "), "{answer}");
    assert_eq!(house.gateway.running(), 0);
}

#[tokio::test]
async fn a_connection_without_a_call_ends_without_a_word() {
    let settings = Settings { client_timeout: Duration::from_millis(100), ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let mut answer = String::new();
    TcpStream::connect(house.addr).await.unwrap().read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "");
    let mut kept = send_raw(&house, "", plain(), "").await;
    kept.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_left() {
    let settings = Settings { client_timeout: Duration::from_millis(300), ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut io = socket.connect(house.addr).await.unwrap();
    let body = r#"{"model":"qwen-plus","messages":[],"max_tokens":200000,"stream":true}"#;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SEARCH}\r\nx-stand-in: output=200000\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    io.write_all(head.as_bytes()).await.unwrap();
    let call = house.calls(1).await.remove(0);
    assert_eq!(call.outcome, Outcome::HangUp);
    house.provider.log().wait_until(|it| it[0].ended.is_some()).await;
    drop(io);
}

#[tokio::test]
async fn a_gateway_that_stops_lets_its_answers_be_read_to_their_end() {
    let house = House::with(Settings::default(), |contents| {
        let many = (0..60_000).map(|it| model(&format!("a-name-that-takes-some-room-{it}"), limits(60, 1000)));
        contents.models.extend(many);
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut io = socket.connect(house.addr).await.unwrap();
    io.write_all(format!("GET /v1/models HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {DEFAULT}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 1000];
    io.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    assert_eq!(house.gateway.running(), 0, "all of it is written as far as the gateway goes");
    house.shutdown.cancel();
    while TcpStream::connect(house.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    io.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"]}"), "{} bytes", answer.len());
    house.served.await.unwrap().unwrap();
}

/// Sends a whole call by hand, and more behind it.
async fn send_raw(house: &House, more_headers: &str, body: &str, behind: &str) -> TcpStream {
    let mut io = TcpStream::connect(house.addr).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SEARCH}\r\n{more_headers}content-length: {}\r\n\r\n",
        body.len()
    );
    io.write_all(format!("{head}{body}{behind}").as_bytes()).await.unwrap();
    io
}

#[tokio::test]
async fn a_hang_up_is_seen_behind_bytes_that_were_sent_ahead() {
    let house = House::new().await;
    for behind in ["", "\r\n", "GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\nGET"] {
        for behaviour in ["delay-ms=600000", "silence-after=1"] {
            house.clock.advance(1_000_000);
            house.provider.log().clear();
            let io = send_raw(&house, &format!("x-stand-in: {behaviour}\r\n"), stream(), behind).await;
            house.provider.log().wait_until(|it| it.len() == 1).await;
            drop(io);
            let call = house.calls(1).await.remove(0);
            assert_eq!(call.outcome, Outcome::HangUp, "{behind:?} {behaviour}");
            house.provider.log().wait_until(|it| it[0].ended.is_some()).await;
        }
    }
}

#[tokio::test]
async fn calls_that_were_sent_ahead_are_answered_in_their_order() {
    let house = House::new().await;
    let next = format!("GET /v1/models/qwen-plus HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SEARCH}\r\n\r\n");
    let last = next.replace("host: a", "host: a\r\nconnection: close");
    let mut io = send_raw(&house, "x-stand-in: delay-ms=50\r\n", plain(), &format!("{}{last}", next.repeat(3))).await;
    let mut answers = String::new();
    io.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 5, "{answers}");
    assert!(answers.find("chat.completion") < answers.find("\"object\":\"model\""), "{answers}");
}

#[tokio::test]
async fn a_refusal_is_read_by_a_client_that_sends_on() {
    let house = House::new().await;
    let body = " ".repeat(8 << 20);
    for (key, headers, length, status) in [
        ("sk-wrong", "expect: 100-continue\r\n", body.len(), "401"),
        (SEARCH, "expect: 100-continue\r\n", 33 << 20, "413"),
        (SEARCH, "expect: 100-continue\r\ncontent-encoding: gzip\r\n", body.len(), "415"),
        ("sk-wrong", "", body.len(), "401"),
        (SEARCH, "", 33 << 20, "413"),
    ] {
        let mut io = TcpStream::connect(house.addr).await.unwrap();
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n{headers}content-length: {length}\r\n\r\n"
        );
        // All of it before the answer is looked at.
        io.write_all(head.as_bytes()).await.unwrap();
        io.write_all(body.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        io.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with('}'), "{headers}{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n") && answer.contains("\r\ncontent-length: "), "{answer}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_the_dialect_of_its_path() {
    let house = House::new().await;
    for (line, begin) in [
        (format!("POST {CHAT}"), r#"{"error":{"message":"Request header fields too large. At most 65536 bytes"#),
        ("GET /nowhere".to_owned(), r#"{"error":{"message":"Request header fields too large."#),
        (
            "POST /api/v1/services/a/b".to_owned(),
            r#"{"code":"BadRequest.TooLarge","message":"Request header fields too large."#,
        ),
        (
            "POST /v1/messages".to_owned(),
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Request header fields too large."#,
        ),
    ] {
        let many: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
        for headers in [format!("x: {}\r\n", "x".repeat(66_000)), format!("x: {}\r\n", "x".repeat(300_000)), many] {
            let mut io = TcpStream::connect(house.addr).await.unwrap();
            let head = format!(
                "{line} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SEARCH}\r\nconnection: close\r\n{headers}\r\n"
            );
            io.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            io.read_to_end(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
            assert!(body.starts_with(begin) && body.ends_with('}'), "{body}");
            assert!(head.contains("\r\nx-request-id: ") && head.contains("\r\nx-sluice-origin: gateway"), "{head}");
            assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
        }
    }
    for (request, status) in [
        (format!("GET /v1/{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)), "431"),
        ("GET /v1/models HTTP/1.1\r\nbad name: x\r\n\r\n".to_owned(), "400"),
    ] {
        let mut io = TcpStream::connect(house.addr).await.unwrap();
        io.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        io.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with('}'), "{answer}");
        assert!(answer.contains("\r\nx-request-id: ") && answer.contains(r#"{"error":{"message":""#), "{answer}");
    }
    assert!(house.provider.log().received().is_empty());
}

#[tokio::test]
async fn more_connections_than_are_held_are_answered() {
    let settings = Settings { connections: 2, ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let (mut one, two) = (house.connect().await, house.connect().await);
    assert_eq!(one.send_request(get("/v1/models", SEARCH)).await.unwrap().status(), 200);
    let message = "Model is unavailable, please try again later. This gateway holds as many connections as it can.";
    let expected = format!(
        r#"{{"error":{{"message":"{message}","type":"server_error","param":null,"code":"model_unavailable"}},"request_id":"RID"}}"#
    );
    let reply = house.chat(SEARCH, plain()).await;
    assert_eq!((reply.status, reply.masked()), (503, expected));
    for (name, value) in
        [("retry-after", "1"), ("retry-after-ms", "1000"), ("x-should-retry", "true"), ("connection", "close")]
    {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let native = house.call(post("/api/v1/services/a/b", SEARCH, "")).await;
    assert!(native.status == 503 && native.text().starts_with(r#"{"code":"ModelUnavailable""#), "{}", native.text());
    assert_eq!(house.call(get("/readyz", "")).await.status, 200, "whoever watches is answered");
    drop(two);
    // Its place is free as soon as the gateway has seen it go.
    while house.chat(SEARCH, plain()).await.status != 200 {
        house.clock.advance(1_000_000);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn more_calls_than_a_provider_has_connections_are_answered() {
    let settings = Settings { provider_connections: 1, ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let mut holding = send_raw(&house, "x-stand-in: silence-after=1\r\n", stream(), "").await;
    assert!(holding.read(&mut [0; 4096]).await.unwrap() > 0);
    house.clock.advance(1_000_000);
    let reply = house.chat(SEARCH, plain()).await;
    let message = "Model is unavailable, please try again later. Provider dashscope has as many calls as it may have.";
    let expected = format!(
        r#"{{"error":{{"message":"{message}","type":"server_error","param":null,"code":"model_unavailable"}},"request_id":"RID"}}"#
    );
    assert_eq!((reply.status, reply.masked()), (503, expected));
    assert_eq!((reply.header("retry-after-ms"), reply.header("x-should-retry")), ("1000", "true"));
    assert_eq!(reply.header("x-sluice-model"), "qwen-plus");
    let call = house.calls(1).await.remove(0);
    assert_eq!((call.outcome, call.tokens.total), (Outcome::Undecided, 0));
    drop(holding);
    house.calls(1).await;
    for _ in 0..3 {
        house.clock.advance(1_000_000);
        assert_eq!(house.chat(SEARCH, plain()).await.status, 200, "the place is free again, call after call");
    }
}

#[tokio::test]
async fn what_still_runs_when_the_gateway_ends_is_cut_off_and_recorded() {
    let settings = Settings { drain: Duration::from_millis(200), ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let mut cut = send_raw(&house, "x-stand-in: silence-after=1\r\n", stream(), "").await;
    assert!(cut.read(&mut [0; 4096]).await.unwrap() > 0);
    house.shutdown.cancel();
    let mut rest = Vec::new();
    let _ = cut.read_to_end(&mut rest).await;
    let call = house.calls(1).await.remove(0);
    assert_eq!((call.outcome, call.outcome.failed()), (Outcome::Broken, true), "nobody hung up");
    assert_eq!(house.used("qwen-plus"), (1, call.tokens.total));
}

#[tokio::test]
async fn resets_are_told_from_the_end_of_a_slow_upload() {
    let house = House::new().await;
    let body = r#"{"model":"qwen-plus","max_tokens":5,"messages":[]}"#;
    let mut io = TcpStream::connect(house.addr).await.unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: {SEARCH}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    io.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    io.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    house.wall.0.store(NOW_MS + 30_000, std::sync::atomic::Ordering::Relaxed);
    io.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("anthropic-ratelimit-requests-reset: 2026-11-22T00:01:30Z\r\n"), "{answer}");
}
