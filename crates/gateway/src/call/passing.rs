//! Calls that pass without being limited: what they are sent as, what comes back, and what is recorded of them.

use std::{future::poll_fn, io::Write, sync::Arc};

use bytes::{Bytes, BytesMut};
use domain::ModelCode;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::{attempt::Trouble, head::Head};
use crate::{
    base::Base,
    deadline::Deadline,
    dialect::{self, Dialect},
    gateway::Running,
    headers::{self, Timing, Values, forward},
    owners::{self, Object},
    pieces::Pieces,
    record::{Lane, Outcome, Tokens},
    refusal::{Refusal, Undecided},
    relay::{Answer, Note, Passed},
    snapshot::{KeyDigest, ProviderEntry, WorkspaceEntry},
    upstream::{AnswerHead, Incoming, Outgoing, Pool, Unreachable},
};

/// Bytes of an answer that is read as a whole.
const READ: usize = 16 << 20;

/// A call beside the limits.
pub(super) struct Passing<'a> {
    pub(super) head: &'a Head,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) method: &'a Method,
    /// The path at the provider.
    pub(super) tail: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) digest: KeyDigest,
}

/// What a provider answered, its body still to come.
pub(super) struct Came {
    pub(super) answer: AnswerHead,
    pub(super) body: Incoming,
    pub(super) timing: Timing,
}

/// Why a call is answered by the gateway itself.
pub(super) enum Stopped {
    NoKey,
    /// The workspace has made no such thing.
    NoObject(owners::Kind, String),
    /// Its provider is no more, or speaks this dialect no more.
    NotOffered,
    Unknown,
    Trouble(Trouble, Arc<ProviderEntry>, Timing),
}

impl From<owners::Unknown> for Stopped {
    fn from(error: owners::Unknown) -> Self {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "a call on a provider's object cannot be answered");
        Self::Unknown
    }
}

