//! Bodies of requests: what is read from one is what a parser reads from it, and splices change nothing else.

use bytes::Bytes;

use super::tree::{Tree, depth, is_json};
use crate::{
    pieces::{self, Pieces, Splice},
    request::{Fields, Invalid, SINGLE, Shape, StreamOptions, is_no_text, read},
};

const SHAPES: [Shape; 5] = [Shape::Chat, Shape::Embeddings, Shape::Responses, Shape::Native, Shape::Messages];

/// Holds of any body, in every dialect.
///
/// # Panics
/// When the scanner and `serde_json` disagree, or a splice changes more than it should.
pub fn body(text: &[u8]) {
    for shape in SHAPES {
        let found = read(text, shape);
        match &found {
            Err(Invalid::NotJson { at }) => {
                assert!(!is_json(text), "{shape:?}: it is JSON");
                assert!(*at <= text.len());
                continue;
            }
            Err(Invalid::TooDeep { .. }) => {
                assert!(depth(text) > crate::json::DEEPEST, "{shape:?}: it is not deep");
                continue;
            }
            _ => assert!(is_json(text), "{shape:?}: it is no JSON"),
        }
        if let Some(tree) = Tree::of(text) {
            let told = found.as_ref().map(Told::of).map_err(Clone::clone);
            assert_eq!(told, expected(&tree, shape), "{shape:?}");
        }
        if let Ok(fields) = found {
            places(text, &fields);
            spliced(text, shape, &fields);
        }
    }
}

/// What was found, without the places.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    model: Option<String>,
    stream: bool,
    options: Options,
    max_output: Option<u64>,
    times: Option<u64>,
    ascii: u64,
    other: u64,
    token_ids: u64,
    incremental: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Options {
    #[default]
    Absent,
    Null,
    Without {
        has_keys: bool,
    },
    Off,
    On,
}

impl Told {
    fn of(fields: &Fields<'_>) -> Self {
        Self {
            model: fields.model.as_ref().map(|it| it.name.clone().into_owned()),
            stream: fields.stream,
            options: match fields.stream_options {
                StreamOptions::Absent => Options::Absent,
                StreamOptions::Null(_) => Options::Null,
                StreamOptions::Without { has_keys, .. } => Options::Without { has_keys },
                StreamOptions::Off(_) => Options::Off,
                StreamOptions::On => Options::On,
            },
            max_output: fields.max_output,
            times: fields.times,
            ascii: fields.ascii_bytes,
            other: fields.other_bytes,
            token_ids: fields.token_ids,
            incremental: fields.incremental,
        }
    }
}

/// What a reading of the parsed body comes to: the same rules over values instead of bytes.
fn expected(tree: &Tree, shape: Shape) -> Result<Told, Invalid> {
    let Tree::Object(fields) = tree else { return Err(Invalid::NotObject) };
    let mut reading = Reading { shape, told: Told::default(), duplicate: None, bad_number: None };
    reading.top(fields);
    let Reading { told, duplicate, bad_number, .. } = reading;
    if let Some(key) = duplicate {
        return Err(Invalid::Duplicate(key));
    }
    if told.model.is_none() {
        return Err(Invalid::NoModel);
    }
    if let Some(field) = bad_number {
        return Err(Invalid::Number(field));
    }
    if shape == Shape::Messages && told.max_output.is_none() {
        return Err(Invalid::Missing("max_tokens"));
    }
    Ok(told)
}

struct Reading {
    shape: Shape,
    told: Told,
    duplicate: Option<&'static str>,
    bad_number: Option<&'static str>,
}

type Members = [(String, Tree)];

