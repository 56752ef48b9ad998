//! One admitted call while it runs: what its answer has shown so far, and the one settlement and record at its end.

use std::sync::Arc;

use limiter::{Denial, Micros, Permit, Settlement};
use uuid::Uuid;

use crate::{
    dialect::{self, ProviderError, Words},
    gateway::Running,
    record::{CallRecord, Caller, Lane, Outcome, Record, Refused, Tokens},
    refusal::broken,
    route::Operation,
    snapshot::Grant,
    sse::{Lines, Read},
    usage::Counts,
};

/// Settles in `Drop`: a call that is dropped was left by its client.
#[derive(Debug)]
pub(crate) struct Run {
    running: Running,
    call: Call,
    /// `None` once settled.
    permit: Option<Permit>,
    ratio: f64,
    counts: Option<Counts>,
    words: Words,
    /// Words have passed since the last counts, or an event that nobody could read.
    behind: bool,
    /// An event was too large to be told, which may have been the last.
    unread: bool,
    /// Something of an answer has come, be it empty.
    began: bool,
    ttft_us: Option<u64>,
    ends_well: bool,
    done: bool,
    fell_back: bool,
    error: Option<ProviderError>,
    /// The id or sequence number of the last event that had one.
    pub(crate) number: Option<u64>,
}

/// What is known of a call when it is admitted.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) caller: Arc<Caller>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) request_id: Uuid,
    pub(crate) arrived: Micros,
    pub(crate) started_at_ms: i64,
    pub(crate) streamed: bool,
    pub(crate) client_retries: u32,
    /// Each native frame holds what is new, not the whole text so far.
    pub(crate) incremental: bool,
    /// The client did not ask for the event that holds nothing but counts.
    pub(crate) strip_usage: bool,
}

impl Call {
    /// The record of this call; `tokens` are what it was settled at.
    pub(crate) fn record(
        &self,
        outcome: Outcome,
        tokens: Tokens,
        ttft_us: Option<u64>,
        fell_back: bool,
        now: Micros,
    ) -> Record {
        Record::Call(self.described(outcome, tokens, ttft_us, fell_back, now))
    }

    /// The record of this call when a limit refused it.
    pub(crate) fn refused(&self, denial: &Denial, fell_back: bool, now: Micros) -> Record {
        let named = denial.named;
        let outcome = Outcome::Refused(Refused {
            cause: named.cause,
            scope: named.scope,
            window: named.window,
            limit: named.limit,
            used: named.used,
            needed: named.needed,
            retry_after_us: denial.retry_after_us,
        });
        let also_broken = denial.others.iter().map(broken).collect();
        Record::Call(CallRecord { also_broken, ..self.described(outcome, Tokens::default(), None, fell_back, now) })
    }

    fn described(
        &self,
        outcome: Outcome,
        tokens: Tokens,
        ttft_us: Option<u64>,
        fell_back: bool,
        now: Micros,
    ) -> CallRecord {
        CallRecord {
            caller: Arc::clone(&self.caller),
            model: Arc::clone(&self.grant.model.code),
            request_id: self.request_id,
            lane: Lane::Limited,
            started_at_ms: self.started_at_ms,
            outcome,
            also_broken: Vec::new(),
            latency_us: now.since(self.arrived),
            ttft_us,
            tokens,
            streamed: self.streamed,
            fell_back,
            client_retries: self.client_retries,
        }
    }
}

impl Run {
    /// When the call was admitted, by the ledger's clock; 0 once it is settled.
    pub(crate) fn admitted_at(&self) -> Micros {
        self.permit.as_ref().map_or(Micros(0), Permit::admitted_at)
    }

