//! What the process may set.

use std::time::Duration;

/// Sizes and time-outs of the data plane.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of a request's body that are accepted.
    pub body_limit: u64,
    /// Bytes of an uploaded file, its form included, that are accepted.
    pub file_limit: u64,
    /// Bytes of bodies of more than 64 KiB that the process holds at the same time, until their calls have an answer.
    pub held_bytes: usize,
    /// Connections of clients that are held at the same time, on all listeners together.
    pub connections: usize,
    /// Calls that may hold a connection to one provider at the same time.
    pub provider_connections: usize,
    /// Until a connection to a provider stands, TLS included.
    pub connect_timeout: Duration,
    /// Until a provider's first byte.
    pub first_byte_timeout: Duration,
    /// Silence within an answer.
    pub silence_timeout: Duration,
    /// Silence of a client that is sending its head or body, or that takes nothing of its answer.
    pub client_timeout: Duration,
    /// The longest wait that `X-DashScope-Wait-Timeout` can ask for.
    pub max_wait: Duration,
    /// For tests alone: tells the provider the exact instant of each admission, in `x-sluice-admitted-us`.
    pub stamp_admissions: bool,
    /// What running calls get to finish when the process stops.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_limit: 32 << 20,
            file_limit: 512 << 20,
            held_bytes: 1 << 30,
            connections: 8192,
            provider_connections: 8192,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(300),
            silence_timeout: Duration::from_secs(120),
            client_timeout: Duration::from_secs(60),
            max_wait: Duration::from_secs(120),
            stamp_admissions: false,
            drain: Duration::from_secs(30),
        }
    }
}
