//! Anthropic: `type` is `error`, and the status has a name.

use domain::Cause;

use super::{ALLOCATED, Escaped, Kind, REQUESTS, Refusal, SILENT, SURGE, UNDECIDED, UPSTREAM, message};
use crate::request::Invalid;

pub(super) fn body(refusal: &Refusal<'_>, details: Option<&str>, request_id: &str) -> String {
    let (kind, text) = words(refusal);
    let text = Escaped(&text);
    let details = details.map(|it| format!(r#","details":{it}"#)).unwrap_or_default();
    format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{text}"{details}}},"request_id":"{request_id}"}}"#)
}

fn words(refusal: &Refusal<'_>) -> (&'static str, String) {
    const INVALID: &str = "invalid_request_error";
    let sentence = refusal.sentence();
    let plain = |kind, phrase: &str| (kind, message(phrase, &sentence));
    match (refusal.kind(), refusal) {
        (Kind::Key, _) => plain("authentication_error", "invalid x-api-key"),
        (Kind::Access, _) => {
            plain("permission_error", "Your API key does not have permission to use the specified resource.")
        }
        (_, Refusal::NoModel(model)) => ("not_found_error", format!("model: {}", super::shown(model))),
        (_, Refusal::NotOffered(model)) => {
            ("not_found_error", format!("model: {model} is not offered on the Anthropic endpoints"))
        }
        (Kind::NoRoute | Kind::NoModel | Kind::NotOffered, _) => ("not_found_error", "Not found".into()),
        (_, Refusal::Invalid(Invalid::NotJson { at })) => {
            (INVALID, format!("The request body is not valid JSON at byte {at}."))
        }
        (Kind::BadRequest, _) => (INVALID, sentence),
        (Kind::EmptyModel, _) => (INVALID, "model: Field required".into()),
        (Kind::Missing(field), _) => (INVALID, format!("{field}: Field required")),
        (Kind::Number(field), _) => (INVALID, format!("{field}: Input should be an integer in [0, 4294967295]")),
        (Kind::LargeHead, _) => plain(INVALID, super::LARGE_HEAD),
        (Kind::TooLarge, _) => plain("request_too_large", "Request exceeds the maximum allowed number of bytes."),
        (Kind::Limited(Cause::Requests), _) => plain("rate_limit_error", REQUESTS),
        (Kind::Limited(Cause::Tokens), _) => plain("rate_limit_error", ALLOCATED),
        (Kind::Limited(Cause::Surge), _) => plain("rate_limit_error", SURGE),
        (Kind::Upstream, _) => plain("api_error", UPSTREAM),
        (Kind::Undecided, _) => plain("api_error", UNDECIDED),
        (Kind::Silent, _) => plain("timeout_error", SILENT),
    }
}

/// An error inside a stream.
pub(super) fn event(refusal: &Refusal<'_>, request_id: &str) -> String {
    format!("event: error\ndata: {}\n\n", body(refusal, None, request_id))
}
