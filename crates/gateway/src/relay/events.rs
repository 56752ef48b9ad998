//! An event stream: each event passes when its closing blank line is there, and is read on its way.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{Next, Provider};
use crate::{
    deadline::Deadline,
    meter::Run,
    record::Outcome,
    refusal::{self, Failure, Refusal},
    sse::{Read, Splitter},
    upstream::Incoming,
};

pub(crate) struct Events {
    provider: Provider,
    run: Box<Run>,
    request_id: String,
    splitter: Splitter,
    out: VecDeque<Bytes>,
    finished: bool,
}

impl Events {
    pub(crate) fn new(body: Incoming, silence: Deadline, run: Box<Run>, request_id: String) -> Self {
        Self {
            provider: Provider::new(body, silence),
            run,
            request_id,
            splitter: Splitter::default(),
            out: VecDeque::new(),
            finished: false,
        }
    }

    pub(crate) fn run(&mut self) -> &mut Run {
        &mut self.run
    }

    /// Waits until there is an event to pass, or none will come.
    pub(crate) async fn first(&mut self) {
        std::future::poll_fn(|cx| self.fill(cx)).await;
    }

    /// The status of the error that the stream began with.
    pub(crate) fn failed_at_once(&self) -> Option<u16> {
        self.run.error().filter(|_| !self.run.has_content()).map(|it| it.status)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        std::task::ready!(self.fill(cx));
        Poll::Ready(self.out.pop_front())
    }

    /// Reads on until something is there to pass, or the stream has ended.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.out.is_empty() && !self.finished {
            match std::task::ready!(self.provider.poll(cx)) {
                Next::Data(data) => self.splitter.push(data, &mut self.out, |event| self.run.event(event)),
                Next::End => self.end(),
                Next::Broken => self.break_off(Outcome::Broken),
                Next::Silent => self.break_off(Outcome::Timeout),
            }
        }
        Poll::Ready(())
    }

    fn end(&mut self) {
        let rest = self.splitter.rest();
        // Some providers leave the last blank line out.
        if !rest.is_empty() && self.run.event(Read::Whole(&rest)) && self.run.stream_outcome() != Outcome::Broken {
            self.out.push_back(rest);
        }
        let outcome =
            if self.splitter.inside_passed_event() { self.run.stream_outcome() } else { self.run.closed_outcome() };
        if outcome == Outcome::Broken {
            self.break_off(outcome);
        } else {
            self.run.finish(outcome);
            self.finished = true;
        }
    }

    /// Tells the client, in its dialect, that nothing more will come; unless everything has come already.
    fn break_off(&mut self, outcome: Outcome) {
        self.finished = true;
        let so_far = self.run.stream_outcome();
        if so_far != Outcome::Broken {
            self.run.finish(so_far);
            return;
        }
        if self.splitter.inside_event() {
            self.run.began();
        }
        let call = self.run.call();
        let refusal = match outcome {
            Outcome::Timeout => Refusal::Silent {
                provider: call.grant.model.provider.name.as_str(),
                waited: self.provider.silence.length(),
            },
            _ => Refusal::Upstream(Failure::BrokeOff),
        };
        let event = refusal::event(&refusal, call.operation, &self.request_id, self.run.number);
        if self.splitter.inside_passed_event() {
            self.out.push_back(Bytes::from_static(b"\n\n"));
        }
        self.out.push_back(event.into());
        self.run.finish(outcome);
    }
}
