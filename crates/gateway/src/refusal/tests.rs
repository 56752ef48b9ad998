use std::{collections::BTreeSet, time::Duration};

use domain::{Scope, Window};

use super::*;

const RID: &str = "RID";

fn violation(
    cause: Cause,
    scope: Scope,
    window: Window,
    limit: u64,
    used: u64,
    needed: u64,
    ms: Option<u64>,
) -> Violation {
    // A microsecond less: the wait is rounded up to the millisecond.
    Violation { cause, scope, window, limit, used, needed, retry_after_us: ms.map(|it| it * 1000 - 1) }
}

fn denial(named: Violation) -> Denial {
    Denial { retry_after_us: named.retry_after_us, named, others: Vec::new() }
}

/// Every case of a fixture file by its name, as (limit, whole body).
fn lines(fixture: &'static str) -> Vec<(&'static str, &'static str)> {
    fixture.lines().map(|line| (line[..19].trim(), line[19..].trim_start())).collect()
}

fn requests() -> Denial {
    denial(violation(Cause::Requests, Scope::Workspace, Window::Minute, 100, 100, 1, Some(12_345)))
}
fn tokens() -> Denial {
    denial(violation(Cause::Tokens, Scope::Workspace, Window::Minute, 200_000, 198_000, 2600, Some(8250)))
}
fn surge() -> Denial {
    denial(violation(Cause::Surge, Scope::Account, Window::Second, 125, 125, 1, Some(417)))
}
fn for_good() -> Denial {
    denial(violation(Cause::Tokens, Scope::Workspace, Window::Minute, 200_000, 198_000, 250_000, None))
}

#[test]
fn sentences_and_details() {
    let second = denial(violation(Cause::Requests, Scope::Workspace, Window::Second, 2, 2, 1, Some(731)));
    let tokens_second =
        denial(violation(Cause::Tokens, Scope::Account, Window::Second, 16_667, 16_000, 1200, Some(400)));
    let zero = denial(violation(Cause::Requests, Scope::Workspace, Window::Minute, 0, 0, 1, None));
    let cases = [requests(), second, tokens(), tokens_second, surge(), for_good(), zero];
    let expected = lines(include_str!("fixtures/sentences.txt"));
    assert_eq!(expected.len(), cases.len());
    for ((name, sentence), denial) in expected.into_iter().zip(&cases) {
        let model = if name == "surge" { "qwen3.5-plus" } else { "qwen-plus" };
        assert_eq!(limited(denial, "search", model), sentence, "{name}");
    }
    for (denial, expected) in
        [requests(), tokens(), surge(), for_good()].iter().zip(include_str!("fixtures/details.json").lines())
    {
        assert_eq!(details(denial), expected);
    }
    let both = Denial { others: vec![surge().named], ..requests() };
    assert_eq!(
        details(&both),
        format!("{},{}", &details(&requests())[..details(&requests()).len() - 1], &details(&surge())[1..])
    );
}

/// What async-openai takes an error for, as strictly as it does: text or null, or the whole error is lost to its caller.
/// One of the type `insufficient_quota` it never tries again.
#[derive(serde::Deserialize)]
struct AsyncOpenAi {
    error: AsyncOpenAiError,
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "that they can be read is the test")]
struct AsyncOpenAiError {
    message: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    param: Option<String>,
    code: Option<String>,
}

