//! The form of an upload while it passes: which provider it goes to, and what is wrong with it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::super::offered;
use crate::{
    dialect::Dialect,
    ingress::{self, Held},
    lines::{self, Lines, Models, Named},
    multipart::{Form, Malformed, Part, Piece},
    settings::Settings,
    snapshot::{ProviderEntry, WorkspaceEntry},
};

/// Bytes of a form beside its file.
const FIELDS: usize = 64 << 10;
/// Pieces below this length are put together.
const TOGETHER: usize = 64 << 10;

/// Why an upload is refused.
pub(super) enum Fault {
    Line(lines::Refused<Wrong>),
    Form(&'static str),
    TooLarge(u64),
    Unreadable,
    Full,
    /// No provider of the workspace's models takes files.
    Nowhere,
}

/// What is wrong with a line's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    NoModel(String),
    NotGranted(String),
    NotOffered(String),
    /// At another provider than those before.
    Elsewhere {
        model: String,
        provider: String,
        file: String,
    },
}

impl From<Malformed> for Fault {
    fn from(Malformed(sentence): Malformed) -> Self {
        Self::Form(sentence)
    }
}

impl From<lines::Refused<Wrong>> for Fault {
    fn from(line: lines::Refused<Wrong>) -> Self {
        Self::Line(line)
    }
}

/// What the file of a form is taken for.
enum File {
    None,
    /// Its purpose is not known yet, and its first line has not ended.
    Unsure(BytesMut),
    /// The lines of a batch, checked one by one.
    Lines(Lines),
    /// Anything else. With what is wrong with its first line, should it turn out to be for a batch.
    Whole(Option<lines::Refused<Wrong>>),
}

/// Which provider the file goes to: that of its lines' models, else the only one there is.
pub(super) struct Choice {
    pub(super) workspace: Arc<WorkspaceEntry>,
    pub(super) provider: Option<Arc<ProviderEntry>>,
}

/// An upload while it passes.
pub(super) struct Passage {
    pub(super) body: Incoming,
    came: u64,
    limit: u64,
    longest_line: u64,
    form: Form,
    part: Option<Part>,
    file: File,
    purpose: Option<BytesMut>,
    beside: usize,
    pub(super) choice: Choice,
    out: VecDeque<Bytes>,
    held: Held,
    patience: Patience,
    /// Whether its end has come.
    pub(super) over: bool,
}

/// How long the client may be silent, and how slow: time counts only while it is waited for.
struct Patience {
    each: Duration,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Choice {
    /// What a line's model leads to. The first one chooses the provider of the file.
    fn find(&mut self, name: &str) -> Result<Named, Wrong> {
        let Some(grant) = self.workspace.grants.get(name) else {
            return Err(match self.workspace.account.models.get(name) {
                Some(_) => Wrong::NotGranted(name.to_owned()),
                None => Wrong::NoModel(name.to_owned()),
            });
        };
        if offered(Dialect::OpenAi, grant).is_none() {
            return Err(Wrong::NotOffered(name.to_owned()));
        }
        let provider = &grant.model.provider;
        let chosen = self.provider.get_or_insert_with(|| Arc::clone(provider));
        if chosen.id != provider.id {
            let (provider, file) = (provider.name.as_str().to_owned(), chosen.name.as_str().to_owned());
            return Err(Wrong::Elsewhere { model: name.to_owned(), provider, file });
        }
        Ok(Named { code: Arc::clone(&grant.model.code), by: grant.model.name_instead_of(name) })
    }

    /// The only provider that takes files, for one that does not tell by its models.
    fn only(&mut self) -> Result<(), Fault> {
        if self.provider.is_some() {
            return Ok(());
        }
        let mut found: Option<&Arc<ProviderEntry>> = None;
        for grant in self.workspace.grants.values() {
            let provider = &grant.model.provider;
            if provider.openai.is_none() {
                continue;
            }
            if found.is_some_and(|it| it.id != provider.id) {
                return Err(Fault::Form(
                    "Several providers could take this file; only a batch file tells by its models which.",
                ));
            }
            found = Some(provider);
        }
        self.provider = found.cloned();
        if self.provider.is_some() { Ok(()) } else { Err(Fault::Nowhere) }
    }

    /// Whether a model at the chosen provider has another name there.
    pub(super) fn may_rename(&self) -> bool {
        let here = |it: &ProviderEntry| self.provider.as_ref().is_some_and(|chosen| chosen.id == it.id);
        self.workspace.grants.values().any(|it| it.model.renamed.is_some() && here(&it.model.provider))
    }
}

impl Passage {
    /// A form that comes in `body` for one of the providers of `workspace`.
    pub(super) fn of(form: Form, body: Incoming, workspace: Arc<WorkspaceEntry>, settings: &Settings) -> Self {
        Self {
            body,
            came: 0,
            limit: settings.file_limit,
            longest_line: settings.body_limit,
            form,
            part: None,
            file: File::None,
            purpose: None,
            beside: 0,
            choice: Choice { workspace, provider: None },
            out: VecDeque::new(),
            held: ingress::share(),
            patience: Patience { each: settings.client_timeout, waited: Duration::ZERO, waiting: None },
            over: false,
        }
    }

