//! Token counts as providers report them: inside events, or somewhere at the top of a body that passes in pieces.

use std::sync::LazyLock;

use domain::units::HIGHEST_LIMIT;
use memchr::memmem;

use crate::json::{Fault, Kind, Scanner};

/// What a `usage` object says; `None` is not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) prompt: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) total: Option<u64>,
    /// Tokens written to or read from a cache, which Anthropic counts beside the input.
    cached: Option<u64>,
}

impl Counts {
    /// Passes the value that comes next; `None` unless it is an object with at least one count.
    pub(crate) fn read(scanner: &mut Scanner<'_>) -> Result<Option<Self>, Fault> {
        if scanner.peek()? != Kind::Object {
            return scanner.skip().map(|_| None);
        }
        let mut counts = Self::default();
        scanner.object(|it, key| {
            let name = it.name(key);
            if it.peek()? != Kind::Number {
                return it.skip().map(drop);
            }
            let span = it.number()?;
            let Some(count) = count(it.slice(span)) else { return Ok(()) };
            match &*name {
                b"prompt_tokens" | b"input_tokens" => counts.prompt = Some(count),
                b"completion_tokens" | b"output_tokens" => counts.output = Some(count),
                b"total_tokens" => counts.total = Some(count),
                b"cache_creation_input_tokens" | b"cache_read_input_tokens" => {
                    counts.cached = Some(counts.cached.unwrap_or(0).saturating_add(count));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok((counts != Self::default()).then_some(counts))
    }

    /// Later counts replace earlier ones where they say anything.
    pub(crate) fn replaced_by(self, later: Self) -> Self {
        Self {
            prompt: later.prompt.or(self.prompt),
            output: later.output.or(self.output),
            total: later.total.or(self.total),
            cached: later.cached.or(self.cached),
        }
    }

    /// Prompt tokens. Where only the total is said (native embeddings), all of it.
    pub(crate) fn prompt_tokens(&self) -> Option<u64> {
        match (self.prompt, self.output, self.total) {
            (Some(prompt), _, _) => Some(prompt.saturating_add(self.cached.unwrap_or(0))),
            (None, None, total) => total,
            (None, Some(_), _) => None,
        }
    }

    /// All tokens: as reported, else the sum.
    pub(crate) fn total_tokens(&self) -> u64 {
        let sum = || self.prompt_tokens().unwrap_or(0).saturating_add(self.output.unwrap_or(0));
        self.total.unwrap_or_else(sum)
    }
}

/// A count may be written as 12.0; what is no number of tokens is not said. No call has more tokens than the highest
/// limit, and sums over many calls stay numbers that way.
fn count(number: &[u8]) -> Option<u64> {
    let digits = number.strip_suffix(b".0").unwrap_or(number);
    let mut count = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        count = count.saturating_mul(10).saturating_add(digit.into());
    }
    (!digits.is_empty()).then_some(count.min(HIGHEST_LIMIT))
}

/// The counts at the top-level `usage` of a body that is there as a whole.
pub(crate) fn in_body(body: &[u8]) -> Option<Counts> {
    static KEY: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\"usage\""));
    // In a valid text these bytes are one whole string: inside another its quotes would be escaped.
    let mut found = None;
    for at in KEY.find_iter(body) {
        let mut scanner = Scanner::within(body, at + 7);
        if scanner.colon().is_err() {
            continue;
        }
        if let Ok(Some(counts)) = Counts::read(&mut scanner)
            && levels_closed(&body[scanner.at()..]) == Some(1)
        {
            found = Some(counts);
        }
    }
    found
}

/// How many more objects `text` closes than it opens, from a place between two values to its end.
fn levels_closed(text: &[u8]) -> Option<i64> {
    let (mut closed, mut at) = (0, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'{' => closed -= 1,
            b'}' => closed += 1,
            b'"' => loop {
                at += memchr::memchr2(b'"', b'\\', &text[at..])? + 1;
                if text[at - 1] == b'"' {
                    break;
                }
                at += 1;
                if at > text.len() {
                    return None;
                }
            },
            _ => {}
        }
    }
    Some(closed)
}

/// Finds the object at a body's top-level `usage` while the body passes in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    depth: u32,
    state: State,
    key: Key,
    captured: Vec<u8>,
    /// What is being captured is larger than any usage.
    let_go: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    InString,
    InStringEscaped,
    /// After a string at the top: a colon makes it a key.
    AfterString,
    /// After the key and its colon.
    BeforeValue,
    Capturing,
    CapturingString,
    CapturingStringEscaped,
}

