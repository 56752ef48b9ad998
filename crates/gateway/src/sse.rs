//! Event streams: where each event ends, and what its lines are. Passes bytes on as slices of what came, so that an
//! event inside one read is never copied. Knows nothing of what events mean.

use std::{borrow::Cow, collections::VecDeque};

use bytes::{Bytes, BytesMut};

pub(crate) use self::condensed::Condensed;
use crate::dialect::Words;

mod condensed;

/// An event longer than this passes in pieces, and is read from a short copy.
const LARGEST: usize = 64 << 10;

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// What was begun and is not whole yet.
    begun: BytesMut,
    scan: Scan,
    /// The event in hand is too large, and its beginning has passed already.
    oversize: Option<Box<Condensed>>,
}

/// An event, when its end is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read<'a> {
    /// All of it; whether it passes is still open.
    Whole(&'a [u8]),
    /// It has passed in pieces: what is left of it without long texts, and the words of those.
    Condensed(&'a [u8], Words),
    /// It has passed in pieces, and what it said is not known.
    Unread,
}

/// How far the line in hand has been looked at.
#[derive(Clone, Copy, Debug)]
struct Scan {
    line_is_empty: bool,
    after_cr: bool,
    /// The last line ended in CR LF, so a CR alone is half a line end.
    crlf: bool,
    /// The blank line's CR is there, its LF still to come.
    half_blank: bool,
}

impl Default for Scan {
    fn default() -> Self {
        // The stream begins as if a line with something on it were open, so that leading blank lines end nothing twice.
        Self { line_is_empty: true, after_cr: false, crlf: false, half_blank: false }
    }
}

impl Scan {
    /// The offset after the first event's end in `bytes`, if it is there.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if self.half_blank && !bytes.is_empty() {
            self.half_blank = false;
            let length = usize::from(bytes[0] == b'\n');
            *self = Self { crlf: self.crlf, ..Self::default() };
            return Some(length);
        }
        while at < bytes.len() {
            let found = memchr::memchr2(b'\n', b'\r', &bytes[at..]);
            let skipped = found.unwrap_or(bytes.len() - at);
            if skipped > 0 {
                self.line_is_empty = false;
                self.after_cr = false;
                at += skipped;
            }
            let Some(byte) = bytes.get(at) else { break };
            at += 1;
            if *byte == b'\n' && self.after_cr {
                self.after_cr = false;
                self.crlf = true;
                continue;
            }
            if !self.line_is_empty {
                self.line_is_empty = true;
                self.after_cr = *byte == b'\r';
                if *byte == b'\n' {
                    self.crlf = false;
                }
                continue;
            }
            // A blank line.
            if *byte == b'\r' {
                if bytes.get(at) == Some(&b'\n') {
                    at += 1;
                } else if at == bytes.len() && self.crlf {
                    self.half_blank = true;
                    return None;
                }
            }
            *self = Self { crlf: self.crlf, ..Self::default() };
            return Some(at);
        }
        None
    }
}

impl Splitter {
    /// Takes what came. `keep` is shown every event and says whether it passes; what passes is put into `out`.
    pub(crate) fn push(&mut self, mut chunk: Bytes, out: &mut VecDeque<Bytes>, mut keep: impl FnMut(Read<'_>) -> bool) {
        if !self.begun.is_empty() || self.oversize.is_some() {
            let Some(end) = self.scan.end_in(&chunk) else {
                self.go_on(&chunk, out);
                return;
            };
            let rest = chunk.split_off(end);
            if let Some(mut condensed) = self.oversize.take() {
                condensed.push(&chunk);
                out.push_back(chunk);
                keep(condensed.whole().map_or(Read::Unread, |(copy, words)| Read::Condensed(copy, words)));
            } else {
                self.begun.extend_from_slice(&chunk);
                let event = self.begun.split().freeze();
                if keep(Read::Whole(&event)) {
                    out.push_back(event);
                }
            }
            chunk = rest;
        }
        let (mut passes_from, mut at) = (0, 0);
        while let Some(length) = self.scan.end_in(&chunk[at..]) {
            let event = at..at + length;
            at = event.end;
            if !keep(Read::Whole(&chunk[event.clone()])) {
                if passes_from < event.start {
                    out.push_back(chunk.slice(passes_from..event.start));
                }
                passes_from = event.end;
            }
        }
        if passes_from < at {
            out.push_back(chunk.slice(passes_from..at));
        }
        self.go_on(&chunk[at..], out);
    }

    fn go_on(&mut self, begun: &[u8], out: &mut VecDeque<Bytes>) {
        self.begun.extend_from_slice(begun);
        if self.begun.len() > LARGEST && self.oversize.is_none() {
            self.oversize = Some(Box::default());
        }
        if let Some(condensed) = &mut self.oversize
            && !self.begun.is_empty()
        {
            condensed.push(&self.begun);
            out.push_back(self.begun.split().freeze());
        }
    }

    /// Whether bytes of an event that is not whole have passed.
    pub(crate) fn inside_passed_event(&self) -> bool {
        self.oversize.is_some()
    }

    /// Whether an event was begun that is not whole.
    pub(crate) fn inside_event(&self) -> bool {
        !self.begun.is_empty() || self.oversize.is_some()
    }

    /// What was begun when the stream ended.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.begun.split().freeze()
    }
}

