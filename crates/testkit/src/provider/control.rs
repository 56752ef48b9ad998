//! The stand-in's own door, for tests in other languages: read and clear the log, give a script.

use std::{fmt::Write, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{Behaviour, Ending, Received, body::AnswerBody, server::Shared};

/// `GET` and `DELETE /stand-in/log`; `PUT /stand-in/script` with one behaviour a line, `always:` before the standing one.
pub(crate) fn answer(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Response<AnswerBody> {
    let (status, text) = match (method.as_str(), path) {
        ("GET", "/stand-in/health") => (StatusCode::OK, "{}".to_owned()),
        ("GET", "/stand-in/log") => {
            let now = Instant::now();
            let calls: Vec<Value> = shared.log.received().iter().map(|it| call(it, now)).collect();
            (StatusCode::OK, Value::Array(calls).to_string())
        }
        ("DELETE", "/stand-in/log") => {
            shared.log.clear();
            (StatusCode::OK, "{}".to_owned())
        }
        ("PUT", "/stand-in/script") => match script(shared, body) {
            Ok(()) => (StatusCode::OK, "{}".to_owned()),
            Err(message) => (StatusCode::BAD_REQUEST, json!({ "message": message }).to_string()),
        },
        _ => (StatusCode::NOT_FOUND, "{}".to_owned()),
    };
    let mut response = Response::new(AnswerBody::whole(Bytes::from(text), None));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn script(shared: &Shared, body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let parse = |line: &str| line.parse::<Behaviour>().map_err(|error| error.to_string());
    for line in text.lines() {
        match line.strip_prefix("always:") {
            Some(standing) => shared.script.always(parse(standing)?),
            None => shared.script.next(parse(line)?),
        }
    }
    Ok(())
}

fn call(it: &Received, now: Instant) -> Value {
    let headers: serde_json::Map<String, Value> = it
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let ending = it.ended.map(|(ending, _)| match ending {
        Ending::Answered => "answered",
        Ending::Broken => "broken",
        Ending::HungUp => "hung_up",
    });
    let ended_ago = it.ended.map(|(_, at)| now.saturating_duration_since(at).as_secs_f64() * 1000.0);
    json!({
        "number": it.number,
        "connection": it.connection,
        "method": it.method.as_str(),
        "path": it.path,
        "headers": headers,
        "body": String::from_utf8_lossy(&it.body),
        "body_hex": hex(&it.body),
        "received_ms_ago": now.saturating_duration_since(it.at).as_secs_f64() * 1000.0,
        "ended": ending,
        "ended_ms_ago": ended_ago,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, it| {
        write!(out, "{it:02x}").expect("a String takes everything");
        out
    })
}
