//! Chat completions, completions, embeddings and models as OpenAI-compatible endpoints answer them.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Sheet, put};
use crate::{
    chance::Chance,
    provider::{answer::Answer, body::Event, pace::MODELS, request::Asked},
};

/// Numbers in a vector: enough to look like one.
const DIMENSIONS: u64 = 16;

/// Chat completions or the older completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Chat,
    Text,
}

impl Shape {
    const fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Text => "cmpl-",
        }
    }
}

pub(crate) fn whole(answer: &Answer, shape: Shape) -> String {
    let mut out = String::with_capacity(512 + 8 * usize::try_from(answer.output).unwrap_or(0));
    let object = if shape == Shape::Chat { "chat.completion" } else { "text_completion" };
    out.push_str(r#"{"choices":["#);
    for index in 0..answer.choices {
        out.push_str(if index == 0 { "{" } else { ",{" });
        match shape {
            Shape::Chat => out.push_str(r#""message":{"role":"assistant","content":""#),
            Shape::Text => out.push_str(r#""text":""#),
        }
        answer.write_text(&mut out);
        out.push_str(if shape == Shape::Chat { "\"}," } else { "\"," });
        put!(out, r#""finish_reason":"{}","index":{index},"logprobs":null}}"#, answer.finish());
    }
    put!(out, r#"],"object":"{object}","#);
    if answer.reported.is_some() {
        usage(answer, answer.reported, &mut out);
        out.push(',');
    }
    tail(answer, shape, &mut out);
    out
}

/// The events of a stream; counts come only when they were asked for.
pub(crate) fn events(answer: &Answer, shape: Shape, include_usage: bool) -> Vec<Event> {
    let pieces = answer.pieces();
    let mut sheet = Sheet::with_capacity(usize::try_from(320 * (pieces * answer.choices + 4)).unwrap_or(0));
    if shape == Shape::Chat {
        for index in 0..answer.choices {
            let delta = |out: &mut String| out.push_str(r#""delta":{"content":"","role":"assistant"}"#);
            sheet.event(false, |out| chunk(answer, shape, index, None, out, delta));
        }
    }
    for n in 0..pieces {
        for index in 0..answer.choices {
            // The first words come with the head, when the time to the first token has passed.
            let paced = n > 0 && index == 0;
            sheet
                .event(paced, |out| chunk(answer, shape, index, None, out, |out| content(shape, answer.piece(n), out)));
        }
    }
    for index in 0..answer.choices {
        let last = |out: &mut String| content(shape, "", out);
        sheet.event(false, |out| chunk(answer, shape, index, Some(answer.finish()), out, last));
    }
    if include_usage && answer.reported.is_some() {
        sheet.event(false, |out| {
            put!(out, r#"data: {{"choices":[],"object":"{}","#, object(shape));
            usage(answer, answer.reported, out);
            out.push(',');
            tail(answer, shape, out);
        });
    }
    sheet.event(false, |out| out.push_str("data: [DONE]"));
    sheet.finish()
}

pub(crate) fn embeddings(answer: &Answer, asked: &Asked<'_>) -> String {
    let mut out = String::from(r#"{"data":["#);
    for index in 0..asked.inputs {
        put!(out, r#"{}{{"embedding":"#, if index == 0 { "" } else { "," });
        let vector = vector(answer.number, index as u64);
        if asked.base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|it| it.to_le_bytes()).collect();
            put!(out, "\"{}\"", BASE64_STANDARD.encode(bytes));
        } else {
            put!(out, "{vector:?}");
        }
        put!(out, r#","index":{index},"object":"embedding"}}"#);
    }
    put!(out, r#"],"model":{},"object":"list","#, answer.model);
    if answer.reported.is_some() {
        put!(out, r#""usage":{{"prompt_tokens":{0},"total_tokens":{0}}},"#, answer.prompt);
    }
    put!(out, r#""id":"{}"}}"#, answer.id());
    out
}

/// The vector of one input, values between -1 and 1.
#[expect(clippy::cast_possible_truncation, reason = "a vector has single precision")]
pub(crate) fn vector(number: u64, index: u64) -> Vec<f32> {
    let mut chance = Chance::nth(number, index);
    (0..DIMENSIONS).map(|_| chance.between(-1.0, 1.0) as f32).collect()
}

pub(crate) fn models() -> String {
    let mut out = String::from(r#"{"object":"list","data":["#);
    for (n, model) in MODELS.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        put!(out, r#"{comma}{{"id":"{model}","object":"model","created":1795305600,"owned_by":"system"}}"#);
    }
    out.push_str("]}");
    out
}

const fn object(shape: Shape) -> &'static str {
    match shape {
        Shape::Chat => "chat.completion.chunk",
        Shape::Text => "text_completion",
    }
}

fn content(shape: Shape, text: &str, out: &mut String) {
    match shape {
        Shape::Chat => put!(out, r#""delta":{{"content":"{text}"}}"#),
        Shape::Text => put!(out, r#""text":"{text}""#),
    }
}

fn chunk(
    answer: &Answer,
    shape: Shape,
    index: u64,
    finish: Option<&str>,
    out: &mut String,
    write: impl FnOnce(&mut String),
) {
    out.push_str("data: {\"choices\":[{");
    write(out);
    put!(out, r#","index":{index},"logprobs":null,"finish_reason":"#);
    match finish {
        Some(finish) => put!(out, "\"{finish}\""),
        None => out.push_str("null"),
    }
    put!(out, r#"}}],"object":"{}","usage":null,"#, object(shape));
    tail(answer, shape, out);
}

fn usage(answer: &Answer, reported: Option<u64>, out: &mut String) {
    let output = reported.unwrap_or(0);
    put!(
        out,
        r#""usage":{{"prompt_tokens":{},"completion_tokens":{output},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":0}}}}"#,
        answer.prompt,
        answer.prompt + output
    );
}

fn tail(answer: &Answer, shape: Shape, out: &mut String) {
    put!(
        out,
        r#""created":{},"system_fingerprint":null,"model":{},"id":"{}{}"}}"#,
        answer.created,
        answer.model,
        shape.id_prefix(),
        answer.id()
    );
}
