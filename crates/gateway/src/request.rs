//! What the gateway reads from a request's body: one pass that validates the JSON, finds the fields of its dialect,
//! measures the text, and remembers where splices would go. The bytes themselves are never changed here.

use std::{borrow::Cow, ops::Range};

use crate::json::{Fault, Kind, Scanner, Text};

/// Which fields a body has, by what the client calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Chat completions and completions.
    Chat,
    Embeddings,
    Responses,
    Native,
    Messages,
}

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fields<'a> {
    /// Absent when there is none, when it is empty, null or no string.
    pub(crate) model: Option<Model<'a>>,
    pub(crate) stream: bool,
    pub(crate) stream_options: StreamOptions,
    /// The largest maximum of output stated.
    pub(crate) max_output: Option<u64>,
    /// Answers asked for.
    pub(crate) times: Option<u64>,
    pub(crate) ascii_bytes: u64,
    pub(crate) other_bytes: u64,
    pub(crate) token_ids: u64,
    /// Native streams: each frame holds what is new, not the whole text so far.
    pub(crate) incremental: bool,
    /// Offset of the object's closing brace.
    pub(crate) closing: usize,
}

/// The model asked for, and the bytes of its value with the quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) span: Range<usize>,
}

/// What a body says of `include_usage`, and where a splice would change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum StreamOptions {
    #[default]
    Absent,
    /// The bytes of `null`.
    Null(Range<usize>),
    /// An object without the key: the offset after its `{`, and whether it has other keys.
    Without { after_brace: usize, has_keys: bool },
    /// The bytes of `false` or `null`.
    Off(Range<usize>),
    /// The client asked, or wrote something that is the provider's business.
    On,
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    NotJson {
        at: usize,
    },
    TooDeep {
        at: usize,
    },
    NotObject,
    Duplicate(&'static str),
    NoModel,
    /// A number that is no integer in 0…4294967295.
    Number(&'static str),
    /// A field that this dialect requires.
    Missing(&'static str),
}

impl From<Fault> for Invalid {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax { at } => Self::NotJson { at },
            Fault::Deep { at } => Self::TooDeep { at },
        }
    }
}

/// Reads a whole body.
///
/// # Errors
/// The first that holds: not JSON, no object, a duplicate key, no model, a number out of range, a missing field.
pub(crate) fn read(body: &[u8], shape: Shape) -> Result<Fields<'_>, Invalid> {
    let mut scanner = Scanner::over(body)?;
    if scanner.peek()? != Kind::Object {
        scanner.skip()?;
        scanner.end()?;
        return Err(Invalid::NotObject);
    }
    let mut reader = Reader { shape, seen: 0, duplicate: None, bad_number: None, fields: Fields::default() };
    scanner.object(|it, key| reader.top(it, key))?;
    let closing = scanner.at() - 1;
    scanner.end()?;
    let Reader { duplicate, bad_number, mut fields, .. } = reader;
    fields.closing = closing;
    if let Some(key) = duplicate {
        return Err(Invalid::Duplicate(key));
    }
    if fields.model.is_none() {
        return Err(Invalid::NoModel);
    }
    if let Some(field) = bad_number {
        return Err(Invalid::Number(field));
    }
    if shape == Shape::Messages && fields.max_output.is_none() {
        return Err(Invalid::Missing("max_tokens"));
    }
    Ok(fields)
}

/// Keys of which there may be only one in their object, since parsers disagree on which of two holds.
pub(crate) const SINGLE: [&str; 12] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "messages",
    "prompt",
    "input",
    "parameters",
    "system",
];

/// Where a key stands in [`SINGLE`]. A match, for the compiler tells keys apart by their length first.
fn single(key: &[u8]) -> Option<usize> {
    Some(match key {
        b"model" => 0,
        b"stream" => 1,
        b"stream_options" => 2,
        b"max_tokens" => 3,
        b"max_completion_tokens" => 4,
        b"max_output_tokens" => 5,
        b"n" => 6,
        b"messages" => 7,
        b"prompt" => 8,
        b"input" => 9,
        b"parameters" => 10,
        b"system" => 11,
        _ => return None,
    })
}

