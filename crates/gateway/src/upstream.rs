//! Connections to providers. One pool for each listener that is served, so that with one runtime a core a connection
//! stays where its call runs. Knows origins, heads and bodies; nothing of models or limits.
//!
//! A client of its own rather than hyper's: a call writes and reads its connection in the task that serves it, with no
//! task, channel or header map in between, which halves what the provider's side of a call costs; and a dead connection
//! is replaced once, as the wire contract has it, not as often as it takes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Weak, atomic::AtomicUsize},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::Uri;
use hyper::service::Service;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo, service::TowerToHyperService};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncWrite, Interest},
    net::TcpStream,
};
use tokio_util::io::poll_read_buf;

use crate::{
    base::Origin,
    deadline::Ticks,
    gateway::{Gateway, Place},
    pieces::Pieces,
};

mod decode;
mod upload;

pub(crate) use self::decode::AnswerHead;
use self::decode::{Decoded, Decoder, Malformed};
pub(crate) use self::upload::{Failed, Upload};

/// How long a connection may lie idle: shorter than what providers allow, so that few are found dead.
const IDLE: Duration = Duration::from_secs(55);
const READ: usize = 8 << 10;
/// Bodies that fill the buffer are read in larger pieces.
const READ_MORE: usize = 64 << 10;

pub(crate) struct Pool {
    connector: TowerToHyperService<HttpsConnector<HttpConnector>>,
    connect_timeout: Duration,
    // One entry for each origin ever called: there are as many as providers.
    origins: Mutex<Vec<At>>,
    /// Whose calls are counted together with those of other pools, and how many one provider may have; tests of the pool
    /// alone have none.
    shared: Option<(Weak<Gateway>, usize)>,
    /// Those of the listener. Idle times need no clock.
    pub(crate) ticks: Arc<Ticks>,
}

/// One origin.
struct At {
    origin: Origin,
    idle: Vec<Idle>,
    /// Calls that have a connection to it, in all pools.
    calls: Arc<AtomicUsize>,
}

struct Idle {
    connection: Box<Connection>,
    since: u64,
}

/// Boxed where it is moved: with TLS it is larger than a kilobyte.
struct Connection {
    io: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    read: BytesMut,
    /// `None` while it lies idle.
    place: Option<Place>,
}

/// A call as it is written to a connection.
pub(crate) struct Outgoing {
    /// Request line and headers, with the empty line.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Pieces,
}