/// As much of the string in hand as tells whether it is the key.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    matched: usize,
    differs: bool,
}

const USAGE: &[u8] = b"usage";
const LARGEST: usize = 16 << 10;

impl Finder {
    /// Looks at the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let mut at = 0;
        while at < piece.len() {
            let rest = &piece[at..];
            at += match self.state {
                State::Outside => self.outside(rest),
                State::InString => self.in_string(rest),
                State::InStringEscaped => {
                    self.key.differs = true;
                    self.state = State::InString;
                    1
                }
                State::AfterString => self.after_string(rest[0]),
                State::BeforeValue => self.before_value(rest[0]),
                State::Capturing => self.capturing(rest),
                State::CapturingString => self.capturing_string(rest),
                State::CapturingStringEscaped => {
                    self.captured.push(rest[0]);
                    self.state = State::CapturingString;
                    1
                }
            };
        }
    }

    /// The counts of the last `usage` that was found.
    pub(crate) fn counts(&self) -> Option<Counts> {
        let whole = !matches!(self.state, State::Capturing | State::CapturingString | State::CapturingStringEscaped);
        if self.captured.is_empty() || self.let_go || !whole {
            return None;
        }
        let mut scanner = Scanner::over(&self.captured).ok()?;
        Counts::read(&mut scanner).ok().flatten()
    }

    fn outside(&mut self, rest: &[u8]) -> usize {
        // Arrays need no count of their own: a key stands in an object, and a string in an array has no colon after it.
        let Some(found) = memchr::memchr3(b'"', b'{', b'}', rest) else { return rest.len() };
        match rest[found] {
            b'{' => self.depth = self.depth.saturating_add(1),
            b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {
                self.state = State::InString;
                self.key = Key::default();
            }
        }
        found + 1
    }

    fn in_string(&mut self, rest: &[u8]) -> usize {
        let found = memchr::memchr2(b'"', b'\\', rest);
        let plain = &rest[..found.unwrap_or(rest.len())];
        if self.depth == 1 && !self.key.differs {
            let expected = USAGE.get(self.key.matched..self.key.matched + plain.len());
            self.key.differs = expected != Some(plain);
            self.key.matched += plain.len();
        }
        match found {
            None => {}
            Some(end) if rest[end] == b'\\' => self.state = State::InStringEscaped,
            Some(_) => {
                let is_key = self.depth == 1 && !self.key.differs && self.key.matched == USAGE.len();
                self.state = if is_key { State::AfterString } else { State::Outside };
            }
        }
        plain.len() + usize::from(found.is_some())
    }

    fn after_string(&mut self, byte: u8) -> usize {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => 1,
            b':' => {
                self.state = State::BeforeValue;
                1
            }
            _ => {
                self.state = State::Outside;
                0
            }
        }
    }

    fn before_value(&mut self, byte: u8) -> usize {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => 1,
            b'{' => {
                self.captured.clear();
                self.let_go = false;
                self.state = State::Capturing;
                0
            }
            _ => {
                self.state = State::Outside;
                0
            }
        }
    }

    fn capturing(&mut self, rest: &[u8]) -> usize {
        let Some(found) = memchr::memchr3(b'"', b'{', b'}', rest) else {
            self.capture(rest);
            return rest.len();
        };
        self.capture(&rest[..=found]);
        match rest[found] {
            b'{' => self.depth = self.depth.saturating_add(1),
            b'}' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth <= 1 {
                    self.state = State::Outside;
                }
            }
            _ => self.state = State::CapturingString,
        }
        found + 1
    }

    fn capturing_string(&mut self, rest: &[u8]) -> usize {
        let found = memchr::memchr2(b'"', b'\\', rest);
        let length = found.map_or(rest.len(), |it| it + 1);
        self.capture(&rest[..length]);
        if let Some(found) = found {
            self.state = if rest[found] == b'"' { State::Capturing } else { State::CapturingStringEscaped };
        }
        length
    }

    fn capture(&mut self, bytes: &[u8]) {
        self.let_go |= self.captured.len() + bytes.len() > LARGEST;
        if !self.let_go {
            self.captured.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(body: &str, size: usize) -> Option<Counts> {
        let mut finder = Finder::default();
        for piece in body.as_bytes().chunks(size) {
            finder.push(piece);
        }
        finder.counts()
    }

    fn said(prompt: u64, output: u64, total: u64) -> Option<Counts> {
        Some(Counts { prompt: Some(prompt), output: Some(output), total: Some(total), cached: None })
    }

    #[test]
    fn usage_is_found_at_the_top_and_nowhere_else() {
        let usage = r#"{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"details":{"cached":4,"s":"}\"{"}}"#;
        for (body, expected) in [
            (format!(r#"{{"id":"a","choices":[{{"usage":{{"prompt_tokens":1}}}}],"usage":{usage}}}"#), said(9, 3, 12)),
            (format!(r#"{{ "usage" : {usage} , "choices":["usage",{{"a":"}}"}}]}}"#), said(9, 3, 12)),
            (format!(r#"{{"a":["usage"],"b":"usage","c":"\"usage\":{{","usage":{usage}}}"#), said(9, 3, 12)),
            (format!(r#"{{"x":{{"usage":{usage}}}}}"#), None),
            (format!(r#"{{"usage":null,"choices":[],"usage":{usage}}}"#), said(9, 3, 12)),
            (r#"{"usage":null}"#.into(), None),
            (r#"{"usage":{}}"#.into(), None),
            (format!(r#"{{"usage":{}"#, &usage[..20]), None),
            ("not json at all".into(), None),
        ] {
            for size in 1..=body.len() {
                assert_eq!(found(&body, size), expected, "{body} in pieces of {size}");
            }
            assert_eq!(in_body(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn totals() {
        let read = |text: &str| Counts::read(&mut Scanner::over(text.as_bytes()).unwrap()).unwrap().unwrap();
        let anthropic = read(
            r#"{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":7,"output_tokens":3}"#,
        );
        assert_eq!((anthropic.prompt_tokens(), anthropic.total_tokens()), (Some(22), 25));
        let delta = read(r#"{"output_tokens":30}"#);
        assert_eq!(anthropic.replaced_by(delta).total_tokens(), 52);
        let embeddings = read(r#"{"total_tokens":8}"#);
        assert_eq!((embeddings.prompt_tokens(), embeddings.total_tokens()), (Some(8), 8));
        let native = read(r#"{"input_tokens":4,"output_tokens":6,"input_tokens_details":{"text_tokens":4}}"#);
        assert_eq!((native.prompt_tokens(), native.total_tokens()), (Some(4), 10));
    }

    #[test]
    fn no_count_is_beyond_the_highest_limit() {
        for number in ["18446744073709551615", "99999999999999999999999", "1000000000001.0"] {
            let body = format!(
                r#"{{"usage":{{"prompt_tokens":{number},"completion_tokens":{number},"total_tokens":{number}}}}}"#
            );
            let expected = said(HIGHEST_LIMIT, HIGHEST_LIMIT, HIGHEST_LIMIT);
            assert_eq!((in_body(body.as_bytes()), found(&body, 7)), (expected, expected), "{number}");
        }
        for number in ["-1", "1.5", "1e3"] {
            assert_eq!(in_body(format!(r#"{{"usage":{{"total_tokens":{number}}}}}"#).as_bytes()), None, "{number}");
        }
    }

    #[test]
    fn a_huge_usage_is_let_go() {
        let body = format!(r#"{{"usage":{{"a":"{}","total_tokens":1}},"b":1}}"#, "x".repeat(100_000));
        let mut finder = Finder::default();
        for piece in body.as_bytes().chunks(1000) {
            finder.push(piece);
            assert!(finder.captured.len() <= LARGEST);
        }
        assert_eq!(finder.counts(), None);
    }

    proptest! {
        #[test]
        fn a_whole_body_says_the_same_as_its_pieces(before in "[a-z\"\\\\{}\\[\\]]{0,20}", nested: bool, after: Vec<String>) {
            let usage = json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12});
            let deep = json!([{"usage": usage}, "usage", before]);
            let body = if nested {
                json!({"a": before, "choices": deep, "z": after})
            } else {
                json!({"a": before, "choices": deep, "usage": usage, "z": after})
            };
            let body = body.to_string();
            prop_assert_eq!(in_body(body.as_bytes()), found(&body, 7));
            prop_assert_eq!(in_body(body.as_bytes()).is_some(), !nested);
        }

        #[test]
        fn any_bytes_in_any_pieces_are_survived(bytes: Vec<u8>, text in r#"[{}":usage\\ ]{0,80}"#, size in 1_usize..9) {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let (mut pieces, mut whole) = (Finder::default(), Finder::default());
                bytes.chunks(size).for_each(|it| pieces.push(it));
                in_body(bytes);
                whole.push(bytes);
                prop_assert_eq!(pieces.counts(), whole.counts());
            }
        }
    }
}
