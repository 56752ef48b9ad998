//! The stand-in provider over real HTTP: what it answers, what it suffers, what it remembers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use testkit::{Behaviour, Provider, ProviderSettings, provider::Ending};

struct Seen {
    status: StatusCode,
    body: String,
    whole: bool,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The payloads of all events but `[DONE]`.
    fn events(&self) -> Vec<Value> {
        let lines = self.body.lines().filter_map(|it| it.strip_prefix("data:"));
        lines.map(str::trim).filter(|it| *it != "[DONE]").map(|it| serde_json::from_str(it).unwrap()).collect()
    }
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn post(provider: &Provider, path: &str, headers: &[(&str, &str)], body: Value) -> Seen {
    let mut request = Request::post(format!("http://{}{path}", provider.addr));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client().request(request.body(Full::new(body.to_string().into())).unwrap()).await.unwrap();
    let status = response.status();
    let mut incoming = response.into_body();
    let mut bytes = Vec::new();
    let whole = loop {
        match incoming.frame().await {
            Some(Ok(frame)) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(_)) => break false,
            None => break true,
        }
    };
    Seen { status, body: String::from_utf8(bytes).unwrap(), whole }
}

async fn chat(provider: &Provider, behaviour: &str, more: Value) -> Seen {
    let mut body = json!({ "model": "qwen-plus", "messages": [{ "role": "user", "content": "Who are you?" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(provider, "/v1/chat/completions", &[("x-stand-in", behaviour)], body).await
}

async fn started() -> Provider {
    Provider::start(ProviderSettings::instant()).await.unwrap()
}

fn joined(events: &[Value], pointer: &str) -> String {
    events.iter().filter_map(|it| it.pointer(pointer)?.as_str()).collect()
}

#[tokio::test]
async fn counts_come_in_a_stream_only_when_asked_for() {
    let provider = started().await;
    let plain = chat(&provider, "", json!({ "stream": true })).await;
    assert!(plain.body.ends_with("data: [DONE]\n\n"), "{}", plain.body);
    assert!(plain.events().iter().all(|it| it.get("usage") == Some(&Value::Null)));

    let asked = chat(&provider, "", json!({ "stream": true, "stream_options": { "include_usage": true } })).await;
    let last = asked.events().pop().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!((last["usage"]["prompt_tokens"].as_u64(), last["usage"]["total_tokens"].as_u64()), (Some(3), Some(23)));

    let silent =
        chat(&provider, "no-usage", json!({ "stream": true, "stream_options": { "include_usage": true } })).await;
    assert!(silent.events().iter().all(|it| it["usage"].is_null()));
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let provider = started().await;
    for n in [1, 3] {
        // The words depend on the number of the call alone; a fresh provider begins at 0 again.
        let whole = chat(&provider, "output=50", json!({ "n": n })).await.json();
        let again = started().await;
        let stream = chat(&again, "output=50", json!({ "n": n, "stream": true })).await.events();
        if n == 1 {
            assert_eq!(
                joined(&stream, "/choices/0/delta/content"),
                whole["choices"][0]["message"]["content"].as_str().unwrap()
            );
        }
        assert_eq!(whole["choices"].as_array().unwrap().len(), n);
        assert_eq!(whole["usage"]["completion_tokens"], 50 * n);
    }
}

#[tokio::test]
async fn a_maximum_cuts_the_answer() {
    let provider = started().await;
    let cut = chat(&provider, "", json!({ "max_tokens": 5 })).await.json();
    assert_eq!(
        (&cut["usage"]["completion_tokens"], &cut["choices"][0]["finish_reason"]),
        (&json!(5), &json!("length"))
    );
}

#[tokio::test]
async fn native_frames_grow_or_add() {
    let provider = started().await;
    let path = "/api/v1/services/aigc/text-generation/generation";
    let body = |incremental: bool| {
        json!({ "model": "qwen-plus", "input": { "prompt": "Who?" },
                "parameters": { "result_format": "message", "incremental_output": incremental } })
    };
    let head = [("X-DashScope-SSE", "enable"), ("x-stand-in", "output=10")];
    let whole = post(&provider, path, &head[1..], body(false)).await.json();
    let whole = whole["output"]["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let pointer = "/output/choices/0/message/content";
    for incremental in [false, true] {
        let provider = started().await;
        let seen = post(&provider, path, &head, body(incremental)).await;
        assert!(seen.body.starts_with("id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"), "{}", seen.body);
        let events = seen.events();
        let outputs: Vec<u64> = events.iter().map(|it| it["usage"]["output_tokens"].as_u64().unwrap()).collect();
        assert_eq!(outputs, [4, 8, 10, 10]);
        let last = events.last().unwrap();
        assert_eq!(last["output"]["choices"][0]["finish_reason"], "stop");
        assert_eq!(events[0]["output"]["choices"][0]["finish_reason"], "null");
        let text = if incremental {
            joined(&events, pointer)
        } else {
            last.pointer(pointer).unwrap().as_str().unwrap().into()
        };
        assert_eq!(text, whole);
    }
}

#[tokio::test]
async fn messages_and_responses_carry_their_counts() {
    let provider = started().await;
    let message = json!({ "model": "qwen-plus", "max_tokens": 64, "messages": [{ "role": "user", "content": "Who?" }], "stream": true });
    let events = post(&provider, "/apps/anthropic/v1/messages", &[], message).await.events();
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 1);
    assert_eq!(events[events.len() - 2]["usage"]["output_tokens"], 20);
    assert_eq!(events.last().unwrap()["type"], "message_stop");

    let response = json!({ "model": "qwen-plus", "input": "Who?", "stream": true });
    let events = post(&provider, "/v1/responses", &[], response).await.events();
    let numbers: Vec<u64> = events.iter().map(|it| it["sequence_number"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..events.len() as u64));
    let last = events.last().unwrap();
    assert_eq!(
        (last["type"].as_str(), &last["response"]["usage"]["total_tokens"]),
        (Some("response.completed"), &json!(21))
    );
    assert_eq!(joined(&events, "/delta"), last["response"]["output"][0]["content"][0]["text"].as_str().unwrap());

    let body = json!({ "model": "text-embedding-v4", "input": ["abcd", "efgh"] });
    let vectors = post(&provider, "/v1/embeddings", &[], body).await.json();
    assert_eq!((vectors["data"].as_array().unwrap().len(), &vectors["usage"]["total_tokens"]), (2, &json!(2)));
}

#[tokio::test]
async fn trouble_comes_when_it_is_asked_for() {
    let provider = started().await;
    let limited = chat(&provider, "status=429; header=retry-after: 2", json!({})).await;
    assert_eq!((limited.status.as_u16(), &limited.json()["error"]["code"]), (429, &json!("insufficient_quota")));

    let whole = chat(&provider, "", json!({ "stream": true })).await;
    let broken = chat(&provider, "break-after=3", json!({ "stream": true })).await;
    assert!(!broken.whole && whole.whole);
    assert_eq!(broken.body.matches("\n\n").count(), 3);
    let halved = chat(&provider, "break-inside=3", json!({ "stream": true })).await;
    assert!(!halved.whole && halved.body.len() > broken.body.len() && halved.body.matches("\n\n").count() == 3);

    let error = chat(&provider, "error-event=1:503", json!({ "stream": true })).await;
    assert!(error.whole);
    assert_eq!(error.events()[1]["error"]["code"], "model_serving_error");

    let split = chat(&provider, "split=7; gap-ms=0", json!({ "stream": true })).await;
    assert!(split.body.ends_with("data: [DONE]\n\n"));

    assert_eq!(chat(&provider, "redirect", json!({})).await.status, StatusCode::FOUND);
    assert!(serde_json::from_str::<Value>(&chat(&provider, "garbage", json!({})).await.body).is_err());
    assert_eq!(chat(&provider, "nonsense", json!({})).await.status, StatusCode::BAD_REQUEST);

    provider.next(Behaviour::status(500));
    let body = json!({ "model": "qwen-plus", "messages": [] });
    assert_eq!(post(&provider, "/v1/chat/completions", &[], body.clone()).await.status.as_u16(), 500);
    assert_eq!(post(&provider, "/v1/chat/completions", &[], body).await.status.as_u16(), 200);
}

#[tokio::test]
async fn the_log_knows_what_came_and_who_left() {
    let provider = started().await;
    let body = r#"{"model":"qwen-plus","stream":true, "messages":[{"content":"\u4e2d"}]}"#;
    let request = Request::post(format!("http://{}/v1/chat/completions?a=b", provider.addr))
        .header("x-stand-in", "silence-after=2")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let client = client();
    let mut response = client.request(request).await.unwrap();
    response.frame().await.unwrap().unwrap();
    let calls = provider.log().received();
    assert_eq!((calls[0].body.as_ref(), calls[0].path.as_str()), (body.as_bytes(), "/v1/chat/completions?a=b"));
    assert!(calls[0].ended.is_none());
    drop(response);
    let calls = provider.log().wait_until(|calls| calls[0].ended.is_some()).await;
    assert_eq!(calls[0].ended.unwrap().0, Ending::HungUp);
}

#[tokio::test]
async fn a_credential_is_asked_for_when_there_is_one() {
    let settings = ProviderSettings { credential: Some("sk-up".into()), ..ProviderSettings::instant() };
    let provider = Provider::start(settings).await.unwrap();
    let body = json!({ "model": "qwen-plus", "messages": [] });
    for (header, value, status) in
        [("authorization", "Bearer sk-up", 200), ("authorization", "Bearer sk-other", 401), ("x-api-key", "sk-up", 200)]
    {
        let seen = post(&provider, "/v1/chat/completions", &[(header, value)], body.clone()).await;
        assert_eq!(seen.status.as_u16(), status, "{header}: {value}");
    }
}

#[tokio::test]
async fn a_batch_runs_the_lines_of_its_file() {
    let provider = started().await;
    let line = |id: &str| json!({ "custom_id": id, "body": { "model": "qwen-plus", "messages": [{ "content": "Who are you?" }] } });
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"calls.jsonl\"\r\n\r\n{}\n{}\n\r\n--b--\r\n",
        line("one"),
        line("two")
    );
    let ask = async |method: &str, path: &str, kind: &str, body: String| {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/v1/{path}", provider.addr))
            .header("content-type", kind)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let response = client().request(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let json_of = |(status, text): (u16, String)| {
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let file = json_of(ask("POST", "files", "multipart/form-data; boundary=b", form).await);
    assert_eq!((&file["purpose"], &file["filename"]), (&json!("batch"), &json!("calls.jsonl")));

    let wanted = json!({ "input_file_id": file["id"], "endpoint": "/v1/chat/completions", "metadata": { "a": "b" } });
    let batch = json_of(ask("POST", "batches", "application/json", wanted.to_string()).await);
    assert_eq!((&batch["status"], &batch["metadata"]["a"]), (&json!("validating"), &json!("b")));
    let batch = json_of(ask("GET", &format!("batches/{}", batch["id"].as_str().unwrap()), "", String::new()).await);
    assert_eq!((&batch["status"], &batch["request_counts"]["completed"]), (&json!("completed"), &json!(2)));
    assert_eq!(batch["usage"], json!({ "input_tokens": 6, "output_tokens": 40, "total_tokens": 46 }));

    let output = format!("files/{}", batch["output_file_id"].as_str().unwrap());
    let (_, lines) = ask("GET", &format!("{output}/content"), "", String::new()).await;
    let lines: Vec<Value> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines.iter().map(|it| it["custom_id"].as_str().unwrap()).collect::<Vec<_>>(), ["one", "two"]);
    assert!(lines.iter().all(|it| it["response"]["body"]["usage"]["completion_tokens"] == 20));

    assert_eq!(json_of(ask("DELETE", &output, "", String::new()).await)["deleted"], true);
    assert_eq!(ask("GET", &output, "", String::new()).await.0, 404);
    assert_eq!(json_of(ask("GET", "files", "", String::new()).await)["data"].as_array().unwrap().len(), 1);
}
