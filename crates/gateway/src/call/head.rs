//! What every answer to one call has, and the answers that Sluice makes by itself.

use std::sync::Arc;

use bytes::Bytes;
use domain::ErrorDialect;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use limiter::{Denial, Micros, Standing};

use crate::{
    dialect::Dialect,
    gateway::Gateway,
    headers::{self, Limits, Timing, Values, spare},
    id::RequestId,
    record::{Caller, Record, StoppedRecord},
    refusal::{Failure, Refusal},
    relay::Answer,
    snapshot::Grant,
};

/// A body up to this length that nobody wants is read, so that its connection can be kept.
const SMALL: usize = 64 << 10;

/// One call as its answers see it.
pub(super) struct Head {
    pub(super) gateway: Arc<Gateway>,
    pub(super) id: RequestId,
    pub(super) dialect: Dialect,
    pub(super) codes: ErrorDialect,
    pub(super) arrived: Micros,
    pub(super) now_ms: i64,
    /// `None` until the key was found.
    pub(super) caller: Option<Arc<Caller>>,
}

impl Head {
    /// Of a call that arrives now; its dialect and its caller are found out.
    pub(super) fn new(gateway: &Arc<Gateway>) -> Self {
        let now_ms = gateway.wall.now_ms();
        Self {
            gateway: Arc::clone(gateway),
            id: RequestId::new(now_ms),
            dialect: Dialect::OpenAi,
            codes: ErrorDialect::DEFAULT,
            arrived: gateway.clock.now(),
            now_ms,
            caller: None,
        }
    }

    pub(super) fn limits<'a>(
        &self,
        grant: &'a Grant,
        standing: &'a Standing,
        denial: Option<&'a Denial>,
    ) -> Limits<'a> {
        // Of this moment: the body may have taken its time.
        let now_ms = if self.dialect == Dialect::Anthropic { self.gateway.wall.now_ms() } else { self.now_ms };
        Limits { dialect: self.dialect, grant, standing, denial, now_ms }
    }

    /// Answers a call that one of the checks before the limiter stops, and counts it as stopped.
    pub(super) fn refuse(&self, refusal: &Refusal<'_>) -> Response<Answer> {
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
    pub(super) fn refuse_unread(
        &self,
        refusal: &Refusal<'_>,
        headers: &HeaderMap,
        mut body: Incoming,
    ) -> Response<Answer> {
        let mut response = self.refuse(refusal);
        // To look at a body is to ask for it, where its client waits for `100 Continue`.
        let mut room = if headers.contains_key(header::EXPECT) { 0 } else { SMALL };
        while room > 0 && !body.is_end_stream() {
            match body.frame().now_or_never() {
                Some(Some(Ok(frame))) => room = room.saturating_sub(frame.data_ref().map_or(0, Bytes::len)),
                Some(_) | None => break,
            }
        }
        // What still comes is thrown away where the connection ends.
        if !body.is_end_stream() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    pub(super) fn respond(
        &self,
        refusal: &Refusal<'_>,
        timing: Timing,
        limits: Option<Limits<'_>>,
        admitted: Option<&HeaderValue>,
    ) -> Response<Answer> {
        let body = refusal.body(self.dialect, self.codes, self.id.as_str());
        let mut headers = spare::take();
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
            Refusal::Undecided(_) | Refusal::Busy { .. } => headers::retry_after(&mut values, &mut headers, 1_000_000),
            _ => {}
        }
        let mut response = Response::new(Answer::Whole(body.into()));
        *response.status_mut() = StatusCode::from_u16(refusal.status()).expect("a refusal has a status of its own");
        *response.headers_mut() = headers;
        self.close_if_draining(&mut response);
        response
    }

    /// The headers of every answer.
    pub(super) fn common(&self, values: &mut Values, headers: &mut HeaderMap, timing: Timing) {
        headers.insert(&headers::X_REQUEST_ID, self.id.header.clone());
        if self.dialect == Dialect::Anthropic {
            headers.insert(&headers::REQUEST_ID, self.id.header.clone());
        }
        headers.insert(&headers::SERVER_TIMING, timing.value(values));
    }

    pub(super) fn close_if_draining(&self, response: &mut Response<Answer>) {
        if self.gateway.is_draining() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// An answer that Sluice knows by itself.
    pub(super) fn free(&self, body: String) -> Response<Answer> {
        let mut headers = spare::take();
        headers.insert(header::CONTENT_TYPE, headers::JSON.clone());
        self.common(&mut Values::new(), &mut headers, Timing::default());
        let mut response = Response::new(Answer::Whole(body.into()));
        *response.headers_mut() = headers;
        self.close_if_draining(&mut response);
        response
    }
}
