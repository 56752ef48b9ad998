//! Native DashScope services.

use super::{Event, ProviderError, Words, cause_of, status_of, string};
use crate::{
    json::{Fault, Kind, Scanner},
    sse::Lines,
    usage::Counts,
};

pub(super) fn event(lines: &Lines<'_>) -> Result<Event, Fault> {
    let mut event = Event { number: lines.id, ..Event::default() };
    if lines.data.is_empty() {
        return Ok(event);
    }
    let mut code = None;
    let mut scanner = Scanner::over(&lines.data)?;
    scanner.object(|it, key| match &*it.name(key) {
        b"output" if it.peek()? == Kind::Object => it.object(|it, key| match &*it.name(key) {
            b"text" => {
                event.words = event.words.and(Words::read(it)?);
                Ok(())
            }
            b"finish_reason" => finish(it, &mut event),
            b"choices" if it.peek()? == Kind::Array => it.array(|it| {
                if it.peek()? != Kind::Object {
                    return it.skip().map(drop);
                }
                it.object(|it, key| match &*it.name(key) {
                    b"message" => {
                        event.words = event.words.and(Words::read(it)?);
                        Ok(())
                    }
                    b"finish_reason" => finish(it, &mut event),
                    _ => it.skip().map(drop),
                })
            }),
            _ => it.skip().map(drop),
        }),
        b"usage" => {
            event.counts = Counts::read(it)?;
            Ok(())
        }
        b"code" => {
            code = string(it)?.filter(|it| !it.is_empty()).map(std::borrow::Cow::into_owned);
            Ok(())
        }
        _ => it.skip().map(drop),
    })?;
    event.has_content = !event.words.is_empty();
    let told = lines.status.filter(|it| *it >= 400);
    if lines.event == Some(b"error") || told.is_some() || code.is_some() {
        let status = told.or_else(|| status_of(code.as_deref()?)).unwrap_or(super::UNKNOWN);
        event.error = Some(ProviderError { status, cause: cause_of(&lines.data) });
    }
    Ok(event)
}

/// While an answer goes on its reason is null, or the string `"null"`.
fn finish(scanner: &mut Scanner<'_>, event: &mut Event) -> Result<(), Fault> {
    event.ends_well |= string(scanner)?.is_some_and(|it| !it.is_empty() && it != "null");
    Ok(())
}
