//! What the stand-in reads from a call: which answer is wanted, how long, and how large the prompt is.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, Method};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// The kinds of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Chat,
    Completion,
    Embedding,
    Response,
    Models,
    Generation {
        multimodal: bool,
    },
    NativeEmbedding,
    Task,
    Message,
    /// Files and batches.
    Shelf,
    Control,
    Unknown,
}

impl Route {
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        if path.starts_with("/stand-in/") {
            return Self::Control;
        }
        if let Some(rest) = path.strip_prefix("/api/v1/") {
            return match (method.as_str(), rest.strip_prefix("services/")) {
                ("POST", Some(it)) if it.contains("embedding") => Self::NativeEmbedding,
                ("POST", Some(it)) => Self::Generation { multimodal: it.contains("multimodal") },
                ("GET", None) if rest.starts_with("tasks/") => Self::Task,
                _ => Self::Unknown,
            };
        }
        let rest = ["/compatible-mode/v1/", "/apps/anthropic/v1/", "/v1/"].iter().find_map(|it| path.strip_prefix(it));
        match (method.as_str(), rest) {
            ("POST", Some("chat/completions")) => Self::Chat,
            ("POST", Some("completions")) => Self::Completion,
            ("POST", Some("embeddings")) => Self::Embedding,
            ("POST", Some("responses")) => Self::Response,
            ("POST", Some("messages")) => Self::Message,
            ("GET", Some("models")) => Self::Models,
            (_, Some(it)) if matches!(it.split('/').next(), Some("files" | "batches")) => Self::Shelf,
            _ => Self::Unknown,
        }
    }
}

/// One call, as far as its answer depends on it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub(crate) model: Cow<'a, str>,
    pub(crate) stream: bool,
    /// `stream_options.include_usage`.
    pub(crate) include_usage: bool,
    pub(crate) max_output: Option<u64>,
    pub(crate) choices: u64,
    pub(crate) text: Text,
    /// Inputs of an embedding call.
    pub(crate) inputs: usize,
    pub(crate) base64: bool,
    /// Native: `result_format` is `message`.
    pub(crate) as_message: bool,
    /// Native: each frame holds only what is new.
    pub(crate) incremental: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    n: Option<u64>,
    messages: Text,
    prompt: Text,
    input: Text,
    system: Text,
    instructions: Text,
    tools: Text,
    parameters: Option<Parameters<'a>>,
    #[serde(borrow)]
    encoding_format: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Parameters<'a> {
    max_tokens: Option<u64>,
    n: Option<u64>,
    #[serde(borrow)]
    result_format: Option<Cow<'a, str>>,
    incremental_output: Option<bool>,
    tools: Text,
}

