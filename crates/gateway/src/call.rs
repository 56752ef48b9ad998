//! One call from its head to the head of its answer: the checks in their order, admission, the provider.

use std::sync::Arc;

use bytes::Bytes;
use domain::ErrorDialect;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use limiter::{Decision, Demand, Micros, Standing};

use crate::{
    base::Base,
    dialect::Dialect,
    gateway::{Gateway, Running},
    headers::{self, Limits, Timing, Values, forward},
    id::RequestId,
    ingress,
    meter::{Call, Run},
    pieces::{self, Pieces, Splice},
    record::{Caller, Outcome, Record, Refused, StoppedRecord, Tokens},
    refusal::{Failure, Refusal, Undecided},
    relay::{Answer, Events, Lingering, Plain},
    request::{self, Fields},
    route::{self, Found, Operation, Route, Target},
    snapshot::{Grant, KeyDigest, KeyEntry},
    upstream::{Lease, Pool},
};

/// What serves the calls of one listener.
pub(crate) struct Worker {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) pool: Arc<Pool>,
}

/// What every answer to one call needs.
struct Head<'a> {
    gateway: &'a Arc<Gateway>,
    id: RequestId,
    dialect: Dialect,
    codes: ErrorDialect,
    arrived: Micros,
    now_ms: i64,
    caller: Option<Arc<Caller>>,
}

