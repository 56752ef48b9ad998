//! One admitted call on its way to a provider, and what came of it.

use std::{io::Write, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use limiter::{Micros, Standing};

use super::{head::Head, limited::Limited, tasks};
use crate::{
    base::Base,
    deadline::Deadline,
    dialect::{Dialect, Words},
    headers::{self, Timing, Values, forward},
    meter::Run,
    owners::{self, Object},
    pieces::{self, Pieces, Splice},
    record::Outcome,
    refusal::{Failure, Refusal, Undecided},
    relay::{Answer, Events, Plain},
    route::Operation,
    snapshot::Grant,
    upstream::{AnswerHead, Incoming, Outgoing, Unreachable},
    usage,
};

/// Bytes of an answer that names a task.
const LARGEST_TASK: usize = 1 << 20;

/// A permit, and where the call goes with it.
pub(super) struct Attempt {
    pub(super) run: Box<Run>,
    pub(super) grant: Arc<Grant>,
    pub(super) base: Arc<Base>,
    pub(super) standing: Standing,
    pub(super) timing: Timing,
    pub(super) decided: Micros,
}

/// What came of it.
pub(super) struct Ended {
    grant: Arc<Grant>,
    standing: Standing,
    timing: Timing,
    came: Came,
}

enum Came {
    Answer {
        answer: AnswerHead,
        body: Incoming,
        silence: Deadline,
        run: Box<Run>,
    },
    Events {
        answer: AnswerHead,
        events: Box<Events>,
    },
    /// All of an answer: it names a task, which was kept.
    Task {
        answer: AnswerHead,
        bytes: Bytes,
        run: Box<Run>,
    },
    Trouble(Trouble, Box<Run>),
}

/// Why the provider's answer is not passed on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    Unreachable,
    Credential,
    Redirect,
    Silent(Duration),
    /// The provider has as many calls as it may have.
    Busy,
    /// An answer that had to be understood could not be.
    Unreadable,
    /// Whose the task is could not be kept.
    Unkept,
}

impl Attempt {
    /// Sends the call. With `hold`, the first event of a stream is waited for: it may be an error that the backup
    /// can make good.
    pub(super) async fn send(self, call: &Limited<'_>, hold: bool) -> Ended {
        let Self { run, grant, base, standing, mut timing, decided } = self;
        let (head, timeouts) = (call.head, grant.model.timeouts);
        let settings = &head.gateway.settings;
        let first_byte = timeouts.first_byte.unwrap_or(settings.first_byte_timeout);
        let patience = timeouts.silence.unwrap_or(settings.silence_timeout);
        let stamp = settings.stamp_admissions.then(|| run.admitted_at());
        let left_s = call.wishes.left_s(settings, timing.wait_us).filter(|_| grant.model.provider.native.is_some());
        let request = outgoing(call, &base, &grant, stamp, left_s);
        let mut deadline = Deadline::after(&call.pool.ticks, first_byte);
        let sent = deadline.within(call.pool.send(&base.origin, request)).await;
        deadline.arm(patience);
        timing.upstream_us = Some(head.gateway.clock.now().since(decided));
        let came = match sent {
            Some(Ok((answer, body))) => match answer.status {
                StatusCode::UNAUTHORIZED => Came::Trouble(Trouble::Credential, run),
                status if status.is_redirection() => Came::Trouble(Trouble::Redirect, run),
                status if status.is_success() && is_event_stream(&answer.headers) => {
                    let id = head.id.as_str().to_owned();
                    let mut events = Box::new(Events::new(body, deadline, run, id));
                    if hold {
                        events.first().await;
                    }
                    Came::Events { answer, events }
                }
                status if status.is_success() && call.asks_for_a_task() => {
                    Box::pin(keep_task(call, &grant, answer, body, run)).await
                }
                _ => Came::Answer { answer, body, silence: deadline, run },
            },
            Some(Err(Unreachable::Busy)) => Came::Trouble(Trouble::Busy, run),
            Some(Err(error)) => {
                let provider = grant.model.provider.name.as_str();
                let error: &dyn std::error::Error = &error;
                tracing::warn!(provider, request.id = head.id.as_str(), error, "a provider cannot be reached");
                Came::Trouble(Trouble::Unreachable, run)
            }
            None => Came::Trouble(Trouble::Silent(first_byte), run),
        };
        Ended { grant, standing, timing, came }
    }
}

impl Ended {
    pub(super) fn grant(&self) -> &Grant {
        &self.grant
    }