impl<'a> Asked<'a> {
    /// Reads a body; `Err` is what a provider would say about it.
    pub(crate) fn read(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, serde_json::Error> {
        let fields: Fields<'a> = serde_json::from_slice(body)?;
        let parameters = fields.parameters.unwrap_or_default();
        let parts = [
            fields.messages,
            fields.prompt,
            fields.input,
            fields.system,
            fields.instructions,
            fields.tools,
            parameters.tools,
        ];
        Ok(Self {
            model: fields.model,
            stream: fields.stream == Some(true) || asks_for_events(headers),
            include_usage: fields.stream_options.is_some_and(|it| it.include_usage == Some(true)),
            max_output: [
                fields.max_tokens,
                fields.max_completion_tokens,
                fields.max_output_tokens,
                parameters.max_tokens,
            ]
            .into_iter()
            .flatten()
            .max(),
            choices: fields.n.or(parameters.n).unwrap_or(1).clamp(1, 8),
            text: parts.iter().fold(Text::default(), |sum, it| sum.plus(*it)),
            inputs: fields.input.items.max(1),
            base64: fields.encoding_format.as_deref() == Some("base64"),
            as_message: parameters.result_format.as_deref() == Some("message"),
            incremental: parameters.incremental_output == Some(true),
        })
    }
}

fn asks_for_events(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| {
        headers.get(name).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    is("x-dashscope-sse", "enable") || is("accept", "text/event-stream")
}

/// How much text a part of a body holds, in bytes after unescaping; pictures, sounds and roles are no text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    ascii: u64,
    other: u64,
    token_ids: u64,
    /// Strings or arrays directly in the outermost array.
    items: usize,
}

impl Text {
    /// Tokens, as a tokenizer of four letters or one wide character each would count.
    pub(crate) fn tokens(self) -> u64 {
        ((3 * self.ascii + 4 * self.other).div_ceil(12) + self.token_ids).max(1)
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            ascii: self.ascii + other.ascii,
            other: self.other + other.other,
            token_ids: self.token_ids + other.token_ids,
            items: self.items,
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        let other = text.bytes().filter(|it| !it.is_ascii()).count() as u64;
        Ok(Text { ascii: text.len() as u64 - other, other, ..Text::default() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
        let mut sum = Text::default();
        let mut items = 0;
        while let Some(it) = seq.next_element::<Text>()? {
            sum = sum.plus(it);
            items += usize::from(it.token_ids == 0 || it.items > 0);
        }
        // An array of token ids is one input.
        Ok(Text { items: if items == 0 { usize::from(sum.token_ids > 0) } else { items }, ..sum })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        let mut sum = Text::default();
        // Native embeddings have their inputs one level further down.
        let mut items = 0;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "texts" | "contents" => {
                    let inputs = map.next_value::<Text>()?;
                    items = inputs.items;
                    sum = sum.plus(inputs);
                }
                "role" | "type" | "id" | "image" | "image_url" | "audio" | "input_audio" | "video" | "file"
                | "source" => {
                    map.next_value::<IgnoredAny>()?;
                }
                _ => sum = sum.plus(map.next_value::<Text>()?),
            }
        }
        Ok(Text { items, ..sum })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text { token_ids: 1, ..Text::default() })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Asked<'_> {
        Asked::read(&HeaderMap::new(), body.as_bytes()).unwrap()
    }

    #[test]
    fn text_is_counted_after_unescaping_and_pictures_are_none() {
        let asked = read(
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"\u4e2dabcd"},
               {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"max_tokens":null,"n":2}"#,
        );
        assert_eq!((asked.text.ascii, asked.text.other, asked.text.tokens()), (4, 3, 2));
        assert_eq!((asked.max_output, asked.choices, asked.stream), (None, 2, false));
    }

    #[test]
    fn the_larger_maximum_holds_and_token_ids_count_one_each() {
        assert_eq!(read(r#"{"max_tokens":5,"max_completion_tokens":9}"#).max_output, Some(9));
        let ids = read(r#"{"input":[[1,2,3],[4]]}"#);
        assert_eq!((ids.text.tokens(), ids.inputs), (4, 2));
        assert_eq!(read(r#"{"input":[1,2,3]}"#).inputs, 1);
        assert_eq!(read(r#"{"input":["a","b","c"]}"#).inputs, 3);
        assert_eq!(read(r#"{"input":{"texts":["a","b"]}}"#).inputs, 2);
    }

    #[test]
    fn routes_are_found_under_every_prefix() {
        let of = |method: &str, path: &str| Route::of(&method.parse().unwrap(), path);
        assert_eq!(of("POST", "/v1/chat/completions"), Route::Chat);
        assert_eq!(of("POST", "/compatible-mode/v1/responses"), Route::Response);
        assert_eq!(of("POST", "/apps/anthropic/v1/messages"), Route::Message);
        assert_eq!(
            of("POST", "/api/v1/services/aigc/multimodal-generation/generation"),
            Route::Generation { multimodal: true }
        );
        assert_eq!(of("GET", "/v1/chat/completions"), Route::Unknown);
        assert_eq!(of("DELETE", "/compatible-mode/v1/files/file-1"), Route::Shelf);
    }
}
