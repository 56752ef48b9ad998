//! An answer that passes without being metered: of files, batches and tasks.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use domain::ModelCode;
use limiter::Micros;
use uuid::Uuid;

use super::{BrokeOff, Next, Provider};
use crate::{
    deadline::Deadline,
    gateway::Running,
    record::{CallRecord, Caller, Lane, Outcome, Record, Tokens},
    upstream::Incoming,
};

/// What will be recorded of a call that is not limited. Recorded once, in `Drop` at the latest: a call that is dropped
/// was left by its client.
pub(crate) struct Note {
    pub(crate) running: Running,
    pub(crate) caller: Arc<Caller>,
    /// The model, or the word for what was asked for where that is of none or of several.
    pub(crate) model: Arc<ModelCode>,
    pub(crate) request_id: Uuid,
    pub(crate) lane: Lane,
    pub(crate) arrived: Micros,
    pub(crate) started_at_ms: i64,
    pub(crate) client_retries: u32,
    /// What a batch said it had used, the first time that it said so.
    pub(crate) tokens: Tokens,
    pub(crate) recorded: bool,
}

impl Note {
    /// Only the first time counts.
    pub(crate) fn finish(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.recorded, true) || self.lane == Lane::Free {
            return;
        }
        let gateway = self.running.gateway();
        gateway.records.push(Record::Call(CallRecord {
            caller: Arc::clone(&self.caller),
            model: Arc::clone(&self.model),
            request_id: self.request_id,
            lane: self.lane,
            started_at_ms: self.started_at_ms,
            outcome,
            also_broken: Vec::new(),
            latency_us: gateway.clock.now().since(self.arrived),
            ttft_us: None,
            tokens: self.tokens,
            streamed: false,
            fell_back: false,
            client_retries: self.client_retries,
        }));
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let outcome = self.running.gateway().outcome_of_dropped();
        self.finish(outcome);
    }
}

pub(crate) struct Passed {
    provider: Provider,
    note: Note,
    /// How the call ends when all of it has passed.
    outcome: Outcome,
    failed: bool,
}

impl Passed {
    pub(crate) fn new(body: Incoming, silence: Deadline, note: Note, outcome: Outcome) -> Self {
        Self { provider: Provider::new(body, silence), note, outcome, failed: false }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        if self.failed {
            return Poll::Ready(Some(Err(BrokeOff)));
        }
        let outcome = match std::task::ready!(self.provider.poll(cx)) {
            Next::Data(data) => {
                // A body of known length is not asked for more once that length has passed.
                if self.provider.body.is_end() {
                    self.note.finish(self.outcome);
                }
                return Poll::Ready(Some(Ok(data)));
            }
            Next::End => {
                self.note.finish(self.outcome);
                return Poll::Ready(None);
            }
            Next::Broken => Outcome::Broken,
            Next::Silent => Outcome::Timeout,
        };
        self.note.finish(outcome);
        self.failed = true;
        // What has come is written out before the connection is given up: an error now would take it along.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
