//! An answer that is no event stream: passed on as it arrives, while its counts are looked for.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Answer, BrokeOff, Next, Provider};
use crate::{
    dialect::{self, Words},
    meter::Run,
    record::Outcome,
    upstream::Lease,
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
    run: Run,
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
    pub(crate) fn answer(mut body: Incoming, lease: Lease, patience: Duration, run: Run, status: u16) -> Answer {
        let mut meter =
            Meter { run, status, first: Bytes::new(), finder: None, kept: Vec::new(), kept_bytes: 0, bytes: 0 };
        let (mut first, mut second, mut broken) = (None, None, false);
        while second.is_none() {
            let next = if body.is_end_stream() { Some(None) } else { body.frame().now_or_never() };
            match next {
                Some(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    meter.piece(&data);
                    if first.is_none() { first = Some(data) } else { second = Some(data) }
                }
                Some(None) => {
                    let outcome = meter.end();
                    meter.run.finish(outcome);
                    lease.give_back(meter.run.now());
                    return Answer::Whole(first.unwrap_or_default());
                }
                Some(Some(Err(_))) => {
                    broken = true;
                    break;
                }
                None => break,
            }
        }
        let provider = Provider::new(body, lease, patience);
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
        if self.broken && !self.finished {
            return Poll::Ready(self.fail(Outcome::Broken));
        }
        if self.finished {
            return Poll::Ready(None);
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
            Next::Broken => self.fail(Outcome::Broken),
            Next::Silent => self.fail(Outcome::Timeout),
        })
    }

    /// A body of known length is not asked for more once that length has passed.
    fn end_early(&mut self) {
        if self.arrived[1].is_none() && !self.broken && !self.finished && self.provider.body.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.finished = true;
        let outcome = self.meter.end();
        self.meter.run.finish(outcome);
        self.provider.give_back(self.meter.run.now());
    }

    fn fail(&mut self, outcome: Outcome) -> Option<Result<Bytes, BrokeOff>> {
        self.finished = true;
        self.meter.end();
        self.meter.run.finish(outcome);
        Some(Err(BrokeOff))
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

    fn end(&mut self) -> Outcome {
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
