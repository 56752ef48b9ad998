//! Trouble of every kind at the provider, byte by byte: what the client gets, what is recorded, and that nothing of the
//! call is left behind.

use std::time::Duration;

use domain::Cause;
use gateway::{Outcome, Settings};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::support::*;

/// What a provider does with one connection.
#[derive(Clone)]
struct Act {
    says: Vec<u8>,
    /// Says nothing more and does not close; else it closes.
    stays: bool,
    /// Resets the connection instead of closing it.
    resets: bool,
}

fn says(text: impl Into<Vec<u8>>) -> Act {
    Act { says: text.into(), stays: false, resets: false }
}

fn stays(text: &str) -> Act {
    Act { stays: true, ..says(text) }
}

/// A provider that acts by a list, a connection each.
async fn acting() -> (String, mpsc::UnboundedSender<Act>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (next, mut acts) = mpsc::unbounded_channel::<Act>();
    tokio::spawn(async move {
        while let Some(act) = acts.recv().await {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while !seen.ends_with(b"}") {
                let count = io.read(&mut buffer).await.unwrap();
                assert!(count > 0, "the call comes whole");
                seen.extend_from_slice(&buffer[..count]);
            }
            // Gone before all is said, if the gateway has heard enough.
            let _ = io.write_all(&act.says).await;
            if act.resets {
                io.set_zero_linger().unwrap();
            } else if act.stays {
                tokio::spawn(async move { io.read_to_end(&mut Vec::new()).await });
            }
        }
    });
    (url, next)
}

struct Expected {
    status: u16,
    origin: &'static str,
    retry: &'static str,
    outcome: Outcome,
    /// Whether the body comes to a proper end.
    whole: bool,
    /// Whether anything is charged beside the request.
    charged: bool,
}

fn gateways(status: u16, retry: &'static str, outcome: Outcome) -> Expected {
    Expected { status, origin: "gateway", retry, outcome, whole: true, charged: false }
}

fn passes(status: u16, outcome: Outcome) -> Expected {
    let origin = if status < 400 { "" } else { "provider" };
    Expected { status, origin, retry: "", outcome, whole: true, charged: false }
}

