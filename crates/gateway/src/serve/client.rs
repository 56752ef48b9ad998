//! A client's connection as the HTTP server reads and writes it. It sees what the server does not: a client that hangs
//! up behind bytes that nobody reads yet, one that is still sending when its answer is complete, and a head that the
//! server refuses without a body.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Sleep,
};

/// Bytes that are read ahead of the server to see a client hang up.
const AHEAD: usize = 64 << 10;
/// As much of a head as tells its path.
const LINE: usize = 256;
/// What is still read, and for how long, of a client whose answer is complete. Closing on it would reset the connection,
/// and it would never see the answer.
const LINGERING: usize = 256 << 20;
const LINGERING_TIME: Duration = Duration::from_secs(10);

/// What the server writes of itself about heads that it does not take.
const REFUSED: [(&[u8], BadHead); 3] = [
    (b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n", BadHead::Large),
    (b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n", BadHead::Large),
    (b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n", BadHead::Unreadable),
];

/// Why the server does not take a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHead {
    Large,
    Unreadable,
    Slow,
}

/// Writes the answer to a head that the server does not take; it is told the first line, as far as it was kept.
type Refuse = Box<dyn Fn(BadHead, &[u8]) -> Bytes + Send>;

pub(super) struct Client {
    reading: Arc<Mutex<Reading>>,
    writing: OwnedWriteHalf,
    refuse: Refuse,
    /// Bytes of an answer in the place of the server's.
    instead: Bytes,
    lingering: Option<(usize, Pin<Box<Sleep>>)>,
    /// How long a client may take nothing of its answer, and until when the one that does.
    patience: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
}

/// The reading half, which the connection's task looks after too.
pub(super) struct Reading {
    io: OwnedReadHalf,
    /// The server is told of whatever comes.
    is_watched: bool,
    /// The gateway stops: a client that sends nothing now is not waited for.
    is_closing: bool,
    ahead: BytesMut,
    ended: bool,
    /// The beginning of what was read last behind an answer: the line of the next request.
    line: [u8; LINE],
    line_length: usize,
    begins: bool,
}

impl Client {
    pub(super) fn new(stream: TcpStream, patience: Duration, refuse: Refuse) -> (Self, Arc<Mutex<Reading>>) {
        let (io, writing) = stream.into_split();
        let reading = Reading {
            io,
            is_watched: false,
            is_closing: false,
            ahead: BytesMut::new(),
            ended: false,
            line: [0; LINE],
            line_length: 0,
            begins: true,
        };
        let reading = Arc::new(Mutex::new(reading));
        let client = Self {
            reading: Arc::clone(&reading),
            writing,
            refuse,
            instead: Bytes::new(),
            lingering: None,
            patience,
            stuck: None,
        };
        (client, reading)
    }

    /// Takes the server's own refusal of a head, and writes one with a body.
    fn replace(&mut self, begin: &[u8]) -> bool {
        // Statuses that are looked for begin with a 4; most answers do not.
        let Some((_, why)) = REFUSED.iter().find(|it| begin.get(9) == Some(&b'4') && begin.starts_with(it.0)) else {
            return false;
        };
        let reading = self.reading.lock();
        if reading.begins {
            // Nothing was read since the answer began: these are bytes of its body.
            return false;
        }
        self.instead = (self.refuse)(*why, &reading.line[..reading.line_length]);
        true
    }

    /// Answers a head that did not come to its end in time, if any of it came, and ends the connection.
    pub(super) async fn time_out(mut self) -> io::Result<()> {
        {
            let reading = self.reading.lock();
            if reading.begins {
                return Ok(());
            }
            self.instead = (self.refuse)(BadHead::Slow, &reading.line[..reading.line_length]);
        }
        self.shutdown().await
    }

    /// Gives up a client that takes nothing of its answer for too long: it would hold its place, and its call's, for good.
    fn unless_stuck(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let patience = self.patience;
        let until = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(until.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let count = ready!(Pin::new(&mut self.writing).poll_write(cx, &self.instead))?;
            self.instead.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl Reading {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.is_watched = false;
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.remaining());
            let came = self.ahead.split_to(count);
            self.note(&came);
            buffer.put_slice(&came);
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.is_watched = polled.is_pending();
        if polled.is_ready() {
            self.note(&buffer.filled()[before..]);
        }
        polled
    }

    /// Keeps the line with which a request begins.
    fn note(&mut self, came: &[u8]) {
        if self.begins && !came.is_empty() {
            self.line_length = came.len().min(LINE);
            self.line[..self.line_length].copy_from_slice(&came[..self.line_length]);
            self.begins = false;
        }
    }

    /// From now on the connection ends as soon as the client is quiet.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Ready when the client has hung up and the server does not look. Called when the server waits.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_watched && !self.ended && self.ahead.len() < AHEAD {
            let mut space = [0; 4 << 10];
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.ahead.extend_from_slice(buffer.filled()),
                Ok(()) | Err(_) => self.ended = true,
            }
        }
        if self.ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Throws away what still comes; the bytes of it. 0 at the end.
    fn poll_dropped(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if !self.ahead.is_empty() {
            return Poll::Ready(std::mem::take(&mut self.ahead).len());
        }
        if self.ended {
            return Poll::Ready(0);
        }
        let mut space = [0; 16 << 10];
        let mut buffer = ReadBuf::new(&mut space);
        Poll::Ready(match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
            Ok(()) => buffer.filled().len(),
            Err(_) => 0,
        })
    }
}