    /// The lines of a batch's file, which were checked one by one, and whether all of them were.
    pub(super) fn lines(&self) -> Option<(&Lines, bool)> {
        match &self.file {
            File::Lines(lines) => Some((lines, self.over && self.is_for_batch())),
            _ => None,
        }
    }

    fn is_for_batch(&self) -> bool {
        self.purpose.as_ref().is_some_and(|it| it.trim_ascii() == b"batch")
    }

    /// Reads until it is known where the file goes.
    pub(super) fn poll_choice(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.choice.provider.is_none() && !self.over {
            ready!(self.poll_more(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// The next bytes for the provider; `None` at the end.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            if let Some(data) = self.gathered() {
                return Poll::Ready(Some(Ok(data)));
            }
            if self.over && self.body.is_end_stream() {
                return Poll::Ready(None);
            }
            match ready!(self.poll_more(cx)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            }
        }
    }

    /// What is ready to go, short pieces together: each would be a write of its own.
    fn gathered(&mut self) -> Option<Bytes> {
        let first = self.out.pop_front()?;
        if self.out.is_empty() || first.len() >= TOGETHER {
            return Some(first);
        }
        let mut all = BytesMut::with_capacity(TOGETHER);
        all.extend_from_slice(&first);
        while let Some(next) = self.out.front() {
            if all.len() + next.len() > TOGETHER {
                break;
            }
            all.extend_from_slice(next);
            self.out.pop_front();
        }
        Some(all.freeze())
    }

    /// Takes what comes next; `false` at the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return self.patience.poll(cx, self.came).map(|()| Err(Fault::Unreadable)),
            Poll::Ready(frame) => frame,
        };
        self.patience.ended();
        Poll::Ready(match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take(&data).map(|()| true),
                Err(_) => Ok(true),
            },
            Some(Err(_)) => Err(Fault::Unreadable),
            None if self.over => Ok(false),
            None => Err(Fault::Form("The form broke off.")),
        })
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Fault> {
        self.came += data.len() as u64;
        if self.came > self.limit {
            return Err(Fault::TooLarge(self.limit));
        }
        self.form.push(data);
        while let Some(piece) = self.form.next()? {
            match piece {
                Piece::Begin(part, bytes) => {
                    self.end_part()?;
                    self.out.push_back(bytes);
                    self.begin_part(part)?;
                }
                Piece::Content(bytes) => self.content(bytes)?,
                Piece::End(bytes) => {
                    if !self.over {
                        self.end_part()?;
                        self.end()?;
                    }
                    self.out.push_back(bytes);
                }
            }
        }
        let held = match &self.file {
            File::Unsure(first) => first.len(),
            File::Lines(lines) => lines.held(),
            File::None | File::Whole(_) => 0,
        };
        if held > 0 && !self.held.raise(held) { Err(Fault::Full) } else { Ok(()) }
    }

    fn begin_part(&mut self, part: Part) -> Result<(), Fault> {
        if part.is_file || part.name == "file" {
            if !matches!(self.file, File::None) {
                return Err(Fault::Form("The form has more than one file."));
            }
            self.file = match &self.purpose {
                None => File::Unsure(BytesMut::new()),
                Some(_) if self.is_for_batch() => File::Lines(Lines::new(self.longest_line)),
                Some(_) => {
                    self.choice.only()?;
                    File::Whole(None)
                }
            };
        } else if part.name == "purpose" && self.purpose.replace(BytesMut::new()).is_some() {
            return Err(Fault::Form("The form has more than one purpose."));
        }
        self.part = Some(part);
        Ok(())
    }

    fn content(&mut self, data: Bytes) -> Result<(), Fault> {
        let Some(part) = &self.part else { return Ok(()) };
        if part.is_file || part.name == "file" {
            return self.content_of_file(data);
        }
        self.beside += data.len();
        if self.beside > FIELDS {
            return Err(Fault::Form("The fields beside the file are too long."));
        }
        if part.name == "purpose"
            && let Some(purpose) = &mut self.purpose
        {
            purpose.extend_from_slice(&data);
        }
        self.out.push_back(data);
        Ok(())
    }

    fn content_of_file(&mut self, data: Bytes) -> Result<(), Fault> {
        match &mut self.file {
            File::None => {}
            File::Whole(_) => self.out.push_back(data),
            File::Lines(lines) => lines.push(data, &mut self.out, |name| self.choice.find(name))?,
            File::Unsure(first) => {
                first.extend_from_slice(&data);
                self.decide(false)?;
            }
        }
        Ok(())
    }

    /// Takes a file whose purpose stands behind it for what its first line is.
    fn decide(&mut self, ended: bool) -> Result<(), Fault> {
        let File::Unsure(first) = &mut self.file else { return Ok(()) };
        let Some(first_line) = lines::first(first, ended, self.longest_line) else { return Ok(()) };
        let data = std::mem::take(first).freeze();
        match first_line {
            Ok(()) => {
                let mut lines = Lines::new(self.longest_line);
                let pushed = lines.push(data, &mut self.out, |name| self.choice.find(name));
                self.file = File::Lines(lines);
                Ok(pushed?)
            }
            Err(refused) => {
                self.choice.only()?;
                self.out.push_back(data);
                self.file = File::Whole(Some(refused));
                Ok(())
            }
        }
    }

    fn end_part(&mut self) -> Result<(), Fault> {
        let Some(part) = self.part.take() else { return Ok(()) };
        if part.is_file || part.name == "file" {
            self.decide(true)?;
            if let File::Lines(lines) = &mut self.file {
                lines.end(&mut self.out, |name| self.choice.find(name))?;
            }
        }
        Ok(())
    }

    /// The form is over, and its last bytes have not gone yet.
    fn end(&mut self) -> Result<(), Fault> {
        match &self.file {
            File::None => return Err(Fault::Form("The form has no file.")),
            File::Whole(Some(refused)) if self.is_for_batch() => return Err(Fault::Line(refused.clone())),
            File::Lines(lines) if *lines.models() == Models::None => return Err(Fault::Form("The file has no line.")),
            _ => {}
        }
        self.choice.only()?;
        self.over = true;
        Ok(())
    }
}

impl Patience {
    fn poll(&mut self, cx: &mut Context<'_>, came: u64) -> Poll<()> {
        let (_, sleep) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            let until = ingress::until(now.checked_sub(self.waited).unwrap_or(now), now, came, self.each);
            (now, Box::pin(tokio::time::sleep_until(until)))
        });
        sleep.as_mut().poll(cx)
    }

    fn ended(&mut self) {
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
    }
}