pub(crate) async fn answer(worker: Arc<Worker>, request: Request<Incoming>) -> Response<Answer> {
    let gateway = &worker.gateway;
    let now_ms = gateway.wall.now_ms();
    let mut head = Head {
        gateway,
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
        Target::Call(operation) => head.call(&worker, route, operation, digest, &parts, headers, body).await,
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

/// What an admitted call hands to the provider.
struct Outgoing {
    base: Arc<Base>,
    request: Request<Pieces>,
    /// Time-outs of the model, or the gateway's.
    first_byte: std::time::Duration,
    silence: std::time::Duration,
}

impl Head<'_> {
    async fn call(
        &self,
        worker: &Worker,
        route: Route<'_>,
        operation: Operation,
        digest: KeyDigest,
        parts: &Parts,
        headers: HeaderMap,
        mut body: Incoming,
    ) -> Response<Answer> {
        let settings = &self.gateway.settings;
        if self.gateway.is_draining() {
            return self.refuse_unread(&Refusal::Undecided(Undecided::Draining), &headers, body);
        }
        if let Err(refusal) = ingress::check(&headers, &body, settings.body_limit) {
            return self.refuse_unread(&refusal, &headers, body);
        }
        let running = Running::new(self.gateway);
        let bytes = match ingress::read(&mut body, settings.body_limit, settings.client_timeout).await {
            Ok(bytes) => bytes,
            Err(refusal) => return self.refuse_unread(&refusal, &headers, body),
        };
        drop(body);
        let read_at = self.gateway.clock.now();
        let fields = match request::read(&bytes, operation.shape()) {
            Ok(fields) => fields,
            Err(invalid) => return self.refuse(&Refusal::Invalid(invalid)),
        };
        if let Err(refusal) = Wishes::read(&headers) {
            return self.refuse(&refusal);
        }
        let name = &*fields.model.as_ref().expect("a body without a model is invalid").name;

        // The snapshot is looked at again: it may have changed while the body came in, and a decision reads one state.
        let snapshot = self.gateway.snapshot.load();
        let Some(entry) = snapshot.find(&digest, self.now_ms) else { return self.refuse(&Refusal::NoKey) };
        let workspace = &entry.workspace;
        let Some(grant) = workspace.grants.get(name) else {
            return self.refuse(&match workspace.account.models.get(name) {
                Some(_) => Refusal::NotGranted { workspace: &workspace.name, model: name },
                None => Refusal::NoModel(name),
            });
        };
        let Some(base) = offered(route.dialect, grant) else { return self.refuse(&Refusal::NotOffered(name)) };
        let base = Arc::clone(base);
        let Some(address) = base.address(route.tail, parts.uri.query()) else {
            return self.refuse(&Refusal::NoRoute);
        };
        let call = self.describe(operation, &fields, &headers, entry, grant);
        let decision = grant.cell.admit(workspace.slot, &grant.limits, demand(operation, &fields));
        let decided = self.gateway.clock.now();
        let mut timing = Timing { limiter_us: decided.since(read_at), ..Timing::default() };
        let (permit, standing) = match decision {
            Decision::Admitted(permit, standing) => (permit, standing),
            Decision::Denied(denial, standing) => {
                let named = denial.named;
                let refused = Refused {
                    cause: named.cause,
                    scope: named.scope,
                    window: named.window,
                    limit: named.limit,
                    used: named.used,
                    needed: named.needed,
                    retry_after_us: denial.retry_after_us,
                };
                let record = call.record(Outcome::Refused(refused), Tokens::default(), None, decided);
                self.gateway.records.push(record);
                let refusal = Refusal::Limited { denial: &denial, workspace: &workspace.name, model: name };
                let limits = self.limits(grant, &standing, Some(&denial));
                return self.respond(&refusal, timing, Some(limits), None);
            }
        };
        let run = Run::new(running, call, permit);
        let outgoing = self.outgoing(base, address, route, grant, &fields, &bytes, headers);
        let grant = Arc::clone(grant);
        drop(snapshot);

        let sending = worker.pool.send(&outgoing.base.origin, outgoing.request, decided);
        let sent = tokio::time::timeout(outgoing.first_byte, sending).await;
        timing.upstream_us = Some(self.gateway.clock.now().since(decided));
        match sent {
            Ok(Ok((response, lease))) => self.pass(response, lease, run, &grant, &standing, timing, outgoing.silence),
            Ok(Err(error)) => {
                let provider = &grant.model.provider.name;
                tracing::warn!(
                    provider = provider.as_str(),
                    request.id = self.id.as_str(),
                    error = &error as &dyn std::error::Error,
                    "a provider cannot be reached"
                );
                let failure = Failure::Unreachable { provider: provider.as_str() };
                self.fail(&Refusal::Upstream(failure), run, Outcome::Unreachable, &grant, &standing, timing)
            }
            Err(_) => {
                let provider = grant.model.provider.name.as_str();
                let silent = Refusal::Silent { provider, waited: outgoing.first_byte };
                self.fail(&silent, run, Outcome::Timeout, &grant, &standing, timing)
            }
        }
    }

    fn describe(
        &self,
        operation: Operation,
        fields: &Fields<'_>,
        headers: &HeaderMap,
        entry: &KeyEntry,
        grant: &Arc<Grant>,
    ) -> Call {
        let header = |name| headers.get(name);
        let retries = header(&headers::RETRY_COUNT).and_then(|it| it.to_str().ok()?.parse().ok());
        let streamed = match operation {
            Operation::Service { .. } => {
                let accept = header(&header::ACCEPT).is_some_and(|it| {
                    memchr::memmem::find(&it.as_bytes().to_ascii_lowercase(), b"text/event-stream").is_some()
                });
                let asked = header(&headers::DASHSCOPE_SSE);
                accept || asked.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"enable"))
            }
            _ => fields.stream,
        };
        let may_strip = matches!(operation, Operation::Chat | Operation::Completions) && streamed;
        Call {
            operation,
            caller: Arc::clone(&entry.caller),
            grant: Arc::clone(grant),
            request_id: self.id.uuid,
            arrived: self.arrived,
            started_at_ms: self.gateway.wall.now_ms(),
            streamed,
            client_retries: retries.unwrap_or(0),
            incremental: fields.incremental,
            strip_usage: may_strip && fields.stream_options != request::StreamOptions::On,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that was learned on the way")]
    fn outgoing(
        &self,
        base: Arc<Base>,
        address: Uri,
        route: Route<'_>,
        grant: &Grant,
        fields: &Fields<'_>,
        bytes: &Bytes,
        mut headers: HeaderMap,
    ) -> Outgoing {
        let mut splices = Vec::new();
        if let (Some(model), Some(name)) = (&fields.model, &grant.model.renamed) {
            splices.push(Splice { range: model.span.clone(), by: name.clone() });
        }
        if fields.stream
            && let Target::Call(Operation::Chat | Operation::Completions) = route.target
        {
            splices.extend(pieces::include_usage(&fields.stream_options, fields.closing));
        }
        let pieces = if splices.is_empty() { Pieces::whole(bytes.clone()) } else { Pieces::spliced(bytes, splices) };
        forward::to_provider(&mut headers);
        headers.reserve(4);
        headers.insert(header::HOST, base.host.clone());
        headers.insert(header::CONTENT_LENGTH, pieces.length().into());
        headers.insert(&headers::X_REQUEST_ID, self.id.header.clone());
        if let Some(credential) = &base.credential {
            match route.dialect {
                Dialect::Anthropic => headers.insert(&headers::X_API_KEY, credential.clone()),
                Dialect::OpenAi | Dialect::Native => headers.insert(header::AUTHORIZATION, credential.clone()),
            };
        }
        if route.dialect == Dialect::Anthropic {
            headers.entry(&headers::ANTHROPIC_VERSION).or_insert(HeaderValue::from_static("2023-06-01"));
        }
        let mut request = Request::new(pieces);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address;
        *request.headers_mut() = headers;
        let settings = &self.gateway.settings;
        Outgoing {
            base,
            request,
            first_byte: grant.model.timeouts.first_byte.unwrap_or(settings.first_byte_timeout),
            silence: grant.model.timeouts.silence.unwrap_or(settings.silence_timeout),
        }
    }

    /// Passes the provider's answer on.
    #[expect(clippy::too_many_arguments, reason = "everything that was learned on the way")]
    fn pass(
        &self,
        response: Response<Incoming>,
        lease: Lease,
        mut run: Run,
        grant: &Grant,
        standing: &Standing,
        timing: Timing,
        silence: std::time::Duration,
    ) -> Response<Answer> {
        let (mut parts, body) = response.into_parts();
        let status = parts.status;
        if status == StatusCode::UNAUTHORIZED {
            return self.fail(
                &Refusal::Upstream(Failure::Credential),
                run,
                Outcome::Unreachable,
                grant,
                standing,
                timing,
            );
        }
        if status.is_redirection() {
            return self.fail(
                &Refusal::Upstream(Failure::Redirect),
                run,
                Outcome::Unreachable,
                grant,
                standing,
                timing,
            );
        }
        let mut headers = std::mem::take(&mut parts.headers);
        let upstream_id = forward::to_client(&mut headers);
        headers.reserve(18);
        let mut values = Values::new();
        self.common(&mut values, &mut headers, timing);
        if let Some(id) = upstream_id {
            headers.insert(&headers::UPSTREAM_REQUEST_ID, id);
        }
        headers.insert(&headers::MODEL, grant.model.header.clone());
        self.limits(grant, standing, None).write(&mut values, &mut headers);
        if status.is_client_error() || status.is_server_error() {
            headers.insert(&headers::ORIGIN, HeaderValue::from_static("provider"));
        }
        let answer = if status.is_success() && is_event_stream(&headers) {
            headers.remove(header::CONTENT_LENGTH);
            headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
            headers.entry(&headers::ACCEL_BUFFERING).or_insert(HeaderValue::from_static("no"));
            let id = self.id.as_str().to_owned();
            Answer::Events(Box::new(Events::new(body, lease, silence, run, id)))
        } else {
            run.no_stream();
            Plain::answer(body, lease, silence, run, status.as_u16())
        };
        let mut response = Response::new(answer);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        self.close_if_draining(&mut response);
        response
    }

    /// Ends an admitted call without an answer of the provider.
    fn fail(
        &self,
        refusal: &Refusal<'_>,
        mut run: Run,
        outcome: Outcome,
        grant: &Grant,
        standing: &Standing,
        timing: Timing,
    ) -> Response<Answer> {
        run.finish(outcome);
        let limits = self.limits(grant, standing, None);
        self.respond(refusal, timing, Some(limits), Some(&grant.model.header))
    }

    fn limits<'a>(&self, grant: &'a Grant, standing: &'a Standing, denial: Option<&'a limiter::Denial>) -> Limits<'a> {
        Limits { dialect: self.dialect, grant, standing, denial, now_ms: self.now_ms }
    }

    /// Answers a call that one of the checks before the limiter stops, and counts it as stopped.
    fn refuse(&self, refusal: &Refusal<'_>) -> Response<Answer> {
        match &self.caller {
            Some(caller) => self.gateway.records.push(Record::Stopped(StoppedRecord {
                caller: Arc::clone(caller),
                at_ms: self.now_ms,
                status: refusal.status(),
            })),
            None => self.gateway.records.push_stranger(),
        }
        self.respond(refusal, Timing::default(), None, None)
    }

    /// The same while the client may still be sending its body.
    fn refuse_unread(&self, refusal: &Refusal<'_>, headers: &HeaderMap, mut body: Incoming) -> Response<Answer> {
        let mut response = self.refuse(refusal);
        // A client that waits for `100 Continue` sends nothing once it has its answer.
        if headers.contains_key(header::EXPECT) {
            return response;
        }
        loop {
            if body.is_end_stream() {
                return response;
            }
            match body.frame().now_or_never() {
                Some(Some(Ok(_))) => {}
                Some(_) => return response,
                None => break,
            }
        }
        if let Answer::Whole(text) = response.body_mut() {
            let text = std::mem::take(text);
            *response.body_mut() = Answer::Lingering(Box::new(Lingering::new(text, body)));
        }
        response
    }

    fn respond(
        &self,
        refusal: &Refusal<'_>,
        timing: Timing,
        limits: Option<Limits<'_>>,
        admitted: Option<&HeaderValue>,
    ) -> Response<Answer> {
        let body = refusal.body(self.dialect, self.codes, self.id.as_str());
        let mut headers = HeaderMap::with_capacity(24);
        let mut values = Values::new();
        headers.insert(header::CONTENT_TYPE, headers::JSON.clone());
        self.common(&mut values, &mut headers, timing);
        headers.insert(&headers::ORIGIN, HeaderValue::from_static("gateway"));
        if let Some(model) = admitted {
            headers.insert(&headers::MODEL, model.clone());
        }
        if let Some(limits) = limits {
            limits.write(&mut values, &mut headers);
        }
        match refusal {
            Refusal::Limited { denial, .. } => headers::refused(&mut values, &mut headers, denial),
            Refusal::WrongMethod(allow) => drop(headers.insert(header::ALLOW, HeaderValue::from_static(allow))),
            Refusal::Upstream(Failure::Credential) => {
                drop(headers.insert(&headers::SHOULD_RETRY, headers::FALSE.clone()));
            }
            Refusal::Upstream(_) => drop(headers.insert(&headers::SHOULD_RETRY, headers::TRUE.clone())),
            Refusal::Undecided(_) => headers::retry_after(&mut values, &mut headers, 1_000_000),
            _ => {}
        }
        let mut response = Response::new(Answer::Whole(body.into()));
        *response.status_mut() = StatusCode::from_u16(refusal.status()).expect("a refusal has a status of its own");
        *response.headers_mut() = headers;
        self.close_if_draining(&mut response);
        response
    }

    /// The headers of every answer.
    fn common(&self, values: &mut Values, headers: &mut HeaderMap, timing: Timing) {
        headers.insert(&headers::X_REQUEST_ID, self.id.header.clone());
        if self.dialect == Dialect::Anthropic {
            headers.insert(&headers::REQUEST_ID, self.id.header.clone());
        }
        headers.insert(&headers::SERVER_TIMING, timing.value(values));
    }

    fn close_if_draining(&self, response: &mut Response<Answer>) {
        if self.gateway.is_draining() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    fn models(&self, digest: &KeyDigest) -> Response<Answer> {
        let snapshot = self.gateway.snapshot.load();
        let Some(entry) = snapshot.find(digest, self.now_ms) else { return self.refuse(&Refusal::NoKey) };
        let mut grants: Vec<_> =
            entry.workspace.grants.values().filter(|it| offered(self.dialect, it).is_some()).collect();
        grants.sort_by(|a, b| a.model.code.cmp(&b.model.code));
        let models: Vec<_> = grants.into_iter().map(|it| model(it)).collect();
        self.free(format!(r#"{{"object":"list","data":[{}]}}"#, models.join(",")))
    }

    fn model(&self, digest: &KeyDigest, tail: &str) -> Response<Answer> {
        let code = tail.rsplit('/').next().unwrap_or_default();
        let snapshot = self.gateway.snapshot.load();
        let Some(entry) = snapshot.find(digest, self.now_ms) else { return self.refuse(&Refusal::NoKey) };
        match entry.workspace.grants.get(code).filter(|it| offered(self.dialect, it).is_some()) {
            Some(grant) => self.free(model(grant)),
            None => self.refuse(&Refusal::NoModel(code)),
        }
    }

    /// An answer that Sluice knows by itself.
    fn free(&self, body: String) -> Response<Answer> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::CONTENT_TYPE, headers::JSON.clone());
        self.common(&mut Values::new(), &mut headers, Timing::default());
        let mut response = Response::new(Answer::Whole(body.into()));
        *response.headers_mut() = headers;
        self.close_if_draining(&mut response);
        response
    }
}