/// The body of an answer. Read to its end, its connection is kept; dropped before, it is closed.
pub(crate) struct Incoming {
    /// `None` once the end was reached.
    connection: Option<Box<Connection>>,
    decoder: Decoder,
    /// What came was no chunk, right behind what was passed on.
    broken: Option<io::Error>,
    keep: bool,
    /// What of the call is still to be written, where the answer came first.
    unsent: Option<Box<Outgoing>>,
    pool: Arc<Pool>,
    origin: usize,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    /// The provider has as many calls as it may have.
    #[error("as many calls as may be")]
    Busy,
    #[error("no connection within {0:?}")]
    Slow(Duration),
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the connection was lost before the answer")]
    Lost(#[source] io::Error),
    #[error("the answer cannot be read")]
    Malformed(#[source] Malformed),
}

/// Why an exchange ended without an answer.
enum Lost {
    /// The connection took nothing of the request.
    Untaken(io::Error),
    Taken(Unreachable),
}

impl Pool {
    /// A pool of this gateway's.
    pub(crate) fn of(gateway: &Arc<Gateway>) -> Self {
        let shared = Some((Arc::downgrade(gateway), gateway.settings.provider_connections));
        Self { shared, ..Self::new(gateway.settings.connect_timeout) }
    }

    fn new(connect_timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(connect_timeout));
        let builder = HttpsConnectorBuilder::new().with_webpki_roots();
        Self::with(builder.https_or_http().enable_http1().wrap_connector(http), connect_timeout)
    }

    fn with(connector: HttpsConnector<HttpConnector>, connect_timeout: Duration) -> Self {
        Self {
            connector: TowerToHyperService::new(connector),
            connect_timeout,
            origins: Mutex::default(),
            shared: None,
            ticks: Ticks::new(),
        }
    }

    /// Lets time pass: connections that have been idle for too long are closed.
    pub(crate) fn tick(&self) {
        let now = self.ticks.tick();
        if now.is_multiple_of(50) {
            for at in &mut *self.origins.lock() {
                at.idle.retain(|it| fresh(now, it.since));
            }
        }
    }

    /// Sends a call and waits for the head of its answer.
    pub(crate) async fn send(
        self: &Arc<Self>,
        origin: &Origin,
        mut call: Outgoing,
    ) -> Result<(AnswerHead, Incoming), Unreachable> {
        let (index, idle, place) = self.take(origin)?;
        let place = if let Some(mut connection) = idle {
            connection.place = Some(place);
            match connection.exchange(&mut call).await {
                Ok(head) => return Ok(self.answered(head, connection, call, index)),
                // It was closed before it took the request, so nothing has been asked yet.
                Err(Lost::Untaken(_)) => connection.place.take().expect("it was put there just now"),
                Err(Lost::Taken(error)) => return Err(error),
            }
        } else {
            place
        };
        let mut connection = self.connect(origin, place).await?;
        match connection.exchange(&mut call).await {
            Ok(head) => Ok(self.answered(head, connection, call, index)),
            Err(Lost::Untaken(error)) => Err(Unreachable::Lost(error)),
            Err(Lost::Taken(error)) => Err(error),
        }
    }

    fn answered(
        self: &Arc<Self>,
        head: AnswerHead,
        connection: Box<Connection>,
        call: Outgoing,
        origin: usize,
    ) -> (AnswerHead, Incoming) {
        // An error before the end of the request asks for no more of it; any other answer may depend on the rest.
        let goes_on = call.body.length() > 0 && head.status.as_u16() < 400;
        let mut incoming = Incoming {
            connection: Some(connection),
            decoder: head.body,
            broken: None,
            keep: head.keep,
            unsent: goes_on.then(|| Box::new(call)),
            pool: Arc::clone(self),
            origin,
        };
        incoming.end_if_reached();
        (head, incoming)
    }

    /// Where an origin stands, a connection to it that lies idle, and a place among its calls.
    fn take(&self, origin: &Origin) -> Result<(usize, Option<Box<Connection>>, Place), Unreachable> {
        let now = self.ticks.count();
        let mut origins = self.origins.lock();
        let index = self.index_in(&mut origins, origin);
        let at = &mut origins[index];
        let most = self.shared.as_ref().map_or(usize::MAX, |it| it.1);
        let place = Place::take(&at.calls, most).ok_or(Unreachable::Busy)?;
        while let Some(idle) = at.idle.pop() {
            if fresh(now, idle.since) && idle.connection.is_quiet() {
                return Ok((index, Some(idle.connection), place));
            }
        }
        Ok((index, None, place))
    }

    fn index_in(&self, origins: &mut Vec<At>, origin: &Origin) -> usize {
        if let Some(index) = origins.iter().position(|it| it.origin.is(origin)) {
            return index;
        }
        let gateway = self.shared.as_ref().and_then(|it| it.0.upgrade());
        let calls = gateway.map_or_else(Arc::default, |it| it.calls_of(origin));
        origins.push(At { origin: origin.clone(), idle: Vec::new(), calls });
        origins.len() - 1
    }

    fn put(&self, origin: usize, mut connection: Box<Connection>) {
        connection.place = None;
        let since = self.ticks.count();
        self.origins.lock()[origin].idle.push(Idle { connection, since });
    }

    async fn connect(&self, origin: &Origin, place: Place) -> Result<Box<Connection>, Unreachable> {
        let scheme = if origin.tls { "https" } else { "http" };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(origin.authority.clone())
            .path_and_query("/")
            .build()
            .expect("an authority that was parsed makes an address");
        match tokio::time::timeout(self.connect_timeout, self.connector.call(uri)).await {
            Ok(Ok(io)) => Ok(Box::new(Connection { io: TokioIo::new(io), read: BytesMut::new(), place: Some(place) })),
            Ok(Err(error)) => Err(Unreachable::Connect(error)),
            Err(_) => Err(Unreachable::Slow(self.connect_timeout)),
        }
    }
}

fn fresh(now: u64, since: u64) -> bool {
    let idle = now.saturating_sub(since);
    u128::from(idle) * Ticks::EVERY.as_millis() < IDLE.as_millis()
}

impl Connection {
    /// Whether nothing has come on an idle connection: neither its end nor bytes nobody asked for. Asks the runtime, not
    /// the system.
    fn is_quiet(&self) -> bool {
        let (tcp, open) = match self.io.inner() {
            MaybeHttpsStream::Http(io) => (io.inner(), true),
            MaybeHttpsStream::Https(io) => {
                let (io, session) = io.inner().get_ref();
                // What came together with the answer has been read already: a session that its peer has closed, or
                // one with bytes that nobody asked for, wants to read no more.
                (io.inner().inner(), session.wants_read())
            }
        };
        open && self.read.is_empty() && tcp.try_io(Interest::READABLE, || Ok(())).is_err()
    }

