//! What arrived at the stand-in provider, for tests to read and to wait for.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use tokio::sync::watch;

/// One call as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Counts from 0 in the order of arrival.
    pub number: u64,
    /// Which connection it came on, counted from 0: shows whether connections are kept.
    pub connection: u64,
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// All headers, names in lower case.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When the body was complete.
    pub at: Instant,
    /// How and when it ended; `None` while it runs.
    pub ended: Option<(Ending, Instant)>,
}

/// How a call ended, seen from the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last byte was handed to the connection.
    Answered,
    /// The provider broke off, as it was told to.
    Broken,
    /// The other side went away before the answer was complete.
    HungUp,
}

/// The calls that arrived, oldest first.
#[derive(Debug)]
pub struct Log {
    capacity: usize,
    calls: Mutex<VecDeque<Received>>,
    changed: watch::Sender<()>,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, calls: Mutex::default(), changed: watch::Sender::default() }
    }

    /// Everything kept so far.
    pub fn received(&self) -> Vec<Received> {
        self.calls.lock().iter().cloned().collect()
    }

    /// Forgets what arrived; numbers go on.
    pub fn clear(&self) {
        self.calls.lock().clear();
    }

    /// Waits until the calls kept satisfy `condition`, and returns them.
    pub async fn wait_until(&self, condition: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut changes = self.changed.subscribe();
        loop {
            let calls = self.received();
            if condition(&calls) {
                return calls;
            }
            changes.changed().await.expect("the log owns the sender");
        }
    }

    /// Notes a call; the token ends it. `None` when nothing is kept.
    pub(crate) fn note(self: &Arc<Self>, call: impl FnOnce() -> Received) -> Option<Running> {
        if self.capacity == 0 {
            return None;
        }
        let call = call();
        let number = call.number;
        let mut calls = self.calls.lock();
        if calls.len() == self.capacity {
            calls.pop_front();
        }
        calls.push_back(call);
        drop(calls);
        self.changed.send_replace(());
        Some(Running { log: Arc::clone(self), number, ended: false })
    }

    fn end(&self, number: u64, ending: Ending) {
        let mut calls = self.calls.lock();
        if let Some(call) = calls.iter_mut().rev().find(|it| it.number == number) {
            call.ended = Some((ending, Instant::now()));
        }
        drop(calls);
        self.changed.send_replace(());
    }
}

/// A call in the log that has not ended. Dropped without a word, the other side has hung up.
#[derive(Debug)]
pub(crate) struct Running {
    log: Arc<Log>,
    number: u64,
    ended: bool,
}

impl Running {
    pub(crate) fn end(mut self, ending: Ending) {
        self.ended = true;
        self.log.end(self.number, ending);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.log.end(self.number, Ending::HungUp);
        }
    }
}
