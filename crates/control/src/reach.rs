//! Asking a provider itself: whether it can be called, and which models it has. The request goes out through a port that
//! the process fills in; what the answer means is said here. A credential goes into a request and nowhere else.

use async_trait::async_trait;
use domain::{Action, ModelCode};
use serde::Deserialize;
use std::collections::BTreeSet;
use store::provider::ProviderRow;

use crate::{Actor, Control, ControlError, Result, Secret, edit::new_id};

/// What a provider answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, or as much of it as is read.
    pub body: Vec<u8>,
    /// From the request to the end of the answer, in milliseconds.
    pub took_ms: u64,
}

/// Sends a request to a provider. The one part of the use cases that leaves the machine.
#[async_trait]
pub trait Reach: Send + Sync {
    /// The answer to a `GET`; the sentence that says why there is none. Never waits longer than a page may take, follows no
    /// redirect, and reads no more than a few megabytes.
    async fn get(&self, url: &str, headers: &[(&'static str, Secret<String>)]) -> std::result::Result<Answer, String>;
}

/// What a test of one base URL found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose protocol it speaks: `OpenAI`, `DashScope` or `Anthropic`.
    pub dialect: &'static str,
    /// The address that was asked.
    pub url: String,
    /// Whether calls can be expected to work.
    pub fine: bool,
    /// What was found, in words.
    pub words: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    DashScope,
    Anthropic,
}

impl Dialect {
    const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI",
            Self::DashScope => "DashScope",
            Self::Anthropic => "Anthropic",
        }
    }

    /// The end that a base URL of this dialect usually has.
    const fn ending(self) -> &'static str {
        match self {
            Self::OpenAi => "ends in /v1",
            Self::DashScope => "ends in /api/v1",
            Self::Anthropic => "has no /v1",
        }
    }

    /// An address that costs nothing to ask. The native protocol has no list of models; it answers for a task that does not
    /// exist, and says in the same way whether the credential is right.
    fn address(self, base: &str) -> String {
        match self {
            Self::OpenAi => format!("{base}/models"),
            Self::DashScope => format!("{base}/tasks/{}", new_id()),
            Self::Anthropic => format!("{base}/v1/models"),
        }
    }

    fn headers(self, credential: Option<&Secret<String>>) -> Vec<(&'static str, Secret<String>)> {
        let mut headers = Vec::new();
        if let Some(credential) = credential {
            headers.push(match self {
                Self::Anthropic => ("x-api-key", credential.clone()),
                _ => ("authorization", Secret::new(format!("Bearer {}", credential.expose()))),
            });
        }
        if self == Self::Anthropic {
            headers.push(("anthropic-version", Secret::new("2023-06-01".to_owned())));
        }
        headers
    }
}

/// The base URLs a provider has.
fn bases(row: &ProviderRow) -> impl Iterator<Item = (Dialect, &str)> {
    let all = [
        (Dialect::OpenAi, &row.openai_base_url),
        (Dialect::DashScope, &row.dashscope_base_url),
        (Dialect::Anthropic, &row.anthropic_base_url),
    ];
    all.into_iter().filter_map(|(dialect, url)| Some((dialect, url.as_deref()?)))
}

/// Asks every base URL of a provider for something that costs nothing.
///
/// # Errors
/// [`ControlError::Forbidden`] for who may not configure the account; [`ControlError::NotFound`];
/// [`ControlError::Refused`] when there is nothing to ask, or the credential cannot be read.
pub async fn test(control: &Control, actor: &Actor, reach: &dyn Reach, id: &str) -> Result<Vec<Finding>> {
    let (row, credential) = provider(control, actor, id).await?;
    let mut findings = Vec::new();
    for (dialect, base) in bases(&row) {
        let url = dialect.address(base);
        let answer = reach.get(&url, &dialect.headers(credential.as_ref())).await;
        let (fine, words) = match &answer {
            Ok(answer) => judge(dialect, answer, credential.is_some()),
            Err(error) => (false, error.clone()),
        };
        findings.push(Finding { dialect: dialect.name(), url, fine, words });
    }
    if findings.is_empty() {
        return Err(ControlError::Refused("this provider has no base URL that could be tested".to_owned()));
    }
    Ok(findings)
}

/// The codes of the models that a provider says it has, in its own names and in order.
///
/// # Errors
/// [`ControlError::Forbidden`] for who may not configure the account; [`ControlError::NotFound`];
/// [`ControlError::Refused`] with what the provider said instead.
pub async fn offered(control: &Control, actor: &Actor, reach: &dyn Reach, id: &str) -> Result<Vec<String>> {
    let (row, credential) = provider(control, actor, id).await?;
    let Some((dialect, base)) = bases(&row).find(|(it, _)| *it != Dialect::DashScope) else {
        let message = format!(
            "{} has no OpenAI-compatible or Anthropic base URL, and the DashScope protocol has no list of models; \
             add its models by hand",
            row.name
        );
        return Err(ControlError::Refused(message));
    };
    let url = dialect.address(base);
    let refused = |words: String| ControlError::Refused(format!("{} did not list its models: {words}", row.name));
    let answer = reach.get(&url, &dialect.headers(credential.as_ref())).await.map_err(refused)?;
    if answer.status != 200 {
        return Err(refused(judge(dialect, &answer, credential.is_some()).1));
    }
    let listed = listed(&answer.body).ok_or_else(|| refused(NO_LIST.to_owned()))?;
    Ok(listed.into_iter().collect())
}

