//! Native DashScope: `code`, `message` and `request_id` at the top, never wrapped.

use domain::Cause;

use super::{ACCESS, ALLOCATED, BODY, Escaped, Kind, REQUESTS, Refusal, SILENT, SURGE, UNDECIDED, UPSTREAM, message};

/// What a line that tells the status of an event begins with.
pub(crate) const HEARTBEAT_STATUS: &str = ":HTTP_STATUS/";

pub(super) fn body(refusal: &Refusal<'_>, details: Option<&str>, request_id: &str) -> String {
    let (code, text) = words(refusal);
    let details = details.map(|it| format!(r#","details":{it}"#)).unwrap_or_default();
    format!(r#"{{"code":"{code}","message":"{}","request_id":"{request_id}"{details}}}"#, Escaped(&text))
}

fn words(refusal: &Refusal<'_>) -> (&'static str, String) {
    let (code, phrase) = match refusal.kind() {
        Kind::Key => ("InvalidApiKey", "Invalid API-key provided."),
        Kind::Access => ("Model.AccessDenied", ACCESS),
        Kind::NoModel | Kind::NotOffered => ("ModelNotFound", "Model can not be found."),
        Kind::NoRoute => ("NotFound", "Not found!"),
        Kind::BadRequest => ("InvalidParameter", BODY),
        Kind::EmptyModel => ("BadRequest.EmptyModel", r#"Required parameter "model" missing from request."#),
        Kind::Number(field) => return ("InvalidParameter", super::openai::range(field)),
        Kind::Missing(field) => {
            return ("InvalidParameter", format!(r#"Required parameter "{field}" missing from request."#));
        }
        Kind::TooLarge => ("BadRequest.TooLarge", "Payload Too Large."),
        Kind::LargeHead => ("BadRequest.TooLarge", super::LARGE_HEAD),
        Kind::Limited(Cause::Requests) => ("Throttling.RateQuota", REQUESTS),
        Kind::Limited(Cause::Tokens) => ("Throttling.AllocationQuota", ALLOCATED),
        Kind::Limited(Cause::Surge) => ("Throttling.BurstRate", SURGE),
        Kind::Upstream => ("ModelServiceFailed", UPSTREAM),
        Kind::Undecided => ("ModelUnavailable", UNDECIDED),
        Kind::Silent => ("RequestTimeOut", SILENT),
    };
    (code, message(phrase, &refusal.sentence()))
}

/// An error inside a stream. `last_id` is the id of the last event that passed; the first is 1.
pub(super) fn event(refusal: &Refusal<'_>, request_id: &str, last_id: Option<u64>) -> String {
    let status = refusal.status();
    let (id, data) = (last_id.unwrap_or_default().saturating_add(1), body(refusal, None, request_id));
    // No space after `event:`: the provider's own SDK compares the rest of the line as it stands.
    format!("id:{id}\nevent:error\n{HEARTBEAT_STATUS}{status}\ndata:{data}\n\n")
}
