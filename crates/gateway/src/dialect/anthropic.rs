//! Anthropic Messages.

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
    let mut kind = None;
    let mut delta = Words::default();
    let mut scanner = Scanner::over(&lines.data)?;
    scanner.object(|it, key| match &*it.name(key) {
        b"type" => {
            kind = string(it)?.map(std::borrow::Cow::into_owned);
            Ok(())
        }
        b"delta" => {
            delta = Words::read(it)?;
            Ok(())
        }
        b"usage" => {
            event.counts = Counts::read(it)?;
            Ok(())
        }
        b"message" if it.peek()? == Kind::Object => it.object(|it, key| {
            if &*it.name(key) != b"usage" {
                return it.skip().map(drop);
            }
            event.counts = Counts::read(it)?;
            Ok(())
        }),
        b"error" => {
            event.error = error(it, &lines.data)?;
            Ok(())
        }
        _ => it.skip().map(drop),
    })?;
    match kind.as_deref() {
        Some("content_block_delta") => (event.words, event.has_content) = (delta, true),
        Some("message_stop") => event.ends_well = true,
        Some("error") => {
            event.error = event.error.or(Some(super::ProviderError { status: super::UNKNOWN, cause: None }));
        }
        _ => {}
    }
    Ok(event)
}
