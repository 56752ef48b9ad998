//! The body that goes to the client: Sluice's own, or the provider's while it is metered.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::upstream;

mod events;
mod plain;

pub(crate) use self::{events::Events, plain::Plain};

/// The provider's answer broke off, so the client's does too.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub(crate) struct BrokeOff;

/// A body of one answer.
pub(crate) enum Answer {
    /// All of it.
    Whole(Bytes),
    /// A refusal, while what the client still sends is thrown away.
    Lingering(Box<Lingering>),
    Plain(Box<Plain>),
    Events(Box<Events>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Lingering(body) => body.poll(cx).map(|it| it.map(|it| Ok(Frame::data(it)))),
            Self::Plain(body) => body.poll(cx).map(|it| it.map(|it| it.map(Frame::data))),
            Self::Events(body) => body.poll(cx).map(|it| it.map(|it| Ok(Frame::data(it)))),
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

/// Closing a connection on a client that is still sending would reset it, and the client would never see the answer. So
/// what it sends is read and dropped, up to a bound, before the answer ends.
pub(crate) struct Lingering {
    text: Option<Bytes>,
    rest: Incoming,
    left: usize,
    until: Pin<Box<Sleep>>,
}

impl Lingering {
    const BYTES: usize = 256 << 20;
    const TIME: Duration = Duration::from_secs(10);

    pub(crate) fn new(text: Bytes, rest: Incoming) -> Self {
        Self { text: Some(text), rest, left: Self::BYTES, until: Box::pin(tokio::time::sleep(Self::TIME)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(text) = self.text.take() {
            return Poll::Ready(Some(text));
        }
        loop {
            match Pin::new(&mut self.rest).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let read = frame.data_ref().map_or(0, Bytes::len);
                    if self.left < read {
                        return Poll::Ready(None);
                    }
                    self.left -= read;
                }
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => return self.until.as_mut().poll(cx).map(|()| None),
            }
        }
    }
}

/// The provider's side of an answer, and the patience with it.
pub(crate) struct Provider {
    body: upstream::Incoming,
    /// Armed when the provider is waited for.
    silence: Option<Pin<Box<Sleep>>>,
    patience: Duration,
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
    pub(crate) fn new(body: upstream::Incoming, patience: Duration) -> Self {
        Self { body, silence: None, patience, waiting: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let next = match self.body.poll_data(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                let until = Instant::now() + self.patience;
                match &mut self.silence {
                    None => self.silence = Some(Box::pin(tokio::time::sleep_until(until))),
                    Some(silence) if !self.waiting => silence.as_mut().reset(until),
                    Some(_) => {}
                }
                self.waiting = true;
                let silence = self.silence.as_mut().expect("it was armed just now");
                return silence.as_mut().poll(cx).map(|()| Next::Silent);
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
