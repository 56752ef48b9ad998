//! The listener: connections in, calls to [`crate::call`], and an orderly end.

use std::{convert::Infallible, future::poll_fn, io, pin::Pin, sync::Arc, task::Poll, time::Duration};

use hyper::{
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::{Notify, futures::OwnedNotified},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{self, Worker},
    deadline::{ByTicks, Ticks},
    gateway::{Connected, Gateway, Room},
    relay::Answer,
    upstream::Pool,
};

mod client;

pub(crate) use self::client::BadHead;
use self::client::{Client, Reading};

/// Bytes of a request's head that are accepted.
pub(crate) const HEAD: usize = 64 << 10;
/// Fields of it.
pub(crate) const HEADERS: usize = 100;

/// Serves `listener` on the current runtime until `shutdown`, then lets running calls finish for the time that the
/// settings give them; new ones get a 503 meanwhile. Called once on each of several runtimes whose listeners share a
/// port, every core has connections to providers of its own.
///
/// # Errors
/// None while serving: a connection that cannot be accepted is logged and left.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, shutdown: CancellationToken) -> io::Result<()> {
    let pool = Arc::new(Pool::of(&gateway));
    let worker = Arc::new(Worker { gateway: Arc::clone(&gateway), pool });
    let mut http = http1::Builder::new();
    http.timer(ByTicks(Arc::clone(&worker.pool.ticks)))
        .header_read_timeout(gateway.settings.client_timeout)
        .max_header_size(2 * HEAD)
        .max_buf_size(2 * HEAD)
        .pipeline_flush(false);
    let mut connections = JoinSet::new();
    let closing = Arc::new(Notify::new());
    let ended = async {
        shutdown.cancelled().await;
        gateway.drain();
        let until = Instant::now() + gateway.settings.drain;
        if tokio::time::timeout_at(until, gateway.idle()).await.is_err() {
            gateway.cut_off();
        }
        until
    };
    tokio::pin!(ended);
    let mut tick = tokio::time::interval(Ticks::EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let until = loop {
        let stream = tokio::select! {
            biased;
            until = &mut ended => break until,
            Some(_) = connections.join_next() => continue,
            _ = tick.tick() => {
                worker.pool.tick();
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors: accepting again at once would only spin.
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        let (connected, room) = Connected::new(&gateway);
        if room == Room::None {
            continue;
        }
        let _ = stream.set_nodelay(true);
        let of_gateway = Arc::clone(&gateway);
        let (client, reading) = Client::new(
            stream,
            gateway.settings.client_timeout,
            Box::new(move |why, line| call::refuse_head(&of_gateway, why, line)),
        );
        let worker = Arc::clone(&worker);
        let closing = Arc::clone(&closing).notified_owned();
        if room == Room::Enough {
            let service = service_fn(move |request| {
                let worker = Arc::clone(&worker);
                async move { Ok::<_, Infallible>(call::answer(worker, request).await) }
            });
            let connection = http.serve_connection(TokioIo::new(client), service);
            connections.spawn(hold(connection, reading, closing, connected));
        } else {
            let service = service_fn(move |request| {
                let worker = Arc::clone(&worker);
                async move { Ok::<_, Infallible>(call::turn_away(worker, request).await) }
            });
            let connection = http.serve_connection(TokioIo::new(client), service);
            connections.spawn(hold(connection, reading, closing, connected));
        }
    };
    // The last calls are answered, but their clients may not have read all of it yet.
    drop(listener);
    closing.notify_waiters();
    let closed = async {
        loop {
            tokio::select! {
                ended = connections.join_next() => if ended.is_none() { break },
                _ = tick.tick() => worker.pool.tick(),
            }
        }
    };
    let _ = tokio::time::timeout_at(until, closed).await;
    Ok(())
}

/// Serves one connection to its end, or until all are `closing` and it has nothing to answer.
async fn hold<S>(
    mut connection: http1::Connection<TokioIo<Client>, S>,
    reading: Arc<Mutex<Reading>>,
    closing: OwnedNotified,
    _connected: Connected,
) where
    S: HttpService<hyper::body::Incoming, ResBody = Answer>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    tokio::pin!(closing);
    let mut is_closing = false;
    let ended = poll_fn(|cx| {
        if !is_closing && closing.as_mut().poll(cx).is_ready() {
            is_closing = true;
            reading.lock().close();
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(ended);
        }
        // Dropped with its connection, a call is left.
        reading.lock().poll_gone(cx).map(Ok)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a client's connection ended");
        if error.is_timeout() {
            let _ = connection.into_parts().io.into_inner().time_out().await;
        }
    }
}
