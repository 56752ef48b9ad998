//! What is taken from a client before anything is decided: its key and its body.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{dialect::Dialect, headers, refusal::Refusal, snapshot::KeyDigest};

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

/// Reads a whole body. One that arrived in one piece is not copied.
///
/// # Errors
/// Larger than `limit`, broken off, or nothing came for `patience`.
pub(crate) async fn read(body: &mut Incoming, limit: u64, patience: Duration) -> Result<Bytes, Refusal<'static>> {
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    loop {
        if body.is_end_stream() {
            break;
        }
        let frame = match body.frame().now_or_never() {
            Some(arrived) => arrived,
            None => match tokio::time::timeout(patience, body.frame()).await {
                Ok(arrived) => arrived,
                Err(_) => return Err(Refusal::Unreadable),
            },
        };
        let Some(frame) = frame else { break };
        let Ok(frame) = frame else { return Err(Refusal::Unreadable) };
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(all.len(), Bytes::len);
        if (so_far + data.len()) as u64 > limit {
            return Err(Refusal::TooLarge(limit));
        }
        if all.is_empty() && first.is_none() {
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            let expected = body.size_hint().exact().unwrap_or(0).min(limit);
            all.reserve(first.len() + data.len() + usize::try_from(expected).unwrap_or(0));
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}