    pub(super) fn wait_us(&self) -> u64 {
        self.timing.wait_us
    }

    /// The word for why a backup may take over; `None` if it may not.
    pub(super) fn fallback_cause(&self) -> Option<&'static str> {
        let by_status = |status: u16| match status {
            429 => Some("upstream_429"),
            500.. => Some("upstream_5xx"),
            _ => None,
        };
        match &self.came {
            Came::Answer { answer, .. } => by_status(answer.status.as_u16()),
            Came::Events { events, .. } => by_status(events.failed_at_once()?),
            Came::Trouble(Trouble::Silent(_) | Trouble::Unreadable | Trouble::Unkept, _) | Came::Task { .. } => None,
            Came::Trouble(..) => Some("upstream_unreachable"),
        }
    }

    /// Whether its model did what it was asked for, as far as can be told by now.
    pub(super) fn worked(&self) -> bool {
        self.fallback_cause().is_none() && !matches!(self.came, Came::Trouble(..))
    }

    /// The model has given the call up to its backup.
    pub(super) fn give_up(&mut self) {
        match &mut self.came {
            Came::Answer { run, .. } | Came::Task { run, .. } | Came::Trouble(_, run) => run.give_up(),
            Came::Events { events, .. } => events.run().give_up(),
        }
    }

    /// Settles and records what came, and passes nothing on.
    pub(super) fn abandon(self) {
        match self.came {
            Came::Answer { answer, body, silence, run } => {
                if let Answer::Plain(plain) = Plain::answer(body, silence, run, answer.status.as_u16()) {
                    plain.abandon();
                }
            }
            Came::Events { mut events, .. } => {
                let run = events.run();
                let outcome = run.stream_outcome();
                run.finish(outcome);
            }
            Came::Task { mut run, .. } => run.finish(Outcome::Ok),
            Came::Trouble(trouble, mut run) => run.finish(trouble.outcome()),
        }
    }

    /// The answer to the client.
    pub(super) fn respond(self, head: &Head) -> Response<Answer> {
        let Self { grant, standing, timing, came } = self;
        let limits = head.limits(&grant, &standing, None);
        let (from, answer) = match came {
            Came::Trouble(trouble, mut run) => {
                run.finish(trouble.outcome());
                let refusal = trouble.refusal(grant.model.provider.name.as_str());
                return head.respond(&refusal, timing, Some(limits), Some(&grant.model.header));
            }
            Came::Events { answer, events } => (answer, Answer::Events(events)),
            Came::Task { answer, bytes, mut run } => {
                run.finish(Outcome::Ok);
                (answer, Answer::Whole(bytes))
            }
            Came::Answer { answer, body, silence, mut run } => {
                run.no_stream();
                let status = answer.status.as_u16();
                (answer, Plain::answer(body, silence, run, status))
            }
        };
        let AnswerHead { status, mut headers, request_id, .. } = from;
        let mut values = Values::new();
        head.common(&mut values, &mut headers, timing);
        if let Some(id) = request_id {
            headers.insert(&headers::UPSTREAM_REQUEST_ID, id);
        }
        headers.insert(&headers::MODEL, grant.model.header.clone());
        limits.write(&mut values, &mut headers);
        if status.is_client_error() || status.is_server_error() {
            headers.insert(&headers::ORIGIN, HeaderValue::from_static("provider"));
        }
        if matches!(answer, Answer::Events(_)) {
            headers.remove(header::CONTENT_LENGTH);
            headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
            headers.entry(&headers::ACCEL_BUFFERING).or_insert(HeaderValue::from_static("no"));
        }
        let mut response = Response::new(answer);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        head.close_if_draining(&mut response);
        response
    }
}

impl Trouble {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Silent(_) => Outcome::Timeout,
            Self::Unreachable | Self::Credential | Self::Redirect => Outcome::Unreachable,
            Self::Unreadable => Outcome::Broken,
            Self::Unkept | Self::Busy => Outcome::Undecided,
        }
    }

    pub(super) fn refusal(self, provider: &str) -> Refusal<'_> {
        match self {
            Self::Unreachable => Refusal::Upstream(Failure::Unreachable { provider }),
            Self::Credential => Refusal::Upstream(Failure::Credential),
            Self::Redirect => Refusal::Upstream(Failure::Redirect),
            Self::Silent(waited) => Refusal::Silent { provider, waited },
            Self::Unreadable => Refusal::Upstream(Failure::Unreadable),
            Self::Unkept => Refusal::Undecided(Undecided::Owners),
            Self::Busy => Refusal::Busy { provider },
        }
    }
}