#[tokio::test]
async fn every_kind_of_trouble_has_its_answer_its_cause_and_leaves_nothing_behind() {
    let (url, provider) = acting().await;
    let settings = Settings {
        first_byte_timeout: Duration::from_millis(300),
        silence_timeout: Duration::from_millis(300),
        ..Settings::default()
    };
    let house = House::with(settings, |it| it.providers[0].openai_base_url = Some(url + "/v1")).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let answer = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
    let length = answer.len();
    let limited = r#"{"code":"Throttling.RateQuota"}"#;
    let whole = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}content-length: 2\r\n\r\n{{}}");
    let unreachable = || gateways(502, "true", Outcome::Unreachable);
    let broken = |outcome| Expected { whole: false, charged: true, ..passes(200, outcome) };
    let by_status = |status, cause| passes(status, Outcome::Provider { status, cause });
    let many: String = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect();
    let table: Vec<(&str, Act, Expected)> = vec![
        ("closes", says(""), unreachable()),
        ("another protocol", says("SSH-2.0-OpenSSH_9.9\r\n"), unreachable()),
        ("half a head", says("HTTP/1.1 200 OK\r\ncontent-"), unreachable()),
        ("a flood of bytes", says(format!("{head}x: {}\r\n\r\n", "x".repeat(70_000))), unreachable()),
        ("a flood of headers", says(format!("{head}{many}\r\n")), unreachable()),
        ("a status that is none", says("HTTP/1.1 99 No\r\n\r\n"), unreachable()),
        ("two lengths", says(format!("{head}content-length: 1\r\ncontent-length: 2\r\n\r\n{{}}")), unreachable()),
        ("a redirect", says(whole("302 Found", "location: http://127.0.0.1:1/\r\n")), unreachable()),
        ("its own login", says(whole("401 Unauthorized", "")), gateways(502, "false", Outcome::Unreachable)),
        ("nothing", stays(""), gateways(504, "", Outcome::Timeout)),
        ("half a head and nothing more", stays("HTTP/1.1 200 OK\r\n"), gateways(504, "", Outcome::Timeout)),
        (
            "its own limit",
            says(format!("HTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n{limited}", limited.len())),
            by_status(429, Some(Cause::Requests)),
        ),
        ("an error", says(whole("500 Oh", "")), by_status(500, None)),
        (
            "overload",
            says(whole("529 Overloaded", "x-should-retry: true\r\n")),
            Expected { retry: "true", ..by_status(529, None) },
        ),
        ("a mistake of the caller", says(whole("400 Bad", "")), by_status(400, None)),
        (
            "nothing to say",
            says("HTTP/1.1 204 No Content\r\n\r\n"),
            Expected { charged: true, ..passes(204, Outcome::Ok) },
        ),
        (
            "no JSON",
            says(format!("{head}content-length: 5\r\n\r\n<htm>")),
            Expected { charged: true, ..passes(200, Outcome::Ok) },
        ),
        (
            "more than it said",
            says(format!("{head}content-length: {length}\r\n\r\n{answer}{answer}")),
            Expected { charged: true, ..passes(200, Outcome::Ok) },
        ),
        (
            "less than it said",
            says(format!("{head}content-length: {}\r\n\r\n{answer}", length + 1)),
            broken(Outcome::Broken),
        ),
        (
            "half a chunk",
            says(format!("{head}transfer-encoding: chunked\r\n\r\nff\r\n{{\"a\"")),
            broken(Outcome::Broken),
        ),
        (
            "no last chunk",
            says(format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n")),
            broken(Outcome::Broken),
        ),
        (
            "no chunk",
            says(format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\nzz\r\n")),
            broken(Outcome::Broken),
        ),
        (
            "a reset",
            Act { resets: true, stays: false, says: format!("{head}content-length: 9\r\n\r\n{{").into_bytes() },
            broken(Outcome::Broken),
        ),
        ("silence", stays(&format!("{head}content-length: 9\r\n\r\n{{")), broken(Outcome::Timeout)),
    ];
    for (name, act, expected) in table {
        house.clock.advance(60_000_000);
        provider.send(act).unwrap();
        let (parts, body) = house.send(post(CHAT, SEARCH, plain())).await.into_parts();
        let header = |name: &str| parts.headers.get(name).map_or("", |it| it.to_str().unwrap()).to_owned();
        assert_eq!(
            (parts.status.as_u16(), header("x-sluice-origin").as_str()),
            (expected.status, expected.origin),
            "{name}"
        );
        assert_eq!(header("x-should-retry"), expected.retry, "{name}");
        assert_eq!((header("x-request-id").len(), header("x-sluice-model").as_str()), (36, "qwen-plus"), "{name}");
        assert_eq!(body.collect().await.is_ok(), expected.whole, "{name}");
        let call = house.calls(1).await.remove(0);
        assert_eq!(call.outcome, expected.outcome, "{name}");
        assert_eq!(call.tokens.total > 0, expected.charged, "{name}: {:?}", call.tokens);
        assert_eq!(house.used("qwen-plus"), (1, call.tokens.total), "{name}");
        assert_eq!(house.gateway.running(), 0, "{name}");
    }
}

#[tokio::test]
async fn every_kind_of_trouble_within_a_stream_is_told_in_it() {
    let (url, provider) = acting().await;
    let settings = Settings { silence_timeout: Duration::from_millis(300), ..Settings::default() };
    let house = House::with(settings, |it| it.providers[0].openai_base_url = Some(url + "/v1")).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}],\"usage\":null}\n\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk(event));
    let broke_off = r#"data: {"error":{"message":"Failed to request model service. The provider's stream broke off.","type":"server_error","param":null,"code":"model_service_failed"},"request_id":"RID"}"#;
    let silent = r#"data: {"error":{"message":"Request timed out, please try again later. Provider dashscope sent nothing for 0 s.","type":"server_error","param":null,"code":"request_timeout"},"request_id":"RID"}"#;
    for (name, act, told, outcome) in [
        ("closes", says(chunked.clone()), broke_off, Outcome::Broken),
        ("a reset", Act { resets: true, stays: false, says: chunked.clone().into_bytes() }, broke_off, Outcome::Broken),
        ("ends too early", says(format!("{chunked}0\r\n\r\n")), broke_off, Outcome::Broken),
        ("no chunk", says(format!("{chunked}zz\r\n")), broke_off, Outcome::Broken),
        ("half an event", says(format!("{chunked}{}", chunk("data: {\"choices\""))), broke_off, Outcome::Broken),
        ("less than it said", says(format!("{head}content-length: 9999\r\n\r\n{event}")), broke_off, Outcome::Broken),
        ("silence", stays(&chunked), silent, Outcome::Timeout),
    ] {
        house.clock.advance(60_000_000);
        provider.send(act).unwrap();
        let reply = house.call(post(CHAT, SEARCH, stream())).await;
        assert_eq!((reply.status, reply.masked()), (200, format!("{event}{told}\n\n")), "{name}");
        let call = house.calls(1).await.remove(0);
        assert_eq!((call.outcome, call.tokens.output, call.tokens.estimated), (outcome, 2, true), "{name}");
        assert_eq!(house.used("qwen-plus"), (1, call.tokens.total), "{name}");
        assert_eq!(house.gateway.running(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_model_may_have_time_outs_of_its_own() {
    let (url, provider) = acting().await;
    let house = House::with(Settings::default(), |it| {
        it.providers[0].openai_base_url = Some(url + "/v1");
        it.models[0].timeouts.first_byte = Some(Duration::from_millis(200));
        it.models[0].timeouts.silence = Some(Duration::from_millis(200));
    })
    .await;
    provider.send(stays("")).unwrap();
    assert_eq!(house.chat(SEARCH, plain()).await.status, 504);
    provider.send(stays("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\n")).unwrap();
    house.clock.advance(1_000_000);
    let reply = house.chat(SEARCH, stream()).await;
    assert!(reply.text().contains("\"request_timeout\""), "{}", reply.text());
    assert!(house.calls(2).await.iter().all(|it| it.outcome == Outcome::Timeout));
}

#[tokio::test]
async fn a_client_that_reads_slowly_slows_the_provider() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let house = House::with(Settings::default(), |it| it.providers[0].openai_base_url = Some(url)).await;
    let (progress, mut taken) = tokio::sync::watch::channel(0_usize);
    let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(1000));
    let total = 48 << 20;
    tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        assert!(io.read(&mut [0; 4096]).await.unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        io.write_all(head.as_bytes()).await.unwrap();
        let some = event.repeat(16);
        let mut sent = 0;
        while sent < total {
            io.write_all(some.as_bytes()).await.unwrap();
            sent += some.len();
            progress.send_replace(sent);
        }
        io.write_all(b"data: [DONE]\n\n").await.unwrap();
    });
    let mut body = house.send(post(CHAT, SEARCH, stream())).await.into_body();
    let mut read = body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    // The provider comes to a halt: what is under way fills the system's buffers and the call's own, and no more. Its
    // progress is awaited until there is none for a while.
    while tokio::time::timeout(Duration::from_millis(300), taken.changed()).await.is_ok() {}
    let (ahead, most) = (*taken.borrow() - read, 24 << 20);
    assert!(ahead < most, "{ahead} bytes were taken from the provider ahead of the client");
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
    }
    assert!(read > total, "all of it comes in the end");
    assert_eq!(house.calls(1).await[0].outcome, Outcome::Ok);
}
