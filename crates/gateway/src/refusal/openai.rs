//! OpenAI-compatible: everything under `error`, in the provider's codes or in OpenAI's own.

use domain::{Cause, ErrorDialect};

use super::{ACCESS, ALLOCATED, BODY, Escaped, Kind, Refusal, SILENT, SURGE, UNDECIDED, UPSTREAM, message};

struct Words {
    message: String,
    kind: &'static str,
    param: Option<&'static str>,
    code: &'static str,
}

pub(super) fn body(refusal: &Refusal<'_>, codes: ErrorDialect, details: Option<&str>, request_id: &str) -> String {
    let Words { message, kind, param, code } = words(refusal, codes);
    let message = Escaped(&message);
    let param = param.map_or("null".to_owned(), |it| format!("\"{it}\""));
    let details = details.map(|it| format!(r#","details":{it}"#)).unwrap_or_default();
    format!(
        r#"{{"error":{{"message":"{message}","type":"{kind}","param":{param},"code":"{code}"{details}}},"request_id":"{request_id}"}}"#
    )
}

pub(super) fn range(field: &str) -> String {
    format!("Range of {field} should be [0, 4294967295]")
}

fn words(refusal: &Refusal<'_>, codes: ErrorDialect) -> Words {
    const INVALID: &str = "invalid_request_error";
    if let Refusal::Line { why, .. } = refusal {
        let words = words(why, codes);
        return Words { message: message(&words.message, &refusal.sentence()), ..words };
    }
    let sentence = refusal.sentence();
    let plain = |phrase: &str, kind, code| Words { message: message(phrase, &sentence), kind, param: None, code };
    let bare = |message: String, param, code| Words { message, kind: INVALID, param, code };
    match (refusal.kind(), refusal) {
        (Kind::Key, _) => plain("Incorrect API key provided.", INVALID, "invalid_api_key"),
        (Kind::Access, _) => plain(ACCESS, "Model.AccessDenied", "Model.AccessDenied"),
        (Kind::NoModel, Refusal::NoModel(model)) => {
            let model = super::shown(model);
            let text = format!("The model `{model}` does not exist or you do not have access to it.");
            bare(text, None, "model_not_found")
        }
        (Kind::NotOffered, Refusal::NotOffered(model)) => {
            bare(format!("Unsupported model {model} for OpenAI compatibility mode."), None, "model_not_supported")
        }
        (Kind::NoRoute | Kind::NoModel | Kind::NotOffered, _) => plain("Not found!", INVALID, "not_found"),
        (Kind::BadRequest, _) => plain(BODY, INVALID, "invalid_parameter_error"),
        (Kind::EmptyModel, _) => {
            bare("you must provide a model parameter".into(), Some("model"), "missing_required_parameter")
        }
        (Kind::Number(field), _) => bare(range(field), Some(field), "invalid_parameter_error"),
        (Kind::Missing(field), _) => {
            bare(format!("you must provide a {field} parameter"), Some(field), "missing_required_parameter")
        }
        (Kind::LargeHead, _) => plain(super::LARGE_HEAD, INVALID, "request_header_fields_too_large"),
        (Kind::TooLarge, _) => plain("Payload Too Large.", INVALID, "request_too_large"),
        (Kind::Limited(cause), _) => {
            let (phrase, kind, code) = limited(cause, codes);
            plain(phrase, kind, code)
        }
        (Kind::Upstream, _) => plain(UPSTREAM, "server_error", "model_service_failed"),
        (Kind::Undecided, _) => plain(UNDECIDED, "server_error", "model_unavailable"),
        (Kind::Silent, _) => plain(SILENT, "server_error", "request_timeout"),
    }
}

fn limited(cause: Cause, codes: ErrorDialect) -> (&'static str, &'static str, &'static str) {
    const LIST: &str = "You exceeded your current requests list.";
    match (codes, cause) {
        (ErrorDialect::DashScope, Cause::Requests) => (LIST, "limit_requests", "limit_requests"),
        (ErrorDialect::DashScope, Cause::Tokens) => (
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        (ErrorDialect::DashScope, Cause::Surge) => (SURGE, "limit_burst_rate", "limit_burst_rate"),
        (ErrorDialect::OpenAi, Cause::Requests) => (LIST, "requests", "rate_limit_exceeded"),
        // The usual phrase is OpenAI's text for no money.
        (ErrorDialect::OpenAi, Cause::Tokens) => (ALLOCATED, "tokens", "rate_limit_exceeded"),
        (ErrorDialect::OpenAi, Cause::Surge) => (SURGE, "requests", "rate_limit_exceeded"),
    }
}

/// An error inside a stream of chat completions or completions.
pub(super) fn event(refusal: &Refusal<'_>, request_id: &str) -> String {
    format!("data: {}\n\n", body(refusal, ErrorDialect::DEFAULT, None, request_id))
}

/// An error inside a stream of responses. `last` is the sequence number of the last event that passed; the first is 0.
pub(super) fn responses_event(refusal: &Refusal<'_>, last: Option<u64>) -> String {
    let Words { message, code, .. } = words(refusal, ErrorDialect::DEFAULT);
    let (message, next) = (Escaped(&message), last.map_or(0, |it| it.saturating_add(1)));
    format!(
        "event: error\ndata: {{\"type\":\"error\",\"code\":\"{code}\",\"message\":\"{message}\",\"param\":null,\"sequence_number\":{next}}}\n\n"
    )
}
