//! The checks before the limiter, in their order, with whole bodies.

use bytes::Bytes;
use gateway::{Record, Settings};
use http::{Method, Request};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

fn openai(message: &str, kind: &str, param: &str, code: &str) -> String {
    format!(
        r#"{{"error":{{"message":"{message}","type":"{kind}","param":{param},"code":"{code}"}},"request_id":"RID"}}"#
    )
}

fn bad(sentence: &str) -> String {
    let message = format!("Required body invalid, please check the request body format. {sentence}");
    openai(&message, "invalid_request_error", "null", "invalid_parameter_error")
}

#[tokio::test]
async fn every_refusal_before_the_limiter_has_its_status_and_body_and_counts_for_nothing() {
    let house = House::new().await;
    let invalid = "invalid_request_error";
    for (status, body, expected) in [
        (400, "{\"model\":\"qwen\", }".to_owned(), bad("Not valid JSON at byte 17.")),
        (400, String::new(), bad("Not valid JSON at byte 0.")),
        (400, "[]".into(), bad("Not a JSON object.")),
        (400, r#"{"model":"a","model":"b"}"#.into(), bad(r#"Duplicate key \"model\"."#)),
        (400, format!("{}1{}", "[".repeat(200), "]".repeat(200)), bad("Nested deeper than 128 levels at byte 128.")),
        (
            400,
            "{}".into(),
            openai("you must provide a model parameter", invalid, "\"model\"", "missing_required_parameter"),
        ),
        (
            400,
            r#"{"model":"qwen-plus","max_tokens":-1}"#.into(),
            openai(
                "Range of max_tokens should be [0, 4294967295]",
                invalid,
                "\"max_tokens\"",
                "invalid_parameter_error",
            ),
        ),
        (
            400,
            r#"{"model":"qwen-plus","n":1e9}"#.into(),
            openai("Range of n should be [0, 4294967295]", invalid, "\"n\"", "invalid_parameter_error"),
        ),
        (
            404,
            r#"{"model":"qwen-plux"}"#.into(),
            openai(
                "The model `qwen-plux` does not exist or you do not have access to it.",
                invalid,
                "null",
                "model_not_found",
            ),
        ),
        (
            403,
            r#"{"model":"qwen-max"}"#.into(),
            openai(
                "Model access denied. Workspace search has no permission for model qwen-max.",
                "Model.AccessDenied",
                "null",
                "Model.AccessDenied",
            ),
        ),
        (
            404,
            r#"{"model":"elsewhere"}"#.into(),
            openai(
                "Unsupported model elsewhere for OpenAI compatibility mode.",
                invalid,
                "null",
                "model_not_supported",
            ),
        ),
    ] {
        let reply = house.chat(SEARCH, body.clone()).await;
        assert_eq!((reply.status, reply.masked()), (status, expected), "{body}");
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("x-sluice-origin"), "gateway");
        assert_eq!(reply.header("server-timing"), "limiter;dur=0, wait;dur=0");
        assert_eq!(reply.header("x-ratelimit-limit-requests"), "");
        assert_eq!(reply.header("x-should-retry"), "");
        let records = house.taken();
        assert!(
            matches!(&records[..], [Record::Stopped(it)] if it.status == status && it.caller.workspace.as_str() == "w1"),
            "{records:?}"
        );
    }
    for model in ["qwen-plus", "qwen-max", "elsewhere"] {
        assert_eq!(house.used(model), (0, 0), "{model}");
    }
    assert!(house.provider.log().received().is_empty(), "nothing reached the provider");
}