/// Reads the answer of an asynchronous call, and makes the task that it names the workspace's own before anybody learns
/// of it.
async fn keep_task(
    call: &Limited<'_>,
    grant: &Grant,
    answer: AnswerHead,
    mut body: Incoming,
    mut run: Box<Run>,
) -> Came {
    let gateway = &call.head.gateway;
    let patience = grant.model.timeouts.silence.unwrap_or(gateway.settings.silence_timeout);
    let mut all = BytesMut::new();
    loop {
        match tokio::time::timeout(patience, std::future::poll_fn(|cx| body.poll_data(cx))).await {
            Err(_) => return Came::Trouble(Trouble::Silent(patience), run),
            Ok(Some(Err(_))) => return Came::Trouble(Trouble::Unreachable, run),
            Ok(Some(Ok(data))) if all.len() + data.len() > LARGEST_TASK => {
                return Came::Trouble(Trouble::Unreadable, run);
            }
            Ok(Some(Ok(data))) => all.extend_from_slice(&data),
            Ok(None) => break,
        }
    }
    run.began();
    let bytes = all.freeze();
    run.body(usage::in_body(&bytes), Words::default());
    let Some(id) = tasks::id_in(&bytes) else { return Came::Task { answer, bytes, run } };
    let (workspace, provider) = (run.call().caller.workspace.clone(), grant.model.provider.id.clone());
    let model = Some(Arc::clone(&grant.model.code));
    let task = Object { kind: owners::Kind::Task, id, provider, model, checked: false };
    match gateway.owners.keep(&workspace, task).await {
        Ok(()) => Came::Task { answer, bytes, run },
        Err(error) => {
            let (error, id): (&dyn std::error::Error, _) = (&error, call.head.id.as_str());
            tracing::error!(request.id = id, error, "a task was made, and nobody can be told of it");
            Came::Trouble(Trouble::Unkept, run)
        }
    }
}

/// What the provider is sent: the client's bytes, spliced where the contract says so, and the gateway's credential.
fn outgoing(call: &Limited<'_>, base: &Base, grant: &Grant, stamp: Option<Micros>, left_s: Option<u64>) -> Outgoing {
    let (head, fields) = (call.head, &call.fields);
    let mut splices = Vec::new();
    if let Some(model) = &fields.model
        && let Some(by) = grant.model.name_instead_of(&model.name)
    {
        splices.push(Splice { range: model.span.clone(), by });
    }
    if fields.stream && matches!(call.operation, Operation::Chat | Operation::Completions) {
        splices.extend(pieces::include_usage(&fields.stream_options, fields.closing));
    }
    let bytes = call.bytes;
    let body = if splices.is_empty() { Pieces::whole(bytes.clone()) } else { Pieces::spliced(bytes, splices) };
    let mut out = Vec::with_capacity(640);
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|it| out.extend_from_slice(it));
    put(&[b"POST ", base.path.as_bytes(), call.tail.as_bytes()]);
    if let Some(query) = call.query {
        put(&[b"?", query.as_bytes()]);
    }
    put(&[b" HTTP/1.1\r\nhost: ", base.host.as_bytes(), b"\r\nx-request-id: ", head.id.header.as_bytes()]);
    if let Some(credential) = &base.credential {
        let name: &[u8] = match head.dialect {
            Dialect::Anthropic => b"\r\nx-api-key: ",
            Dialect::OpenAi | Dialect::Native => b"\r\nauthorization: ",
        };
        put(&[name, credential.as_bytes()]);
    }
    if head.dialect == Dialect::Anthropic && !call.headers.contains_key(&headers::ANTHROPIC_VERSION) {
        put(&[b"\r\nanthropic-version: 2023-06-01"]);
    }
    for (name, value) in forward::to_provider(&call.headers) {
        put(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    // Never fails: a vector grows.
    let _ = write!(out, "\r\ncontent-length: {}\r\n", body.length());
    if let Some(Micros(us)) = stamp {
        let _ = write!(out, "x-sluice-admitted-us: {us}\r\n");
    }
    if let Some(seconds) = left_s {
        let _ = write!(out, "{}: {seconds}\r\n", headers::WAIT_TIMEOUT);
    }
    out.extend_from_slice(b"\r\n");
    Outgoing { head: out, body }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| it.as_bytes().get(..17).is_some_and(|it| it.eq_ignore_ascii_case(b"text/event-stream")))
}