const NO_LIST: &str = "the answer is no list of models; is this the address of something else?";

async fn provider(control: &Control, actor: &Actor, id: &str) -> Result<(ProviderRow, Option<Secret<String>>)> {
    actor.authorise(Action::Configure)?;
    let found = control.store().read().await?.provider(actor.account(), id).await?;
    let row = found.ok_or(ControlError::NotFound("this provider"))?;
    let credential = row.credential.as_deref().and_then(|it| control.vault().open_sealed(it, &row.id));
    if row.credential.is_some() && credential.is_none() {
        let message = "the stored credential was encrypted under another key file; store it anew";
        return Err(ControlError::Refused(message.to_owned()));
    }
    Ok((row, credential))
}

/// What an answer says of base URL and credential.
fn judge(dialect: Dialect, answer: &Answer, with_credential: bool) -> (bool, String) {
    let Answer { status, body, took_ms } = answer;
    let said = said(body).map(|it| format!(": {it}")).unwrap_or_default();
    match status {
        200..=299 if dialect == Dialect::DashScope => (true, format!("answered in {took_ms} ms")),
        200..=299 => match listed(body) {
            Some(models) => (true, format!("answered in {took_ms} ms and lists {} models", models.len())),
            None => (false, NO_LIST.to_owned()),
        },
        401 | 403 if with_credential => (false, format!("refused the credential ({status}){said}")),
        401 | 403 => (false, format!("wants a credential ({status}){said}")),
        // An unknown task is not found, by a provider that let the credential pass.
        400 | 404 if dialect == Dialect::DashScope && is_json(body) => (true, format!("answered in {took_ms} ms")),
        404 | 405 => (
            false,
            format!("nothing is at this address ({status}): a base URL of this kind {}{said}", dialect.ending()),
        ),
        300..=399 => {
            (false, format!("sends elsewhere ({status}), which is not followed; store the address it leads to"))
        }
        429 => (true, format!("answered in {took_ms} ms that it is called too often (429){said}")),
        500.. => (false, format!("failed ({status}){said}")),
        _ => (false, format!("answered {status}{said}")),
    }
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

/// The names in a list of models that a model's name may be; `None` if it is no such list.
fn listed(body: &[u8]) -> Option<BTreeSet<String>> {
    let list: List = serde_json::from_slice(body).ok()?;
    Some(list.data.into_iter().filter_map(|it| Some(ModelCode::parse(&it.id).ok()?.as_str().to_owned())).collect())
}

/// The provider's own words for an error, short enough for a line.
fn said(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = value.pointer("/error/message").or_else(|| value.get("message")).or_else(|| value.get("error"))?;
    let text = text.as_str()?.split_whitespace().collect::<Vec<_>>().join(" ");
    let short = match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    (!short.is_empty()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, status: u16, body: &str, with_credential: bool, expected: (bool, &str)) {
        let answer = Answer { status, body: body.as_bytes().to_vec(), took_ms: 12 };
        let (fine, words) = judge(dialect, &answer, with_credential);
        assert_eq!((fine, words.as_str()), expected, "{status} {body}");
    }

    #[test]
    fn an_answer_is_told_in_words() {
        use Dialect::{Anthropic, DashScope, OpenAi};
        check(OpenAi, 200, r#"{"data":[{"id":"a"},{"id":"b"}]}"#, true, (true, "answered in 12 ms and lists 2 models"));
        check(OpenAi, 200, "<html>", true, (false, NO_LIST));
        check(
            OpenAi,
            401,
            r#"{"error":{"message":"Incorrect\nAPI key"}}"#,
            true,
            (false, "refused the credential (401): Incorrect API key"),
        );
        check(Anthropic, 401, "", false, (false, "wants a credential (401)"));
        check(
            OpenAi,
            404,
            "not found",
            true,
            (false, "nothing is at this address (404): a base URL of this kind ends in /v1"),
        );
        check(DashScope, 404, r#"{"message":"no such task"}"#, true, (true, "answered in 12 ms"));
        check(
            DashScope,
            404,
            "<html>",
            true,
            (false, "nothing is at this address (404): a base URL of this kind ends in /api/v1"),
        );
        check(OpenAi, 503, r#"{"error":"overloaded"}"#, true, (false, "failed (503): overloaded"));
        check(
            OpenAi,
            302,
            "",
            true,
            (false, "sends elsewhere (302), which is not followed; store the address it leads to"),
        );
    }

    #[test]
    fn only_names_that_a_model_may_have_are_listed_and_each_once() {
        let body = br#"{"object":"list","data":[{"id":"qwen-plus"},{"id":"a b"},{"id":""},{"id":"qwen-plus"},{"id":"org/m:1"}]}"#;
        assert_eq!(listed(body).unwrap().into_iter().collect::<Vec<_>>(), ["org/m:1", "qwen-plus"]);
        assert!(listed(b"{}").is_none() && listed(b"[]").is_none());
    }
}
