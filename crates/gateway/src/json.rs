//! A validating scanner over one JSON text. It copies nothing and builds nothing: it moves over values, measures
//! strings, and says where they lie. Knows JSON, not what any of it means.

use std::{borrow::Cow, ops::Range};

/// Levels of arrays and objects that are followed.
pub(crate) const DEEPEST: u32 = 128;

/// Why a text is not taken, with the offset of the first byte that cannot stand where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Syntax { at: usize },
    Deep { at: usize },
}

/// A string as it lies in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// Between the quotes.
    pub(crate) inner: Range<usize>,
    pub(crate) escaped: bool,
    /// Bytes after unescaping that are ASCII.
    pub(crate) ascii: u64,
    /// Bytes after unescaping that are not.
    pub(crate) other: u64,
}

/// A position in a text.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

/// What a value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

type Result<T> = std::result::Result<T, Fault>;

impl<'a> Scanner<'a> {
    /// At offset `at` of a text that is known to be UTF-8 from there on, or whose strings nobody reads.
    pub(crate) fn within(text: &'a [u8], at: usize) -> Self {
        Self { text, at, depth: 0 }
    }

    /// At the first value of `text`.
    ///
    /// # Errors
    /// [`Fault::Syntax`] at the first byte that is not UTF-8.
    pub(crate) fn over(text: &'a [u8]) -> Result<Self> {
        match std::str::from_utf8(text) {
            Ok(_) => Ok(Self { text, at: 0, depth: 0 }),
            Err(error) => Err(Fault::Syntax { at: error.valid_up_to() }),
        }
    }

    /// The offset reached.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The kind of the value that comes next; it is not passed.
    pub(crate) fn peek(&mut self) -> Result<Kind> {
        self.skip_space();
        match self.text.get(self.at) {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => self.fault(),
        }
    }

    /// Passes a value and says where it lay.
    pub(crate) fn skip(&mut self) -> Result<Range<usize>> {
        let kind = self.peek()?;
        let start = self.at;
        match kind {
            Kind::Object => self.object(|it, _| it.skip().map(drop))?,
            Kind::Array => self.array(|it| it.skip().map(drop))?,
            Kind::String => {
                self.string()?;
            }
            Kind::Number => {
                self.number()?;
            }
            Kind::True => self.word(b"true")?,
            Kind::False => self.word(b"false")?,
            Kind::Null => self.word(b"null")?,
        }
        Ok(start..self.at)
    }

    /// Passes an object; `each` passes one value and is told its key.
    pub(crate) fn object(&mut self, mut each: impl FnMut(&mut Self, &Text) -> Result<()>) -> Result<()> {
        self.open(b'{')?;
        self.skip_space();
        if self.text.get(self.at) != Some(&b'}') {
            loop {
                self.skip_space();
                let key = self.string()?;
                self.colon()?;
                each(self, &key)?;
                self.skip_space();
                match self.text.get(self.at) {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return self.fault(),
                }
            }
        }
        self.close();
        Ok(())
    }

