//! Calls beside the limits: tasks, files and batches, and whose they are.

use domain::{ProviderId, ProviderName};
use gateway::{Contents, Credential, Lane, Outcome, Record, Settings, snapshot::Provider as ProviderRow};
use http::{Method, Request};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

const IMAGES: &str = "/api/v1/services/aigc/text2image/image-synthesis";

fn asynchronous() -> Request<Full<bytes::Bytes>> {
    let mut request = post(IMAGES, SEARCH, r#"{"model":"qwen-plus","input":{"prompt":"a cat"}}"#);
    request.headers_mut().insert("x-dashscope-async", "enable".parse().unwrap());
    request
}

fn with_method(method: Method, path: &str, key: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = get(path, key);
    *request.method_mut() = method;
    request
}

fn of_line(model: &str) -> String {
    format!(
        r#"{{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{{"model":"{model}","messages":[]}}}}"#
    )
}

/// A form as openai-python sends it, or with the file first, as openai-node does.
fn form(purpose: &str, file: &str, file_first: bool) -> String {
    let purpose = format!("--b0und\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n");
    let file = format!(
        "--b0und\r\nContent-Disposition: form-data; name=\"file\"; filename=\"calls.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n{file}\r\n"
    );
    let (first, second) = if file_first { (file, purpose) } else { (purpose, file) };
    format!("{first}{second}--b0und--\r\n")
}

fn upload(key: &str, form: impl Into<bytes::Bytes>) -> Request<Full<bytes::Bytes>> {
    let mut request = post("/v1/files", key, form);
    request.headers_mut().insert("content-type", "multipart/form-data; boundary=b0und".parse().unwrap());
    request
}

async fn uploaded(house: &House, key: &str, id: &str) {
    house.provider.next(format!(r#"body={{"id":"{id}","object":"file"}}"#).parse().unwrap());
    let reply = house.call(upload(key, form("batch", &of_line("qwen-plus"), false))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn batch_of(house: &House, key: &str, file: &str, answer: &str) -> Reply {
    house.provider.next(format!("body={answer}").parse().unwrap());
    house
        .call(post("/v1/batches", key, format!(r#"{{"input_file_id":"{file}","endpoint":"/v1/chat/completions"}}"#)))
        .await
}

fn not_found(sentence: &str) -> String {
    format!(
        r#"{{"error":{{"message":"Not found! {sentence}","type":"invalid_request_error","param":null,"code":"not_found"}},"request_id":"RID"}}"#
    )
}

#[tokio::test]
async fn a_task_belongs_to_the_workspace_that_made_it() {
    let house = House::new().await;
    let reply = house.call(asynchronous()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-sluice-model"), "qwen-plus");
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "99", "it is limited like any other");
    let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let id = answer["output"]["task_id"].as_str().unwrap();
    let call = house.calls(1).await.remove(0);
    assert_eq!(
        (call.outcome, call.lane, call.tokens.output, call.tokens.estimated),
        (Outcome::Ok, Lane::Limited, 0, true)
    );
    assert_eq!(house.used("qwen-plus"), (1, call.tokens.total));

    let path = format!("/api/v1/tasks/{id}");
    let mine = house.call(get(&format!("{path}?a=1"), SEARCH)).await;
    assert_eq!(mine.status, 200, "{}", mine.text());
    assert_eq!(mine.header("x-request-id").len(), 36);
    assert_eq!(mine.header("x-ratelimit-limit-requests"), "");
    let seen = house.provider.log().received().pop().unwrap();
    assert_eq!((seen.method, seen.path), (Method::GET, format!("{path}?a=1")));
    assert_eq!(seen.headers["authorization"], format!("Bearer {CREDENTIAL}"));
    // Another key of the workspace may ask, another workspace may not.
    assert_eq!(house.call(get(&path, OPENAI)).await.status, 200);
    let foreign = house.call(get(&path, DEFAULT)).await;
    let expected =
        format!(r#"{{"code":"NotFound","message":"Not found! This workspace has no task {id}.","request_id":"RID"}}"#);
    assert_eq!((foreign.status, foreign.masked()), (404, expected));
    assert_eq!(house.call(get("/api/v1/tasks/unknown", SEARCH)).await.status, 404);
    assert_eq!(house.call(post(&path, SEARCH, "")).await.header("allow"), "GET");
    assert_eq!(house.call(get(&path, "sk-wrong")).await.status, 401);
    assert_eq!(house.provider.log().received().len(), 3, "what is not one's own is not asked for");
    assert!(!house.taken().iter().any(|it| matches!(it, Record::Call(_))), "results of tasks are in no row");
    assert_eq!(house.used("qwen-plus").0, 1);
}

#[tokio::test]
async fn a_batch_from_its_file_to_its_output() {
    let house = House::new().await;
    let file = format!("{}\n{}\n", of_line("fast"), of_line("qwen-plus"));
    house.provider.next(r#"body={"id":"file-1","object":"file"}"#.parse().unwrap());
    let reply = house.call(upload(SEARCH, form("batch", &file, false))).await;
    assert_eq!((reply.status, reply.text()), (200, r#"{"id":"file-1","object":"file"}"#));
    assert_eq!((reply.header("x-ratelimit-limit-requests"), reply.header("x-request-id").len()), ("", 36));
    let seen = house.provider.log().received().pop().unwrap();
    let renamed = file.replace(r#""fast""#, r#""qwen-flash-\"2026\"""#);
    assert_eq!(seen.path, "/compatible-mode/v1/files");
    assert_eq!(String::from_utf8_lossy(&seen.body), form("batch", &renamed, false), "every byte, but the model's name");
    assert_eq!(seen.headers["content-type"], "multipart/form-data; boundary=b0und");
    let call = house.calls(1).await.remove(0);
    assert_eq!((call.lane, call.model.as_str(), call.outcome), (Lane::Batch, "files", Outcome::Ok));

    let made = batch_of(&house, SEARCH, "file-1", r#"{"id":"batch_1","status":"validating"}"#).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let done = r#"{"id":"batch_1","status":"completed","output_file_id":"file-2","usage":{"input_tokens":30,"output_tokens":12,"total_tokens":42}}"#;
    for counted in [42, 0] {
        house.taken();
        house.provider.next(format!("body={done}").parse().unwrap());
        let reply = house.call(get("/v1/batches/batch_1", SEARCH)).await;
        assert_eq!((reply.status, reply.text()), (200, done));
        let call = house.calls(1).await.remove(0);
        assert_eq!((call.lane, call.tokens.total, call.tokens.estimated), (Lane::Batch, counted, false));
    }
    house.provider.next("body=lines of answers".parse().unwrap());
    let output = house.call(get("/v1/files/file-2/content", SEARCH)).await;
    assert_eq!((output.status, output.text()), (200, "lines of answers"));
    assert_eq!(house.provider.log().received().pop().unwrap().path, "/compatible-mode/v1/files/file-2/content");

    let before = house.provider.log().received().len();
    for (method, path, kind) in [
        (Method::GET, "/v1/files/file-1", "file file-1"),
        (Method::DELETE, "/v1/files/file-2", "file file-2"),
        (Method::GET, "/v1/files/file-2/content", "file file-2"),
        (Method::GET, "/v1/batches/batch_1", "batch batch_1"),
        (Method::POST, "/v1/batches/batch_1/cancel", "batch batch_1"),
    ] {
        let reply = house.call(with_method(method, path, DEFAULT)).await;
        assert_eq!(
            (reply.status, reply.masked()),
            (404, not_found(&format!("This workspace has no {kind}."))),
            "{path}"
        );
    }
    let foreign = house.call(post("/v1/batches", DEFAULT, r#"{"input_file_id":"file-1"}"#)).await;
    assert_eq!(foreign.masked(), not_found("This workspace has no file file-1."));
    assert_eq!(house.provider.log().received().len(), before, "what is not one's own is not asked for");

    house.provider.next(r#"body={"id":"file-2","deleted":true}"#.parse().unwrap());
    assert_eq!(house.call(with_method(Method::DELETE, "/v1/files/file-2", SEARCH)).await.status, 200);
    assert_eq!(house.call(get("/v1/files/file-2", SEARCH)).await.status, 404);
    assert_eq!(house.used("qwen-plus"), (0, 0), "nothing of it is limited");
}

#[tokio::test]
async fn a_refused_line_refuses_the_file() {
    let house = House::new().await;
    let ok = of_line("qwen-plus");
    for (line, status, message) in [
        (
            of_line("qwen-max"),
            403,
            "Model access denied. Workspace search has no permission for model qwen-max. Line 2 of the file.",
        ),
        (
            of_line("nothing"),
            404,
            "The model `nothing` does not exist or you do not have access to it. Line 2 of the file.",
        ),
        (of_line("elsewhere"), 404, "Unsupported model elsewhere for OpenAI compatibility mode. Line 2 of the file."),
        (
            "{]".into(),
            400,
            "Required body invalid, please check the request body format. Not valid JSON at byte 1. Line 2 of the file.",
        ),
        ("{}".into(), 400, "you must provide a body parameter Line 2 of the file."),
        (
            r#"{"body":{"model":"qwen-plus"},"body":{"model":"qwen-max"}}"#.into(),
            400,
            r#"Required body invalid, please check the request body format. Duplicate key "body". Line 2 of the file."#,
        ),
    ] {
        for file_first in [false, true] {
            // Enough behind it to see that the rest is not waited for.
            let file = format!("{ok}\n{line}\n{}", format!("{ok}\n").repeat(20_000));
            let reply = house.call(upload(SEARCH, form("batch", &file, file_first))).await;
            let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((reply.status, answer["error"]["message"].as_str()), (status, Some(message)));
            assert_eq!((reply.header("x-sluice-origin"), reply.header("connection")), ("gateway", "close"));
        }
    }
    assert!(house.provider.log().received().is_empty(), "the provider has seen the end of none");
    assert_eq!(house.gateway.running(), 0);
}

#[tokio::test]
async fn what_a_file_is_for_may_stand_behind_it() {
    let house = House::new().await;
    let file = format!("{}\n", of_line("fast"));
    house.provider.next(r#"body={"id":"file-1"}"#.parse().unwrap());
    assert_eq!(house.call(upload(SEARCH, form("batch", &file, true))).await.status, 200);
    let seen = house.provider.log().received().pop().unwrap();
    let renamed = file.replace(r#""fast""#, r#""qwen-flash-\"2026\"""#);
    assert_eq!(String::from_utf8_lossy(&seen.body), form("batch", &renamed, true));
    assert_eq!(batch_of(&house, SEARCH, "file-1", r#"{"id":"b"}"#).await.status, 200);

    // Any other file passes as it is, but no batch can be made of it.
    for (file, file_first) in [("%PDF-1.7 \u{1}", true), ("{\"messages\":[]}\n", true), ("{\n  \"a\": 1\n}", false)] {
        house.provider.next(r#"body={"id":"file-2"}"#.parse().unwrap());
        let reply = house.call(upload(SEARCH, form("assistants", file, file_first))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let seen = house.provider.log().received().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&seen.body), form("assistants", file, file_first));
        let before = house.provider.log().received().len();
        let reply = house.call(post("/v1/batches", SEARCH, r#"{"input_file_id":"file-2"}"#)).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.text().contains("File file-2 was not uploaded with the purpose batch."), "{}", reply.text());
        assert_eq!(house.provider.log().received().len(), before);
    }
    // Nor can it be told in the end that it was meant for one.
    let before = house.provider.log().received().len();
    let reply = house.call(upload(SEARCH, form("batch", "%PDF-1.7", true))).await;
    assert!(reply.status == 400 && reply.text().contains("Line 1 of the file."), "{}", reply.text());
    assert_eq!(house.provider.log().received().len(), before);
}

#[tokio::test]
async fn a_form_that_is_none_is_refused() {
    let house = House::new().await;
    let line = of_line("qwen-plus");
    let good = form("batch", &line, false);
    let cases = [
        (good.replace("--b0und--", ""), "The form broke off."),
        (
            good.replace("form-data; name=\"file\"", "form-data; name=\"other\"")
                .replace("; filename=\"calls.jsonl\"", ""),
            "The form has no file.",
        ),
        (format!("{}{}", good.strip_suffix("--b0und--\r\n").unwrap(), good), "The form has more than one purpose."),
        (form("batch", "", false), "The file has no line."),
        ("no form at all".into(), "The form does not begin with its boundary."),
    ];
    for (form, sentence) in cases {
        let reply = house.call(upload(SEARCH, form)).await;
        let expected = format!("Required body invalid, please check the request body format. {sentence}");
        let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, answer["error"]["message"].as_str()), (400, Some(expected.as_str())));
    }
    assert_eq!(house.call(post("/v1/files", SEARCH, "{}")).await.status, 400);
    let mut encoded = upload(SEARCH, good.clone());
    encoded.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(house.call(encoded).await.status, 415);
    assert_eq!(house.call(upload("sk-wrong", good)).await.status, 401);
    assert!(house.provider.log().received().is_empty());

    let settings = Settings { file_limit: 1000, ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let long = form("batch", &format!("{line}\n").repeat(20), false);
    let reply = house.call(upload(SEARCH, long.clone())).await;
    assert!(reply.status == 413 && reply.text().contains("At most 1000 bytes"), "{}", reply.text());
    // Of unknown length: refused when the limit is passed.
    let mut stream = tokio::net::TcpStream::connect(house.addr).await.unwrap();
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SEARCH}\r\ncontent-type: multipart/form-data; boundary=b0und\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(format!("{head}{:x}\r\n{long}\r\n0\r\n\r\n", long.len()).as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).await.unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 413 "));
    assert!(house.provider.log().received().is_empty());
}

/// A second provider, at the same place under another name.
fn two_providers(contents: &mut Contents) {
    contents.providers[1].openai_base_url = contents.providers[0].openai_base_url.clone().map(|it| it + "other/");
    contents.providers[1].credential = Some(Credential::new(CREDENTIAL));
}

#[tokio::test]
async fn a_file_goes_to_the_provider_of_its_models() {
    let house = House::with(Settings::default(), two_providers).await;
    house.provider.next(r#"body={"id":"file-1"}"#.parse().unwrap());
    assert_eq!(house.call(upload(SEARCH, form("batch", &of_line("elsewhere"), false))).await.status, 200);
    assert_eq!(house.provider.log().received().pop().unwrap().path, "/compatible-mode/v1/other/files");
    house.provider.next(r#"body={"id":"file-1"}"#.parse().unwrap());
    assert_eq!(house.call(get("/v1/files/file-1", SEARCH)).await.status, 200);
    assert_eq!(house.provider.log().received().pop().unwrap().path, "/compatible-mode/v1/other/files/file-1");
    let both = format!("{}\n{}", of_line("elsewhere"), of_line("qwen-plus"));
    let reply = house.call(upload(SEARCH, form("batch", &both, false))).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("Model qwen-plus is at provider dashscope, and the lines before are for provider nowhere. Line 2 of the file."), "{}", reply.text());
    let reply = house.call(upload(SEARCH, form("assistants", "text", false))).await;
    assert!(reply.status == 400 && reply.text().contains("Several providers could take this file"), "{}", reply.text());
    let _: Option<(ProviderRow, ProviderId, ProviderName)> = None;
}

#[tokio::test]
async fn lists_show_only_what_is_ones_own() {
    let house = House::new().await;
    for id in ["file-1", "file-3", "file-4"] {
        uploaded(&house, SEARCH, id).await;
    }
    uploaded(&house, DEFAULT, "file-2").await;
    house.provider.log().clear();
    let object = |id: &str| format!(r#"{{"id": "{id}", "object":"file"}}"#);
    let page = |ids: &[&str], more: bool| {
        let data: Vec<_> = ids.iter().map(|it| object(it)).collect();
        house.provider.next(
            format!(r#"body={{"object":"list","data":[{}],"has_more":{more}}}"#, data.join(",")).parse().unwrap(),
        );
    };
    let list = |ids: &[&str], more: bool| {
        let data: Vec<_> = ids.iter().map(|it| object(it)).collect();
        let edge = |id: Option<&&str>| id.map_or("null".to_owned(), |it| format!("\"{it}\""));
        format!(
            r#"{{"object":"list","data":[{}],"first_id":{},"last_id":{},"has_more":{more}}}"#,
            data.join(","),
            edge(ids.first()),
            edge(ids.last())
        )
    };
    // Pages without anything of one's own are passed over.
    page(&["file-9", "file-8"], true);
    page(&["file-4", "file-2"], true);
    page(&["file-3", "file-1"], true);
    let reply = house.call(get("/v1/files?purpose=batch&limit=2", SEARCH)).await;
    assert_eq!((reply.status, reply.text()), (200, list(&["file-4", "file-3"], true).as_str()));
    let paths: Vec<_> = house.provider.log().received().iter().map(|it| it.path.clone()).collect();
    let base = "/compatible-mode/v1/files?purpose=batch&limit=100";
    assert_eq!(paths, [base.to_owned(), format!("{base}&after=file-8"), format!("{base}&after=file-2")]);
    page(&["file-1"], false);
    let reply = house.call(get("/v1/files?limit=2&after=file-3", SEARCH)).await;
    assert_eq!(reply.text(), list(&["file-1"], false));
    // Once all of one's own were seen, nothing more is asked for.
    house.provider.log().clear();
    page(&["file-9", "file-2"], true);
    let reply = house.call(get("/v1/files", DEFAULT)).await;
    assert_eq!(reply.text(), list(&["file-2"], false));
    assert_eq!(house.provider.log().received().len(), 1);
    assert_eq!(
        house.call(get("/v1/files?after=file-1", DEFAULT)).await.masked(),
        not_found("This workspace has no file file-1.")
    );
    let reply = house.call(get("/v1/batches", SEARCH)).await;
    assert_eq!(reply.text(), list(&[], false));
    assert_eq!(house.provider.log().received().len(), 1, "who made nothing is told so without asking");
    // What the provider says of a query passes.
    house.provider.next(r#"status=400; body={"error":"no"}"#.parse().unwrap());
    let reply = house.call(get("/v1/files?order=sideways", SEARCH)).await;
    assert_eq!((reply.status, reply.text(), reply.header("x-sluice-origin")), (400, r#"{"error":"no"}"#, "provider"));
}

#[tokio::test]
async fn a_provider_in_trouble_is_told_of_files_too() {
    let house = House::new().await;
    uploaded(&house, SEARCH, "file-1").await;
    house.calls(1).await;
    for (behaviour, status, origin, outcome) in [
        ("close", 502, "gateway", Outcome::Unreachable),
        ("status=401", 502, "gateway", Outcome::Unreachable),
        ("redirect", 502, "gateway", Outcome::Unreachable),
        ("status=500", 500, "provider", Outcome::Provider { status: 500, cause: None }),
        ("status=404", 404, "provider", Outcome::Provider { status: 404, cause: None }),
    ] {
        house.provider.next(behaviour.parse().unwrap());
        let reply = house.call(get("/v1/files/file-1", SEARCH)).await;
        assert_eq!((reply.status, reply.header("x-sluice-origin")), (status, origin), "{behaviour}");
        assert_eq!(house.calls(1).await[0].outcome, outcome, "{behaviour}");
        house.provider.next(behaviour.parse().unwrap());
        let reply = house.call(upload(SEARCH, form("batch", &of_line("qwen-plus"), false))).await;
        assert_eq!((reply.status, reply.header("x-sluice-origin")), (status, origin), "{behaviour}");
        assert_eq!(house.calls(1).await[0].outcome, outcome, "{behaviour}");
    }
    assert_eq!(house.gateway.running(), 0);
}

#[tokio::test]
async fn no_header_leads_out_of_the_limits() {
    let house = House::new().await;
    for (n, (name, value)) in [
        ("x-dashscope-batch", "enable"),
        ("x-sluice-lane", "batch"),
        ("x-sluice-exempt", "true"),
        ("x-forwarded-prefix", "/v1/batches"),
        ("x-original-url", "/v1/files"),
        ("x-rewrite-url", "/v1/batches"),
        ("x-http-method-override", "GET"),
        ("x-sluice-admitted-us", "1"),
        ("x-dashscope-async", "enable"),
        ("content-type", "multipart/form-data; boundary=b0und"),
    ]
    .into_iter()
    .enumerate()
    {
        house.clock.advance(1_000_000);
        let mut request = post(CHAT, SEARCH, plain());
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(house.call(request).await.status, 200, "{name}");
        assert_eq!(house.used("qwen-plus").0, n as u64 + 1, "{name}");
        assert_eq!(house.calls(1).await[0].lane, Lane::Limited, "{name}");
        assert!(house.provider.log().received().iter().all(|it| !it.headers.contains_key("x-sluice-admitted-us")));
    }
}

#[tokio::test]
async fn a_large_file_passes_without_being_held() {
    let house = House::new().await;
    let line = of_line("qwen-plus") + "\n";
    let file = line.repeat((20 << 20) / line.len());
    house.provider.next(r#"body={"id":"file-1"}"#.parse().unwrap());
    assert_eq!(house.call(upload(SEARCH, form("batch", &file, false))).await.status, 200);
    let seen = house.provider.log().received().pop().unwrap();
    assert!(seen.body == form("batch", &file, false), "{} bytes", seen.body.len());
}