#[tokio::test]
async fn a_wrong_key_gets_the_same_401_whatever_is_wrong_with_it() {
    let house = House::new().await;
    let expected = openai("Incorrect API key provided.", "invalid_request_error", "null", "invalid_api_key");
    let with = |value: Option<&str>| {
        let mut request = post(CHAT, "x", "not even JSON");
        request.headers_mut().remove("authorization");
        if let Some(value) = value {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        request
    };
    let expired = format!("Bearer {EXPIRED}");
    for value in
        [None, Some(""), Some("Bearer"), Some("Bearer sk-unknown"), Some(SEARCH), Some("Basic c2s="), Some(&expired)]
    {
        let reply = house.call(with(value)).await;
        assert_eq!((reply.status, reply.masked()), (401, expected.clone()), "{value:?}");
    }
    let mut in_query = with(None);
    *in_query.uri_mut() = format!("{CHAT}?api_key={SEARCH}").parse().unwrap();
    assert_eq!(house.call(in_query).await.status, 401);
    assert_eq!((house.taken().len(), house.strangers()), (0, 8));
    for value in [format!("bearer {SEARCH}"), format!("BEARER   {SEARCH}")] {
        assert_eq!(house.call(with(Some(&value))).await.status, 400, "the key was taken: {value}");
    }
}

#[tokio::test]
async fn paths_and_methods() {
    let house = House::new().await;
    let not_found = openai("Not found!", "invalid_request_error", "null", "not_found");
    for path in ["/", "/v1/nothing", "/v1//chat/completions", "/v1/chat%2fcompletions", "/v2/models"] {
        let reply = house.call(post(path, "no key needed", "")).await;
        assert_eq!((reply.status, reply.masked()), (404, not_found.clone()), "{path}");
    }
    let native = house.call(post("/api/v1/nothing", SEARCH, "")).await;
    assert_eq!(native.masked(), r#"{"code":"NotFound","message":"Not found!","request_id":"RID"}"#);
    let anthropic = house.call(post("/v1/messages/x", SEARCH, "")).await;
    assert_eq!(
        anthropic.masked(),
        r#"{"type":"error","error":{"type":"not_found_error","message":"Not found"},"request_id":"RID"}"#
    );
    assert_eq!(anthropic.header("request-id"), anthropic.header("x-request-id"));
    let reply = house.call(get(CHAT, SEARCH)).await;
    assert_eq!((reply.status, reply.header("allow"), reply.masked()), (405, "POST", bad("This path takes POST.")));
    let mut options = get("/v1/models", SEARCH);
    *options.method_mut() = Method::OPTIONS;
    assert_eq!(house.call(options).await.header("allow"), "GET");
}

#[tokio::test]
async fn a_body_too_large_or_encoded_is_refused_before_it_is_read() {
    let settings = Settings { body_limit: 1000, ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let too_large = openai(
        "Payload Too Large. At most 1000 bytes are accepted.",
        "invalid_request_error",
        "null",
        "request_too_large",
    );
    let reply = house.chat(SEARCH, vec![b' '; 1001]).await;
    assert_eq!((reply.status, reply.masked()), (413, too_large.clone()));
    // Many megabytes, all sent before the answer is read.
    let reply = house.chat(SEARCH, vec![b' '; 40 << 20]).await;
    assert_eq!((reply.status, reply.masked()), (413, too_large));
    // Of unknown length: refused when the limit is passed.
    let mut stream = tokio::net::TcpStream::connect(house.addr).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SEARCH}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        stream.write_all(format!("190\r\n{}\r\n", " ".repeat(400)).as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let mut encoded = post(CHAT, SEARCH, plain());
    encoded.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let reply = house.call(encoded).await;
    assert_eq!((reply.status, reply.masked()), (415, bad("A content-encoding other than identity is not accepted.")));
    let mut identity = post(CHAT, SEARCH, plain());
    identity.headers_mut().insert("content-encoding", "identity".parse().unwrap());
    assert_eq!(house.call(identity).await.status, 200);
    assert!(house.call(post(CHAT, "sk-wrong", vec![b' '; 5000])).await.status == 401, "the key comes first");
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_only_after_the_first_checks() {
    let house = House::new().await;
    let send = async |key: &str, length: usize| {
        let mut stream = tokio::net::TcpStream::connect(house.addr).await.unwrap();
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        (stream, String::from_utf8_lossy(&buffer[..read]).into_owned())
    };
    assert!(send("sk-wrong", 10).await.1.starts_with("HTTP/1.1 401 "));
    assert!(send(SEARCH, 33 << 20).await.1.starts_with("HTTP/1.1 413 "));
    let (mut stream, text) = send(SEARCH, plain().len()).await;
    assert_eq!(text, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(plain().as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_head_beyond_64_kib_is_refused() {
    let house = House::new().await;
    let sent = async |size: usize| {
        let mut stream = tokio::net::TcpStream::connect(house.addr).await.unwrap();
        let head =
            format!("GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: {}\r\n\r\n", "a".repeat(size));
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned()
    };
    assert_eq!(sent(60_000).await, "HTTP/1.1 401");
    assert_eq!(sent(66_000).await, "HTTP/1.1 431");
}

#[tokio::test]
async fn wishes_must_be_readable() {
    let house = House::new().await;
    for (name, value, sentence) in [
        ("x-dashscope-wait-timeout", "-1", "X-DashScope-Wait-Timeout must be a whole number of seconds."),
        ("x-dashscope-wait-timeout", "1.5", "X-DashScope-Wait-Timeout must be a whole number of seconds."),
        ("x-dashscope-wait-timeout", "", "X-DashScope-Wait-Timeout must be a whole number of seconds."),
        ("x-sluice-fallback", "yes", "X-Sluice-Fallback must be on or off."),
    ] {
        let mut request = post(CHAT, SEARCH, plain());
        request.headers_mut().insert(name, value.parse().unwrap());
        let reply = house.call(request).await;
        assert_eq!((reply.status, reply.masked()), (400, bad(sentence)), "{name}: {value}");
    }
}

#[tokio::test]
async fn the_models_a_key_may_call() {
    let house = House::new().await;
    let one = |code: &str| format!(r#"{{"id":"{code}","object":"model","created":1795305600,"owned_by":"dashscope"}}"#);
    for prefix in ["/v1", "/compatible-mode/v1"] {
        let reply = house.call(get(&format!("{prefix}/models"), SEARCH)).await;
        let expected =
            format!(r#"{{"object":"list","data":[{},{},{}]}}"#, one("fast"), one("images"), one("qwen-plus"));
        assert_eq!((reply.status, reply.text()), (200, expected.as_str()));
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("x-request-id").len(), 36);
    }
    let reply = house.call(get("/v1/models/qwen-max", DEFAULT)).await;
    assert_eq!((reply.status, reply.text()), (200, one("qwen-max").as_str()));
    assert_eq!(house.call(get("/v1/models/qwen-max", SEARCH)).await.status, 404);
    assert_eq!(house.call(get("/v1/models", "sk-wrong")).await.status, 401);
}

#[tokio::test]
async fn health() {
    let house = House::new().await;
    for path in ["/healthz", "/readyz"] {
        let request = Request::get(path).header("host", "a").body(Full::new(Bytes::new())).unwrap();
        assert_eq!(house.call(request).await.status, 200, "{path}");
    }
}
