//! A short copy of an event that is too large to be held: long strings are cut and deep values emptied, so that what is
//! left still says what kind of event it is, how it ends and what it counts.

use std::ops::Range;

use crate::{dialect::Words, request::is_no_text};

/// Bytes of a string that are kept.
const STRING: usize = 256;
/// Levels of objects and arrays that are kept: one more than the deepest that anybody reads.
const DEEPEST: u32 = 6;
/// Bytes of the copy.
const LARGEST: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct Condensed {
    copy: Vec<u8>,
    /// Text that was left out of strings that are text.
    left_out: Words,
    depth: u32,
    place: Place,
    /// Where the last string lies in the copy: the key of the value that follows.
    last_string: Range<usize>,
    /// The string in hand is media or a tag.
    no_text: bool,
    /// Even the copy became too large.
    let_go: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    /// Inside a string whose beginning has not been kept to its bound.
    Kept,
    /// Inside a string of which the rest is left out.
    LeftOut,
    /// So many bytes of an escape follow; then on in a string.
    Escape { of_unicode: u8, kept: bool },
}

impl Condensed {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            if self.place == Place::LeftOut {
                // Most of a large event.
                let plain = memchr::memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
                if plain > 0 {
                    self.leave_out(&rest[..plain]);
                    rest = &rest[plain..];
                    continue;
                }
            }
            self.byte(*byte);
            rest = after;
        }
    }

    /// The copy, and the words that are not in it; `None` if the event cannot be told.
    pub(crate) fn whole(&self) -> Option<(&[u8], Words)> {
        (!self.let_go).then_some((&self.copy, self.left_out))
    }

    fn byte(&mut self, byte: u8) {
        match self.place {
            Place::Outside => self.outside(byte),
            // No string goes on over a line's end: this was none.
            _ if byte == b'\n' || byte == b'\r' => {
                self.place = Place::Outside;
                self.keep(byte);
            }
            Place::Kept | Place::LeftOut => self.inside(byte),
            Place::Escape { of_unicode, kept } => {
                self.take(byte, kept);
                self.place = match (byte, of_unicode) {
                    (b'u', 0) => Place::Escape { of_unicode: 4, kept },
                    (_, 2..) => Place::Escape { of_unicode: of_unicode - 1, kept },
                    _ if kept => Place::Kept,
                    _ => Place::LeftOut,
                };
            }
        }
    }

    fn outside(&mut self, byte: u8) {
        match byte {
            b'"' => {
                let key = self.copy.get(self.last_string.clone()).unwrap_or_default();
                self.no_text = self.copy.last() == Some(&b':') && is_no_text(key);
                if self.depth <= DEEPEST {
                    self.keep(byte);
                    self.last_string = self.copy.len()..self.copy.len();
                    self.place = Place::Kept;
                } else {
                    self.place = Place::LeftOut;
                }
            }
            b'{' | b'[' => {
                if self.depth <= DEEPEST {
                    self.keep(byte);
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth <= DEEPEST {
                    self.keep(byte);
                }
            }
            // So that a key and its colon stand together.
            b' ' | b'\t' if self.depth > 0 => {}
            b'\n' | b'\r' => self.keep(byte),
            _ if self.depth <= DEEPEST => self.keep(byte),
            _ => {}
        }
    }

    fn inside(&mut self, byte: u8) {
        let starts_character = byte & 0xC0 != 0x80;
        if self.place == Place::Kept && starts_character && self.copy.len() - self.last_string.start >= STRING {
            self.place = Place::LeftOut;
        }
        let kept = self.place == Place::Kept;
        match byte {
            b'"' => {
                if kept || self.depth <= DEEPEST {
                    self.last_string.end = self.copy.len();
                    self.keep(byte);
                }
                self.place = Place::Outside;
            }
            b'\\' => {
                self.take(byte, kept);
                self.place = Place::Escape { of_unicode: 0, kept };
            }
            _ => self.take(byte, kept),
        }
    }

    fn take(&mut self, byte: u8, kept: bool) {
        if kept {
            self.keep(byte);
        } else {
            self.leave_out(&[byte]);
        }
    }

    fn leave_out(&mut self, bytes: &[u8]) {
        if !self.no_text {
            let ascii = bytes.iter().filter(|it| it.is_ascii()).count() as u64;
            self.left_out = self.left_out.and(Words { ascii, other: bytes.len() as u64 - ascii });
        }
    }

    fn keep(&mut self, byte: u8) {
        self.let_go |= self.copy.len() == LARGEST;
        if !self.let_go {
            self.copy.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condensed(event: &str, size: usize) -> (String, Words) {
        let mut condensed = Condensed::default();
        event.as_bytes().chunks(size).for_each(|it| condensed.push(it));
        let (copy, words) = condensed.whole().unwrap();
        (String::from_utf8(copy.to_vec()).unwrap(), words)
    }

    #[test]
    fn short_events_stay_as_they_are() {
        let event = "id:7\nevent:result\ndata:{\"a\":[1,{\"b\":\"c\\\"}\\u00e4\"}],\"usage\":{\"total_tokens\":3}}\n\n";
        assert_eq!(condensed(event, 3), (event.into(), Words::default()));
    }

    #[test]
    fn long_strings_are_cut_where_a_character_begins() {
        for (unit, width, ascii, other) in [("x", 1, 1, 0), ("中", 3, 0, 3), ("\\u4e2d", 6, 6, 0), ("\\\\", 2, 2, 0)] {
            let (event, most) = (format!("data: {{\"text\":\"{}\",\"n\":1}}\n\n", unit.repeat(1000)), STRING + width);
            let (copy, words) = condensed(&event, 7);
            assert!(copy.len() < most + 30, "{copy}");
            let parsed: serde_json::Value = serde_json::from_str(&copy[6..]).unwrap();
            assert_eq!(parsed["n"], 1);
            let kept = (copy.len() - "data: {\"text\":\"\",\"n\":1}\n\n".len()) / unit.len();
            let left = 1000 - kept as u64;
            assert_eq!(words, Words { ascii: left * ascii, other: left * other }, "{unit}");
        }
    }

    #[test]
    fn media_is_no_text_and_deep_values_are_emptied() {
        let long = "x".repeat(1000);
        let event = format!("data: {{\"audio\" : {{\"data\" : \"{long}\"}}}}\n\n");
        assert_eq!(condensed(&event, 11).1, Words::default());
        let event = format!("data: [[[[[[[{{\"a\":[\"{long}\",1]}}],2]]]]]]\n\n");
        assert_eq!(condensed(&event, 11), ("data: [[[[[[[],2]]]]]]\n\n".into(), Words { ascii: 1001, other: 0 }));
    }

    #[test]
    fn a_copy_that_is_large_itself_is_let_go() {
        let mut condensed = Condensed::default();
        condensed.push(format!("data: [{}1]\n\n", "1,".repeat(LARGEST)).as_bytes());
        assert_eq!(condensed.whole(), None);
        assert_eq!(condensed.copy.len(), LARGEST);
    }
}
