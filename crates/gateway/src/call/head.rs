//! What every answer to one call has, and the answers that Sluice makes by itself.

use std::sync::Arc;

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
    headers::{self, Limits, Timing, Values},
    id::RequestId,
    record::{Caller, Record, StoppedRecord},
    refusal::{Failure, Refusal},
    relay::{Answer, Lingering},
    snapshot::Grant,
};

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
    pub(super) fn limits<'a>(
        &self,
        grant: &'a Grant,
        standing: &'a Standing,
        denial: Option<&'a Denial>,
    ) -> Limits<'a> {
        Limits { dialect: self.dialect, grant, standing, denial, now_ms: self.now_ms }
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

    pub(super) fn respond(
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
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::CONTENT_TYPE, headers::JSON.clone());
        self.common(&mut Values::new(), &mut headers, Timing::default());
        let mut response = Response::new(Answer::Whole(body.into()));
        *response.headers_mut() = headers;
        self.close_if_draining(&mut response);
        response
    }
}
