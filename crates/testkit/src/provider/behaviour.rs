//! What a call may be made to suffer, as values and as one line of text (the header `x-stand-in`).

use std::{collections::VecDeque, str::FromStr, time::Duration};

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The header in which a call asks for a behaviour; gateways pass unknown headers on.
pub(crate) const HEADER: &str = "x-stand-in";

/// How one call is answered, where it differs from a good answer. Read from text like
/// `status=429; header=retry-after:2` or `break-after=3; gap-ms=10`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// `status=N`: this status, with an error body of the dialect unless `body` gives another.
    pub status: Option<u16>,
    /// `body=TEXT`, to the end of the line: this body instead of any other.
    pub body: Option<String>,
    /// `header=NAME:VALUE`, repeatable: further headers of the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `delay-ms=N`: wait before the first byte.
    pub delay: Option<Duration>,
    /// `gap-ms=N`: wait before each further event with content.
    pub gap: Option<Duration>,
    /// `break-after=N`: the connection breaks after N events of a stream, or N bytes of another answer.
    pub break_after: Option<usize>,
    /// `break-inside=N`: as before, with half of the next event already sent.
    pub break_inside: Option<usize>,
    /// `end-after=N`: the stream ends cleanly after N events, unfinished.
    pub end_after: Option<usize>,
    /// `silence-after=N`: nothing more comes after N events, and nothing ends.
    pub silence_after: Option<usize>,
    /// `error-event=N` or `error-event=N:STATUS`: after N events an error event (429 unless said) ends the stream.
    pub error_event: Option<(usize, u16)>,
    /// `no-usage`: counts are left out.
    pub no_usage: bool,
    /// `garbage`: status 200 and a body that is not JSON.
    pub garbage: bool,
    /// `redirect`: status 302 to another place.
    pub redirect: bool,
    /// `close`: the connection is closed before the status line.
    pub close: bool,
    /// `prompt=N`: prompt tokens reported.
    pub prompt: Option<u64>,
    /// `output=N`: tokens of output sent and reported.
    pub output: Option<u64>,
    /// `reports=N`: tokens of output reported, whatever was sent.
    pub reports: Option<u64>,
    /// `split=N`: a stream arrives in pieces of N bytes, wherever events end.
    pub split: Option<usize>,
    /// `crlf`: lines of a stream end in CR LF.
    pub crlf: bool,
}

/// A behaviour that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is no behaviour of the stand-in provider", self.0)
    }
}

impl std::error::Error for Unreadable {}

impl Behaviour {
    /// A plain error of this status.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}

impl FromStr for Behaviour {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut it = Self::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(body) = rest.strip_prefix("body=") {
                it.body = Some(body.to_owned());
                break;
            }
            let (part, after) = rest.split_once(';').unwrap_or((rest, ""));
            rest = after.trim_start();
            let part = part.trim();
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if it.set(name, value).is_none() {
                return Err(Unreadable(part.to_owned()));
            }
        }
        Ok(it)
    }
}

impl Behaviour {
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        let millis = || value.parse().ok().map(Duration::from_millis);
        match name {
            "" => {}
            "status" => self.status = Some(value.parse().ok().filter(|it| (200..=599).contains(it))?),
            "header" => {
                let (name, value) = value.split_once(':')?;
                self.headers.push((name.trim().parse().ok()?, value.trim().parse().ok()?));
            }
            "delay-ms" => self.delay = Some(millis()?),
            "gap-ms" => self.gap = Some(millis()?),
            "break-after" => self.break_after = Some(value.parse().ok()?),
            "break-inside" => self.break_inside = Some(value.parse().ok()?),
            "end-after" => self.end_after = Some(value.parse().ok()?),
            "silence-after" => self.silence_after = Some(value.parse().ok()?),
            "error-event" => {
                let (after, status) = value.split_once(':').unwrap_or((value, "429"));
                self.error_event = Some((after.parse().ok()?, status.parse().ok()?));
            }
            "no-usage" => self.no_usage = true,
            "garbage" => self.garbage = true,
            "redirect" => self.redirect = true,
            "close" => self.close = true,
            "prompt" => self.prompt = Some(value.parse().ok()?),
            "output" => self.output = Some(value.parse().ok()?),
            "reports" => self.reports = Some(value.parse().ok()?),
            "split" => self.split = Some(value.parse().ok().filter(|it| *it > 0)?),
            "crlf" => self.crlf = true,
            _ => return None,
        }
        Some(())
    }
}

/// The behaviours that calls meet which ask for none.
#[derive(Debug, Default)]
pub(crate) struct Script {
    // Read on every call; the lock is taken only when a script was ever given.
    written: AtomicBool,
    state: Mutex<(VecDeque<Behaviour>, Behaviour)>,
}

impl Script {
    pub(crate) fn next(&self, behaviour: Behaviour) {
        self.state.lock().0.push_back(behaviour);
        self.written.store(true, Ordering::Release);
    }

    pub(crate) fn always(&self, behaviour: Behaviour) {
        self.state.lock().1 = behaviour;
        self.written.store(true, Ordering::Release);
    }

    pub(crate) fn take(&self) -> Behaviour {
        if !self.written.load(Ordering::Acquire) {
            return Behaviour::default();
        }
        let (queue, standing) = &mut *self.state.lock();
        queue.pop_front().unwrap_or_else(|| standing.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_behaviour() {
        let it: Behaviour = "status=429; header=retry-after: 2; delay-ms=5; body={\"a\";1}".parse().unwrap();
        assert_eq!(it.status, Some(429));
        assert_eq!(it.headers, [("retry-after".parse().unwrap(), "2".parse().unwrap())]);
        assert_eq!(it.delay, Some(Duration::from_millis(5)));
        assert_eq!(it.body.as_deref(), Some("{\"a\";1}"));
        assert_eq!("error-event=3".parse::<Behaviour>().unwrap().error_event, Some((3, 429)));
        assert_eq!("".parse(), Ok(Behaviour::default()));
    }

    #[test]
    fn a_word_that_means_nothing_is_refused() {
        for text in ["stats=429", "status=42", "break-after=", "split=0", "header=a"] {
            assert_eq!(text.parse::<Behaviour>(), Err(Unreadable(text.to_owned())));
        }
    }

    #[test]
    fn queued_behaviours_come_before_the_standing_one() {
        let script = Script::default();
        assert_eq!(script.take(), Behaviour::default());
        script.always(Behaviour::status(500));
        script.next(Behaviour::status(429));
        let statuses = [script.take().status, script.take().status, script.take().status];
        assert_eq!(statuses, [Some(429), Some(500), Some(500)]);
    }
}
