//! The body that goes to the client: Sluice's own, or the provider's while it is metered.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{deadline::Deadline, upstream};

mod events;
mod passed;
mod plain;

pub(crate) use self::{
    events::Events,
    passed::{Note, Passed},
    plain::Plain,
};

/// The provider's answer broke off, so the client's does too.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub(crate) struct BrokeOff;

/// A body of one answer.
pub(crate) enum Answer {
    /// All of it.
    Whole(Bytes),
    Plain(Box<Plain>),
    Events(Box<Events>),
    Passed(Box<Passed>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Plain(body) => body.poll(cx).map(|it| it.map(|it| it.map(Frame::data))),
            Self::Events(body) => body.poll(cx).map(|it| it.map(|it| Ok(Frame::data(it)))),
            Self::Passed(body) => body.poll(cx).map(|it| it.map(|it| it.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

/// The provider's side of an answer, and the patience with it.
pub(crate) struct Provider {
    body: upstream::Incoming,
    /// Armed when the provider is waited for.
    silence: Deadline,
    waiting: bool,
}

/// What came next.
enum Next {
    Data(Bytes),
    End,
    Broken,
    Silent,
}

impl Provider {
    /// `silence` is armed anew, for as long as it was, whenever the provider is waited for.
    pub(crate) fn new(body: upstream::Incoming, silence: Deadline) -> Self {
        Self { body, silence, waiting: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let next = match self.body.poll_data(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                if !self.waiting {
                    self.waiting = true;
                    self.silence.arm(self.silence.length());
                }
                return self.silence.poll(cx).map(|()| Next::Silent);
            }
        };
        self.waiting = false;
        Poll::Ready(match next {
            Some(Ok(data)) => Next::Data(data),
            Some(Err(_)) => Next::Broken,
            None => Next::End,
        })
    }
}