/// What a call asks of the gateway itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wishes {
    /// Seconds it would wait for its admission.
    wait_s: u64,
    /// Whether the backup may run; `None`: as the model has it.
    fallback: Option<bool>,
}

impl Wishes {
    fn read(headers: &HeaderMap) -> Result<Self, Refusal<'static>> {
        let mut wishes = Self::default();
        if let Some(value) = headers.get(&headers::WAIT_TIMEOUT) {
            let digits = value.as_bytes().trim_ascii();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(Refusal::Wait);
            }
            // More digits than a number holds are more than any wait that is granted.
            wishes.wait_s = std::str::from_utf8(digits).ok().and_then(|it| it.parse().ok()).unwrap_or(u64::MAX);
        }
        if let Some(value) = headers.get(&headers::FALLBACK) {
            wishes.fallback = match value.as_bytes().trim_ascii() {
                b"on" => Some(true),
                b"off" => Some(false),
                _ => return Err(Refusal::Fallback),
            };
        }
        Ok(wishes)
    }
}

fn model(grant: &Grant) -> String {
    let (code, created, owner) = (&grant.model.code, grant.model.created_at, &grant.model.provider.name);
    format!(r#"{{"id":"{code}","object":"model","created":{created},"owned_by":"{owner}"}}"#)
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

fn demand(operation: Operation, fields: &Fields<'_>) -> Demand {
    let max_output = match operation {
        Operation::Embeddings | Operation::Service { embeddings: true } => Some(0),
        _ => fields.max_output.map(|it| it.saturating_mul(fields.times.unwrap_or(1).max(1))),
    };
    let Fields { ascii_bytes, other_bytes, token_ids, .. } = *fields;
    Demand { ascii_bytes, other_bytes, token_ids, max_output }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| it.as_bytes().get(..17).is_some_and(|it| it.eq_ignore_ascii_case(b"text/event-stream")))
}
