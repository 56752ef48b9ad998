//! A model provider that stands in for a real one, over real HTTP: OpenAI-compatible, native DashScope and Anthropic
//! answers, streamed or not, at the speed of several models, and every kind of trouble a test asks for.
//! Knows nothing of limits: it takes every call.

mod answer;
mod behaviour;
mod body;
mod call;
mod control;
mod corpus;
mod cut;
mod form;
mod log;
mod pace;
mod request;
mod server;
mod shelf;
mod wire;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::AbortHandle};

pub use behaviour::{Behaviour, Unreadable};
pub use log::{Ending, Log, Received};

/// How a stand-in provider is set up.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Real pace of each model, or everything at once.
    pub speed: Speed,
    /// Chooses lengths, words and delays.
    pub seed: u64,
    /// The only credential that is taken, as bearer or `x-api-key`; `None` takes any and none.
    pub credential: Option<String>,
    /// How many calls the log keeps, oldest dropped first; 0 keeps nothing and costs nothing.
    pub log_capacity: usize,
}

/// How fast answers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// First byte and tokens at the pace of the model asked for, lengths varied.
    Real,
    /// No delay, and every answer has this many tokens of output (unless the call sets a lower maximum).
    Instant {
        /// Tokens of output.
        output: u64,
    },
}

impl ProviderSettings {
    /// For tests: at once, 20 tokens of output, a free port, the last 10,000 calls in the log.
    pub fn instant() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            speed: Speed::Instant { output: 20 },
            seed: 1,
            credential: None,
            log_capacity: 10_000,
        }
    }

    /// For the demo: models with their own speeds and realistic lengths, a free port, no log.
    pub fn real() -> Self {
        Self { speed: Speed::Real, log_capacity: 0, ..Self::instant() }
    }
}

/// A running stand-in provider; it ends, with all its connections, when this is dropped.
#[derive(Debug)]
pub struct Provider {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<server::Shared>,
    acceptor: AbortHandle,
}

impl Provider {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(settings: ProviderSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(server::Shared::new(settings));
        let acceptor = tokio::spawn(server::accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { addr, shared, acceptor })
    }

    /// What a model's provider has as `openai_base_url`.
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/compatible-mode/v1", self.addr)
    }

    /// What a model's provider has as `dashscope_base_url`.
    pub fn dashscope_base_url(&self) -> String {
        format!("http://{}/api/v1", self.addr)
    }

    /// What a model's provider has as `anthropic_base_url`.
    pub fn anthropic_base_url(&self) -> String {
        format!("http://{}/apps/anthropic", self.addr)
    }

    /// The next call without a behaviour of its own shows this one; several are taken in order.
    pub fn next(&self, behaviour: Behaviour) {
        self.shared.script.next(behaviour);
    }

    /// Every call without another behaviour shows this one, until it is replaced.
    pub fn always(&self, behaviour: Behaviour) {
        self.shared.script.always(behaviour);
    }

    /// What arrived.
    pub fn log(&self) -> &Log {
        &self.shared.log
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}
