//! What goes wrong inside an answer: it breaks, falls silent, ends early, ends in an error, or arrives in odd pieces.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Behaviour,
    body::{AnswerBody, End, Event},
    log::Running,
    wire::Dialect,
};

/// The events that are left to send, and how the stream stops.
pub(crate) fn events(mut events: Vec<Event>, behaviour: &Behaviour, dialect: Dialect, id: &str) -> (Vec<Event>, End) {
    let mut end = End::Clean;
    if let Some((after, status)) = behaviour.error_event {
        events.truncate(after);
        let bytes = dialect.error_event(events.len(), status, id);
        events.push(Event { bytes, paced: true });
    }
    if let Some(after) = behaviour.end_after {
        events.truncate(after);
    }
    if let Some(after) = behaviour.silence_after {
        events.truncate(after);
        end = End::Silence;
    }
    if let Some(after) = behaviour.break_after {
        events.truncate(after);
        end = End::Break;
    }
    if let Some(after) = behaviour.break_inside {
        events.truncate(after + 1);
        if let Some(last) = events.get_mut(after) {
            last.bytes.truncate(last.bytes.len() / 2);
        }
        end = End::Break;
    }
    if behaviour.crlf {
        for event in &mut events {
            event.bytes = String::from_utf8_lossy(&event.bytes).replace('\n', "\r\n").into();
        }
    }
    if let Some(size) = behaviour.split {
        events = split(&events, size);
    }
    (events, end)
}

/// A whole answer that breaks off after some bytes; its length is not announced.
pub(crate) fn whole(bytes: &Bytes, behaviour: &Behaviour, running: Option<Running>) -> AnswerBody {
    let sent = bytes.slice(..bytes.len().min(behaviour.break_after.unwrap_or(bytes.len())));
    let events = if sent.is_empty() { Vec::new() } else { vec![Event { bytes: sent, paced: false }] };
    AnswerBody::events(events, Duration::ZERO, End::Break, running)
}

fn split(events: &[Event], size: usize) -> Vec<Event> {
    let whole: Bytes = events.iter().flat_map(|it| it.bytes.iter().copied()).collect::<Vec<u8>>().into();
    let starts = (0..whole.len()).step_by(size);
    starts.map(|at| Event { bytes: whole.slice(at..whole.len().min(at + size)), paced: true }).collect()
}
