//! The body of an answer: one piece, or events at their pace, with the end it was told to have.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::log::{Ending, Running};

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) bytes: Bytes,
    /// Whether the pause between tokens comes before it.
    pub(crate) paced: bool,
}

/// How a body stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Clean,
    Break,
    Silence,
}

/// The connection is to be broken off here.
#[derive(Debug)]
pub(crate) struct BreakOff;

impl std::fmt::Display for BreakOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("told to break off")
    }
}

impl std::error::Error for BreakOff {}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    kind: Kind,
    running: Option<Running>,
}

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Events(Pin<Box<Events>>),
    Ended,
}

#[derive(Debug)]
struct Events {
    left: std::vec::IntoIter<Event>,
    gap: Duration,
    // An absolute time-table: a late timer does not make the whole stream late.
    due: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    end: End,
    flushed: bool,
}

impl AnswerBody {
    pub(crate) fn whole(bytes: Bytes, running: Option<Running>) -> Self {
        Self { kind: Kind::Whole(bytes), running }
    }

    pub(crate) fn events(events: Vec<Event>, gap: Duration, end: End, running: Option<Running>) -> Self {
        let left = events.into_iter();
        let events = Events { left, gap, due: Instant::now(), timer: None, end, flushed: false };
        Self { kind: Kind::Events(Box::pin(events)), running }
    }

    fn ended(&mut self, ending: Ending) {
        self.kind = Kind::Ended;
        if let Some(running) = self.running.take() {
            running.end(ending);
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BreakOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BreakOff>>> {
        match &mut self.kind {
            Kind::Ended => Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.ended(Ending::Answered);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Kind::Events(events) => {
                let Poll::Ready(next) = events.poll_next(cx) else { return Poll::Pending };
                match next {
                    Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    None if events.end == End::Clean => {
                        self.ended(Ending::Answered);
                        Poll::Ready(None)
                    }
                    None => {
                        self.ended(Ending::Broken);
                        Poll::Ready(Some(Err(BreakOff)))
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Events(_) => SizeHint::default(),
            Kind::Ended => SizeHint::with_exact(0),
        }
    }
}

impl Events {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(timer) = &mut self.timer {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            return Poll::Ready(self.left.next().map(|it| it.bytes));
        }
        match self.left.as_slice().first() {
            Some(event) if event.paced && !self.gap.is_zero() => {
                self.due += self.gap;
                self.timer = Some(Box::pin(sleep_until(self.due)));
                self.poll_next(cx)
            }
            Some(_) => Poll::Ready(self.left.next().map(|it| it.bytes)),
            None if self.end == End::Silence => Poll::Pending,
            // The server flushes what it has when it must wait; an error right away would take it along.
            None if self.end == End::Break && !self.flushed => {
                self.flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}
