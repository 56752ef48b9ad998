//! The headers that Sluice writes, and those it lets pass in either direction.

use bytes::{BufMut, Bytes, BytesMut};
use domain::{Cause, Window};
use http::{HeaderMap, HeaderName, HeaderValue};
use limiter::{Denial, Quota, Standing, Violation};

use crate::{dialect::Dialect, snapshot::Grant};

pub(crate) mod forward;
pub(crate) mod policy;
pub(crate) mod spare;

macro_rules! names {
    ($($name:ident = $text:literal),* $(,)?) => { $(
        pub(crate) static $name: HeaderName = HeaderName::from_static($text);
    )* };
}

names! {
    X_REQUEST_ID = "x-request-id",
    REQUEST_ID = "request-id",
    UPSTREAM_REQUEST_ID = "x-sluice-upstream-request-id",
    SERVER_TIMING = "server-timing",
    ORIGIN = "x-sluice-origin",
    MODEL = "x-sluice-model",
    CAUSE = "x-sluice-cause",
    SCOPE = "x-sluice-scope",
    WINDOW = "x-sluice-window",
    SHOULD_RETRY = "x-should-retry",
    RETRY_AFTER_MS = "retry-after-ms",
    LIMIT_REQUESTS = "x-ratelimit-limit-requests",
    REMAINING_REQUESTS = "x-ratelimit-remaining-requests",
    RESET_REQUESTS = "x-ratelimit-reset-requests",
    LIMIT_TOKENS = "x-ratelimit-limit-tokens",
    REMAINING_TOKENS = "x-ratelimit-remaining-tokens",
    RESET_TOKENS = "x-ratelimit-reset-tokens",
    POLICY = "ratelimit-policy",
    RATELIMIT = "ratelimit",
    ANTHROPIC_REQUESTS_LIMIT = "anthropic-ratelimit-requests-limit",
    ANTHROPIC_REQUESTS_REMAINING = "anthropic-ratelimit-requests-remaining",
    ANTHROPIC_REQUESTS_RESET = "anthropic-ratelimit-requests-reset",
    ANTHROPIC_TOKENS_LIMIT = "anthropic-ratelimit-tokens-limit",
    ANTHROPIC_TOKENS_REMAINING = "anthropic-ratelimit-tokens-remaining",
    ANTHROPIC_TOKENS_RESET = "anthropic-ratelimit-tokens-reset",
    X_API_KEY = "x-api-key",
    ANTHROPIC_VERSION = "anthropic-version",
    ACCEL_BUFFERING = "x-accel-buffering",
    RETRY_COUNT = "x-stainless-retry-count",
    DASHSCOPE_SSE = "x-dashscope-sse",
    DASHSCOPE_ASYNC = "x-dashscope-async",
    WAIT_TIMEOUT = "x-dashscope-wait-timeout",
    WAITED_MS = "x-sluice-waited-ms",
    FALLBACK = "x-sluice-fallback",
}

pub(crate) static TRUE: HeaderValue = HeaderValue::from_static("true");
pub(crate) static FALSE: HeaderValue = HeaderValue::from_static("false");
pub(crate) static JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Writes the values of one answer into one allocation.
#[derive(Debug)]
pub(crate) struct Values(BytesMut);

impl Values {
    pub(crate) fn new() -> Self {
        Self(BytesMut::with_capacity(256))
    }

    /// The value that `write` writes.
    pub(crate) fn value(&mut self, write: impl FnOnce(&mut Line<'_>)) -> HeaderValue {
        let mut line = Line { out: &mut self.0, short: [0; SHORT], length: 0 };
        write(&mut line);
        line.flush();
        let bytes: Bytes = self.0.split().freeze();
        HeaderValue::from_maybe_shared(bytes).expect("only visible ASCII is written")
    }

    pub(crate) fn number(&mut self, n: u64) -> HeaderValue {
        if n == 0 {
            return HeaderValue::from_static("0");
        }
        self.value(|it| it.number(n))
    }
}

const SHORT: usize = 96;
/// Digits of the longest number.
const DIGITS: usize = 20;
/// 00 to 99.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n as usize] = [b'0' + n / 10, b'0' + n % 10];
        n += 1;
    }
    pairs
};

