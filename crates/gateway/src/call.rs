//! One call from its head to the head of its answer. Here: what is called, by whom, and whether its body may come in.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;

use crate::{
    base::Base,
    dialect::Dialect,
    gateway::{Gateway, Running},
    headers::{Timing, spare},
    ingress,
    refusal::{Refusal, Undecided},
    relay::Answer,
    request,
    route::{self, BatchTarget, Found, Target},
    serve::{BadHead, HEAD},
    snapshot::Grant,
    upstream::Pool,
};

mod attempt;
mod batches;
mod files;
mod head;
mod limited;
mod listing;
mod models;
mod passing;
mod tasks;
mod wishes;

use self::{head::Head, limited::Limited, passing::Passing, wishes::Wishes};

/// What serves the calls of one listener.
pub(crate) struct Worker {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) pool: Arc<Pool>,
}

pub(crate) async fn answer(worker: Arc<Worker>, request: Request<Incoming>) -> Response<Answer> {
    let gateway = &worker.gateway;
    let mut head = Head::new(gateway);
    let now_ms = head.now_ms;
    let (mut parts, body) = request.into_parts();
    let headers = std::mem::take(&mut parts.headers);
    if let Some(answer) = health(gateway, &parts) {
        return answer;
    }
    let found = route::find(&parts.method, parts.uri.path());
    if is_too_large(&parts, &headers) {
        head.dialect = found.dialect();
        return head.refuse_unread(&Refusal::LargeHead, &headers, body);
    }
    let route = match found {
        Found::Route(route) => route,
        Found::Nothing(dialect) => {
            head.dialect = dialect;
            return head.refuse_unread(&Refusal::NoRoute, &headers, body);
        }
        Found::OtherMethod(dialect, allow) => {
            head.dialect = dialect;
            return head.refuse_unread(&Refusal::WrongMethod(allow), &headers, body);
        }
    };
    head.dialect = route.dialect;
    let digest = ingress::key(route.dialect, &headers);
    let known = digest.and_then(|digest| {
        let snapshot = gateway.snapshot.load();
        let entry = snapshot.find(&digest, now_ms)?;
        head.codes = entry.error_dialect;
        head.caller = Some(Arc::clone(&entry.caller));
        Some(digest)
    });
    let Some(digest) = known else {
        return head.refuse_unread(&Refusal::NoKey, &headers, body);
    };
    if gateway.is_draining() {
        return head.refuse_unread(&Refusal::Undecided(Undecided::Draining), &headers, body);
    }
    match route.target {
        Target::Models => head.models(&digest),
        Target::Model => head.model(&digest, route.tail),
        Target::Task | Target::Batch(_) => {
            let (method, query) = (&parts.method, parts.uri.query());
            let passing =
                Passing { head: &head, pool: &worker.pool, method, tail: route.tail, query, headers: &headers, digest };
            // Boxed, for few calls go here, and all would carry the room for them.
            match route.target {
                Target::Batch(target) => {
                    let limit = if target == BatchTarget::Files {
                        gateway.settings.file_limit
                    } else {
                        gateway.settings.body_limit
                    };
                    if let Err(refusal) = ingress::check(&headers, &body, limit) {
                        return head.refuse_unread(&refusal, &headers, body);
                    }
                    Box::pin(passing.batch(target, body)).await
                }
                _ => Box::pin(passing.task()).await,
            }
        }
        Target::Call(operation) => {
            let settings = &gateway.settings;
            if let Err(refusal) = ingress::check(&headers, &body, settings.body_limit) {
                return head.refuse_unread(&refusal, &headers, body);
            }
            let running = Running::new(gateway);
            let mut body = body;
            // Held until the call has its answer, as the bytes are.
            let (bytes, _held) = match ingress::read(&mut body, settings.body_limit, settings.client_timeout).await {
                Ok(read) => read,
                Err(refusal) => return head.refuse_unread(&refusal, &headers, body),
            };
            drop(body);
            let read_at = gateway.clock.now();
            let fields = match request::read(&bytes, operation.shape()) {
                Ok(fields) => fields,
                Err(invalid) => return head.refuse(&Refusal::Invalid(invalid)),
            };
            let wishes = match Wishes::read(&headers) {
                Ok(wishes) => wishes,
                Err(refusal) => return head.refuse(&refusal),
            };
            let query = parts.uri.query();
            let call = Limited {
                head: &head,
                pool: &worker.pool,
                operation,
                tail: route.tail,
                query,
                headers,
                bytes: &bytes,
                fields,
                digest,
                wishes,
                read_at,
            };
            let response = call.answer(running).await;
            spare::give(call.headers);
            response
        }
    }
}

/// Answers a call on a connection for which there is no room.
pub(crate) async fn turn_away(worker: Arc<Worker>, request: Request<Incoming>) -> Response<Answer> {
    let (parts, _) = request.into_parts();
    if let Some(answer) = health(&worker.gateway, &parts) {
        return answer;
    }
    let mut head = Head::new(&worker.gateway);
    head.dialect = route::find(&parts.method, parts.uri.path()).dialect();
    let mut response = head.respond(&Refusal::Undecided(Undecided::Crowded), Timing::default(), None, None);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The bytes of an answer to a head that the server did not take, of which `line` is the beginning.
pub(crate) fn refuse_head(gateway: &Arc<Gateway>, why: BadHead, line: &[u8]) -> Bytes {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let method = words.next().and_then(|it| it.parse().ok()).unwrap_or(Method::GET);
    let path = words.next().unwrap_or_default().split('?').next().unwrap_or_default();
    let mut head = Head::new(gateway);
    head.dialect = route::find(&method, path).dialect();
    gateway.records.push_stranger();
    let refusal = match why {
        BadHead::Large => Refusal::LargeHead,
        BadHead::Unreadable => Refusal::Form("The head of the request cannot be read."),
        BadHead::Slow => Refusal::Form("The head of the request did not come in time."),
    };
    let (parts, body) = head.respond(&refusal, Timing::default(), None, None).into_parts();
    let Answer::Whole(body) = body else { return Bytes::new() };
    let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes.into()
}

/// Whether a head is longer than is accepted. The server takes somewhat longer ones, so that most of those that are too
/// long get an answer like any other.
fn is_too_large(parts: &Parts, headers: &HeaderMap) -> bool {
    // Beside name and value each line has a colon, a space and its end.
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    parts.uri.path().len() + parts.uri.query().map_or(0, str::len) + lines.sum::<usize>() > HEAD
}

/// For whoever watches over the process.
fn health(gateway: &Gateway, parts: &Parts) -> Option<Response<Answer>> {
    let (status, text) = match parts.uri.path() {
        "/healthz" => (StatusCode::OK, "ok\n"),
        "/readyz" if gateway.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => (StatusCode::OK, "ready\n"),
        _ => return None,
    };
    let mut response = Response::new(Answer::Whole(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Some(response)
}

/// Where the model's provider speaks this dialect, if it does.
fn offered(dialect: Dialect, grant: &Grant) -> Option<&Arc<Base>> {
    let provider = &grant.model.provider;
    match dialect {
        Dialect::OpenAi => provider.openai.as_ref(),
        Dialect::Native => provider.native.as_ref(),
        Dialect::Anthropic => provider.anthropic.as_ref(),
    }
}
