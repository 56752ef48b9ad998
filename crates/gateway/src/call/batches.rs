//! Files and batches: passed on without limits, for the workspace that made them.

use std::sync::Arc;

use bytes::Bytes;
use domain::ModelCode;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;

use super::passing::{Came, Passing, Stopped};
use crate::{
    ingress,
    json::{Kind, Scanner},
    owners::{self, Object},
    record::{Lane, Tokens},
    refusal::Refusal,
    relay::{Answer, Note},
    request::Invalid,
    route::BatchTarget,
    snapshot::ProviderEntry,
    usage,
};

/// What stands for the model of calls that are of none, or of several.
pub(super) fn word(word: &str) -> Arc<ModelCode> {
    Arc::new(ModelCode::parse(word).expect("a word is a model's name too"))
}

/// What a batch says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    id: Option<String>,
    /// Files that it wrote.
    files: Vec<String>,
}

impl Passing<'_> {
    /// A call without a body of its own, or one that makes a batch.
    pub(super) async fn batch(&self, target: BatchTarget, body: Incoming) -> Response<Answer> {
        let kind = match target {
            BatchTarget::Files | BatchTarget::File | BatchTarget::Content => owners::Kind::File,
            BatchTarget::Batches | BatchTarget::Batch | BatchTarget::Cancel => owners::Kind::Batch,
        };
        let model = word(if kind == owners::Kind::File { "files" } else { "batches" });
        let Some(note) = self.note(Lane::Batch, model) else { return self.stopped(&Stopped::NoKey, None) };
        match (target, self.method) {
            (BatchTarget::Files | BatchTarget::Batches, &Method::GET) => self.list(kind, note).await,
            (BatchTarget::Files, _) => self.upload(note, body).await,
            (BatchTarget::Batches, _) => self.make_batch(note, body).await,
            (BatchTarget::Content, _) => self.content(note).await,
            (BatchTarget::File | BatchTarget::Batch, &Method::DELETE) => self.remove(kind, note).await,
            (BatchTarget::File, _) => self.show(kind, note).await,
            (BatchTarget::Batch | BatchTarget::Cancel, _) => self.show(kind, note).await,
        }
    }

    async fn content(&self, mut note: Note) -> Response<Answer> {
        let asked = async {
            let (object, provider) = self.own(owners::Kind::File, self.id()).await?;
            let came = self.send(&provider, self.query, None).await?;
            Ok((object, came))
        };
        match asked.await {
            Ok((object, came)) => {
                note.model = object.model.unwrap_or(note.model.clone());
                self.pass(came, note)
            }
            Err(stopped) => self.stopped(&stopped, Some(note)),
        }
    }

    /// One file or batch as it is now, or a batch that is cancelled.
    async fn show(&self, kind: owners::Kind, mut note: Note) -> Response<Answer> {
        let post = (self.method == Method::POST).then(Bytes::new);
        let asked = async {
            let (object, provider) = self.own(kind, self.id()).await?;
            let mut came = self.send(&provider, self.query, post).await?;
            let body = self.read(&mut came, &provider).await?;
            if kind == owners::Kind::Batch && came.answer.status.is_success() {
                self.learn(&object, &provider, &body, Some(&mut note)).await?;
            }
            note.model = object.model.unwrap_or(note.model.clone());
            Ok((came, body))
        };
        match asked.await {
            Ok((came, body)) => self.pass_read(came, body, note),
            Err(stopped) => self.stopped(&stopped, Some(note)),
        }
    }

    async fn remove(&self, kind: owners::Kind, note: Note) -> Response<Answer> {
        let asked = async {
            let (object, provider) = self.own(kind, self.id()).await?;
            let mut came = self.send(&provider, self.query, None).await?;
            let body = self.read(&mut came, &provider).await?;
            let gone = came.answer.status.is_success() || came.answer.status == StatusCode::NOT_FOUND;
            if let Some(caller) = self.head.caller.as_ref().filter(|_| gone) {
                self.head.gateway.owners.forget(&caller.workspace, kind, &object.id).await?;
            }
            Ok((came, body))
        };
        match asked.await {
            Ok((came, body)) => self.pass_read(came, body, note),
            Err(stopped) => self.stopped(&stopped, Some(note)),
        }
    }

    async fn make_batch(&self, mut note: Note, mut body: Incoming) -> Response<Answer> {
        let settings = &self.head.gateway.settings;
        let read = ingress::read(&mut body, settings.body_limit, settings.client_timeout).await;
        let (bytes, _held) = match read {
            Ok(read) => read,
            Err(refusal) => return self.refuse_unread(note, &refusal, body),
        };
        drop(body);
        let input = match input_file(&bytes) {
            Ok(input) => input,
            Err(invalid) => return self.refuse(note, &Refusal::Invalid(invalid)),
        };
        let found = self.own(owners::Kind::File, &input).await;
        let (file, provider) = match found {
            Ok(found) => found,
            Err(stopped) => return self.stopped(&stopped, Some(note)),
        };
        if !file.checked {
            return self.refuse(note, &Refusal::Unchecked(&input));
        }
        if let Some(model) = &file.model {
            note.model = Arc::clone(model);
        }
        let asked = async {
            let mut came = self.send(&provider, self.query, Some(bytes)).await?;
            let body = self.read(&mut came, &provider).await?;
            if came.answer.status.is_success() {
                self.made(owners::Kind::Batch, &body, &provider, file.model.clone(), false).await?;
            }
            Ok((came, body))
        };
        match asked.await {
            Ok((came, body)) => self.pass_read(came, body, note),
            Err(stopped) => self.stopped(&stopped, Some(note)),
        }
    }

    /// Something was made: it is the workspace's own, if the provider's answer names it.
    pub(super) async fn made(
        &self,
        kind: owners::Kind,
        answer: &[u8],
        provider: &Arc<ProviderEntry>,
        model: Option<Arc<ModelCode>>,
        checked: bool,
    ) -> Result<(), Stopped> {
        let Some(id) = told(answer).id else {
            let (provider, kind, request) = (provider.name.as_str(), kind.as_str(), self.head.id.as_str());
            tracing::warn!(provider, kind, request.id = request, "what was made has no id, and belongs to nobody");
            return Ok(());
        };
        self.keep(Object { kind, id, provider: provider.id.clone(), model, checked }).await
    }

    /// Takes from a batch what it says of itself: the files that it wrote belong to its workspace, and what it used is
    /// counted once.
    pub(super) async fn learn(
        &self,
        batch: &Object,
        provider: &Arc<ProviderEntry>,
        answer: &[u8],
        note: Option<&mut Note>,
    ) -> Result<(), Stopped> {
        let caller = self.head.caller.as_ref().ok_or(Stopped::NoKey)?;
        let owners = &self.head.gateway.owners;
        for id in told(answer).files {
            if owners.find(&caller.workspace, owners::Kind::File, &id).await?.is_none() {
                let (model, provider) = (batch.model.clone(), provider.id.clone());
                self.keep(Object { kind: owners::Kind::File, id, provider, model, checked: false }).await?;
            }
        }
        let ended = ["completed", "expired", "cancelled", "failed"].map(|it| format!("\"{it}\""));
        let Some(counts) = usage::in_body(answer).filter(|it| it.total_tokens() > 0) else { return Ok(()) };
        if let Some(note) = note
            && status_in(answer).is_some_and(|it| ended.contains(&it))
            && owners.count(&caller.workspace, &batch.id).await?
        {
            let total = counts.total_tokens();
            let prompt = counts.prompt_tokens().unwrap_or(0).min(total);
            let output = counts.output.unwrap_or(total - prompt);
            note.tokens = Tokens { prompt, output, total, estimated: false };
        }
        Ok(())
    }

    pub(super) fn refuse(&self, mut note: Note, refusal: &Refusal<'_>) -> Response<Answer> {
        note.recorded = true;
        self.head.refuse(refusal)
    }

    pub(super) fn refuse_unread(&self, mut note: Note, refusal: &Refusal<'_>, body: Incoming) -> Response<Answer> {
        note.recorded = true;
        self.head.refuse_unread(refusal, self.headers, body)
    }
}

