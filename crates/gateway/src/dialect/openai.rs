//! Chat completions, completions and responses.

use super::{Event, Words, error, string};
use crate::{
    json::{Fault, Kind, Scanner},
    sse::Lines,
    usage::Counts,
};

pub(super) fn event(lines: &Lines<'_>) -> Result<Event, Fault> {
    let mut event = Event::default();
    if lines.data.is_empty() {
        return Ok(event);
    }
    if &*lines.data == b"[DONE]" {
        event.ends_well = true;
        return Ok(event);
    }
    // `None` until there is such a key.
    let mut has_choices = None;
    let mut scanner = Scanner::over(&lines.data)?;
    scanner.object(|it, key| match &*it.name(key) {
        b"choices" if it.peek()? == Kind::Array => {
            has_choices.get_or_insert(false);
            it.array(|it| {
                has_choices = Some(true);
                choice(it, &mut event)
            })
        }
        b"usage" => {
            event.counts = Counts::read(it)?.or(event.counts);
            Ok(())
        }
        b"error" => {
            event.error = error(it, &lines.data)?;
            Ok(())
        }
        _ => it.skip().map(drop),
    })?;
    event.has_content = !event.words.is_empty();
    event.usage_only = has_choices == Some(false) && event.counts.is_some() && event.error.is_none();
    Ok(event)
}

fn choice(scanner: &mut Scanner<'_>, event: &mut Event) -> Result<(), Fault> {
    if scanner.peek()? != Kind::Object {
        return scanner.skip().map(drop);
    }
    scanner.object(|it, key| match &*it.name(key) {
        b"delta" | b"text" => {
            event.words = event.words.and(Words::read(it)?);
            Ok(())
        }
        b"finish_reason" => {
            event.ends_well |= string(it)?.is_some_and(|it| !it.is_empty() && it != "null");
            Ok(())
        }
        _ => it.skip().map(drop),
    })
}

pub(super) fn responses_event(lines: &Lines<'_>) -> Result<Event, Fault> {
    let mut event = Event::default();
    if lines.data.is_empty() {
        return Ok(event);
    }
    let (mut kind, mut own_status) = (None, None);
    let mut scanner = Scanner::over(&lines.data)?;
    scanner.object(|it, key| match &*it.name(key) {
        b"type" => {
            kind = string(it)?.map(std::borrow::Cow::into_owned);
            Ok(())
        }
        b"delta" => {
            event.words = Words::read(it)?;
            Ok(())
        }
        b"sequence_number" if it.peek()? == Kind::Number => {
            let span = it.number()?;
            event.number = std::str::from_utf8(it.slice(span)).ok().and_then(|it| it.parse().ok());
            Ok(())
        }
        b"code" => {
            own_status = string(it)?.and_then(|it| super::status_of(&it));
            Ok(())
        }
        b"response" if it.peek()? == Kind::Object => it.object(|it, key| match &*it.name(key) {
            b"usage" => {
                event.counts = Counts::read(it)?;
                Ok(())
            }
            b"error" => {
                event.error = error(it, &lines.data)?;
                Ok(())
            }
            _ => it.skip().map(drop),
        }),
        _ => it.skip().map(drop),
    })?;
    let kind = kind.as_deref().unwrap_or_default();
    event.has_content = kind.ends_with(".delta");
    event.ends_well = matches!(kind, "response.completed" | "response.incomplete");
    if !matches!(kind, "response.completed" | "response.incomplete" | "response.failed") {
        event.counts = None;
    }
    let unknown =
        || super::ProviderError { status: own_status.unwrap_or(super::UNKNOWN), cause: super::cause_of(&lines.data) };
    event.error = match kind {
        "error" => Some(unknown()),
        "response.failed" => event.error.or_else(|| Some(unknown())),
        _ => None,
    };
    Ok(event)
}