    /// Writes `call` and reads the head of its answer, which may come before all of the body has gone.
    async fn exchange(&mut self, call: &mut Outgoing) -> Result<AnswerHead, Lost> {
        let mut written = 0;
        let mut whole = false;
        std::future::poll_fn(|cx| {
            if !whole {
                match self.poll_write(cx, call, &mut written) {
                    Poll::Ready(Ok(())) => whole = true,
                    Poll::Ready(Err(error)) if written == 0 => return Poll::Ready(Err(Lost::Untaken(error))),
                    // The provider may have answered and closed; what it said is still to be read.
                    Poll::Ready(Err(_)) => whole = true,
                    Poll::Pending => {}
                }
            }
            loop {
                if !self.read.is_empty()
                    && let Some(mut head) =
                        decode::head(&mut self.read).map_err(|it| Lost::Taken(Unreachable::Malformed(it)))?
                {
                    head.keep &= call.body.length() == 0;
                    return Poll::Ready(Ok(head));
                }
                let read = ready!(self.poll_read(cx, READ)).map_err(|it| Lost::Taken(Unreachable::Lost(it)))?;
                if read == 0 {
                    let lost = Unreachable::Lost(io::ErrorKind::UnexpectedEof.into());
                    return Poll::Ready(Err(Lost::Taken(lost)));
                }
            }
        })
        .await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, call: &mut Outgoing, written: &mut usize) -> Poll<io::Result<()>> {
        loop {
            let head = call.head.get(*written..).unwrap_or_default();
            let body = call.body.front();
            let count = match (head.is_empty(), body.is_empty()) {
                (true, true) => return Pin::new(&mut self.io).poll_flush(cx),
                (false, false) => {
                    let both = [IoSlice::new(head), IoSlice::new(body)];
                    ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &both))?
                }
                (false, true) => ready!(Pin::new(&mut self.io).poll_write(cx, head))?,
                (true, false) => ready!(Pin::new(&mut self.io).poll_write(cx, body))?,
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = count.min(head.len());
            *written += of_head;
            call.body.advance(count - of_head);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        self.read.reserve(room);
        poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read)
    }
}

impl Incoming {
    /// The next piece; `None` at the end.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut room = READ;
        loop {
            if let Some(data) = self.arrived() {
                return Poll::Ready(Some(data));
            }
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            if let Some(call) = &mut self.unsent {
                // The head has gone: an answer came.
                let mut written = call.head.len();
                if connection.poll_write(cx, call, &mut written).is_ready() {
                    // Written, or no longer wanted; what is said to that is still to be read.
                    self.unsent = None;
                }
            }
            match ready!(connection.poll_read(cx, room)) {
                Ok(0) if self.decoder == Decoder::UntilClosed => self.connection = None,
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Ok(count) if count == room => room = READ_MORE,
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// A piece that has been read already. Chunks that came together go on together: each alone would be a write of its
    /// own on the client's side.
    pub(crate) fn arrived(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(error) = self.broken.take() {
            return Some(Err(error));
        }
        let connection = self.connection.as_mut()?;
        let first = match self.decoder.next(&mut connection.read) {
            Ok(Decoded::Data(data)) => data,
            Ok(Decoded::More) => return None,
            Ok(Decoded::End) => {
                self.end_if_reached();
                return None;
            }
            Err(error) => return Some(Err(malformed(error))),
        };
        let more = matches!(self.decoder, Decoder::Chunked(_)) && !connection.read.is_empty();
        let data = if more { self.gather(first) } else { first };
        self.end_if_reached();
        Some(Ok(data))
    }

    /// `first`, and the chunks that have been read behind it.
    fn gather(&mut self, first: Bytes) -> Bytes {
        let Some(connection) = &mut self.connection else { return first };
        let mut all = BytesMut::with_capacity(first.len() + connection.read.len());
        all.extend_from_slice(&first);
        loop {
            match self.decoder.next(&mut connection.read) {
                Ok(Decoded::Data(data)) => all.extend_from_slice(&data),
                Ok(Decoded::More | Decoded::End) => return all.freeze(),
                Err(error) => {
                    self.broken = Some(malformed(error));
                    return all.freeze();
                }
            }
        }
    }

    /// Whether nothing more will come.
    pub(crate) fn is_end(&self) -> bool {
        self.connection.is_none()
    }

    fn end_if_reached(&mut self) {
        if self.decoder.is_end()
            && let Some(connection) = self.connection.take()
            && self.keep
            && connection.read.is_empty()
        {
            self.pool.put(self.origin, connection);
        }
    }
}

fn malformed(error: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
