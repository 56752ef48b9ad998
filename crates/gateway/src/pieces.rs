//! The body that goes to the provider: the client's own bytes, with splices where the wire contract allows them.

use std::{collections::VecDeque, ops::Range};

use bytes::{Buf, Bytes};

use crate::request::StreamOptions;

/// A body in one or more pieces, none of them copied.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
    length: u64,
}

/// One change: these bytes of the body are replaced.
#[derive(Clone, Debug)]
pub(crate) struct Splice {
    pub(crate) range: Range<usize>,
    pub(crate) by: Bytes,
}

impl Pieces {
    /// The body as it came.
    pub(crate) fn whole(body: Bytes) -> Self {
        Self { length: body.len() as u64, first: Some(body).filter(|it| !it.is_empty()), rest: VecDeque::new() }
    }

    /// These pieces, one behind the other.
    pub(crate) fn of(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let mut rest: VecDeque<Bytes> = pieces.into_iter().filter(|it| !it.is_empty()).collect();
        Self { length: rest.iter().map(|it| it.len() as u64).sum(), first: rest.pop_front(), rest }
    }

    /// The body with `splices`, which do not overlap.
    pub(crate) fn spliced(body: &Bytes, mut splices: Vec<Splice>) -> Self {
        splices.sort_by_key(|it| it.range.start);
        let mut pieces = VecDeque::with_capacity(2 * splices.len() + 1);
        let mut at = 0;
        for Splice { range, by } in splices {
            pieces.push_back(body.slice(at..range.start));
            pieces.push_back(by);
            at = range.end;
        }
        pieces.push_back(body.slice(at..));
        pieces.retain(|it| !it.is_empty());
        let length = pieces.iter().map(|it| it.len() as u64).sum();
        Self { first: pieces.pop_front(), rest: pieces, length }
    }

    /// Bytes in all pieces that are left.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The next bytes; empty at the end.
    pub(crate) fn front(&self) -> &[u8] {
        self.first.as_deref().unwrap_or_default()
    }

    /// Passes so many of them.
    pub(crate) fn advance(&mut self, count: usize) {
        let Some(first) = &mut self.first else { return };
        self.length -= count as u64;
        first.advance(count);
        if first.is_empty() {
            self.first = self.rest.pop_front();
        }
    }
}

/// The splice that asks the provider for counts, unless the client asked by itself.
pub(crate) fn include_usage(options: &StreamOptions, closing: usize) -> Option<Splice> {
    let splice = |range, by: &'static str| Some(Splice { range, by: Bytes::from_static(by.as_bytes()) });
    match options {
        StreamOptions::Absent => splice(closing..closing, r#","stream_options":{"include_usage":true}"#),
        StreamOptions::Null(span) => splice(span.clone(), r#"{"include_usage":true}"#),
        StreamOptions::Without { after_brace, has_keys: true } => {
            splice(*after_brace..*after_brace, r#""include_usage":true,"#)
        }
        StreamOptions::Without { after_brace, has_keys: false } => {
            splice(*after_brace..*after_brace, r#""include_usage":true"#)
        }
        StreamOptions::Off(span) => splice(span.clone(), "true"),
        StreamOptions::On => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Shape, read};

    fn asked(body: &'static str) -> String {
        let fields = read(body.as_bytes(), Shape::Chat).unwrap();
        let splices = include_usage(&fields.stream_options, fields.closing).into_iter().collect();
        let pieces = Pieces::spliced(&Bytes::from_static(body.as_bytes()), splices);
        let length = pieces.length();
        let text = written(pieces);
        assert_eq!(text.len() as u64, length);
        text
    }

    fn written(mut pieces: Pieces) -> String {
        let mut bytes = Vec::new();
        while !pieces.front().is_empty() {
            let count = pieces.front().len().min(3);
            bytes.extend_from_slice(&pieces.front()[..count]);
            pieces.advance(count);
        }
        assert_eq!(pieces.length(), 0);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_provider_is_asked_for_counts() {
        for (body, expected) in [
            (
                r#"{"model":"m","stream":true} "#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}} "#,
            ),
            (
                r#"{"model":"m","stream_options": null,"a":{}}"#,
                r#"{"model":"m","stream_options": {"include_usage":true},"a":{}}"#,
            ),
            (r#"{"stream_options":{ },"model":"m"}"#, r#"{"stream_options":{"include_usage":true },"model":"m"}"#),
            (
                r#"{"stream_options":{"x":1},"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true,"x":1},"model":"m"}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":false},"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true},"model":"m"}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":null},"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true},"model":"m"}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":true},"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true},"model":"m"}"#,
            ),
        ] {
            assert_eq!(asked(body), expected);
        }
    }

    #[test]
    fn splices_are_put_in_by_position() {
        let body = Bytes::from_static(b"0123456789");
        let splice = |range, by: &'static str| Splice { range, by: Bytes::from_static(by.as_bytes()) };
        let pieces = Pieces::spliced(&body, vec![splice(9..10, ""), splice(2..4, "ab"), splice(0..0, "<")]);
        assert_eq!(written(pieces), "<01ab45678");
    }
}