/// The lines of one event that somebody reads.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Lines<'a> {
    pub(crate) event: Option<&'a [u8]>,
    pub(crate) id: Option<u64>,
    /// Native streams say the status of each event in a comment.
    pub(crate) status: Option<u16>,
    /// Empty when there is none.
    pub(crate) data: Cow<'a, [u8]>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(event: &'a [u8]) -> Self {
        let mut lines = Self::default();
        let mut any_data = false;
        for line in event.split(|it| *it == b'\n' || *it == b'\r') {
            if let Some(value) = line.strip_prefix(b"data:") {
                let value = value.strip_prefix(b" ").unwrap_or(value);
                if any_data {
                    let data = lines.data.to_mut();
                    data.push(b'\n');
                    data.extend_from_slice(value);
                } else {
                    lines.data = Cow::Borrowed(value);
                    any_data = true;
                }
            } else if let Some(value) = line.strip_prefix(b"event:") {
                lines.event = Some(value.trim_ascii());
            } else if let Some(value) = line.strip_prefix(b"id:") {
                lines.id = number(value);
            } else if let Some(value) = line.strip_prefix(crate::refusal::HEARTBEAT_STATUS.as_bytes()) {
                lines.status = number(value).and_then(|it| u16::try_from(it).ok());
            }
        }
        lines
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]], keep: impl Fn(&[u8]) -> bool) -> (Vec<Vec<u8>>, Vec<u8>, Vec<u8>) {
        let (mut splitter, mut out, mut seen) = (Splitter::default(), VecDeque::new(), Vec::new());
        for chunk in chunks {
            splitter.push(Bytes::copy_from_slice(chunk), &mut out, |event| {
                let Read::Whole(event) = event else { panic!("{event:?}") };
                seen.push(event.to_vec());
                keep(event)
            });
        }
        let passed = out.iter().flatten().copied().collect();
        (seen, passed, splitter.rest().to_vec())
    }

    #[test]
    fn an_event_ends_with_its_blank_line_whatever_the_line_ends_are() {
        for end in ["\n", "\r\n", "\r"] {
            let events =
                ["data: a", "id:1|event:result|data:{}", ": ping"].map(|it| format!("{it}||").replace('|', end));
            let stream = events.concat();
            for size in 1..=stream.len() {
                let chunks: Vec<_> = stream.as_bytes().chunks(size).collect();
                let (seen, passed, rest) = split(&chunks, |_| true);
                let seen: Vec<_> = seen.into_iter().map(|it| String::from_utf8(it).unwrap()).collect();
                assert_eq!(seen, events, "{end:?} in chunks of {size}");
                assert_eq!((passed, rest), (stream.clone().into_bytes(), vec![]));
            }
        }
    }

    #[test]
    fn one_event_is_left_out_and_nothing_else() {
        let stream = b"data: 1\n\ndata: drop\n\ndata: 2\n\ndata: [DONE]\n\n";
        for size in 1..=stream.len() {
            let (_, passed, _) = split(&stream.chunks(size).collect::<Vec<_>>(), |it| it != b"data: drop\n\n");
            assert_eq!(passed, b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
        }
    }

    #[test]
    fn what_was_begun_is_kept_apart() {
        let (seen, passed, rest) = split(&[b"data: 1\n\nda", b"ta: 2\n"], |_| true);
        assert_eq!((seen.len(), passed, rest), (1, b"data: 1\n\n".to_vec(), b"data: 2\n".to_vec()));
    }

    #[test]
    fn a_large_event_passes_in_pieces_and_is_read_without_its_texts() {
        let large = [b"data: \"".to_vec(), vec![b'x'; 200_000], b"\"\n\n".to_vec(), b"data: 2\n\n".to_vec()].concat();
        let mut splitter = Splitter::default();
        let (mut out, mut seen, mut most) = (VecDeque::new(), Vec::new(), 0);
        for chunk in large.chunks(1000) {
            splitter.push(Bytes::copy_from_slice(chunk), &mut out, |event| {
                seen.push(match event {
                    Read::Whole(event) => (event.len(), 0),
                    Read::Condensed(event, words) => (event.len(), words.ascii),
                    Read::Unread => panic!("it is one text"),
                });
                true
            });
            most = most.max(splitter.begun.len());
        }
        assert_eq!(out.iter().flatten().copied().collect::<Vec<u8>>(), large);
        let [(condensed, words), small] = seen[..] else { panic!("{seen:?}") };
        assert_eq!((condensed as u64 + words, small), (200_010, (9, 0)));
        assert!(condensed < 300 && most <= LARGEST + 1000);
    }

    #[test]
    fn lines() {
        let native = b"id:7\nevent:error\n:HTTP_STATUS/429\ndata:{\"a\":1}\n\n";
        let found = Lines::of(native);
        assert_eq!((found.id, found.status, found.event), (Some(7), Some(429), Some(&b"error"[..])));
        assert_eq!(&*found.data, br#"{"a":1}"#);
        assert_eq!(&*Lines::of(b"data: a\r\ndata: b\r\n\r\n").data, b"a\nb");
        assert_eq!(&*Lines::of(b"data:\n\n").data, b"");
    }

    proptest! {
        #[test]
        fn cutting_changes_no_byte(stream in "[\r\n a:]{0,60}", size in 1_usize..8) {
            let (seen, passed, rest) = split(&stream.as_bytes().chunks(size).collect::<Vec<_>>(), |_| true);
            let whole = split(&[stream.as_bytes()], |_| true);
            prop_assert_eq!([passed.clone(), rest].concat(), stream.as_bytes());
            prop_assert_eq!(seen.concat(), passed);
            if !stream.contains('\r') {
                prop_assert_eq!(seen, whole.0);
            }
        }
    }
}
