//! Header maps that were used up, for the next answer on the same thread: a map has room for dozens of headers, more than
//! allocators give and take back cheaply, and the one that was touched last is still in the processor's cache.

use std::cell::RefCell;

use http::HeaderMap;

/// Room of a new map: the headers of most answers.
const ROOM: usize = 24;
/// A map with more room than this belonged to an exceptional head.
const LARGEST: usize = 64;
/// Maps kept for each thread.
const MOST: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map with room.
pub(crate) fn take() -> HeaderMap {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| HeaderMap::with_capacity(ROOM))
}

/// Takes a map that nobody reads any more.
pub(crate) fn give(mut map: HeaderMap) {
    if (ROOM..=LARGEST).contains(&map.capacity()) {
        map.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MOST {
                spare.push(map);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn a_map_comes_back_empty_and_an_exceptional_one_does_not() {
        let mut map = take();
        map.insert(header::HOST, HeaderValue::from_static("a"));
        let room = map.capacity();
        give(map);
        let map = take();
        assert!(map.is_empty() && map.capacity() == room);
        give(HeaderMap::with_capacity(1000));
        give(HeaderMap::new());
        assert!((ROOM..=LARGEST).contains(&take().capacity()));
    }
}