/// One value while it is written. Without `fmt`, which costs more than the rest of a header together, and gathered in
/// place before it is copied once.
pub(crate) struct Line<'a> {
    out: &'a mut BytesMut,
    short: [u8; SHORT],
    length: usize,
}

impl Line<'_> {
    #[inline]
    pub(crate) fn text(&mut self, text: &str) {
        if let Some(room) = self.short.get_mut(self.length..self.length + text.len()) {
            room.copy_from_slice(text.as_bytes());
            self.length += text.len();
        } else {
            self.flush();
            self.out.put_slice(text.as_bytes());
        }
    }

    fn flush(&mut self) {
        self.out.put_slice(&self.short[..self.length]);
        self.length = 0;
    }

    pub(crate) fn number(&mut self, mut n: u64) {
        let mut digits = [0; DIGITS];
        let mut at = DIGITS;
        while n >= 10 {
            at -= 2;
            digits[at..at + 2].copy_from_slice(&PAIRS[(n % 100) as usize]);
            n /= 100;
        }
        // Either nothing was written, or all of an even number of digits.
        if n > 0 || at == DIGITS {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
        }
        let digits = &digits[at..];
        if self.length + digits.len() > SHORT {
            self.flush();
        }
        self.short[self.length..self.length + digits.len()].copy_from_slice(digits);
        self.length += digits.len();
    }

    /// `n` thousandths with no trailing zeros: 12345 is `12.345`, 250 is `0.25`, 3000 is `3`.
    pub(crate) fn thousandths(&mut self, n: u64) {
        self.number(n / 1000);
        let mut rest = n % 1000;
        if rest == 0 {
            return;
        }
        self.text(".");
        for unit in [100, 10, 1] {
            if rest == 0 {
                return;
            }
            self.number(rest / unit);
            rest %= unit;
        }
    }

    /// A duration as `0s`, `417ms`, `12.345s`, `1m0s`, rounded up to the millisecond.
    pub(crate) fn duration(&mut self, us: u64) {
        match us.div_ceil(1000) {
            0 => self.text("0s"),
            ms @ 1..1000 => {
                self.number(ms);
                self.text("ms");
            }
            ms => {
                let (minutes, rest) = (ms / 60_000, ms % 60_000);
                if minutes > 0 {
                    self.number(minutes);
                    self.text("m");
                }
                self.thousandths(rest);
                self.text("s");
            }
        }
    }
}

/// How long an answer was in the making.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timing {
    pub(crate) limiter_us: u64,
    pub(crate) wait_us: u64,
    /// `None`: the provider was not asked.
    pub(crate) upstream_us: Option<u64>,
}

impl Timing {
    pub(crate) fn value(self, values: &mut Values) -> HeaderValue {
        values.value(|it| {
            it.text("limiter;dur=");
            it.thousandths(self.limiter_us);
            it.text(", wait;dur=");
            it.thousandths(self.wait_us);
            if let Some(us) = self.upstream_us {
                it.text(", upstream;dur=");
                it.thousandths(us);
            }
        })
    }
}

/// What the limit headers are made from.
pub(crate) struct Limits<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) grant: &'a Grant,
    pub(crate) standing: &'a Standing,
    /// `None` when the call was admitted.
    pub(crate) denial: Option<&'a Denial>,
    pub(crate) now_ms: i64,
}

