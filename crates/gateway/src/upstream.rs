//! Connections to providers. One pool for each listener that is served, so that with one runtime a core a connection
//! stays where its call runs. Knows origins and requests, nothing of models or limits.
//!
//! hyper-util's pooled client is not used: it spawns a task for every call to put its connection back, and replaces a
//! dead connection as often as it takes, where the wire contract allows once.

use std::{sync::Arc, time::Duration};

use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    service::Service,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy::connect::HttpConnector, service::TowerToHyperService};
use limiter::Micros;
use parking_lot::Mutex;

use crate::{base::Origin, pieces::Pieces};

/// How long a connection may lie idle: shorter than what providers allow, so that few are found dead.
const IDLE_US: u64 = 55_000_000;

pub(crate) struct Pool {
    connector: TowerToHyperService<HttpsConnector<HttpConnector>>,
    connect_timeout: Duration,
    // One entry for each origin ever called: there are as many as providers.
    origins: Mutex<Vec<(Origin, Vec<Idle>)>>,
}

struct Idle {
    sender: SendRequest<Pieces>,
    since: Micros,
}

/// A connection that serves one call. Dropped unreturned, it is closed.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    origin: usize,
    sender: SendRequest<Pieces>,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    #[error("no connection within {0:?}")]
    Slow(Duration),
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the connection was lost before the answer")]
    Lost(#[source] hyper::Error),
}

impl Pool {
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(connect_timeout));
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(http);
        Self { connector: TowerToHyperService::new(connector), connect_timeout, origins: Mutex::default() }
    }

    /// Sends `request`, whose URI is a path, and waits for the head of the answer.
    pub(crate) async fn send(
        self: &Arc<Self>,
        origin: &Origin,
        request: Request<Pieces>,
        now: Micros,
    ) -> Result<(Response<Incoming>, Lease), Unreachable> {
        let (index, idle) = self.take(origin, now);
        let mut request = request;
        if let Some(mut sender) = idle {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, self.lease(index, sender))),
                Err(mut error) => match error.take_message() {
                    // It was closed before it took the request, so nothing has been asked yet.
                    Some(unsent) => request = unsent,
                    None => return Err(Unreachable::Lost(error.into_error())),
                },
            }
        }
        let mut sender = self.connect(origin).await?;
        match sender.try_send_request(request).await {
            Ok(response) => Ok((response, self.lease(index, sender))),
            Err(error) => Err(Unreachable::Lost(error.into_error())),
        }
    }

    fn lease(self: &Arc<Self>, origin: usize, sender: SendRequest<Pieces>) -> Lease {
        Lease { pool: Arc::clone(self), origin, sender }
    }

    fn take(&self, origin: &Origin, now: Micros) -> (usize, Option<SendRequest<Pieces>>) {
        let mut origins = self.origins.lock();
        let index = match origins.iter().position(|it| it.0 == *origin) {
            Some(index) => index,
            None => {
                origins.push((origin.clone(), Vec::new()));
                origins.len() - 1
            }
        };
        while let Some(idle) = origins[index].1.pop() {
            if idle.sender.is_ready() && now.since(idle.since) < IDLE_US {
                return (index, Some(idle.sender));
            }
        }
        (index, None)
    }

    fn put(&self, origin: usize, sender: SendRequest<Pieces>, now: Micros) {
        let mut origins = self.origins.lock();
        let idle = &mut origins[origin].1;
        // The oldest lie first, for the youngest are taken: what a peak left behind goes here.
        let stale =
            idle.iter().take(2).take_while(|it| now.since(it.since) >= IDLE_US || it.sender.is_closed()).count();
        idle.drain(..stale);
        idle.push(Idle { sender, since: now });
    }

    async fn connect(&self, origin: &Origin) -> Result<SendRequest<Pieces>, Unreachable> {
        let scheme = if origin.tls { "https" } else { "http" };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(origin.authority.clone())
            .path_and_query("/")
            .build()
            .expect("an authority that was parsed makes an address");
        let connecting = async {
            let io = self.connector.call(uri).await.map_err(Unreachable::Connect)?;
            let (sender, connection) =
                http1::Builder::new().max_buf_size(128 << 10).handshake(io).await.map_err(Unreachable::Lost)?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a provider's connection ended");
                }
            });
            Ok(sender)
        };
        match tokio::time::timeout(self.connect_timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(Unreachable::Slow(self.connect_timeout)),
        }
    }
}

impl Lease {
    /// Gives the connection back after an answer that was read to its end.
    pub(crate) fn give_back(mut self, now: Micros) {
        if self.sender.is_ready() {
            self.pool.put(self.origin, self.sender, now);
        } else if !self.sender.is_closed() {
            // The connection has still to notice the end of the answer.
            tokio::spawn(async move {
                if self.sender.ready().await.is_ok() {
                    self.pool.put(self.origin, self.sender, now);
                }
            });
        }
    }
}
