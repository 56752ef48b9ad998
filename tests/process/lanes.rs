//! Files and tasks over a restart, and a stop while calls run.

use http_body_util::Full;
use hyper::{Method, Request, body::Bytes};

use crate::installation::{Answer, Installation};

async fn call(sluice: &Installation, method: Method, path: &str, key: &str, kind: &str, body: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", sluice.gateway))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", kind)
        .header("x-dashscope-async", "enable")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    sluice.send(request).await
}

#[tokio::test]
async fn what_was_made_at_a_provider_is_its_workspaces_after_a_crash() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 600\ntpm = 100000", "rpm = 60");
    let (url, native) = (sluice.provider.openai_base_url(), sluice.provider.dashscope_base_url());
    let file = std::fs::read_to_string(sluice.folder().join("models.toml")).unwrap();
    let file = file.replace(&format!("\"{url}\""), &format!("\"{url}\"\ndashscope_base_url = \"{native}\""));
    sluice.write("models.toml", &file);
    sluice.done(&["apply", "models.toml"]);
    let (own, other) = (sluice.key("search"), sluice.key("default"));
    sluice.serve();

    let form = "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n\
        {\"custom_id\":\"1\",\"body\":{\"model\":\"m\"}}\r\n--b--\r\n";
    sluice.provider.next(r#"body={"id":"file-1","object":"file"}"#.parse().unwrap());
    let made = call(&sluice, Method::POST, "/v1/files", &own, "multipart/form-data; boundary=b", form).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let task = call(
        &sluice,
        Method::POST,
        "/api/v1/services/aigc/text2image/image-synthesis",
        &own,
        "application/json",
        r#"{"model":"m","input":{"prompt":"a cat"}}"#,
    );
    let task: serde_json::Value = serde_json::from_str(&task.await.body).unwrap();
    let task = format!("/api/v1/tasks/{}", task["output"]["task_id"].as_str().unwrap());

    sluice.kill();
    sluice.serve();
    for path in ["/v1/files/file-1", task.as_str()] {
        let foreign = call(&sluice, Method::GET, path, &other, "text/plain", "").await;
        assert_eq!(foreign.status, 404, "{path}: {}", foreign.body);
        sluice.provider.next(r#"body={"id":"file-1"}"#.parse().unwrap());
        let mine = call(&sluice, Method::GET, path, &own, "text/plain", "").await;
        assert_eq!((mine.status, mine.body.as_str()), (200, r#"{"id":"file-1"}"#), "{path}");
    }
    sluice.terminate();
}

// The provider goes on while this test waits for the process to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_runs_and_loses_no_record() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 60000\ntpm = 10000000", "rpm = 60000");
    let key = sluice.key("search");
    sluice.serve();
    for _ in 0..20 {
        assert_eq!(sluice.chat(&key).await.status, 200);
    }
    sluice.provider.next("delay-ms=1500".parse().unwrap());
    let target = sluice.target();
    let running = tokio::spawn({
        let key = key.clone();
        async move { target.chat_as(&key, "somebody").await.unwrap() }
    });
    sluice.provider.log().wait_until(|it| it.len() == 21).await;
    sluice.terminate();
    let last = running.await.unwrap();
    assert_eq!(last.status, 200, "what ran was finished: {}", last.body);
    let report = sluice.report(21).await;
    assert_eq!((&report["summary"]["total_calls"], &report["summary"]["failures"]), (&21.into(), &0.into()));
}