impl Limits<'_> {
    /// Adds the headers of everything that reached the limiter.
    pub(crate) fn write(&self, values: &mut Values, headers: &mut HeaderMap) {
        let Standing { requests, tokens } = self.standing;
        let policies = &self.grant.policies;
        if let Some(quota) = requests {
            headers.insert(&LIMIT_REQUESTS, policies.requests(quota));
            headers.insert(&REMAINING_REQUESTS, values.number(quota.remaining));
            headers.insert(&RESET_REQUESTS, values.value(|it| it.duration(quota.reset_us)));
        }
        if let Some(quota) = tokens {
            headers.insert(&LIMIT_TOKENS, policies.tokens(quota));
            headers.insert(&REMAINING_TOKENS, values.number(quota.remaining));
            headers.insert(&RESET_TOKENS, values.value(|it| it.duration(quota.reset_us)));
        }
        if self.dialect == Dialect::Anthropic {
            self.write_anthropic(values, headers);
        }
        let policy = policies.policy(*requests, *tokens);
        match self.denial {
            None if policy.is_empty() => {}
            None => {
                headers.insert(&POLICY, policy.clone());
                let value = values.value(|it| {
                    if let Some(quota) = requests {
                        standing(it, "rpm", quota);
                    }
                    if let Some(quota) = tokens {
                        it.text(if requests.is_some() { ", " } else { "" });
                        standing(it, "tpm", quota);
                    }
                });
                headers.insert(&RATELIMIT, value);
            }
            Some(denial) => {
                let policy = values.value(|it| {
                    it.text(policy.to_str().unwrap_or_default());
                    if let Some(surge) = denial.violations().find(|it| it.cause == Cause::Surge) {
                        it.text(if policy.is_empty() { "\"surge\";q=" } else { ", \"surge\";q=" });
                        it.number(surge.limit);
                        it.text(";w=1");
                    }
                });
                headers.insert(&POLICY, policy);
                headers.insert(&RATELIMIT, values.value(|it| violated(it, denial)));
            }
        }
    }

    fn write_anthropic(&self, values: &mut Values, headers: &mut HeaderMap) {
        let Standing { requests, tokens } = self.standing;
        let mut write = |limit, remaining, reset, quota: &Quota, value: HeaderValue| {
            headers.insert(limit, value);
            headers.insert(remaining, values.number(quota.remaining));
            let at =
                rfc3339(self.now_ms.saturating_add(i64::try_from(quota.reset_us.div_ceil(1000)).unwrap_or(i64::MAX)));
            headers.insert(reset, values.value(|it| it.text(&at)));
        };
        if let Some(quota) = requests {
            let limit = self.grant.policies.requests(quota);
            write(&ANTHROPIC_REQUESTS_LIMIT, &ANTHROPIC_REQUESTS_REMAINING, &ANTHROPIC_REQUESTS_RESET, quota, limit);
        }
        if let Some(quota) = tokens {
            let limit = self.grant.policies.tokens(quota);
            write(&ANTHROPIC_TOKENS_LIMIT, &ANTHROPIC_TOKENS_REMAINING, &ANTHROPIC_TOKENS_RESET, quota, limit);
        }
    }
}

fn standing(line: &mut Line<'_>, name: &str, quota: &Quota) {
    item(line, name, quota.remaining, quota.reset_us);
}

fn item(line: &mut Line<'_>, name: &str, remaining: u64, reset_us: u64) {
    line.text("\"");
    line.text(name);
    line.text("\";r=");
    line.number(remaining);
    line.text(";t=");
    line.number(reset_us.div_ceil(1_000_000));
}

/// Only what is violated, so that no `t` lies after Retry-After.
fn violated(line: &mut Line<'_>, denial: &Denial) {
    let mut seen: Vec<&str> = Vec::with_capacity(2);
    for it in denial.violations() {
        let name = policy_name(it);
        if seen.contains(&name) {
            continue;
        }
        // Of one policy in two scopes, the one that stays longer.
        let same = denial.violations().filter(|other| policy_name(other) == name);
        let stays = |it: &Violation| it.retry_after_us.unwrap_or(u64::MAX);
        let longest = same.reduce(|a, b| if stays(b) > stays(a) { b } else { a }).unwrap_or(it);
        let remaining = longest.limit.saturating_sub(longest.used);
        line.text(if seen.is_empty() { "" } else { ", " });
        line.text("\"");
        line.text(name);
        line.text("\";r=");
        line.number(remaining);
        if let Some(us) = longest.retry_after_us {
            line.text(";t=");
            line.number(us.div_ceil(1_000_000));
        }
        seen.push(name);
    }
}

fn policy_name(violation: &Violation) -> &'static str {
    match (violation.cause, violation.window) {
        (Cause::Surge, _) => "surge",
        (Cause::Requests, Window::Minute) => "rpm",
        (Cause::Requests, Window::Second) => "rps",
        (Cause::Tokens, Window::Minute) => "tpm",
        (Cause::Tokens, Window::Second) => "tps",
    }
}

/// The headers of a 429 that say which limit and when to return.
pub(crate) fn refused(values: &mut Values, headers: &mut HeaderMap, denial: &Denial) {
    let named = &denial.named;
    headers.insert(&CAUSE, HeaderValue::from_static(named.cause.as_str()));
    headers.insert(&SCOPE, HeaderValue::from_static(named.scope.as_str()));
    headers.insert(&WINDOW, HeaderValue::from_static(named.window.as_str()));
    match denial.retry_after_us {
        Some(us) => retry_after(values, headers, us),
        None => drop(headers.insert(&SHOULD_RETRY, FALSE.clone())),
    }
}