/// Keys whose values are no text: media in every form it is given in, and tags rather than words.
pub(crate) fn is_no_text(key: &[u8]) -> bool {
    matches!(
        key,
        b"audio"
            | b"cache_control"
            | b"call_id"
            | b"data"
            | b"detail"
            | b"encrypted_content"
            | b"file"
            | b"file_data"
            | b"file_id"
            | b"filename"
            | b"format"
            | b"id"
            | b"image"
            | b"images"
            | b"input_audio"
            | b"media_type"
            | b"role"
            | b"signature"
            | b"tool_call_id"
            | b"tool_use_id"
            | b"type"
            | b"url"
            | b"video"
    ) || key.ends_with(b"_url")
        || key.ends_with(b"_urls")
}

struct Reader<'a> {
    shape: Shape,
    seen: u64,
    duplicate: Option<&'static str>,
    bad_number: Option<&'static str>,
    fields: Fields<'a>,
}

type Scan = Result<(), Fault>;

impl<'a> Reader<'a> {
    fn top(&mut self, scanner: &mut Scanner<'a>, key: &Text) -> Scan {
        let name = scanner.name(key);
        self.once(&name, 0);
        match (&*name, self.shape) {
            (b"model", _) => self.model(scanner),
            (b"stream", Shape::Chat | Shape::Responses | Shape::Messages) => {
                self.fields.stream = scanner.peek()? == Kind::True;
                scanner.skip().map(drop)
            }
            (b"stream_options", Shape::Chat) => self.stream_options(scanner),
            (b"max_tokens", Shape::Chat | Shape::Messages) => self.maximum(scanner, "max_tokens"),
            (b"max_completion_tokens", Shape::Chat) => self.maximum(scanner, "max_completion_tokens"),
            (b"max_output_tokens", Shape::Responses) => self.maximum(scanner, "max_output_tokens"),
            (b"n", Shape::Chat) => self.times(scanner),
            (b"messages", Shape::Chat | Shape::Messages) | (b"system", Shape::Messages) => self.text(scanner),
            (b"instructions", Shape::Responses) => self.text(scanner),
            (b"prompt", Shape::Chat) | (b"input", Shape::Embeddings | Shape::Responses) => self.text_or_ids(scanner),
            (b"tools", Shape::Chat | Shape::Responses | Shape::Messages) | (b"functions", Shape::Chat) => {
                self.everything(scanner)
            }
            (b"input", Shape::Native) => self.native_input(scanner),
            (b"parameters", Shape::Native) => self.native_parameters(scanner),
            _ => scanner.skip().map(drop),
        }
    }

    fn native_input(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        if scanner.peek()? != Kind::Object {
            return self.text_or_ids(scanner);
        }
        scanner.object(|it, key| {
            let name = it.name(key);
            self.once(&name, 1);
            if is_no_text(&name) { it.skip().map(drop) } else { self.text(it) }
        })
    }

    fn native_parameters(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        if scanner.peek()? != Kind::Object {
            return scanner.skip().map(drop);
        }
        scanner.object(|it, key| {
            let name = it.name(key);
            self.once(&name, 2);
            match &*name {
                b"max_tokens" => self.maximum(it, "max_tokens"),
                b"n" => self.times(it),
                b"tools" => self.everything(it),
                b"incremental_output" => {
                    self.fields.incremental = it.peek()? == Kind::True;
                    it.skip().map(drop)
                }
                _ => it.skip().map(drop),
            }
        })
    }

    /// Notes a second occurrence. `object` tells apart the body, a native `input` and native `parameters`.
    fn once(&mut self, name: &[u8], object: usize) {
        let Some(index) = single(name) else { return };
        let bit = 1_u64 << (SINGLE.len() * object + index);
        if self.seen & bit != 0 {
            self.duplicate = self.duplicate.or(Some(SINGLE[index]));
        }
        self.seen |= bit;
    }

    fn model(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        if scanner.peek()? != Kind::String {
            return scanner.skip().map(drop);
        }
        let start = scanner.at();
        let text = scanner.string()?;
        if !text.inner.is_empty() {
            self.fields.model = Some(Model { name: scanner.read(&text), span: start..scanner.at() });
        }
        Ok(())
    }

