use super::*;

fn read(operation: Operation, event: &str) -> Event {
    read_event(operation, &Lines::of(event.as_bytes()))
}

const SERVICE: Operation = Operation::Service { embeddings: false };

fn counts(event: &Event) -> Option<(Option<u64>, u64)> {
    event.counts.map(|it| (it.prompt_tokens(), it.total_tokens()))
}

#[test]
fn chat() {
    let chat = |data: &str| read(Operation::Chat, &format!("data: {data}\n\n"));
    let role = chat(
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
    );
    assert_eq!(role, Event::default());
    let words = chat(r#"{"choices":[{"delta":{"content":"中 ok"},"finish_reason":null}]}"#);
    assert_eq!((words.has_content, words.words), (true, Words { ascii: 3, other: 3 }));
    for delta in
        [r#"{"reasoning_content":"a"}"#, r#"{"tool_calls":[{"id":"x","function":{"name":"f","arguments":""}}]}"#]
    {
        assert!(chat(&format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#)).has_content, "{delta}");
    }
    assert!(read(Operation::Completions, "data: {\"choices\":[{\"text\":\"a\"}]}\n\n").has_content);
    let last = chat(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#);
    assert!(last.ends_well && !last.has_content && !last.usage_only);
    let usage = chat(r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#);
    assert!(usage.usage_only);
    assert_eq!(counts(&usage), Some((Some(9), 12)));
    let neither = chat(r#"{"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#);
    assert!(!neither.usage_only && neither.counts.is_some(), "no choices at all is not an empty list of them");
    let going_on = chat(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":""}]}"#);
    assert!(!going_on.ends_well);
    let both = chat(r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"total_tokens":10}}"#);
    assert!(!both.usage_only && both.counts.is_some());
    assert!(chat("[DONE]").ends_well);
    assert_eq!(read(Operation::Chat, ": ping\n\n"), Event::default());
    assert_eq!(chat("{broken"), Event::default());
}

#[test]
fn chat_errors() {
    let fixture = r#"data: {"error":{"code":"limit_burst_rate","message":"Request rate increased too quickly.","type":"limit_burst_rate"}}"#;
    let error = |data: &str| read(Operation::Chat, data).error.map(|it| (it.status, it.cause));
    assert_eq!(error(fixture), Some((429, Some(Cause::Surge))));
    assert_eq!(error(r#"data: {"error":{"message":"x","code":503}}"#), Some((503, None)));
    assert_eq!(error(r#"data: {"error":"overloaded"}"#), Some((500, None)));
    assert_eq!(error(r#"data: {"error":null,"choices":[]}"#), None);
}

#[test]
fn responses() {
    let event = |kind: &str, rest: &str| {
        read(
            Operation::Responses,
            &format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":7{rest}}}\n\n"),
        )
    };
    let delta = event("response.output_text.delta", r#","delta":"hello""#);
    assert_eq!((delta.has_content, delta.number, delta.words.ascii), (true, Some(7), 5));
    let usage = r#","response":{"usage":{"input_tokens":4,"output_tokens":2,"total_tokens":6}}"#;
    let completed = event("response.completed", usage);
    assert_eq!((completed.ends_well, counts(&completed)), (true, Some((Some(4), 6))));
    assert!(event("response.incomplete", usage).ends_well);
    let failed =
        event("response.failed", r#","response":{"error":{"code":"rate_limit_exceeded"},"usage":{"total_tokens":6}}"#);
    assert_eq!((failed.ends_well, failed.error.map(|it| it.status)), (false, Some(429)));
    assert!(failed.counts.is_some());
    assert_eq!(event("response.in_progress", usage).counts, None);
    assert_eq!(
        event("error", r#","code":"insufficient_quota""#).error.map(|it| (it.status, it.cause)),
        Some((429, Some(Cause::Tokens)))
    );
}

#[test]
fn native() {
    let frame = |data: &str| read(SERVICE, &format!("id:3\nevent:result\n:HTTP_STATUS/200\ndata:{data}\n\n"));
    let text = frame(r#"{"output":{"finish_reason":"null","text":"hi"},"usage":{"input_tokens":4,"output_tokens":2}}"#);
    assert_eq!((text.has_content, text.ends_well, text.number), (true, false, Some(3)));
    assert_eq!(counts(&text), Some((Some(4), 6)));
    let message = frame(
        r#"{"output":{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":[{"text":"hi"}]}}]}}"#,
    );
    assert!(message.ends_well && message.has_content);
    assert_eq!(message.words.ascii, 2);
    let error = "id:1\nevent:error\n:HTTP_STATUS/429\ndata:{\"request_id\":\"RID\",\"code\":\"Throttling.AllocationQuota\",\"message\":\"Allocated quota exceeded, please increase your quota limit.\"}\n\n";
    assert_eq!(read(SERVICE, error).error, Some(ProviderError { status: 429, cause: Some(Cause::Tokens) }));
    assert_eq!(frame(r#"{"code":"","output":{"text":""}}"#).error, None);
}

#[test]
fn anthropic() {
    let event = |data: &str| read(Operation::Messages, &format!("event: x\ndata: {data}\n\n"));
    let start = event(
        r#"{"type":"message_start","message":{"role":"assistant","usage":{"input_tokens":10,"output_tokens":1}}}"#,
    );
    assert_eq!((start.has_content, counts(&start)), (false, Some((Some(10), 11))));
    let delta = event(r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#);
    assert_eq!((delta.has_content, delta.words.ascii), (true, 5));
    let end = event(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#);
    assert_eq!((end.has_content, end.ends_well, counts(&end)), (false, false, Some((None, 9))));
    assert!(event(r#"{"type":"message_stop"}"#).ends_well);
    let error = event(
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"Allocated quota exceeded, please increase your quota limit."}}"#,
    );
    assert_eq!(error.error, Some(ProviderError { status: 429, cause: Some(Cause::Tokens) }));
}

#[test]
fn tokens_of_words() {
    assert_eq!(Words { ascii: 8, other: 3 }.tokens(1.0), 3);
    assert_eq!(Words { ascii: 1, other: 0 }.tokens(1.0), 1);
    assert_eq!(Words { ascii: 8, other: 3 }.tokens(2.0), 6);
    assert_eq!(
        words_of_body(br#"{"id":"xxxx","choices":[{"message":{"role":"assistant","content":"12345"}}]}"#).ascii,
        5
    );
    assert_eq!(words_of_body(b"no json").ascii, 0);
    assert_eq!(words_of_body(b"\n {\"content\":\"12345\"}\n").ascii, 5);
    assert_eq!(words_of_body(b"[\"content\":\"12345\"}").ascii, 0);
}

#[test]
fn white_space_before_an_event_is_nothing() {
    let lines = Lines::of(b"data: \t {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n");
    let event = read_event(Operation::Chat, &lines);
    assert_eq!((event.usage_only, event.counts.map(|it| it.total_tokens())), (true, Some(3)));
}

#[test]
fn words_of_a_body_that_broke_off() {
    let body = r#"{"id":"xxxx","choices":[{"message":{"role":"assistant","content":"12\n中\u4e2d5"}}]}"#;
    let begin = body.find("12").unwrap();
    for (length, expected) in
        [(0, (0, 0)), (1, (1, 0)), (2, (2, 0)), (3, (2, 0)), (4, (3, 0)), (5, (3, 0)), (6, (3, 0)), (7, (3, 3))]
            .into_iter()
            .chain((8..13).map(|it| (it, (3, 3))))
            .chain([(13, (3, 6)), (14, (4, 6)), (15, (4, 6)), (17, (4, 6))])
    {
        let words = words_of_body(&body.as_bytes()[..begin + length]);
        assert_eq!((words.ascii, words.other), expected, "{length}");
    }
}