/// Come back after `us`: exact milliseconds, and whole seconds rounded up.
pub(crate) fn retry_after(values: &mut Values, headers: &mut HeaderMap, us: u64) {
    headers.insert(&SHOULD_RETRY, TRUE.clone());
    headers.insert(&RETRY_AFTER_MS, values.number(us.div_ceil(1000)));
    headers.insert(http::header::RETRY_AFTER, values.number(us.div_ceil(1_000_000).max(1)));
}

/// An instant in whole seconds, rounded up, as RFC 3339 has it.
pub(crate) fn rfc3339(ms: i64) -> String {
    let seconds = ms.div_euclid(1000) + i64::from(ms.rem_euclid(1000) > 0);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil date from days since 1970, with years that begin in March so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Line<'_>)) -> String {
        Values::new().value(write).to_str().unwrap().to_owned()
    }

    #[test]
    fn durations() {
        for (us, text) in [
            (0, "0s"),
            (1, "1ms"),
            (417_000, "417ms"),
            (999_001, "1s"),
            (12_345_000, "12.345s"),
            (12_300_000, "12.3s"),
            (60_000_000, "1m0s"),
            (59_999_001, "1m0s"),
            (90_040_000, "1m30.04s"),
        ] {
            assert_eq!(written(|it| it.duration(us)), text, "{us}");
        }
    }

    #[test]
    fn numbers() {
        for n in (0..2000).chain((0..20).map(|it| 10_u64.pow(it))).chain([u64::MAX, u64::MAX - 1, 12_345_678_901]) {
            assert_eq!(written(|it| it.number(n)), n.to_string());
            assert_eq!(written(|it| it.number(n.saturating_sub(1))), n.saturating_sub(1).to_string());
        }
    }

    #[test]
    fn timing() {
        let timing = Timing { limiter_us: 40, wait_us: 0, upstream_us: Some(812_300) };
        assert_eq!(timing.value(&mut Values::new()), "limiter;dur=0.04, wait;dur=0, upstream;dur=812.3");
        assert_eq!(Timing::default().value(&mut Values::new()), "limiter;dur=0, wait;dur=0");
    }

    #[test]
    fn instants() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_795_305_600_001), "2026-11-22T00:00:01Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(4_107_542_399_000), "2100-02-28T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_399_001), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_refusal_lists_only_what_is_violated() {
        let violation = |cause, window, us| Violation {
            cause,
            scope: domain::Scope::Workspace,
            window,
            limit: 100,
            used: 100,
            needed: 1,
            retry_after_us: us,
        };
        let denial = |named, others| Denial { named, others, retry_after_us: None };
        let minute = violation(Cause::Requests, Window::Minute, Some(12_345_000));
        assert_eq!(written(|it| violated(it, &denial(minute, vec![]))), r#""rpm";r=0;t=13"#);
        let second = violation(Cause::Tokens, Window::Second, Some(400_000));
        let surge = violation(Cause::Surge, Window::Second, Some(1));
        assert_eq!(
            written(|it| violated(it, &denial(minute, vec![second, minute, surge]))),
            r#""rpm";r=0;t=13, "tps";r=0;t=1, "surge";r=0;t=1"#
        );
        let never = violation(Cause::Tokens, Window::Minute, None);
        assert_eq!(written(|it| violated(it, &denial(never, vec![]))), r#""tpm";r=0"#);
        // A call may need more tokens than are left: those that are left are told. Of two scopes, those of the one named.
        let some_left = Violation { used: 90, needed: 20, ..violation(Cause::Tokens, Window::Minute, Some(1_000_001)) };
        let shorter = Violation { scope: domain::Scope::Account, retry_after_us: Some(1), ..some_left };
        assert_eq!(written(|it| violated(it, &denial(some_left, vec![shorter]))), r#""tpm";r=10;t=2"#);
        let for_good = Violation { used: 90, needed: 200, ..never };
        assert_eq!(written(|it| violated(it, &denial(for_good, vec![]))), r#""tpm";r=10"#);
    }
}
