//! A call whose body comes from its client while it goes to the provider, of any length and never held. It cannot be
//! sent again, so it gets a connection of its own.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Sleep;

use super::{AnswerHead, Incoming, Outgoing, Pool, READ, Unreachable, decode};
use crate::{base::Origin, pieces::Pieces};

/// How an upload is sent.
pub(crate) struct Upload {
    /// Request line and headers, with the empty line.
    pub(crate) head: Vec<u8>,
    /// In chunks, for its length is not known; else as it comes, for the head tells its length.
    pub(crate) chunked: bool,
    /// How long the provider may take nothing.
    pub(crate) silence: Duration,
    /// How long it may say nothing once it has everything.
    pub(crate) first_byte: Duration,
}

/// Why there is no answer.
pub(crate) enum Failed<E> {
    /// The body ended with an error, and the provider never saw its end.
    Abandoned(E),
    Unreachable(Unreachable),
    /// It took or said nothing for so long.
    Silent(Duration),
}

impl Pool {
    /// Sends what `next` gives, and waits for the head of the answer, which may come before all of it has gone.
    pub(crate) async fn upload<E>(
        self: &Arc<Self>,
        origin: &Origin,
        upload: Upload,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, E>>>,
    ) -> Result<(AnswerHead, Incoming), Failed<E>> {
        let (index, _, place) = self.take(origin).map_err(Failed::Unreachable)?;
        let mut connection = self.connect(origin, place).await.map_err(Failed::Unreachable)?;
        let Upload { head, chunked, silence, first_byte } = upload;
        let mut call = Outgoing { head, body: Pieces::whole(Bytes::new()) };
        let (mut written, mut ended, mut whole) = (0, false, false);
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        let head = std::future::poll_fn(|cx| {
            while !whole {
                match connection.poll_write(cx, &mut call, &mut written) {
                    Poll::Ready(Ok(())) if ended => {
                        whole = true;
                        timer = None;
                    }
                    Poll::Ready(Ok(())) => {
                        timer = None;
                        call.body = match next(cx) {
                            Poll::Ready(Some(Ok(data))) if chunked => chunk(data),
                            Poll::Ready(Some(Ok(data))) => Pieces::whole(data),
                            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Failed::Abandoned(error))),
                            Poll::Ready(None) => {
                                ended = true;
                                Pieces::whole(Bytes::from_static(if chunked { b"0\r\n\r\n" } else { b"" }))
                            }
                            Poll::Pending => break,
                        };
                    }
                    // The provider may have answered and closed; what it said is still to be read.
                    Poll::Ready(Err(_)) => whole = true,
                    Poll::Pending => break,
                }
            }
            loop {
                if !connection.read.is_empty()
                    && let Some(head) = decode::head(&mut connection.read)
                        .map_err(|it| Failed::Unreachable(Unreachable::Malformed(it)))?
                {
                    return Poll::Ready(Ok(head));
                }
                match connection.poll_read(cx, READ) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0)) => {
                        let lost = std::io::ErrorKind::UnexpectedEof.into();
                        return Poll::Ready(Err(Failed::Unreachable(Unreachable::Lost(lost))));
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(Failed::Unreachable(Unreachable::Lost(error))));
                    }
                    Poll::Pending => break,
                }
            }
            let patience = match (whole, call.body.length() > 0 || written < call.head.len()) {
                (true, _) => first_byte,
                (false, true) => silence,
                // The client is waited for, and has a patience of its own.
                (false, false) => return Poll::Pending,
            };
            let sleep = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
            sleep.as_mut().poll(cx).map(|()| Err(Failed::Silent(patience)))
        })
        .await?;
        let mut incoming = Incoming {
            connection: Some(connection),
            decoder: head.body,
            broken: None,
            keep: head.keep && whole && ended,
            unsent: None,
            pool: Arc::clone(self),
            origin: index,
        };
        incoming.end_if_reached();
        Ok((head, incoming))
    }
}

fn chunk(data: Bytes) -> Pieces {
    if data.is_empty() {
        return Pieces::whole(data);
    }
    Pieces::of([format!("{:x}\r\n", data.len()).into(), data, Bytes::from_static(b"\r\n")])
}