impl Reading {
    fn top(&mut self, fields: &Members) {
        for (at, (key, value)) in fields.iter().enumerate() {
            self.once(&fields[..at], key);
            match (key.as_str(), self.shape) {
                ("model", _) => {
                    if let Tree::Text(name) = value
                        && !name.is_empty()
                    {
                        self.told.model = Some(name.clone());
                    }
                }
                ("stream", Shape::Chat | Shape::Responses | Shape::Messages) => {
                    self.told.stream = *value == Tree::Bool(true);
                }
                ("stream_options", Shape::Chat) => self.told.options = options(value),
                ("max_tokens", Shape::Chat | Shape::Messages) => self.maximum("max_tokens", value),
                ("max_completion_tokens", Shape::Chat) => self.maximum("max_completion_tokens", value),
                ("max_output_tokens", Shape::Responses) => self.maximum("max_output_tokens", value),
                ("n", Shape::Chat) => self.told.times = self.whole("n", value),
                ("messages", Shape::Chat | Shape::Messages)
                | ("system", Shape::Messages)
                | ("instructions", Shape::Responses) => self.words(value),
                ("prompt", Shape::Chat) | ("input", Shape::Embeddings | Shape::Responses) => self.words_or_ids(value),
                ("tools", Shape::Chat | Shape::Responses | Shape::Messages) | ("functions", Shape::Chat) => {
                    self.everything(value);
                }
                ("input", Shape::Native) => match value {
                    Tree::Object(inputs) => self.native_input(inputs),
                    other => self.words_or_ids(other),
                },
                ("parameters", Shape::Native) => {
                    if let Tree::Object(parameters) = value {
                        self.native_parameters(parameters);
                    }
                }
                _ => {}
            }
        }
    }

    fn native_input(&mut self, inputs: &Members) {
        for (at, (key, value)) in inputs.iter().enumerate() {
            self.once(&inputs[..at], key);
            if !is_no_text(key.as_bytes()) {
                self.words(value);
            }
        }
    }

    fn native_parameters(&mut self, parameters: &Members) {
        for (at, (key, value)) in parameters.iter().enumerate() {
            self.once(&parameters[..at], key);
            match key.as_str() {
                "max_tokens" => self.maximum("max_tokens", value),
                "n" => self.told.times = self.whole("n", value),
                "tools" => self.everything(value),
                "incremental_output" => self.told.incremental = *value == Tree::Bool(true),
                _ => {}
            }
        }
    }

    fn once(&mut self, before: &Members, key: &str) {
        let single = SINGLE.iter().find(|it| **it == key);
        if before.iter().any(|(earlier, _)| earlier == key) {
            self.duplicate = self.duplicate.or(single.copied());
        }
    }

    fn maximum(&mut self, field: &'static str, value: &Tree) {
        self.told.max_output = self.told.max_output.max(self.whole(field, value));
    }

    fn whole(&mut self, field: &'static str, value: &Tree) -> Option<u64> {
        match value {
            Tree::Null => None,
            Tree::Whole(number) if *number <= u64::from(u32::MAX) => Some(*number),
            _ => {
                self.bad_number = self.bad_number.or(Some(field));
                None
            }
        }
    }

    fn count(&mut self, text: &str) {
        let (ascii, other) = Tree::bytes_of(text);
        self.told.ascii += ascii;
        self.told.other += other;
    }