    /// In a place of its own: it is handed on from the admission to the end of the answer.
    pub(crate) fn new(running: Running, call: Call, permit: Permit) -> Box<Self> {
        // Only streams are counted while they pass; the ratio costs a lock.
        let ratio = if call.streamed { call.grant.cell.learned().ratio } else { 1.0 };
        Box::new(Self {
            running,
            call,
            permit: Some(permit),
            ratio,
            counts: None,
            words: Words::default(),
            behind: false,
            unread: false,
            began: false,
            ttft_us: None,
            ends_well: false,
            done: false,
            fell_back: false,
            error: None,
            number: None,
        })
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    fn now(&self) -> Micros {
        self.running.gateway().clock.now()
    }

    /// Reads one event of the stream; whether it passes to the client.
    pub(crate) fn event(&mut self, read: Read<'_>) -> bool {
        let (bytes, left_out) = match read {
            Read::Whole(bytes) => (bytes, Words::default()),
            Read::Condensed(bytes, left_out) => (bytes, left_out),
            Read::Unread => {
                (self.unread, self.behind, self.began) = (true, true, true);
                return true;
            }
        };
        let lines = Lines::of(bytes);
        self.done |= &*lines.data == b"[DONE]";
        let mut event = dialect::read_event(self.call.operation, &lines);
        if !event.words.is_empty() {
            event.words = event.words.and(left_out);
        }
        if event.has_content && self.ttft_us.is_none() {
            self.ttft_us = Some(self.now().since(self.call.arrived));
        }
        self.ends_well |= event.ends_well;
        self.began |= event.error.is_none();
        self.error = self.error.or(event.error);
        self.number = event.number.or(self.number);
        let cumulative = matches!(self.call.operation, Operation::Service { .. }) && !self.call.incremental;
        self.words = if cumulative { self.words.or_longer(event.words) } else { self.words.and(event.words) };
        self.behind |= !event.words.is_empty();
        if let Some(counts) = event.counts {
            self.behind &= counts.output.is_none();
            self.counts = Some(self.counts.map_or(counts, |it| it.replaced_by(counts)));
        }
        let output = self.output();
        if let Some(permit) = &mut self.permit {
            permit.counted(output);
        }
        !(event.usage_only && self.call.strip_usage)
    }

    /// Something of an answer has come that could not be read.
    pub(crate) fn began(&mut self) {
        self.began = true;
    }

    /// The backup has taken over.
    pub(crate) fn give_up(&mut self) {
        self.fell_back = true;
    }

    /// The error that the stream has shown so far.
    pub(crate) fn error(&self) -> Option<ProviderError> {
        self.error
    }

    /// Whether the stream has shown anything of an answer.
    pub(crate) fn has_content(&self) -> bool {
        self.ttft_us.is_some()
    }

    /// The answer turned out to be no stream.
    pub(crate) fn no_stream(&mut self) {
        self.call.strip_usage = false;
    }

    /// Takes what a body that is no stream has said.
    pub(crate) fn body(&mut self, counts: Option<Counts>, words: Words) {
        self.counts = counts;
        self.words = words;
    }

    /// Whether it was settled already.
    pub(crate) fn is_settled(&self) -> bool {
        self.permit.is_none()
    }

    /// Output tokens so far: the provider's running count, else bytes times the ratio; the larger of both while words
    /// have passed that the count does not know.
    fn output(&self) -> u64 {
        let prompt = self.permit.as_ref().map_or(0, Permit::prompt);
        match self.counts {
            // Everything beyond the prompt estimate, for that is what the charge is raised by.
            Some(counts) if counts.output.is_some() => {
                let reported = counts.total_tokens().saturating_sub(prompt);
                if self.behind { reported.max(self.words.tokens(self.ratio)) } else { reported }
            }
            _ => self.words.tokens(self.ratio),
        }
    }

    /// How a stream would end that came to its end now.
    pub(crate) fn stream_outcome(&self) -> Outcome {
        match self.error {
            Some(ProviderError { status, cause }) => Outcome::Provider { status, cause },
            None if self.ends_well => Outcome::Ok,
            None => Outcome::Broken,
        }
    }

    /// How a stream ended that was closed as it should be: its last event may have been one that nobody could read.
    pub(crate) fn closed_outcome(&self) -> Outcome {
        match self.stream_outcome() {
            Outcome::Broken if self.unread => Outcome::Ok,
            outcome => outcome,
        }
    }

    /// Settles and records. Only the first time counts.
    pub(crate) fn finish(&mut self, outcome: Outcome) {
        let output = self.output();
        let Some(permit) = self.permit.take() else { return };
        let prompt = permit.prompt();
        let counted = prompt.saturating_add(self.words.tokens(self.ratio));
        let (settlement, tokens) = match self.counts {
            Some(counts) if !self.behind || counts.total_tokens() >= counted => {
                let (reported, total) = (counts.prompt_tokens(), counts.total_tokens());
                let prompt = reported.unwrap_or(prompt).min(total);
                let output = counts.output.unwrap_or(total - prompt);
                let ended_well = outcome == Outcome::Ok;
                let exact = Settlement::Exact { prompt: reported, total, ended_well };
                (exact, Tokens { prompt, output, total, estimated: false })
            }
            None if !self.began && outcome.failed() => (Settlement::Nothing, Tokens::default()),
            _ => {
                let total = prompt.saturating_add(output);
                (Settlement::AtLeast { output }, Tokens { prompt, output, total, estimated: true })
            }
        };
        permit.settle(settlement);
        self.running.gateway().queues.changed(&self.call.grant.cell);
        let record = self.call.record(outcome, tokens, self.ttft_us, self.fell_back, self.now());
        self.running.gateway().records.push(record);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Clients hang up on a stream as soon as they have read its last event.
        let complete = self.done || (self.ends_well && self.counts.is_some());
        let left = self.running.gateway().outcome_of_dropped();
        self.finish(if complete && self.error.is_none() { Outcome::Ok } else { left });
    }
}
