//! Request ids: UUID version 7 in lower case. They tell calls apart; nothing is secret about them.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

use bytes::Bytes;
use http::HeaderValue;
use uuid::{Builder, Uuid};

/// The id of one call.
#[derive(Clone, Debug)]
pub(crate) struct RequestId {
    pub(crate) uuid: Uuid,
    pub(crate) header: HeaderValue,
}

impl RequestId {
    /// A new id for a call that came in at `now_ms`.
    pub(crate) fn new(now_ms: i64) -> Self {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&next().to_le_bytes());
        random[8..].copy_from_slice(&next().to_le_bytes()[..2]);
        let uuid = Builder::from_unix_timestamp_millis(now_ms.unsigned_abs(), &random).into_uuid();
        let mut text = [0; 36];
        let text = Bytes::copy_from_slice(uuid.hyphenated().encode_lower(&mut text).as_bytes());
        Self { uuid, header: HeaderValue::from_maybe_shared(text).expect("digits and hyphens make a header value") }
    }

    /// The id as it reads.
    pub(crate) fn as_str(&self) -> &str {
        self.header.to_str().expect("digits and hyphens")
    }
}

/// SplitMix64, seeded from the system once for each thread: reading the system's randomness for every call costs more
/// than all the rest of the id.
fn next() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
    }
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_in_lower_case_and_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| RequestId::new(1_795_305_600_123).uuid).collect();
        assert_eq!(ids.len(), 10_000);
        let id = RequestId::new(1_795_305_600_123);
        assert_eq!(id.uuid.get_version_num(), 7);
        assert_eq!(id.uuid.get_timestamp().unwrap().to_unix(), (1_795_305_600, 123_000_000));
        assert_eq!(id.as_str(), id.as_str().to_lowercase());
        assert_eq!(id.as_str().parse::<Uuid>().unwrap(), id.uuid);
    }
}