fn every_fixture(fixture: &'static str, dialect: Dialect, codes: ErrorDialect) {
    let mut seen = BTreeSet::new();
    for (name, expected) in lines(fixture) {
        let denial = match name {
            "429 requests" => Some(requests()),
            "429 tokens" => Some(tokens()),
            "429 surge" => Some(surge()),
            "429 for good" => Some(for_good()),
            _ => None,
        };
        let (workspace, model) = ("search", "qwen-plus");
        let refusal = match (name, &denial) {
            (_, Some(denial)) => Refusal::Limited { denial, workspace, model },
            ("401", _) => Refusal::NoKey,
            ("403", _) => Refusal::NotGranted { workspace, model },
            ("404 model", _) => Refusal::NoModel("qwen-plux"),
            ("404 not offered", _) => Refusal::NotOffered(model),
            ("404 path", _) => Refusal::NoRoute,
            ("400 bad request", _) => Refusal::Invalid(Invalid::NotJson { at: 17 }),
            ("400 no model", _) => Refusal::Invalid(Invalid::NoModel),
            ("400 max_tokens", _) => Refusal::Invalid(Invalid::Number("max_tokens")),
            ("400 no max_tokens", _) => Refusal::Invalid(Invalid::Missing("max_tokens")),
            ("413", _) => Refusal::TooLarge(33_554_432),
            ("502", _) => Refusal::Upstream(Failure::Unreachable { provider: "dashscope" }),
            ("503", _) => Refusal::Undecided(Undecided::Store),
            ("504", _) => Refusal::Silent { provider: "dashscope", waited: Duration::from_secs(300) },
            (unknown, _) => panic!("no refusal for {unknown}"),
        };
        let (s, d) = match &denial {
            Some(denial) => (limited(denial, workspace, model), details(denial)),
            None => Default::default(),
        };
        let expected = expected.replace(". S\"", &format!(". {s}\"")).replace(":D}", &format!(":{d}}}"));
        assert_eq!(refusal.body(dialect, codes, RID), expected, "{name}");
        assert_eq!(refusal.status().to_string(), name[..3], "{name}");
        assert!(seen.insert(name), "{name} twice");
        if dialect == Dialect::OpenAi {
            let read: AsyncOpenAi = serde_json::from_str(&refusal.body(dialect, codes, RID)).unwrap();
            let gives_up = read.error.kind.as_deref() == Some("insufficient_quota");
            let is_tokens = matches!(name, "429 tokens" | "429 for good");
            assert_eq!(gives_up, is_tokens && codes == ErrorDialect::DashScope, "{name}");
        }
    }
}

#[test]
fn native_bodies() {
    every_fixture(include_str!("fixtures/native.txt"), Dialect::Native, ErrorDialect::DashScope);
}

#[test]
fn openai_compatible_bodies() {
    every_fixture(include_str!("fixtures/openai-dashscope.txt"), Dialect::OpenAi, ErrorDialect::DashScope);
}

#[test]
fn openai_compatible_bodies_in_openais_codes() {
    every_fixture(include_str!("fixtures/openai-openai.txt"), Dialect::OpenAi, ErrorDialect::OpenAi);
}

#[test]
fn anthropic_bodies() {
    every_fixture(include_str!("fixtures/anthropic.txt"), Dialect::Anthropic, ErrorDialect::DashScope);
}

#[test]
fn events_for_streams_that_broke_off() {
    let broke_off = Refusal::Upstream(Failure::BrokeOff);
    assert_eq!(native::event(&broke_off, RID, Some(7)), include_str!("fixtures/broke-off-native.txt"));
    assert_eq!(openai::event(&broke_off, RID), include_str!("fixtures/broke-off-chat.txt"));
    assert_eq!(openai::responses_event(&broke_off, Some(42)), include_str!("fixtures/broke-off-responses.txt"));
    assert!(openai::responses_event(&broke_off, None).contains("\"sequence_number\":0}"));
    assert!(native::event(&broke_off, RID, None).starts_with("id:1\n"));
    assert_eq!(anthropic::event(&broke_off, RID), include_str!("fixtures/broke-off-anthropic.txt"));
}

#[test]
fn every_body_is_json_whatever_a_client_called_its_model() {
    let wild = "a\"b\\c\n\u{1}é".repeat(100);
    for dialect in [Dialect::Native, Dialect::OpenAi, Dialect::Anthropic] {
        for refusal in [
            Refusal::NoModel(&wild),
            Refusal::NotGranted { workspace: &wild, model: &wild },
            Refusal::WrongMethod("POST"),
            Refusal::Encoded,
            Refusal::Invalid(Invalid::Duplicate("model")),
            Refusal::Invalid(Invalid::TooDeep { at: 9 }),
        ] {
            let body = refusal.body(dialect, ErrorDialect::DashScope, RID);
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(value["request_id"], RID);
            assert!(body.len() < 4096, "{body}");
        }
    }
}
