//! What is taken from a client before anything is decided: its key and its body.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use self::budget::Budget;
pub(crate) use self::budget::Held;
use crate::{
    dialect::Dialect,
    headers,
    refusal::{Refusal, Undecided},
    snapshot::KeyDigest,
};

mod budget;

/// The digest of the key that a call carries.
pub(crate) fn key(dialect: Dialect, headers: &HeaderMap) -> Option<KeyDigest> {
    if dialect == Dialect::Anthropic
        && let Some(key) = headers.get(&headers::X_API_KEY)
    {
        return Some(KeyDigest::of(key.as_bytes().trim_ascii()));
    }
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| KeyDigest::of(key.trim_ascii()))
}

/// What can be said of a body before a byte of it is read.
pub(crate) fn check(headers: &HeaderMap, body: &Incoming, limit: u64) -> Result<(), Refusal<'static>> {
    if body.size_hint().lower() > limit {
        return Err(Refusal::TooLarge(limit));
    }
    let plain = |it: &http::HeaderValue| it.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Err(Refusal::Encoded);
    }
    Ok(())
}

/// Bytes a second that a client must send once its patience is used up.
const SLOWEST: u64 = 16 << 10;
/// Bodies up to this length are bounded by the number of connections.
const SMALL: usize = 64 << 10;
/// Bytes of all larger bodies in the process.
static BODIES: Budget = Budget::of(1 << 30);

/// Sets how many bytes of larger bodies the process may hold.
pub(crate) fn hold_at_most(bytes: usize) {
    BODIES.limit(bytes);
}

/// A share of the memory for bodies, for what is held of one that passes.
pub(crate) fn share() -> Held {
    BODIES.share()
}

/// Reads a whole body. One that arrived in one piece is not copied. Its memory is accounted for until the share is
/// dropped.
///
/// # Errors
/// Larger than `limit`, broken off, nothing came for `patience`, slower than is bearable, or no room.
pub(crate) async fn read(
    body: &mut Incoming,
    limit: u64,
    patience: Duration,
) -> Result<(Bytes, Held), Refusal<'static>> {
    let mut held = BODIES.share();
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    let mut started = None;
    loop {
        if body.is_end_stream() {
            break;
        }
        let so_far = first.as_ref().map_or(all.len(), Bytes::len);
        let frame = match body.frame().now_or_never() {
            Some(arrived) => arrived,
            None => {
                let now = Instant::now();
                let until = until(*started.get_or_insert(now), now, so_far as u64, patience);
                match tokio::time::timeout_at(until, body.frame()).await {
                    Ok(arrived) => arrived,
                    Err(_) => return Err(Refusal::Unreadable),
                }
            }
        };
        let Some(frame) = frame else { break };
        let Ok(frame) = frame else { return Err(Refusal::Unreadable) };
        let Ok(data) = frame.into_data() else { continue };
        let length = so_far + data.len();
        if length as u64 > limit {
            return Err(Refusal::TooLarge(limit));
        }
        if length > SMALL && !held.raise(length) {
            return Err(Refusal::Undecided(Undecided::Full));
        }
        if all.is_empty() && first.is_none() {
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            // What is only announced takes no memory; the buffer doubles as bytes come.
            let expected = body.size_hint().exact().map_or(0, |it| usize::try_from(it).unwrap_or(SMALL).min(SMALL));
            all.reserve(length + expected);
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok((first.unwrap_or_else(|| all.freeze()), held))
}

/// Until when the next bytes are waited for: no silence is longer than `patience`, and all of the body takes no longer
/// than that and the time that its bytes so far have earned.
pub(crate) fn until(started: Instant, now: Instant, so_far: u64, patience: Duration) -> Instant {
    let earned = Duration::from_millis(so_far * 1000 / SLOWEST);
    (started + patience + earned).min(now + patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_take_the_time_that_it_has_earned() {
        let (start, patience) = (Instant::now(), Duration::from_secs(60));
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(until(start, start, 0, patience), after(60));
        assert_eq!(until(start, after(59), 1, patience), after(60), "a byte now and then earns nothing");
        assert_eq!(until(start, after(59), 32 << 10, patience), after(62));
        assert_eq!(until(start, after(1), 32 << 20, patience), after(61), "silence is bounded by itself");
    }
}
