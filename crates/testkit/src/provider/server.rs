//! Listens, reads calls whole, and answers them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    Behaviour, Log, ProviderSettings, Received,
    behaviour::{HEADER, Script},
    body::{AnswerBody, BreakOff},
    call::Call,
    control,
    request::Route,
    shelf::Shelf,
};

/// What all connections of one provider have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: ProviderSettings,
    pub(crate) script: Script,
    pub(crate) log: Arc<Log>,
    pub(crate) shelf: Mutex<Shelf>,
    calls: AtomicU64,
}

impl Shared {
    pub(crate) fn new(settings: ProviderSettings) -> Self {
        let log = Arc::new(Log::new(settings.log_capacity));
        Self { settings, script: Script::default(), log, shelf: Mutex::default(), calls: AtomicU64::new(0) }
    }
}

/// Serves until it is aborted; its connections end with it.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of file descriptors, most likely: others will be given back.
            Err(error) => {
                tracing::warn!(%error, "the stand-in provider cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let connection = number;
        number += 1;
        connections.spawn(async move {
            let service = service_fn(move |request| handle(request, connection, Arc::clone(&shared)));
            // How a connection ends is in the log of its calls.
            let _ =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(
    request: Request<Incoming>,
    connection: u64,
    shared: Arc<Shared>,
) -> Result<Response<AnswerBody>, BreakOff> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(BreakOff) };
    let body = body.to_bytes();
    let route = Route::of(&head.method, head.uri.path());
    if route == Route::Control {
        return Ok(control::answer(&shared, &head.method, head.uri.path(), &body));
    }
    let number = shared.calls.fetch_add(1, Ordering::Relaxed);
    let running = shared.log.note(|| Received {
        number,
        connection,
        method: head.method.clone(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers.clone(),
        body: body.clone(),
        at: Instant::now(),
        ended: None,
    });
    let behaviour = match head.headers.get(HEADER) {
        Some(line) => line.to_str().unwrap_or_default().parse(),
        None => Ok(shared.script.take()),
    };
    let (method, path) = (&head.method, head.uri.path());
    let call = Call { shared: &shared, number, route, method, headers: &head.headers, path };
    match behaviour {
        Ok(behaviour) => call.answer(&body, &behaviour, running).await,
        Err(unreadable) => {
            let behaviour = Behaviour { body: Some(unreadable.to_string()), ..Behaviour::status(400) };
            call.answer(&body, &behaviour, running).await
        }
    }
}
