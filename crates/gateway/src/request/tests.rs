use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn chat(body: &str) -> Result<Fields<'_>, Invalid> {
    read(body.as_bytes(), Shape::Chat)
}

fn bytes_of(body: &str, shape: Shape) -> (u64, u64, u64) {
    let fields = read(body.as_bytes(), shape).unwrap();
    (fields.ascii_bytes, fields.other_bytes, fields.token_ids)
}

#[test]
fn a_plain_call() {
    let body = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Who are you?"}],"max_tokens":64,"n":2} "#;
    let fields = chat(body).unwrap();
    let model = fields.model.clone().unwrap();
    assert_eq!((&*model.name, &body[model.span]), ("qwen-plus", "\"qwen-plus\""));
    assert_eq!((fields.max_output, fields.times, fields.ascii_bytes, fields.stream), (Some(64), Some(2), 12, false));
    assert_eq!(fields.closing, body.len() - 2);
}

#[test]
fn what_is_no_body() {
    assert_eq!(chat(r#"{"model":"qwen", }"#), Err(Invalid::NotJson { at: 17 }));
    assert_eq!(chat(""), Err(Invalid::NotJson { at: 0 }));
    assert_eq!(chat("[]"), Err(Invalid::NotObject));
    assert_eq!(chat("\"model\""), Err(Invalid::NotObject));
    assert_eq!(chat("{}x"), Err(Invalid::NotJson { at: 2 }));
    for body in ["{}", r#"{"model":null}"#, r#"{"model":""}"#, r#"{"model":5}"#, r#"{"model":["a"]}"#] {
        assert_eq!(chat(body), Err(Invalid::NoModel), "{body}");
    }
    let deep = format!(r#"{{"model":"m","x":{}{}}}"#, "[".repeat(128), "]".repeat(128));
    assert_eq!(chat(&deep), Err(Invalid::TooDeep { at: 145 - 1 }));
    assert_eq!(read(b"{\"model\":\"\xff\"}", Shape::Chat), Err(Invalid::NotJson { at: 10 }));
}

#[test]
fn a_number_is_whole_and_has_32_bits() {
    for number in ["-1", "1.5", "\"5\"", "1e30", "64.0", "4294967296", "true", "[1]", "1e2", "-0"] {
        for field in ["max_tokens", "max_completion_tokens", "n"] {
            let body = format!(r#"{{"model":"m","{field}":{number}}}"#);
            assert_eq!(chat(&body).unwrap_err(), Invalid::Number(field), "{body}");
        }
    }
    for (number, read) in [("0", Some(0)), ("4294967295", Some(4_294_967_295)), ("null", None), (" 7 ", Some(7))] {
        assert_eq!(chat(&format!(r#"{{"model":"m","max_tokens":{number}}}"#)).unwrap().max_output, read);
    }
    let both = r#"{"model":"m","max_tokens":5,"max_completion_tokens":9}"#;
    assert_eq!(chat(both).unwrap().max_output, Some(9));
    assert_eq!(read(br#"{"model":"m","max_tokens":"x"}"#, Shape::Embeddings).unwrap().max_output, None);
    assert_eq!(read(br#"{"model":"m"}"#, Shape::Messages), Err(Invalid::Missing("max_tokens")));
    assert_eq!(read(br#"{"model":"m","max_tokens":null}"#, Shape::Messages), Err(Invalid::Missing("max_tokens")));
    let native = br#"{"model":"m","max_tokens":"x","parameters":{"max_tokens":1.0}}"#;
    assert_eq!(read(native, Shape::Native), Err(Invalid::Number("max_tokens")));
}

#[test]
fn the_first_failing_check_answers() {
    assert_eq!(chat(r#"{"n":-1,"n":-1}"#), Err(Invalid::Duplicate("n")));
    assert_eq!(chat(r#"{"n":-1}"#), Err(Invalid::NoModel));
    assert_eq!(chat(r#"{"n":-1,"n":-1"#), Err(Invalid::NotJson { at: 14 }));
}

#[test]
fn a_duplicate_is_found_after_unescaping_and_in_its_object() {
    for key in SINGLE {
        let body = format!(r#"{{"model":"m","{key}":null,"x":1,"\u{:04x}{}":null}}"#, key.as_bytes()[0], &key[1..]);
        assert_eq!(chat(&body), Err(Invalid::Duplicate(key)), "{body}");
    }
    assert!(chat(r#"{"model":"m","messages":[{"n":1,"n":2,"model":"a","model":"b"}],"top_p":1,"top_p":1}"#).is_ok());
    let native = |body: &str| read(body.as_bytes(), Shape::Native).map(drop);
    assert_eq!(native(r#"{"model":"m","parameters":{"n":1,"n":1}}"#), Err(Invalid::Duplicate("n")));
    assert_eq!(native(r#"{"model":"m","input":{"prompt":"a","prompt":"b"}}"#), Err(Invalid::Duplicate("prompt")));
    assert_eq!(native(r#"{"model":"m","n":1,"parameters":{"n":1},"input":{"n":1}}"#), Ok(()));
}

#[test]
fn include_usage_is_found_where_it_stands() {
    let options = |value: &str| {
        let body = format!(r#"{{"model":"m","stream":true,"stream_options":{value}}}"#);
        let found = chat(&body).unwrap().stream_options;
        match found {
            StreamOptions::Null(span) => format!("null {}", &body[span]),
            StreamOptions::Off(span) => format!("off {}", &body[span]),
            StreamOptions::Without { after_brace, has_keys } => {
                format!("without {} {has_keys}", &body[after_brace - 1..=after_brace - 1])
            }
            StreamOptions::On => "on".into(),
            StreamOptions::Absent => "absent".into(),
        }
    };
    assert_eq!(options("null"), "null null");
    assert_eq!(options(" { } "), "without { false");
    assert_eq!(options(r#"{"x":{"include_usage":true}}"#), "without { true");
    assert_eq!(options(r#"{"include_usage":false}"#), "off false");
    assert_eq!(options(r#"{"a":1,"include\u005fusage": null }"#), "off null");
    assert_eq!(options(r#"{"include_usage":true}"#), "on");
    assert_eq!(options("7"), "on");
    assert_eq!(chat(r#"{"model":"m"}"#).unwrap().stream_options, StreamOptions::Absent);
}

#[test]
fn stream_is_asked_for_by_true_alone() {
    for (value, stream) in [("true", true), ("false", false), ("null", false), ("1", false), ("\"true\"", false)] {
        assert_eq!(chat(&format!(r#"{{"model":"m","stream":{value}}}"#)).unwrap().stream, stream);
    }
    assert!(!read(br#"{"model":"m","stream":true}"#, Shape::Embeddings).unwrap().stream);
}

#[test]
fn media_is_no_text() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "12345"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"base_image_url": "https://example.com/b.png", "img_url": "c", "ref_images_urls": ["d", "e"]},
        {"type": "video", "video": ["https://example.com/1.png", "https://example.com/2.png"]},
        {"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}},
    ]}]});
    assert_eq!(bytes_of(&body.to_string(), Shape::Chat), (5, 0, 0));
    let native = json!({"model": "m", "input": {"messages": [{"role": "user", "content": [
        {"image": "https://example.com/a.png"}, {"audio": "AAAA"}, {"text": "中文"}]}]}, "parameters": {"stop": "xx"}});
    assert_eq!(bytes_of(&native.to_string(), Shape::Native), (0, 6, 0));
    let messages = json!({"model": "m", "max_tokens": 1, "system": [{"type": "text", "text": "abc"}], "messages": [
        {"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAAAAAA"}},
            {"type": "document", "source": {"data": "12345", "media_type": "text/plain", "type": "text"}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "go", "input": {"url": "ab"}}]}]});
    assert_eq!(bytes_of(&messages.to_string(), Shape::Messages), (3 + 5 + 2 + 5, 0, 0));
}

#[test]
fn token_ids_count_one_each() {
    assert_eq!(bytes_of(r#"{"model":"m","prompt":[1,2,3]}"#, Shape::Chat), (0, 0, 3));
    assert_eq!(bytes_of(r#"{"model":"m","input":[[1,2],[3]]}"#, Shape::Embeddings), (0, 0, 3));
    assert_eq!(bytes_of(r#"{"model":"m","input":["ab","c"]}"#, Shape::Embeddings), (3, 0, 0));
    assert_eq!(bytes_of(r#"{"model":"m","messages":[1,2]}"#, Shape::Chat), (0, 0, 0));
    assert_eq!(bytes_of(r#"{"model":"m","input":{"texts":["ab","é"]}}"#, Shape::Native), (2, 2, 0));
}

#[test]
fn a_tool_is_counted_as_it_is_written() {
    let body = r#"{"model":"m","tools":[{"type":"function","function":{"name":"f"}}]}"#;
    let letters = ["type", "function", "function", "name", "f"].map(str::len).iter().sum::<usize>() as u64;
    assert_eq!(bytes_of(body, Shape::Chat), (letters, 0, 0));
}

fn text_of(value: &Value) -> (u64, u64) {
    match value {
        Value::String(text) => {
            let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
            (ascii, text.len() as u64 - ascii)
        }
        Value::Array(items) => items.iter().map(text_of).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
        Value::Object(fields) => fields.values().map(text_of).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
        _ => (0, 0),
    }
}

fn content() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<i32>().prop_map(Into::into), any::<String>().prop_map(Into::into)];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("(text|content|name|[α-ω]{1,3})", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_fields_are_those_serde_json_finds(
        model in "[a-z\"\\\\é]{1,12}", messages in content(), extra in content(),
        stream: Option<bool>, max: Option<u32>, completion: Option<u32>, n: Option<u32>,
        pretty: bool, order in Just(vec![0, 1, 2, 3, 4, 5, 6]).prop_shuffle(),
    ) {
        let fields = [
            ("model", Some(json!(model))), ("messages", Some(messages.clone())), ("seed", Some(extra)),
            ("stream", Some(json!(stream))), ("max_tokens", max.map(Into::into)),
            ("max_completion_tokens", Some(json!(completion))), ("n", n.map(Into::into)),
        ];
        let text = |value: &Value| if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap();
        let parts: Vec<String> = order.iter()
            .filter_map(|at| fields[*at].1.as_ref().map(|value| format!("{}: {}", json!(fields[*at].0), text(value))))
            .collect();
        let body = format!("{{{}}}", parts.join(","));
        let found = chat(&body).unwrap();
        let (ascii, other) = text_of(&messages);
        let span = found.model.clone().unwrap().span;
        prop_assert_eq!(&found.model.unwrap().name, &model);
        prop_assert_eq!(serde_json::from_str::<String>(&body[span]).unwrap(), model);
        prop_assert_eq!((found.ascii_bytes, found.other_bytes), (ascii, other));
        prop_assert_eq!(found.stream, stream == Some(true));
        prop_assert_eq!(found.max_output, max.max(completion).map(u64::from));
        prop_assert_eq!(found.times, n.map(u64::from));
        prop_assert_eq!(&body[found.closing..], "}");
    }
}
