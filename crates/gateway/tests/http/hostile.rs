//! Bodies and heads that mean harm: a 4xx in the dialect, whatever they are, and the gateway goes on.

use gateway::Settings;
use http::Request;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::*;

const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";

/// What each dialect calls the fields of one body.
fn routes() -> [(&'static str, &'static str, &'static str); 6] {
    [
        (CHAT, "messages", "max_tokens"),
        ("/v1/completions", "prompt", "max_tokens"),
        ("/v1/embeddings", "input", "max_tokens"),
        ("/v1/responses", "input", "max_output_tokens"),
        (NATIVE, "input", "parameters"),
        ("/v1/messages", "messages", "max_tokens"),
    ]
}

fn check(reply: &Reply, path: &str, status: u16, what: &str) {
    assert_eq!(reply.status, status, "{path} {what}: {}", reply.text());
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let id = reply.header("x-request-id");
    assert_eq!(body["request_id"], id, "{path} {what}");
    let told = match path {
        NATIVE => body["code"].is_string() && body.get("error").is_none(),
        "/v1/messages" => body["type"] == "error" && body["error"]["type"] == "invalid_request_error",
        _ => body["error"]["code"].is_string() && body.get("code").is_none(),
    };
    assert!(told, "{path} {what}: {body}");
    assert!(reply.body.len() < 2000, "{path} {what}: {} bytes", reply.body.len());
    assert_eq!(reply.header("x-sluice-origin"), "gateway");
}

fn maximum(path: &str, field: &str, value: &str) -> Option<String> {
    let field = match path {
        "/v1/embeddings" => return None,
        NATIVE => format!(r#""parameters":{{"max_tokens":{value}}}"#),
        _ => format!(r#""{field}":{value}"#),
    };
    Some(format!(r#"{{"model":"qwen-plus",{field}}}"#))
}

#[tokio::test]
async fn numbers_that_are_none_are_refused_in_every_dialect() {
    let house = House::new().await;
    for (path, _, field) in routes() {
        for value in ["-1", "1.5", "\"5\"", "1e30", "64.0", "4294967296", "true", "[]", "{}", "18446744073709551616"] {
            let Some(body) = maximum(path, field, value) else { continue };
            check(&house.call(post(path, SEARCH, body)).await, path, 400, value);
        }
    }
    for (path, times) in [(CHAT, r#""n":1e9"#), (CHAT, r#""n":1000000000000"#), (NATIVE, r#""parameters":{"n":-1}"#)] {
        check(&house.call(post(path, SEARCH, format!(r#"{{"model":"qwen-plus",{times}}}"#))).await, path, 400, times);
    }
    // A number that is one, however large: nothing overflows, and it can never be admitted.
    let body = r#"{"model":"qwen-plus","messages":[],"n":1000000000,"max_tokens":4294967295}"#;
    let reply = house.call(post(CHAT, SEARCH, body)).await;
    assert!(reply.status == 200 || reply.status == 429, "{}", reply.text());
    assert!(house.provider.log().received().len() <= 1);
}

#[tokio::test]
async fn texts_that_are_no_json_are_refused_in_every_dialect() {
    let house = House::new().await;
    let deep = |n: usize| format!(r#"{{"model":"qwen-plus","x":{}1{}}}"#, "[".repeat(n), "]".repeat(n)).into_bytes();
    for (path, text, _) in routes() {
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("white space", b" \n".to_vec()),
            ("nulls", vec![0; 1000]),
            ("invalid UTF-8", [format!(r#"{{"model":"qwen-plus","{text}":""#).as_bytes(), b"\xff\xfe\"}"].concat()),
            ("UTF-16", "{\"model\":\"qwen-plus\"}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("a mark of byte order", [b"\xef\xbb\xbf".as_slice(), br#"{"model":"qwen-plus"}"#].concat()),
            ("a line end within a text", format!("{{\"model\":\"qwen-plus\",\"{text}\":\"a\nb\"}}").into_bytes()),
            ("a second text", br#"{"model":"qwen-plus"}{"model":"qwen-max"}"#.to_vec()),
            ("a comma too many", br#"{"model":"qwen-plus",}"#.to_vec()),
            ("no end", br#"{"model":"qwen-plus""#.to_vec()),
            ("200 levels", deep(200)),
            ("a million levels", deep(1_000_000)),
            ("a list", b"[]".to_vec()),
            ("two models", br#"{"model":"qwen-plus","mode\u006c":"qwen-max"}"#.to_vec()),
            ("two texts", format!(r#"{{"model":"qwen-plus","{text}":[],"{text}":[]}}"#).into_bytes()),
            ("a model that is none", br#"{"model":["qwen-plus"]}"#.to_vec()),
        ];
        for (what, body) in cases {
            check(&house.call(post(path, SEARCH, body)).await, path, 400, what);
        }
        let long = format!(r#"{{"model":"{}","max_tokens":1}}"#, "a".repeat(1 << 20));
        assert_eq!(house.call(post(path, SEARCH, long)).await.status, 404, "a name of a megabyte is not echoed");
    }
    assert!(house.provider.log().received().is_empty());
    assert_eq!(house.used("qwen-plus"), (0, 0));
}

#[tokio::test]
async fn bodies_beyond_all_bounds_are_refused_in_every_dialect() {
    let house = House::with(Settings::default(), |_| {}).await;
    for (path, _, _) in routes() {
        let reply = house.call(post(path, SEARCH, vec![b' '; 50 << 20])).await;
        assert_eq!((reply.status, reply.header("connection")), (413, "close"), "{path}");
        assert!(reply.text().contains("At most 33554432 bytes are accepted."), "{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_million_names_leave_nothing_behind() {
    let house = House::new().await;
    let cells = house.ledger.cells().len();
    let mut io = house.connect().await;
    for n in 0..2000 {
        let request = post(CHAT, SEARCH, format!(r#"{{"model":"name-{n}"}}"#));
        let response = io.send_request(request).await.unwrap();
        assert_eq!(response.status(), 404);
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    }
    assert_eq!(house.ledger.cells().len(), cells, "a name that is none makes no cell");
}

#[tokio::test]
async fn heads_that_are_none_get_a_4xx_and_nothing_is_smuggled() {
    let house = House::new().await;
    let auth = format!("host: a\r\nauthorization: Bearer {SEARCH}\r\n");
    let chat = |headers: &str, body: &str| format!("POST {CHAT} HTTP/1.1\r\n{auth}{headers}\r\n{body}");
    for (what, request) in [
        ("no request", "hello\r\n\r\n".to_owned()),
        ("a version that is none", format!("GET /v1/models HTTP/9.9\r\n{auth}\r\n")),
        ("a name with a space", chat("bad name: x\r\n", "")),
        ("a value with a null", chat("x: a\0b\r\n", "")),
        ("a folded line", chat("x: a\r\n b: c\r\n", "")),
        ("two lengths", chat("content-length: 2\r\ncontent-length: 3\r\n", "{}}")),
        ("a length that is none", chat("content-length: -2\r\n", "{}")),
        ("chunks that are none", chat("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n")),
        ("another encoding", chat("transfer-encoding: gzip\r\n", "{}")),
    ] {
        let mut io = TcpStream::connect(house.addr).await.unwrap();
        io.write_all(request.as_bytes()).await.unwrap();
        io.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = io.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), usize::from(!answer.is_empty()), "{what}: {answer}");
    }
    assert!(house.provider.log().received().is_empty());
    let request: Request<Full<bytes::Bytes>> = get("/v1/models", SEARCH);
    assert_eq!(house.call(request).await.status, 200, "it goes on");
}