/// The file that a batch is to be made of.
fn input_file(body: &[u8]) -> Result<String, Invalid> {
    const KEY: &str = "input_file_id";
    let mut scanner = Scanner::over(body)?;
    if scanner.peek()? != Kind::Object {
        scanner.skip()?;
        scanner.end()?;
        return Err(Invalid::NotObject);
    }
    let (mut found, mut seen) = (None, 0);
    scanner.object(|it, key| {
        if &*it.name(key) != KEY.as_bytes() {
            return it.skip().map(drop);
        }
        seen += 1;
        found = string(it)?;
        Ok(())
    })?;
    scanner.end()?;
    match (seen, found.filter(|it| !it.is_empty())) {
        (2.., _) => Err(Invalid::Duplicate(KEY)),
        (_, Some(id)) => Ok(id),
        (_, None) => Err(Invalid::Missing(KEY)),
    }
}

fn string(scanner: &mut Scanner<'_>) -> Result<Option<String>, crate::json::Fault> {
    if scanner.peek()? != Kind::String {
        return scanner.skip().map(|_| None);
    }
    let text = scanner.string()?;
    Ok(Some(scanner.read(&text).into_owned()))
}

/// What an object says of itself; nothing if it cannot be read.
fn told(object: &[u8]) -> Told {
    let mut told = Told::default();
    let mut read = || {
        Scanner::over(object)?.object(|it, key| {
            match &*it.name(key) {
                b"id" => told.id = string(it)?.filter(|it| !it.is_empty()),
                b"output_file_id" | b"error_file_id" => told.files.extend(string(it)?.filter(|it| !it.is_empty())),
                _ => {
                    it.skip()?;
                }
            }
            Ok(())
        })
    };
    if read().is_err() {
        return Told::default();
    }
    told
}

