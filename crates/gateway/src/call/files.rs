//! Uploads: a form with a file passes to the provider while it comes, and is never held. Of a batch file each line is
//! checked on its way; one that is refused refuses the file, whose end the provider then never sees.

use std::{future::poll_fn, sync::Arc};

use http::{Response, header};
use http_body::Body;
use hyper::body::Incoming;

use super::{
    attempt::Trouble,
    passing::{self, Came, Framing, Passing, Stopped},
};
use crate::{
    dialect::Dialect,
    headers::Timing,
    lines::{self, Models, Why},
    multipart::{Form, Malformed},
    owners,
    refusal::{Refusal, Undecided},
    relay::{Answer, Note},
    snapshot::{ProviderEntry, WorkspaceEntry},
    upstream::{Failed, Unreachable, Upload},
};
use passage::{Fault, Passage, Wrong};

mod passage;

impl Passing<'_> {
    pub(super) async fn upload(&self, note: Note, body: Incoming) -> Response<Answer> {
        let settings = &self.head.gateway.settings;
        let form = self.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |it| it.as_bytes());
        let form = match Form::of(form) {
            Ok(form) => form,
            Err(Malformed(sentence)) => return self.refuse_unread(note, &Refusal::Form(sentence), body),
        };
        let workspace = match self.workspace() {
            Ok(workspace) => workspace,
            Err(stopped) => return self.stopped(&stopped, Some(note)),
        };
        let length = body.size_hint().exact();
        let mut passage = Passage::of(form, body, workspace, settings);
        match self.send_upload(&mut passage, length).await {
            Ok((came, provider)) => self.uploaded(&passage, came, &provider, note).await,
            Err(Ended::Refused(fault)) => {
                let Passage { body, choice, .. } = passage;
                fault.told(&choice.workspace, |refusal| self.refuse_unread(note, refusal, body))
            }
            Err(Ended::Stopped(stopped)) => self.stopped(&stopped, Some(note)),
        }
    }

    async fn send_upload(
        &self,
        passage: &mut Passage,
        length: Option<u64>,
    ) -> Result<(Came, Arc<ProviderEntry>), Ended> {
        poll_fn(|cx| passage.poll_choice(cx)).await.map_err(Ended::Refused)?;
        let provider = passage.choice.provider.clone().ok_or(Ended::Refused(Fault::Nowhere))?;
        let base = passing::base(Dialect::OpenAi, &provider).ok_or(Ended::Stopped(Stopped::NotOffered))?;
        // Its length is told where no name can change on the way.
        let fixed = length.filter(|_| !passage.choice.may_rename());
        let gateway = &self.head.gateway;
        let upload = Upload {
            head: self.request_head(base, self.query, fixed.map_or(Framing::Chunked, Framing::Length)),
            chunked: fixed.is_none(),
            silence: gateway.settings.silence_timeout,
            first_byte: gateway.settings.first_byte_timeout,
        };
        let started = gateway.clock.now();
        let sent = self.pool.upload(&base.origin, upload, |cx| passage.poll_next(cx)).await;
        let timing = Timing { upstream_us: Some(gateway.clock.now().since(started)), ..Timing::default() };
        let trouble = |trouble| Ended::Stopped(Stopped::Trouble(trouble, Arc::clone(&provider), timing));
        match sent {
            Ok((answer, body)) => {
                let came = self.came(answer, body, timing, &provider).map_err(Ended::Stopped)?;
                Ok((came, provider))
            }
            Err(Failed::Abandoned(fault)) => Err(Ended::Refused(fault)),
            Err(Failed::Silent(waited)) => Err(trouble(Trouble::Silent(waited))),
            Err(Failed::Unreachable(Unreachable::Busy)) => Err(trouble(Trouble::Busy)),
            Err(Failed::Unreachable(error)) => {
                self.unreachable(&provider, &error);
                Err(trouble(Trouble::Unreachable))
            }
        }
    }

    /// The provider has answered.
    async fn uploaded(
        &self,
        passage: &Passage,
        mut came: Came,
        provider: &Arc<ProviderEntry>,
        mut note: Note,
    ) -> Response<Answer> {
        let (model, checked) = match passage.lines() {
            Some((lines, checked)) => match lines.models() {
                Models::One(code) => (Some(Arc::clone(code)), checked),
                Models::None | Models::Several => (None, checked),
            },
            None => (None, false),
        };
        note.model = model.clone().unwrap_or(note.model.clone());
        let asked = async {
            let body = self.read(&mut came, provider).await?;
            if came.answer.status.is_success() {
                self.made(owners::Kind::File, &body, provider, model, checked).await?;
            }
            Ok((came, body))
        };
        let mut response = match asked.await {
            Ok((came, body)) => self.pass_read(came, body, note),
            Err(stopped) => self.stopped(&stopped, Some(note)),
        };
        if !passage.over {
            // The provider has answered before all of it came; what still comes is not read.
            response.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        response
    }
}

/// How an upload came to no answer of the provider.
enum Ended {
    Refused(Fault),
    Stopped(Stopped),
}

impl Fault {
    fn told<T>(&self, workspace: &WorkspaceEntry, tell: impl FnOnce(&Refusal<'_>) -> T) -> T {
        match self {
            Self::Form(sentence) => tell(&Refusal::Form(sentence)),
            Self::TooLarge(limit) => tell(&Refusal::TooLarge(*limit)),
            Self::Unreadable => tell(&Refusal::Unreadable),
            Self::Full => tell(&Refusal::Undecided(Undecided::Full)),
            Self::Nowhere => tell(&Refusal::NoRoute),
            Self::Line(lines::Refused { line, why }) => {
                let why = match why {
                    Why::Invalid(invalid) => Refusal::Invalid(invalid.clone()),
                    Why::Long(limit) => Refusal::TooLarge(*limit),
                    Why::Model(Wrong::NoModel(model)) => Refusal::NoModel(model),
                    Why::Model(Wrong::NotGranted(model)) => Refusal::NotGranted { workspace: &workspace.name, model },
                    Why::Model(Wrong::NotOffered(model)) => Refusal::NotOffered(model),
                    Why::Model(Wrong::Elsewhere { model, provider, file }) => {
                        Refusal::Elsewhere { model, provider, file }
                    }
                };
                tell(&Refusal::Line { number: *line, why: &why })
            }
        }
    }
}