    fn maximum(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Scan {
        let given = self.whole_number(scanner, field)?;
        self.fields.max_output = self.fields.max_output.max(given);
        Ok(())
    }

    fn times(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        self.fields.times = self.whole_number(scanner, "n")?;
        Ok(())
    }

    fn whole_number(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<Option<u64>, Fault> {
        let kind = scanner.peek()?;
        let span = scanner.skip()?;
        if kind == Kind::Null {
            return Ok(None);
        }
        // `u32` alone decides: it takes neither a sign other than `+`, which JSON has not, nor a fraction or an exponent.
        let number = std::str::from_utf8(scanner.slice(span)).ok().and_then(|it| it.parse::<u32>().ok());
        if number.is_none() {
            self.bad_number = self.bad_number.or(Some(field));
        }
        Ok(number.map(u64::from))
    }

    fn stream_options(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        match scanner.peek()? {
            Kind::Null => self.fields.stream_options = StreamOptions::Null(scanner.skip()?),
            Kind::Object => {
                let after_brace = scanner.at() + 1;
                let (mut has_keys, mut found) = (false, None);
                scanner.object(|it, key| {
                    has_keys = true;
                    if &*it.name(key) != b"include_usage" {
                        return it.skip().map(drop);
                    }
                    let kind = it.peek()?;
                    let span = it.skip()?;
                    found = Some(match kind {
                        Kind::False | Kind::Null => StreamOptions::Off(span),
                        _ => StreamOptions::On,
                    });
                    Ok(())
                })?;
                self.fields.stream_options = found.unwrap_or(StreamOptions::Without { after_brace, has_keys });
            }
            _ => {
                scanner.skip()?;
                self.fields.stream_options = StreamOptions::On;
            }
        }
        Ok(())
    }

    fn count(&mut self, text: &Text) {
        self.fields.ascii_bytes += text.ascii;
        self.fields.other_bytes += text.other;
    }

    /// Words: every string that is neither a key, nor a tag, nor media.
    fn text(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        match scanner.peek()? {
            Kind::String => {
                let text = scanner.string()?;
                self.count(&text);
                Ok(())
            }
            Kind::Array => scanner.array(|it| self.text(it)),
            Kind::Object => scanner.object(|it, key| {
                let name = it.name(key);
                match &*name {
                    b"source" => self.source(it),
                    // Arguments of a tool: their keys are the tool's own words.
                    b"input" | b"arguments" | b"parameters" => self.everything(it),
                    name if is_no_text(name) => it.skip().map(drop),
                    _ => self.text(it),
                }
            }),
            _ => scanner.skip().map(drop),
        }
    }

    /// Words, or arrays that hold token ids.
    fn text_or_ids(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        match scanner.peek()? {
            Kind::Number => {
                self.fields.token_ids += 1;
                scanner.number().map(drop)
            }
            Kind::Array => scanner.array(|it| self.text_or_ids(it)),
            _ => self.text(scanner),
        }
    }

    /// Keys and strings alike: a tool's schema is shown to the model as it is written.
    fn everything(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        match scanner.peek()? {
            Kind::String => {
                let text = scanner.string()?;
                self.count(&text);
                Ok(())
            }
            Kind::Array => scanner.array(|it| self.everything(it)),
            Kind::Object => scanner.object(|it, key| {
                self.count(key);
                self.everything(it)
            }),
            _ => scanner.skip().map(drop),
        }
    }

    /// An Anthropic source: its `data` is text only where its `type` says so, which may stand before or after it.
    fn source(&mut self, scanner: &mut Scanner<'a>) -> Scan {
        if scanner.peek()? != Kind::Object {
            return scanner.skip().map(drop);
        }
        let (mut is_text, mut data) = (false, None);
        scanner.object(|it, key| match &*it.name(key) {
            b"type" if it.peek()? == Kind::String => {
                let text = it.string()?;
                is_text = &*it.name(&text) == b"text";
                Ok(())
            }
            b"data" if it.peek()? == Kind::String => {
                data = Some(it.string()?);
                Ok(())
            }
            b"content" => self.text(it),
            _ => it.skip().map(drop),
        })?;
        if let Some(data) = data.filter(|_| is_text) {
            self.count(&data);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
