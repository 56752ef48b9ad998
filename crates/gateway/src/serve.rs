//! The listener: connections in, calls to [`crate::call`], and an orderly end.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::Notify,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{self, Worker},
    gateway::Gateway,
    upstream::Pool,
};

/// Bytes of a request's head.
const HEAD: usize = 64 << 10;

/// Serves `listener` on the current runtime until `shutdown`, then lets running calls finish for the time that the
/// settings give them; new ones get a 503 meanwhile. Called once on each of several runtimes whose listeners share a
/// port, every core has connections to providers of its own.
///
/// # Errors
/// None while serving: a connection that cannot be accepted is logged and left.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, shutdown: CancellationToken) -> io::Result<()> {
    let pool = Arc::new(Pool::new(gateway.settings.connect_timeout));
    let worker = Arc::new(Worker { gateway: Arc::clone(&gateway), pool });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(gateway.settings.client_timeout)
        .max_header_size(HEAD)
        .max_buf_size(2 * HEAD)
        .pipeline_flush(false);
    let mut connections = JoinSet::new();
    let closing = Arc::new(Notify::new());
    let ended = async {
        shutdown.cancelled().await;
        gateway.drain();
        let until = Instant::now() + gateway.settings.drain;
        let _ = tokio::time::timeout_at(until, gateway.idle()).await;
        until
    };
    tokio::pin!(ended);
    // Every call arms timers of many seconds. The runtime writes to its own event descriptor, a system call, whenever
    // one lies before all others; a tick that is always due sooner spares it that.
    let mut tick = tokio::time::interval(Pool::TICK);
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
        let _ = stream.set_nodelay(true);
        let worker = Arc::clone(&worker);
        let service = service_fn(move |request| {
            let worker = Arc::clone(&worker);
            async move { Ok::<_, Infallible>(call::answer(worker, request).await) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let closing = Arc::clone(&closing).notified_owned();
        connections.spawn(async move {
            tokio::pin!(connection, closing);
            let ended = tokio::select! {
                biased;
                ended = &mut connection => ended,
                () = closing => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a client's connection ended");
            }
        });
    };
    // The last calls are answered, but their clients may not have read all of it yet.
    drop(listener);
    closing.notify_waiters();
    let closed = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout_at(until, closed).await;
    Ok(())
}