/// The `status` of an object, with its quotes.
fn status_in(object: &[u8]) -> Option<String> {
    let mut found = None;
    let mut read = || {
        Scanner::over(object)?.object(|it, key| {
            let name = it.name(key);
            let span = it.skip()?;
            if &*name == b"status" {
                found = Some(String::from_utf8_lossy(it.slice(span)).into_owned());
            }
            Ok(())
        })
    };
    read().ok()?;
    found
}

/// The id of an object in a list.
pub(super) fn id_of(object: &[u8]) -> Option<String> {
    told(object).id
}

/// What an answer is read for, where it is not passed as it comes.
pub(super) type Read = (Came, Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_batch() {
        let input = |text: &str| input_file(text.as_bytes());
        assert_eq!(
            input(r#"{"endpoint":"/v1/chat/completions","input_file\u005fid":"file-1"}"#).as_deref(),
            Ok("file-1")
        );
        for (text, invalid) in [
            ("", Invalid::NotJson { at: 0 }),
            ("[]", Invalid::NotObject),
            ("{}", Invalid::Missing("input_file_id")),
            (r#"{"input_file_id":null}"#, Invalid::Missing("input_file_id")),
            (r#"{"input_file_id":""}"#, Invalid::Missing("input_file_id")),
            (r#"{"input_file_id":"a","input_file_id":"b"}"#, Invalid::Duplicate("input_file_id")),
        ] {
            assert_eq!(input(text), Err(invalid), "{text}");
        }
    }

    #[test]
    fn what_a_batch_says_of_itself() {
        let batch =
            br#"{"id":"b1","status":"completed","output_file_id":"f2","error_file_id":null,"metadata":{"id":"x"}}"#;
        assert_eq!(told(batch), Told { id: Some("b1".into()), files: vec!["f2".into()] });
        assert_eq!(status_in(batch).as_deref(), Some("\"completed\""));
        assert_eq!(told(b"no object"), Told::default());
    }
}
