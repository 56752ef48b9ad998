//! Native DashScope: generation, embeddings and asynchronous tasks.

use super::{Sheet, openai::vector, put};
use crate::provider::{
    answer::{Answer, id_of},
    body::Event,
    request::Asked,
};

/// How a generation's text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `output.text`.
    Text,
    /// `output.choices[].message.content`, a string.
    Message,
    /// The same, with a list of parts.
    Parts,
}

impl Layout {
    pub(crate) const fn of(multimodal: bool, asked: &Asked<'_>) -> Self {
        match (multimodal, asked.as_message) {
            (true, _) => Self::Parts,
            (false, true) => Self::Message,
            (false, false) => Self::Text,
        }
    }
}

pub(crate) fn whole(answer: &Answer, layout: Layout) -> String {
    let mut out = String::new();
    frame(answer, layout, Some(answer.finish()), answer.reported, &mut out, |out| answer.write_text(out));
    out
}

/// A stream: counts are in every frame and grow; without `incremental` each frame repeats the text so far.
pub(crate) fn events(answer: &Answer, layout: Layout, incremental: bool) -> Vec<Event> {
    let mut sheet = Sheet::default();
    let mut so_far = String::new();
    let mut id = 0;
    let pieces = answer.pieces();
    for n in 0..pieces {
        if incremental {
            so_far.clear();
        }
        so_far.push_str(answer.piece(n));
        let reported = answer.reported.map(|last| if n + 1 == pieces { last } else { answer.output_by(n) });
        id += 1;
        sheet.event(n > 0, |out| {
            head(id, out);
            frame(answer, layout, None, reported, out, |out| out.push_str(&so_far));
        });
    }
    if incremental {
        so_far.clear();
    }
    sheet.event(false, |out| {
        head(id + 1, out);
        frame(answer, layout, Some(answer.finish()), answer.reported, out, |out| out.push_str(&so_far));
    });
    sheet.finish()
}

pub(crate) fn embeddings(answer: &Answer, asked: &Asked<'_>) -> String {
    let mut out = String::from(r#"{"output":{"embeddings":["#);
    for index in 0..asked.inputs {
        let comma = if index == 0 { "" } else { "," };
        put!(out, r#"{comma}{{"embedding":{:?},"text_index":{index}}}"#, vector(answer.number, index as u64));
    }
    out.push_str("]},");
    if answer.reported.is_some() {
        put!(out, r#""usage":{{"total_tokens":{}}},"#, answer.prompt);
    }
    put!(out, r#""request_id":"{}"}}"#, answer.id());
    out
}

/// The answer to a call that was sent with `X-DashScope-Async: enable`.
pub(crate) fn task_accepted(number: u64) -> String {
    let id = id_of(number);
    format!(r#"{{"output":{{"task_status":"PENDING","task_id":"{id}"}},"request_id":"{id}"}}"#)
}

/// Every task is done as soon as somebody asks.
pub(crate) fn task(number: u64, path: &str) -> String {
    let task = serde_json::to_string(path.rsplit('/').next().unwrap_or_default()).expect("a string is always JSON");
    format!(
        r#"{{"request_id":"{}","output":{{"task_id":{task},"task_status":"SUCCEEDED","results":[{{"url":"https://example.invalid/1.png"}}]}},"usage":{{"image_count":1}}}}"#,
        id_of(number)
    )
}

fn head(id: u64, out: &mut String) {
    put!(out, "id:{id}\nevent:result\n:HTTP_STATUS/200\ndata:");
}

fn frame(
    answer: &Answer,
    layout: Layout,
    finish: Option<&str>,
    reported: Option<u64>,
    out: &mut String,
    write: impl Fn(&mut String),
) {
    // A stream that goes on says so with the word null, not with the value.
    let finish = finish.unwrap_or("null");
    out.push_str(r#"{"output":{"#);
    if layout == Layout::Text {
        put!(out, r#""finish_reason":"{finish}","text":""#);
        write(out);
        out.push('"');
    } else {
        let (open, close) = if layout == Layout::Parts { (r#"[{"text":""#, "\"}]") } else { ("\"", "\"") };
        out.push_str(r#""choices":["#);
        for index in 0..answer.choices {
            put!(out, r#"{}{{"message":{{"content":{open}"#, if index == 0 { "" } else { "," });
            write(out);
            put!(out, r#"{close},"role":"assistant"}},"index":{index},"finish_reason":"{finish}"}}"#);
        }
        out.push(']');
    }
    out.push_str("},");
    if let Some(output) = reported {
        let total = answer.prompt + output;
        put!(out, r#""usage":{{"total_tokens":{total},"input_tokens":{},"output_tokens":{output}}},"#, answer.prompt);
    }
    put!(out, r#""request_id":"{}"}}"#, answer.id());
}