impl Passing<'_> {
    /// The workspace of the key, as it is now.
    pub(super) fn workspace(&self) -> Result<Arc<WorkspaceEntry>, Stopped> {
        let snapshot = self.head.gateway.snapshot.load();
        let entry = snapshot.find(&self.digest, self.head.now_ms).ok_or(Stopped::NoKey)?;
        Ok(Arc::clone(&entry.workspace))
    }

    /// The segment of the path that names what is asked for.
    pub(super) fn id(&self) -> &str {
        self.tail.split('/').nth(2).unwrap_or_default()
    }

    /// What the workspace calls by this id, and where it is.
    pub(super) async fn own(&self, kind: owners::Kind, id: &str) -> Result<(Object, Arc<ProviderEntry>), Stopped> {
        let caller = self.head.caller.as_ref().ok_or(Stopped::NoKey)?;
        let found = self.head.gateway.owners.find(&caller.workspace, kind, id).await?;
        let object = found.ok_or_else(|| Stopped::NoObject(kind, id.to_owned()))?;
        let provider = self.provider(&object)?;
        Ok((object, provider))
    }

    pub(super) fn provider(&self, object: &Object) -> Result<Arc<ProviderEntry>, Stopped> {
        let snapshot = self.head.gateway.snapshot.load();
        snapshot.provider(&object.provider).cloned().ok_or(Stopped::NotOffered)
    }

    /// Makes something the workspace's own.
    pub(super) async fn keep(&self, object: Object) -> Result<(), Stopped> {
        let caller = self.head.caller.as_ref().ok_or(Stopped::NoKey)?;
        Ok(self.head.gateway.owners.keep(&caller.workspace, object).await?)
    }

    /// What will be recorded of this call.
    pub(super) fn note(&self, lane: Lane, model: Arc<ModelCode>) -> Option<Note> {
        let retries = self.headers.get(&headers::RETRY_COUNT).and_then(|it| it.to_str().ok()?.parse().ok());
        Some(Note {
            running: Running::new(&self.head.gateway),
            caller: Arc::clone(self.head.caller.as_ref()?),
            model,
            request_id: self.head.id.uuid,
            lane,
            arrived: self.head.arrived,
            started_at_ms: self.head.gateway.wall.now_ms(),
            client_retries: retries.unwrap_or(0),
            tokens: Tokens::default(),
            recorded: false,
        })
    }

    /// Sends the call with `body`, and `query` in the place of its own.
    pub(super) async fn send(
        &self,
        provider: &Arc<ProviderEntry>,
        query: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<Came, Stopped> {
        let base = base(self.head.dialect, provider).ok_or(Stopped::NotOffered)?;
        let length = body.as_ref().map(|it| it.len() as u64);
        let head = self.request_head(base, query, length.map_or(Framing::None, Framing::Length));
        let call = Outgoing { head, body: Pieces::whole(body.unwrap_or_default()) };
        let gateway = &self.head.gateway;
        let (started, patience) = (gateway.clock.now(), gateway.settings.first_byte_timeout);
        let sent = tokio::time::timeout(patience, self.pool.send(&base.origin, call)).await;
        let timing = Timing { upstream_us: Some(gateway.clock.now().since(started)), ..Timing::default() };
        let trouble = |trouble| Err(Stopped::Trouble(trouble, Arc::clone(provider), timing));
        match sent {
            Ok(Ok((answer, body))) => self.came(answer, body, timing, provider),
            Ok(Err(Unreachable::Busy)) => trouble(Trouble::Busy),
            Ok(Err(error)) => {
                self.unreachable(provider, &error);
                trouble(Trouble::Unreachable)
            }
            Err(_) => trouble(Trouble::Silent(patience)),
        }
    }

    pub(super) fn unreachable(&self, provider: &ProviderEntry, error: &(dyn std::error::Error + 'static)) {
        let (provider, id) = (provider.name.as_str(), self.head.id.as_str());
        tracing::warn!(provider, request.id = id, error, "a provider cannot be reached");
    }

    /// An answer that may pass, or what is wrong with it.
    pub(super) fn came(
        &self,
        answer: AnswerHead,
        body: Incoming,
        timing: Timing,
        provider: &Arc<ProviderEntry>,
    ) -> Result<Came, Stopped> {
        let trouble = match answer.status {
            StatusCode::UNAUTHORIZED => Trouble::Credential,
            status if status.is_redirection() => Trouble::Redirect,
            _ => return Ok(Came { answer, body, timing }),
        };
        Err(Stopped::Trouble(trouble, Arc::clone(provider), timing))
    }

    /// All of an answer's body.
    pub(super) async fn read(&self, came: &mut Came, provider: &Arc<ProviderEntry>) -> Result<Bytes, Stopped> {
        let patience = self.head.gateway.settings.silence_timeout;
        let trouble = |trouble| Stopped::Trouble(trouble, Arc::clone(provider), came.timing);
        let mut all = BytesMut::new();
        loop {
            match tokio::time::timeout(patience, poll_fn(|cx| came.body.poll_data(cx))).await {
                Err(_) => return Err(trouble(Trouble::Silent(patience))),
                Ok(None) => return Ok(all.freeze()),
                Ok(Some(Err(_))) => return Err(trouble(Trouble::Unreachable)),
                Ok(Some(Ok(data))) if all.len() + data.len() > READ => return Err(trouble(Trouble::Unreadable)),
                Ok(Some(Ok(data))) => all.extend_from_slice(&data),
            }
        }
    }

    /// The client's answer: the provider's, its body as it comes.
    pub(super) fn pass(&self, came: Came, note: Note) -> Response<Answer> {
        let Came { answer, body, timing } = came;
        let outcome = outcome(&answer, &[]);
        let silence = Deadline::after(&self.pool.ticks, self.head.gateway.settings.silence_timeout);
        let passed = Passed::new(body, silence, note, outcome);
        self.respond(answer, timing, Answer::Passed(Box::new(passed)))
    }

    /// The same with a body that was read.
    pub(super) fn pass_read(&self, came: Came, body: Bytes, mut note: Note) -> Response<Answer> {
        note.finish(outcome(&came.answer, &body));
        self.respond(came.answer, came.timing, Answer::Whole(body))
    }

    fn respond(&self, answer: AnswerHead, timing: Timing, body: Answer) -> Response<Answer> {
        let AnswerHead { status, mut headers, request_id, .. } = answer;
        self.head.common(&mut Values::new(), &mut headers, timing);
        if let Some(id) = request_id {
            headers.insert(&headers::UPSTREAM_REQUEST_ID, id);
        }
        if status.is_client_error() || status.is_server_error() {
            headers.insert(&headers::ORIGIN, HeaderValue::from_static("provider"));
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        self.head.close_if_draining(&mut response);
        response
    }

    /// The gateway's own answer to a call that was stopped.
    pub(super) fn stopped(&self, stopped: &Stopped, note: Option<Note>) -> Response<Answer> {
        let refusal = match stopped {
            Stopped::NoKey => Refusal::NoKey,
            Stopped::NoObject(kind, id) => Refusal::NoObject { kind: kind.as_str(), id },
            Stopped::NotOffered => Refusal::NoRoute,
            Stopped::Unknown => Refusal::Undecided(Undecided::Owners),
            Stopped::Trouble(trouble, provider, timing) => {
                if let Some(mut note) = note {
                    note.finish(trouble.outcome());
                }
                return self.head.respond(&trouble.refusal(provider.name.as_str()), *timing, None, None);
            }
        };
        if let Some(mut note) = note {
            note.recorded = true;
        }
        self.head.refuse(&refusal)
    }

    /// Request line and headers as the provider gets them.
    pub(super) fn request_head(&self, base: &Base, query: Option<&str>, framing: Framing) -> Vec<u8> {
        let mut out = Vec::with_capacity(640);
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|it| out.extend_from_slice(it));
        put(&[self.method.as_str().as_bytes(), b" ", base.path.as_bytes(), self.tail.as_bytes()]);
        if let Some(query) = query {
            put(&[b"?", query.as_bytes()]);
        }
        put(&[b" HTTP/1.1\r\nhost: ", base.host.as_bytes(), b"\r\nx-request-id: ", self.head.id.header.as_bytes()]);
        if let Some(credential) = &base.credential {
            put(&[b"\r\nauthorization: ", credential.as_bytes()]);
        }
        for (name, value) in forward::to_provider(self.headers) {
            put(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        // Never fails: a vector grows.
        let _ = match framing {
            Framing::None => write!(out, "\r\n\r\n"),
            Framing::Length(length) => write!(out, "\r\ncontent-length: {length}\r\n\r\n"),
            Framing::Chunked => write!(out, "\r\ntransfer-encoding: chunked\r\n\r\n"),
        };
        out
    }
}

/// How the provider is told where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Where a provider speaks a dialect in which calls pass, if it does.
pub(super) fn base(dialect: Dialect, provider: &ProviderEntry) -> Option<&Arc<Base>> {
    match dialect {
        Dialect::OpenAi => provider.openai.as_ref(),
        Dialect::Native => provider.native.as_ref(),
        Dialect::Anthropic => None,
    }
}

fn outcome(answer: &AnswerHead, body: &[u8]) -> Outcome {
    match answer.status.as_u16() {
        ..400 => Outcome::Ok,
        status => Outcome::Provider { status, cause: if status == 429 { dialect::cause_of(body) } else { None } },
    }
}

/// Drops a length that no longer holds.
pub(super) fn of_other_length(came: &mut Came) {
    came.answer.headers.remove(header::CONTENT_LENGTH);
}
