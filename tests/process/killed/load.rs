//! Callers as hostile as can be: back at the very instant that was promised, and at once when nobody answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use testkit::chance::Chance;
use tokio::{sync::watch, task::JoinSet};

/// What the calls of one caller look like.
#[derive(Clone)]
pub(super) struct Wish {
    pub(super) model: String,
    pub(super) workspace: &'static str,
    /// Tokens of the prompt, by estimate and by the provider's count alike.
    pub(super) prompt: u64,
    /// The least and the most that a call states as its maximum of output; it uses three quarters of it and more.
    pub(super) maximum: (u64, u64),
    /// The least and the most milliseconds that its answer takes.
    pub(super) takes_ms: (u64, u64),
}

pub(super) struct Load {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: watch::Sender<bool>,
    callers: JoinSet<()>,
    /// Calls that reached the gateway and were not answered to their end: it was killed meanwhile.
    broken: Arc<AtomicU64>,
}

impl Load {
    pub(super) fn on(gateway: std::net::SocketAddr) -> Self {
        Self {
            url: format!("http://{gateway}/v1/chat/completions"),
            // A connection each: the process behind them is killed and started anew.
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http(),
            stop: watch::Sender::new(false),
            callers: JoinSet::new(),
            broken: Arc::default(),
        }
    }

    /// One more caller, after so long.
    pub(super) fn call(&mut self, key: &str, wish: Wish, after: Duration) {
        let (url, client, broken) = (self.url.clone(), self.client.clone(), Arc::clone(&self.broken));
        let (key, mut stopping) = (key.to_owned(), self.stop.subscribe());
        let mut chance = Chance::nth(20_261_129, self.callers.len() as u64);
        self.callers.spawn(async move {
            let mut wait = after;
            loop {
                tokio::select! {
                    _ = stopping.wait_for(|it| *it) => return,
                    () = tokio::time::sleep(wait) => {}
                }
                let request = request(&url, &key, &wish, &mut chance);
                wait = match answered(&client, request).await {
                    Ok(headers) => promised(&headers),
                    Err(never_arrived) => {
                        broken.fetch_add(u64::from(!never_arrived), Ordering::Relaxed);
                        Duration::from_millis(5)
                    }
                };
            }
        });
    }

    /// Ends all callers; how many of their calls were not answered to the end though they had reached the gateway.
    pub(super) async fn end(mut self) -> u64 {
        self.stop.send_replace(true);
        while let Some(ended) = self.callers.join_next().await {
            ended.expect("no caller panics");
        }
        self.broken.load(Ordering::Relaxed)
    }
}

fn request(url: &str, key: &str, wish: &Wish, chance: &mut Chance) -> Request<Full<Bytes>> {
    let mut from = |(least, most): (u64, u64)| least + chance.below(most - least + 1);
    let (maximum, takes_ms) = (from(wish.maximum), from(wish.takes_ms));
    let output = from((maximum - maximum / 4, maximum));
    // Four bytes of ASCII are one token by the estimate.
    let (text, prompt) = ("word".repeat(usize::try_from(wish.prompt).expect("small")), wish.prompt);
    let (model, workspace) = (&wish.model, wish.workspace);
    let body = format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"{text}"}}],"max_tokens":{maximum},"user":"{workspace}"}}"#
    );
    Request::post(url)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("x-stand-in", format!("delay-ms={takes_ms}; prompt={prompt}; output={output}"))
        .body(Full::new(Bytes::from(body)))
        .expect("it is a request")
}

/// The answer's headers once all of it is there; else whether the call cannot have reached the gateway.
async fn answered(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<HeaderMap, bool> {
    let (head, body) = client.request(request).await.map_err(|error| error.is_connect())?.into_parts();
    body.collect().await.map_err(|_| false)?;
    Ok(head.headers)
}

fn promised(headers: &HeaderMap) -> Duration {
    let ms = headers.get("retry-after-ms").and_then(|it| it.to_str().ok()?.parse().ok());
    Duration::from_millis(ms.unwrap_or(0))
}
