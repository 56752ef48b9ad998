//! Anthropic Messages.

use super::{Sheet, put};
use crate::provider::{answer::Answer, body::Event};

pub(crate) fn whole(answer: &Answer) -> String {
    let mut out = String::new();
    message(answer, true, &mut out);
    out
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let mut sheet = Sheet::with_capacity(usize::try_from(160 * (answer.pieces() + 6)).unwrap_or(0));
    sheet.event(false, |out| {
        out.push_str("event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
        message(answer, false, out);
        out.push('}');
    });
    sheet.event(false, |out| {
        out.push_str("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
    });
    sheet.event(false, |out| out.push_str("event: ping\ndata: {\"type\":\"ping\"}"));
    for n in 0..answer.pieces() {
        sheet.event(n > 0, |out| {
            put!(
                out,
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{}\"}}}}",
                answer.piece(n)
            );
        });
    }
    sheet.event(false, |out| {
        out.push_str("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}");
    });
    sheet.event(false, |out| {
        put!(
            out,
            "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{}\",\"stop_sequence\":null}}",
            stop_reason(answer)
        );
        if let Some(output) = answer.reported {
            put!(out, ",\"usage\":{{\"output_tokens\":{output}}}");
        }
        out.push('}');
    });
    sheet.event(false, |out| out.push_str("event: message_stop\ndata: {\"type\":\"message_stop\"}"));
    sheet.finish()
}

fn message(answer: &Answer, done: bool, out: &mut String) {
    put!(
        out,
        r#"{{"id":"msg_{}","type":"message","role":"assistant","model":{},"content":["#,
        answer.id(),
        answer.model
    );
    if done {
        out.push_str(r#"{"type":"text","text":""#);
        answer.write_text(out);
        out.push_str("\"}");
        put!(out, r#"],"stop_reason":"{}","#, stop_reason(answer));
    } else {
        out.push_str(r#"],"stop_reason":null,"#);
    }
    out.push_str(r#""stop_sequence":null"#);
    if let Some(output) = answer.reported {
        // What a stream says at its start is what one token costs; the end has the sum.
        let output = if done { output } else { output.min(1) };
        put!(
            out,
            r#","usage":{{"input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":{output}}}"#,
            answer.prompt
        );
    }
    out.push('}');
}

const fn stop_reason(answer: &Answer) -> &'static str {
    if answer.cut { "max_tokens" } else { "end_turn" }
}
