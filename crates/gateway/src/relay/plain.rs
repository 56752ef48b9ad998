//! An answer that is no event stream: passed on as it arrives, while its counts are looked for.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Answer, BrokeOff, Next, Provider};
use crate::{
    deadline::Deadline,
    dialect::{self, Words},
    meter::Run,
    record::Outcome,
    upstream::Incoming,
    usage::{self, Finder},
};

/// As much of an answer as is kept to find an error's cause, or to count words where the provider counts nothing.
const KEPT: usize = 64 << 10;

pub(crate) struct Plain {
    provider: Provider,
    meter: Meter,
    /// What had arrived together with the head.
    arrived: [Option<Bytes>; 2],
    /// It broke off right behind what had arrived.
    broken: bool,
    finished: bool,
}

struct Meter {
    run: Box<Run>,
    status: u16,
    /// The first piece: all of the answer, most times.
    first: Bytes,
    /// Begun with the second piece.
    finder: Option<Box<Finder>>,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    bytes: u64,
}

impl Plain {
    /// The answer with this body: whole and settled if it has arrived with its head, as most do.
    pub(crate) fn answer(mut body: Incoming, silence: Deadline, run: Box<Run>, status: u16) -> Answer {
        let mut meter =
            Meter { run, status, first: Bytes::new(), finder: None, kept: Vec::new(), kept_bytes: 0, bytes: 0 };
        let (mut first, mut second, mut broken) = (None, None, false);
        while second.is_none() {
            match body.arrived() {
                Some(Ok(data)) => {
                    meter.piece(&data);
                    if first.is_none() { first = Some(data) } else { second = Some(data) }
                }
                Some(Err(_)) => {
                    broken = true;
                    break;
                }
                None if body.is_end() => {
                    let outcome = meter.end();
                    meter.run.finish(outcome);
                    return Answer::Whole(first.unwrap_or_default());
                }
                None => break,
            }
        }
        let provider = Provider::new(body, silence);
        Answer::Plain(Box::new(Self { provider, meter, arrived: [first, second], broken, finished: false }))
    }

    /// Ends it without passing it on.
    pub(crate) fn abandon(mut self) {
        let outcome = self.meter.end();
        self.meter.run.finish(outcome);
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        if let Some(data) = self.arrived[0].take().or_else(|| self.arrived[1].take()) {
            self.end_early();
            return Poll::Ready(Some(Ok(data)));
        }
        if self.finished {
            return Poll::Ready(self.broken.then_some(Err(BrokeOff)));
        }
        if self.broken {
            return self.fail(Outcome::Broken, cx);
        }
        let next = std::task::ready!(self.provider.poll(cx));
        Poll::Ready(match next {
            Next::Data(data) => {
                self.meter.piece(&data);
                self.end_early();
                Some(Ok(data))
            }
            Next::End => {
                self.end();
                None
            }
            Next::Broken => return self.fail(Outcome::Broken, cx),
            Next::Silent => return self.fail(Outcome::Timeout, cx),
        })
    }

    /// A body of known length is not asked for more once that length has passed.
    fn end_early(&mut self) {
        if self.arrived[1].is_none() && !self.broken && !self.finished && self.provider.body.is_end() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.finished = true;
        let outcome = self.meter.end();
        self.meter.run.finish(outcome);
    }

    fn fail(&mut self, outcome: Outcome, cx: &Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        self.finished = true;
        self.broken = true;
        self.meter.end();
        self.meter.run.finish(outcome);
        // What has come is written out before the connection is given up: an error now would take it along.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Meter {
    fn piece(&mut self, data: &Bytes) {
        if data.is_empty() {
            return;
        }
        self.bytes += data.len() as u64;
        if self.first.is_empty() {
            self.first = data.clone();
            self.kept_bytes = data.len();
            return;
        }
        let first = &self.first;
        let finder = self.finder.get_or_insert_with(|| {
            let mut finder = Box::<Finder>::default();
            finder.push(first);
            finder
        });
        finder.push(data);
        if self.kept_bytes + data.len() <= KEPT {
            self.kept_bytes += data.len();
            self.kept.push(data.clone());
        }
    }

    /// Tells the call what the body has said so far.
    fn tell(&mut self) {
        let counts = match &self.finder {
            None => usage::in_body(&self.first),
            Some(finder) => finder.counts(),
        };
        let words = match (counts, self.status) {
            (None, ..400) if self.bytes == self.kept_bytes as u64 => dialect::words_of_body(&self.kept()),
            // Too long to be kept and without counts: all of it is taken for text, for less would be too little.
            (None, ..400) => Words { ascii: self.bytes, other: 0 },
            _ => Words::default(),
        };
        self.run.body(counts, words);
        // What came of an error is none of the answer.
        if self.bytes > 0 && self.status < 400 {
            self.run.began();
        }
    }

    fn end(&mut self) -> Outcome {
        self.tell();
        match self.status {
            ..400 => Outcome::Ok,
            status => {
                let cause = if status == 429 { dialect::cause_of(&self.kept()) } else { None };
                Outcome::Provider { status, cause }
            }
        }
    }

    fn kept(&self) -> Bytes {
        if self.kept.is_empty() {
            return self.first.clone();
        }
        let pieces: Vec<&[u8]> = std::iter::once(&self.first).chain(&self.kept).map(|it| &it[..]).collect();
        pieces.concat().into()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // The client has left: what came by then is what the call is settled at.
        if !self.run.is_settled() {
            self.tell();
        }
    }
}
