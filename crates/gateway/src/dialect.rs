//! The three languages that clients speak, and what the events of their streams say. Which one a call speaks is decided
//! by its path alone.

use domain::Cause;

use crate::{
    json::{Fault, Kind, Scanner},
    request::is_no_text,
    route::Operation,
    sse::Lines,
    usage::Counts,
};

mod anthropic;
mod native;
mod openai;

/// A client's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Native,
    Anthropic,
}

/// What one event says to the meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) counts: Option<Counts>,
    /// Bytes of the text, reasoning and tool calls in it.
    pub(crate) words: Words,
    /// It is one that shows the client something.
    pub(crate) has_content: bool,
    pub(crate) ends_well: bool,
    pub(crate) error: Option<ProviderError>,
    /// Nothing but counts: no choice, no text.
    pub(crate) usage_only: bool,
    /// The id of a native event, the sequence number of a responses event.
    pub(crate) number: Option<u64>,
}

/// Bytes of text, as the estimate counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) ascii: u64,
    pub(crate) other: u64,
}

impl Words {
    pub(crate) fn is_empty(self) -> bool {
        self.ascii == 0 && self.other == 0
    }

    pub(crate) fn and(self, more: Self) -> Self {
        Self { ascii: self.ascii + more.ascii, other: self.other + more.other }
    }

    /// The longer of two.
    pub(crate) fn or_longer(self, other: Self) -> Self {
        if other.ascii + other.other > self.ascii + self.other { other } else { self }
    }

    /// Tokens at `ratio` tokens for each estimated one.
    pub(crate) fn tokens(self, ratio: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is far below 2^53, never negative"
        )]
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let tokens = ((self.ascii as f64 / 4.0 + self.other as f64 / 3.0) * ratio).ceil() as u64;
        tokens
    }

    /// Passes a value and counts its words: every string that is neither a key, nor a tag, nor media.
    pub(crate) fn read(scanner: &mut Scanner<'_>) -> Result<Self, Fault> {
        let mut words = Self::default();
        words.add(scanner)?;
        Ok(words)
    }

    /// The same, on top of what was counted; what lies before a fault stays counted.
    fn add(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        match scanner.peek()? {
            Kind::String => {
                let text = scanner.string()?;
                *self = self.and(Self { ascii: text.ascii, other: text.other });
                Ok(())
            }
            Kind::Array => scanner.array(|it| self.add(it)),
            Kind::Object => scanner.object(|it, key| {
                if is_no_text(&it.name(key)) {
                    return it.skip().map(drop);
                }
                self.add(it)
            }),
            _ => scanner.skip().map(drop),
        }
    }
}

/// An error that the provider reported, in a body or inside a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProviderError {
    pub(crate) status: u16,
    /// Which of its limits a 429 named.
    pub(crate) cause: Option<Cause>,
}

/// Reads one event of a stream. What cannot be read says nothing; it passes all the same.
pub(crate) fn read_event(operation: Operation, lines: &Lines<'_>) -> Event {
    let read = match operation {
        Operation::Chat | Operation::Completions | Operation::Embeddings => openai::event(lines),
        Operation::Responses => openai::responses_event(lines),
        Operation::Service { .. } => native::event(lines),
        Operation::Messages => anthropic::event(lines),
    };
    read.unwrap_or_default()
}

/// Counts the words of an answer that is no stream, for providers that report no usage. One that broke off has those
/// that came.
pub(crate) fn words_of_body(body: &[u8]) -> Words {
    let (words, whole) = words_up_to_a_fault(body);
    if whole {
        return words;
    }
    // It may have broken off inside a text, which ends here then; or inside an escape of up to twelve bytes.
    let valid = std::str::from_utf8(body).map_or_else(|it| &body[..it.valid_up_to()], str::as_bytes);
    let last = valid.len().saturating_sub(12);
    let escapes = (last..valid.len()).filter(|it| valid[*it] == b'\\');
    std::iter::once(valid.len())
        .chain(escapes)
        .map(|end| words_up_to_a_fault(&[&valid[..end], b"\""].concat()).0)
        .fold(words, Words::or_longer)
}

/// Whether there was no fault is told too.
fn words_up_to_a_fault(body: &[u8]) -> (Words, bool) {
    let mut words = Words::default();
    let mut read = || {
        Scanner::over(body)?.object(|it, key| {
            if matches!(&*it.name(key), b"choices" | b"output" | b"content") {
                words.add(it)
            } else {
                it.skip().map(drop)
            }
        })
    };
    let whole = read().is_ok();
    (words, whole)
}

/// The limit that an error names by its code or its phrase; `None` where it names none.
pub(crate) fn cause_of(text: &[u8]) -> Option<Cause> {
    let says = |phrase: &str| memchr::memmem::find(text, phrase.as_bytes()).is_some();
    if says("limit_burst_rate") || says("BurstRate") || says("increased too quickly") {
        Some(Cause::Surge)
    } else if says("limit_requests") || says("RateQuota") || says("equests rate limit") || says("requests list") {
        Some(Cause::Requests)
    } else if says("insufficient_quota") || says("AllocationQuota") || says("llocated quota") || says("current quota") {
        Some(Cause::Tokens)
    } else {
        None
    }
}

/// The status that an error's code or type stands for, where the stream does not say it.
fn status_of(word: &str) -> Option<u16> {
    if let Ok(status @ 400..600) = word.parse() {
        return Some(status);
    }
    Some(match word {
        "limit_requests" | "limit_burst_rate" | "insufficient_quota" | "rate_limit_exceeded" | "rate_limit_error" => {
            429
        }
        "invalid_request_error" | "invalid_parameter_error" | "InvalidParameter" => 400,
        "authentication_error" | "invalid_api_key" | "InvalidApiKey" => 401,
        "permission_error" | "Model.AccessDenied" => 403,
        "not_found_error" | "model_not_found" | "ModelNotFound" => 404,
        "request_too_large" => 413,
        "overloaded_error" => 529,
        "timeout_error" | "request_timeout" | "RequestTimeOut" => 504,
        _ if word.starts_with("Throttling") => 429,
        _ => return None,
    })
}

/// What an error without a status and a telling code is listed under.
const UNKNOWN: u16 = 500;

/// Passes a value; its string, if it is one.
fn string<'a>(scanner: &mut Scanner<'a>) -> Result<Option<std::borrow::Cow<'a, str>>, Fault> {
    if scanner.peek()? != Kind::String {
        return scanner.skip().map(|_| None);
    }
    let text = scanner.string()?;
    Ok(Some(scanner.read(&text)))
}

/// Passes an error object or string; what it stands for.
fn error(scanner: &mut Scanner<'_>, data: &[u8]) -> Result<Option<ProviderError>, Fault> {
    let mut status = None;
    match scanner.peek()? {
        Kind::Object => scanner.object(|it, key| {
            if !matches!(&*it.name(key), b"code" | b"type" | b"status") {
                return it.skip().map(drop);
            }
            let found = match it.peek()? {
                Kind::String => string(it)?.and_then(|it| status_of(&it)),
                _ => {
                    let span = it.skip()?;
                    std::str::from_utf8(it.slice(span)).ok().and_then(status_of)
                }
            };
            status = status.or(found);
            Ok(())
        })?,
        Kind::String => {
            scanner.skip()?;
        }
        _ => return scanner.skip().map(|_| None),
    }
    Ok(Some(ProviderError { status: status.unwrap_or(UNKNOWN), cause: cause_of(data) }))
}

#[cfg(test)]
mod tests;
