//! The responses endpoint.

use super::{Sheet, put};
use crate::provider::{answer::Answer, body::Event};

pub(crate) fn whole(answer: &Answer) -> String {
    let mut out = String::new();
    response(answer, State::Done, &mut out);
    out
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let mut sheet = Sheet::with_capacity(usize::try_from(256 * (answer.pieces() + 10)).unwrap_or(0));
    let mut number = 0;
    let mut event = |kind: &str, paced: bool, write: &dyn Fn(&mut String)| {
        sheet.event(paced, |out| {
            put!(out, "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},");
            write(out);
            out.push('}');
        });
        number += 1;
    };
    let item = format!("msg_{}", answer.id());
    event("response.created", false, &|out| in_response(answer, State::Running, out));
    event("response.in_progress", false, &|out| in_response(answer, State::Running, out));
    event("response.output_item.added", false, &|out| {
        put!(
            out,
            r#""output_index":0,"item":{{"id":"{item}","type":"message","status":"in_progress","role":"assistant","content":[]}}"#
        );
    });
    event("response.content_part.added", false, &|out| {
        put!(
            out,
            r#""item_id":"{item}","output_index":0,"content_index":0,"part":{{"type":"output_text","text":"","annotations":[]}}"#
        );
    });
    for n in 0..answer.pieces() {
        event("response.output_text.delta", n > 0, &|out| {
            put!(
                out,
                r#""item_id":"{item}","output_index":0,"content_index":0,"delta":"{}","logprobs":[]"#,
                answer.piece(n)
            );
        });
    }
    event("response.output_text.done", false, &|out| {
        put!(out, r#""item_id":"{item}","output_index":0,"content_index":0,"logprobs":[],"text":""#);
        answer.write_text(out);
        out.push('"');
    });
    event("response.content_part.done", false, &|out| {
        put!(out, r#""item_id":"{item}","output_index":0,"content_index":0,"part":"#);
        part(answer, out);
    });
    event("response.output_item.done", false, &|out| {
        out.push_str(r#""output_index":0,"item":"#);
        message(answer, out);
    });
    let last = if answer.cut { "response.incomplete" } else { "response.completed" };
    event(last, false, &|out| in_response(answer, State::Done, out));
    sheet.finish()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Done,
}

fn in_response(answer: &Answer, state: State, out: &mut String) {
    out.push_str(r#""response":"#);
    response(answer, state, out);
}

fn response(answer: &Answer, state: State, out: &mut String) {
    let (status, details) = match (state, answer.cut) {
        (State::Running, _) => ("in_progress", "null"),
        (State::Done, false) => ("completed", "null"),
        (State::Done, true) => ("incomplete", r#"{"reason":"max_output_tokens"}"#),
    };
    put!(
        out,
        r#"{{"id":"resp_{}","object":"response","created_at":{},"status":"{status}","error":null,"incomplete_details":{details},"instructions":null,"metadata":{{}},"model":{},"parallel_tool_calls":true,"temperature":1.0,"tool_choice":"auto","tools":[],"top_p":1.0,"output":["#,
        answer.id(),
        answer.created,
        answer.model
    );
    if state == State::Done {
        message(answer, out);
    }
    out.push_str(r#"],"usage":"#);
    match answer.reported {
        Some(output) if state == State::Done => put!(
            out,
            r#"{{"input_tokens":{},"input_tokens_details":{{"cached_tokens":0}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{}}}"#,
            answer.prompt,
            answer.prompt + output
        ),
        _ => out.push_str("null"),
    }
    out.push('}');
}

fn message(answer: &Answer, out: &mut String) {
    let status = if answer.cut { "incomplete" } else { "completed" };
    put!(out, r#"{{"id":"msg_{}","type":"message","status":"{status}","role":"assistant","content":["#, answer.id());
    part(answer, out);
    out.push_str("]}");
}

fn part(answer: &Answer, out: &mut String) {
    out.push_str(r#"{"type":"output_text","annotations":[],"logprobs":[],"text":""#);
    answer.write_text(out);
    out.push_str("\"}");
}
