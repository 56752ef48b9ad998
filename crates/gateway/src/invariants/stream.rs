//! Streams: no byte is changed, none is lost but the event that nobody asked for, and what the meter reads does not
//! depend on how the bytes came.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{pieces, tree::Tree};
use crate::{
    dialect::{Event, Words, read_event},
    route::Operation,
    sse::{Condensed, Lines, Read, Splitter},
};

const OPERATIONS: [Operation; 5] = [
    Operation::Chat,
    Operation::Completions,
    Operation::Responses,
    Operation::Service { embeddings: false },
    Operation::Messages,
];

/// Holds of any stream; the first byte says of what, the second how it is cut.
///
/// # Panics
/// When a byte is changed or lost, or the cutting changes what is read.
pub fn stream(bytes: &[u8]) {
    let Some(([kind, seed], stream)) = bytes.split_first_chunk::<2>() else { return };
    let operation = OPERATIONS[usize::from(*kind) % OPERATIONS.len()];
    let whole = passed(operation, std::iter::once(stream));
    for most in [1, 3, 16, 200] {
        let cut = passed(operation, pieces(stream, most, *seed));
        assert_eq!(cut.events, whole.events, "in pieces of up to {most}");
        assert_eq!(cut.lost(), whole.lost(), "in pieces of up to {most}");
    }
    for event in &whole.seen {
        condensed(operation, event, *seed);
    }
}

/// A stream that has gone through.
#[derive(Default)]
struct Passed {
    /// What was read, of all events that say anything.
    events: Vec<Event>,
    seen: Vec<Vec<u8>>,
    dropped: Vec<Vec<u8>>,
}

impl Passed {
    /// What the client does not get, without the blank line that ends it.
    fn lost(&self) -> Vec<&[u8]> {
        self.dropped.iter().map(|it| it.trim_ascii()).collect()
    }
}

fn passed<'a>(operation: Operation, chunks: impl Iterator<Item = &'a [u8]>) -> Passed {
    let (mut splitter, mut out, mut passed, mut stream, mut expected) =
        (Splitter::default(), VecDeque::new(), Passed::default(), Vec::new(), Vec::new());
    for chunk in chunks {
        stream.extend_from_slice(chunk);
        splitter.push(Bytes::copy_from_slice(chunk), &mut out, |read| {
            // Streams of fuzzers are shorter than an event that passes in pieces.
            let Read::Whole(bytes) = read else { panic!("{read:?}") };
            let event = read_event(operation, &Lines::of(bytes));
            let keep = !event.usage_only;
            if keep {
                expected.extend_from_slice(bytes);
            } else {
                passed.dropped.push(bytes.to_vec());
            }
            passed.seen.push(bytes.to_vec());
            if event != Event::default() {
                passed.events.push(event);
            }
            keep
        });
    }
    let rest = splitter.rest();
    assert_eq!([passed.seen.concat(), rest.to_vec()].concat(), stream, "every byte is in one event");
    assert_eq!(out.iter().flatten().copied().collect::<Vec<u8>>(), expected, "what passes is what came");
    passed
}

/// An event that is read from its short copy says what it says as a whole.
fn condensed(operation: Operation, event: &[u8], seed: u8) {
    let lines: Vec<&[u8]> = event.split(|it| *it == b'\n' || *it == b'\r').filter(|it| !it.is_empty()).collect();
    let data: Vec<&[u8]> = lines.iter().copied().filter(|it| it.starts_with(b"data:")).collect();
    let [data] = data[..] else { return };
    let plain = |it: &[u8]| it.starts_with(b"data:") || !it.iter().any(|it| b"\"{}[]\\".contains(it));
    if !lines.iter().all(|it| plain(it)) || Tree::of(&data[5..]).is_none() {
        return;
    }
    let mut copy = Condensed::default();
    pieces(event, 50, seed).for_each(|it| copy.push(it));
    let (bytes, left_out) = copy.whole().expect("an event that short has a copy");
    let (short, whole) = (read_event(operation, &Lines::of(bytes)), read_event(operation, &Lines::of(event)));
    assert_eq!((short.counts, short.ends_well, short.usage_only), (whole.counts, whole.ends_well, whole.usage_only));
    assert_eq!((short.number, short.error.map(|it| it.status)), (whole.number, whole.error.map(|it| it.status)));
    let words = short.words.and(left_out);
    assert!(words.ascii + words.other >= whole.words.ascii + whole.words.other || left_out == Words::default());
}
