//! One call from its head to the head of its answer. Here: what is called, by whom, and whether its body may come in.

use std::sync::Arc;

use bytes::Bytes;
use domain::ErrorDialect;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;

use crate::{
    base::Base,
    dialect::Dialect,
    gateway::{Gateway, Running},
    id::RequestId,
    ingress,
    refusal::{Refusal, Undecided},
    relay::Answer,
    request,
    route::{self, Found, Target},
    snapshot::Grant,
    upstream::Pool,
};

mod attempt;
mod head;
mod limited;
mod models;
mod wishes;

use self::{head::Head, limited::Limited, wishes::Wishes};

/// What serves the calls of one listener.
pub(crate) struct Worker {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) pool: Arc<Pool>,
}

pub(crate) async fn answer(worker: Arc<Worker>, request: Request<Incoming>) -> Response<Answer> {
    let gateway = &worker.gateway;
    let now_ms = gateway.wall.now_ms();
    let mut head = Head {
        gateway: Arc::clone(gateway),
        id: RequestId::new(now_ms),
        dialect: Dialect::OpenAi,
        codes: ErrorDialect::DEFAULT,
        arrived: gateway.clock.now(),
        now_ms,
        caller: None,
    };
    let (mut parts, body) = request.into_parts();
    let headers = std::mem::take(&mut parts.headers);
    if let Some(answer) = health(gateway, &parts) {
        return answer;
    }
    let route = match route::find(&parts.method, parts.uri.path()) {
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
    match route.target {
        Target::Models => head.models(&digest),
        Target::Model => head.model(&digest, route.tail),
        Target::Call(operation) => {
            if gateway.is_draining() {
                return head.refuse_unread(&Refusal::Undecided(Undecided::Draining), &headers, body);
            }
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
            call.answer(running).await
        }
    }
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