impl AsyncRead for Client {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.reading.lock().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replace(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.reading.lock().begins = true;
        let written = Pin::new(&mut self.writing).poll_write(cx, bytes);
        self.unless_stuck(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.first().is_some_and(|it| self.replace(it)) {
            return Poll::Ready(Ok(slices.iter().map(|it| it.len()).sum()));
        }
        self.reading.lock().begins = true;
        let written = Pin::new(&mut self.writing).poll_write_vectored(cx, slices);
        self.unless_stuck(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.writing.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.writing).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(this.poll_instead(cx))?;
            ready!(Pin::new(&mut this.writing).poll_shutdown(cx))?;
        }
        let (left, until) =
            this.lingering.get_or_insert_with(|| (LINGERING, Box::pin(tokio::time::sleep(LINGERING_TIME))));
        let mut reading = this.reading.lock();
        loop {
            match reading.poll_dropped(cx) {
                Poll::Ready(0) => return Poll::Ready(Ok(())),
                Poll::Ready(count) if count > *left => return Poll::Ready(Ok(())),
                Poll::Ready(count) => *left -= count,
                Poll::Pending if reading.is_closing => return Poll::Ready(Ok(())),
                Poll::Pending => return until.as_mut().poll(cx).map(Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    async fn pair() -> (TcpStream, Client, Arc<Mutex<Reading>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (client, reading) = Client::new(stream, Duration::from_secs(60), Box::new(|_, _| Bytes::new()));
        (peer, client, reading)
    }

    async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }

    #[tokio::test]
    async fn a_client_that_is_quiet_is_waited_for_until_the_gateway_stops() {
        let (peer, mut client, reading) = pair().await;
        let mut shutdown = std::pin::pin!(client.shutdown());
        assert!(poll_once(shutdown.as_mut()).await.is_pending());
        reading.lock().close();
        assert!(poll_once(shutdown.as_mut()).await.is_ready());
        drop(peer);
    }

    #[tokio::test]
    async fn what_a_client_sent_is_read_before_the_gateway_stops() {
        let (mut peer, mut client, reading) = pair().await;
        peer.write_all(&[b'x'; 100]).await.unwrap();
        poll_fn(|cx| reading.lock().io.as_ref().poll_read_ready(cx)).await.unwrap();
        reading.lock().close();
        client.shutdown().await.unwrap();
        let left = reading.lock().io.try_read(&mut [0; 1]).unwrap_err();
        assert_eq!(left.kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn bytes_of_an_answer_that_look_like_a_refusal_are_not_one() {
        let (mut peer, mut client, _) = pair().await;
        client.refuse = Box::new(|_, line| [b"instead of ", line].concat().into());
        for (read, sent) in [("a request", true), ("a bad head", false)] {
            peer.write_all(read.as_bytes()).await.unwrap();
            client.read_exact(&mut vec![0; read.len()]).await.unwrap();
            if sent {
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            }
            client.write_all(REFUSED[2].0).await.unwrap();
            client.flush().await.unwrap();
        }
        drop(client);
        let mut came = Vec::new();
        peer.read_to_end(&mut came).await.unwrap();
        let expected = [b"HTTP/1.1 200 OK\r\n\r\n", REFUSED[2].0, b"instead of a bad head"].concat();
        assert_eq!(String::from_utf8(came), String::from_utf8(expected));
    }
}