    fn words(&mut self, value: &Tree) {
        match value {
            Tree::Text(text) => self.count(text),
            Tree::Array(items) => items.iter().for_each(|it| self.words(it)),
            Tree::Object(members) => {
                for (key, value) in members {
                    match key.as_str() {
                        "source" => self.source(value),
                        "input" | "arguments" | "parameters" => self.everything(value),
                        key if is_no_text(key.as_bytes()) => {}
                        _ => self.words(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn words_or_ids(&mut self, value: &Tree) {
        match value {
            Tree::Whole(_) | Tree::Number(_) => self.told.token_ids += 1,
            Tree::Array(items) => items.iter().for_each(|it| self.words_or_ids(it)),
            other => self.words(other),
        }
    }

    fn everything(&mut self, value: &Tree) {
        match value {
            Tree::Text(text) => self.count(text),
            Tree::Array(items) => items.iter().for_each(|it| self.everything(it)),
            Tree::Object(members) => {
                for (key, value) in members {
                    self.count(key);
                    self.everything(value);
                }
            }
            _ => {}
        }
    }

    fn source(&mut self, value: &Tree) {
        let Tree::Object(members) = value else { return };
        let texts = |name: &str| {
            let named = members.iter().filter(move |(key, _)| key == name);
            named.rev().find_map(|(_, value)| if let Tree::Text(text) = value { Some(text.as_str()) } else { None })
        };
        for (key, value) in members {
            if key == "content" {
                self.words(value);
            }
        }
        if let (Some("text"), Some(data)) = (texts("type"), texts("data")) {
            self.count(data);
        }
    }
}

fn options(value: &Tree) -> Options {
    match value {
        Tree::Null => Options::Null,
        Tree::Object(members) => match members.iter().rfind(|(key, _)| key == "include_usage") {
            None => Options::Without { has_keys: !members.is_empty() },
            Some((_, Tree::Bool(false) | Tree::Null)) => Options::Off,
            Some(_) => Options::On,
        },
        _ => Options::On,
    }
}

/// The places that splices go by are those of what they replace.
fn places(text: &[u8], fields: &Fields<'_>) {
    assert_eq!(text[fields.closing], b'}');
    assert!(text[fields.closing + 1..].iter().all(u8::is_ascii_whitespace));
    let model = fields.model.as_ref().expect("a body without a model is refused");
    let value = &text[model.span.clone()];
    assert!(value.len() >= 3 && value[0] == b'"' && value[value.len() - 1] == b'"');
    if let Ok(name) = serde_json::from_slice::<String>(value) {
        assert_eq!(name, model.name);
    }
}

/// Both splices together, which is what a renamed model's stream gets.
fn spliced(text: &[u8], shape: Shape, fields: &Fields<'_>) {
    const NAME: &str = "spliced-\u{4e2d}";
    let model = fields.model.as_ref().expect("a body without a model is refused").span.clone();
    let mut splices = vec![Splice { range: model, by: Bytes::from(format!("\"{NAME}\"")) }];
    if shape == Shape::Chat {
        splices.extend(pieces::include_usage(&fields.stream_options, fields.closing));
    }
    let body = Bytes::copy_from_slice(text);
    let result = gathered(Pieces::spliced(&body, splices.clone()));
    assert_eq!(taken_back(&result, text, splices), text, "bytes outside the splices");

    let read_again = read(&result, shape).expect("a body that was taken is taken with its splices");
    let (before, after) = (Told::of(fields), Told::of(&read_again));
    let options = if shape == Shape::Chat { Options::On } else { before.options };
    assert_eq!(after, Told { model: Some(NAME.to_owned()), options, ..before });
    if let (Some(before), Some(after)) = (Tree::of(text), Tree::of(&result)) {
        assert_eq!(without_spliced(after), without_spliced(before), "values outside the splices");
    }
}

fn gathered(mut pieces: Pieces) -> Vec<u8> {
    let length = pieces.length();
    let mut bytes = Vec::new();
    while !pieces.front().is_empty() {
        bytes.extend_from_slice(pieces.front());
        pieces.advance(pieces.front().len());
    }
    assert_eq!(bytes.len() as u64, length);
    bytes
}

/// Undoes splices by their places and lengths alone.
fn taken_back(result: &[u8], original: &[u8], mut splices: Vec<Splice>) -> Vec<u8> {
    splices.sort_by_key(|it| it.range.start);
    let (mut bytes, mut at, mut from) = (Vec::new(), 0, 0);
    for Splice { range, by } in splices {
        let plain = range.start - from;
        bytes.extend_from_slice(&result[at..at + plain]);
        assert_eq!(&result[at + plain..at + plain + by.len()], by);
        bytes.extend_from_slice(&original[range.clone()]);
        (at, from) = (at + plain + by.len(), range.end);
    }
    bytes.extend_from_slice(&result[at..]);
    bytes
}

/// A body without what splices may change.
fn without_spliced(tree: Tree) -> Tree {
    let Tree::Object(mut fields) = tree else { return tree };
    fields.retain(|(key, _)| key != "model");
    for (key, value) in &mut fields {
        if key == "stream_options"
            && let Tree::Object(options) = value
        {
            options.retain(|(key, _)| key != "include_usage");
        }
    }
    let empty = |value: &Tree| *value == Tree::Null || *value == Tree::Object(Vec::new());
    fields.retain(|(key, value)| key != "stream_options" || !empty(value));
    Tree::Object(fields)
}