    /// Passes an array; `each` passes one value.
    pub(crate) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.open(b'[')?;
        self.skip_space();
        if self.text.get(self.at) != Some(&b']') {
            loop {
                each(self)?;
                self.skip_space();
                match self.text.get(self.at) {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return self.fault(),
                }
            }
        }
        self.close();
        Ok(())
    }

    /// Passes a string and measures it.
    pub(crate) fn string(&mut self) -> Result<Text> {
        self.expect(b'"')?;
        let start = self.at;
        // Bytes above 0x7f as they stand, bytes that belong to escapes, and what those stand for.
        let (mut high, mut within_escapes, mut ascii_of_escapes, mut other_of_escapes) = (0, 0, 0, 0);
        loop {
            high += self.plain_run();
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    let before = self.at;
                    match self.escape()? {
                        1 => ascii_of_escapes += 1,
                        bytes => other_of_escapes += bytes,
                    }
                    within_escapes += (self.at - before) as u64;
                }
                _ => return self.fault(),
            }
        }
        let inner = start..self.at;
        self.at += 1;
        Ok(Text {
            escaped: within_escapes > 0,
            ascii: inner.len() as u64 - high - within_escapes + ascii_of_escapes,
            other: high + other_of_escapes,
            inner,
        })
    }

    /// Passes a number and says where it lay.
    pub(crate) fn number(&mut self) -> Result<Range<usize>> {
        let start = self.at;
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fault(),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(start..self.at)
    }

    /// Passes the colon after a key.
    pub(crate) fn colon(&mut self) -> Result<()> {
        self.skip_space();
        self.expect(b':')
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { self.fault() }
    }

    /// The bytes of a range that a scanner gave.
    pub(crate) fn slice(&self, range: Range<usize>) -> &'a [u8] {
        &self.text[range]
    }

    /// The string as it reads, unescaped where it must be. A lone surrogate reads as U+FFFD.
    pub(crate) fn read(&self, text: &Text) -> Cow<'a, str> {
        match self.name(text) {
            Cow::Borrowed(bytes) => {
                Cow::Borrowed(std::str::from_utf8(bytes).expect("the whole text was found to be UTF-8"))
            }
            Cow::Owned(bytes) => {
                Cow::Owned(String::from_utf8(bytes).expect("UTF-8 with characters put in between is UTF-8"))
            }
        }
    }

    /// The bytes of the string as it reads: what keys are compared by.
    pub(crate) fn name(&self, text: &Text) -> Cow<'a, [u8]> {
        let inner = &self.text[text.inner.clone()];
        if text.escaped { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) }
    }

    fn fault<T>(&self) -> Result<T> {
        Err(Fault::Syntax { at: self.at })
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.text.get(self.at) == Some(&byte) {
            self.at += 1;
            Ok(())
        } else {
            self.fault()
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        for byte in word {
            self.expect(*byte)?;
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<()> {
        self.skip_space();
        if self.depth == DEEPEST {
            return Err(Fault::Deep { at: self.at });
        }
        self.expect(bracket)?;
        self.depth += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<()> {
        let before = self.at;
        self.digits();
        if self.at == before { self.fault() } else { Ok(()) }
    }

    /// Moves to the next quote, backslash or control character; returns the bytes above 0x7f on the way.
    fn plain_run(&mut self) -> u64 {
        let (text, mut at, mut high) = (self.text, self.at, 0);
        while let Some(word) = text.get(at..).and_then(|it| it.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*word);
            let stops = stops_in(word);
            if stops != 0 {
                // The lowest mark is exact; those above it may be borrows.
                self.at = at + stops.trailing_zeros() as usize / 8;
                return high + marks(stops.wrapping_sub(1) & !stops & word & HIGHS);
            }
            if word & HIGHS != 0 {
                high += marks(word & HIGHS);
            }
            at += 8;
        }
        while let Some(byte) = text.get(at) {
            if *byte == b'"' || *byte == b'\\' || *byte < 0x20 {
                break;
            }
            high += u64::from(*byte >> 7);
            at += 1;
        }
        self.at = at;
        high
    }

    /// Passes one escape; returns how many bytes of UTF-8 it stands for.
    fn escape(&mut self) -> Result<u64> {
        self.at += 1;
        match self.text.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(1)
            }
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex4()?;
                if is_leading(unit) && self.text.get(self.at..self.at + 2) == Some(br"\u") {
                    let before = self.at;
                    self.at += 2;
                    if is_trailing(self.hex4()?) {
                        return Ok(4);
                    }
                    self.at = before;
                }
                Ok(match unit {
                    0..0x80 => 1,
                    0x80..0x800 => 2,
                    _ => 3,
                })
            }
            _ => self.fault(),
        }
    }

    fn hex4(&mut self) -> Result<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.text.get(self.at).and_then(|it| char::from(*it).to_digit(16)) else {
                return self.fault();
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The high bit of every byte of `word` that is a quote, a backslash or a control character.
const fn stops_in(word: u64) -> u64 {
    const QUOTES: u64 = 0x2222_2222_2222_2222;
    const BACKSLASHES: u64 = 0x5c5c_5c5c_5c5c_5c5c;
    const SPACES: u64 = 0x2020_2020_2020_2020;
    let (quotes, backslashes) = (word ^ QUOTES, word ^ BACKSLASHES);
    let zeros = (quotes.wrapping_sub(ONES) & !quotes) | (backslashes.wrapping_sub(ONES) & !backslashes);
    (zeros | (word.wrapping_sub(SPACES) & !word)) & HIGHS
}

/// How many of the eight high bits are set, where no other bit is. A multiplication adds the bytes up; few machines that
/// programs are compiled for are known to count bits by themselves.
const fn marks(highs: u64) -> u64 {
    (highs >> 7).wrapping_mul(ONES) >> 56
}

const fn is_leading(unit: u32) -> bool {
    matches!(unit, 0xd800..0xdc00)
}

const fn is_trailing(unit: u32) -> bool {
    matches!(unit, 0xdc00..0xe000)
}

/// Unescapes the inside of a string that a scanner has passed.
fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut units: Vec<u8> = Vec::with_capacity(inner.len());
    let mut at = 0;
    let hex = |at: usize| -> Option<u32> {
        let digits = std::str::from_utf8(inner.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    while let Some(byte) = inner.get(at) {
        at += 1;
        if *byte != b'\\' {
            units.push(*byte);
            continue;
        }
        let Some(escape) = inner.get(at) else { break };
        at += 1;
        let character = match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut unit = hex(at).unwrap_or(0xfffd);
                at += 4;
                if is_leading(unit)
                    && inner.get(at..at + 2) == Some(br"\u")
                    && let Some(trailing) = hex(at + 2).filter(|it| is_trailing(*it))
                {
                    unit = 0x1_0000 + ((unit - 0xd800) << 10) + (trailing - 0xdc00);
                    at += 6;
                }
                char::from_u32(unit).unwrap_or('\u{fffd}')
            }
            plain => char::from(*plain),
        };
        units.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    units
}

#[cfg(test)]
mod tests;
