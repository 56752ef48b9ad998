//! How answers and errors are written: one file a dialect.

pub(crate) mod anthropic;
pub(crate) mod native;
pub(crate) mod openai;
pub(crate) mod responses;

use bytes::Bytes;

use super::body::Event;

/// Writes into an event under construction; writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{
        use std::fmt::Write as _;
        write!($out, $($arg)*).expect("a String takes everything")
    }};
}
pub(crate) use put;

/// Events of one stream, written one after the other into one allocation.
#[derive(Default)]
pub(crate) struct Sheet {
    text: String,
    ends: Vec<(usize, bool)>,
}

impl Sheet {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Vec::new() }
    }

    /// Writes one event, without its closing blank line.
    pub(crate) fn event(&mut self, paced: bool, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.text.push_str("\n\n");
        self.ends.push((self.text.len(), paced));
    }

    pub(crate) fn finish(self) -> Vec<Event> {
        let bytes = Bytes::from(self.text);
        let mut start = 0;
        let mut events = Vec::with_capacity(self.ends.len());
        for (end, paced) in self.ends {
            events.push(Event { bytes: bytes.slice(start..end), paced });
            start = end;
        }
        events
    }
}

/// The dialects in which errors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Responses,
    Native,
    Anthropic,
}

/// Code and message of a provider's error, as native and OpenAI-compatible endpoints say it.
struct Trouble {
    native: &'static str,
    openai: &'static str,
    kind: &'static str,
    anthropic: &'static str,
    message: &'static str,
}

const fn trouble(status: u16) -> Trouble {
    let (native, openai, kind, anthropic, message) = match status {
        400 => (
            "InvalidParameter",
            "invalid_parameter_error",
            "invalid_request_error",
            "invalid_request_error",
            "<400> InternalError.Algo.InvalidParameter: The provided input is not valid.",
        ),
        401 => (
            "InvalidApiKey",
            "invalid_api_key",
            "invalid_request_error",
            "authentication_error",
            "Incorrect API key provided.",
        ),
        403 => ("AccessDenied", "access_denied", "access_denied", "permission_error", "Access denied."),
        404 => (
            "ModelNotFound",
            "model_not_found",
            "invalid_request_error",
            "not_found_error",
            "The model does not exist.",
        ),
        429 => (
            "Throttling.AllocationQuota",
            "insufficient_quota",
            "insufficient_quota",
            "rate_limit_error",
            "Allocated quota exceeded, please increase your quota limit.",
        ),
        503 => (
            "ModelServingError",
            "model_serving_error",
            "server_error",
            "overloaded_error",
            "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
        ),
        _ => (
            "InternalError",
            "internal_error",
            "server_error",
            "api_error",
            "An internal error has occurred, please try again later or contact service support.",
        ),
    };
    Trouble { native, openai, kind, anthropic, message }
}

impl Dialect {
    /// The body of an error answer.
    pub(crate) fn error(self, status: u16, id: &str) -> String {
        let Trouble { native, openai, kind, anthropic, message } = trouble(status);
        match self {
            Self::Native => format!(r#"{{"code":"{native}","message":"{message}","request_id":"{id}"}}"#),
            Self::OpenAi | Self::Responses => format!(
                r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{openai}"}},"request_id":"{id}"}}"#
            ),
            Self::Anthropic => format!(
                r#"{{"type":"error","error":{{"type":"{anthropic}","message":"{message}"}},"request_id":"{id}"}}"#
            ),
        }
    }

    /// An error event in a stream, the `n`th event, counted from 0.
    pub(crate) fn error_event(self, n: usize, status: u16, id: &str) -> Bytes {
        let Trouble { native, openai, kind, anthropic, message } = trouble(status);
        Bytes::from(match self {
            Self::Native => format!(
                "id:{}\nevent:error\n:HTTP_STATUS/{status}\ndata:{{\"request_id\":\"{id}\",\"code\":\"{native}\",\"message\":\"{message}\"}}\n\n",
                n + 1
            ),
            Self::OpenAi => format!(
                "data: {{\"error\":{{\"code\":\"{openai}\",\"message\":\"{message}\",\"type\":\"{kind}\"}}}}\n\n"
            ),
            Self::Responses => format!(
                "event: error\ndata: {{\"type\":\"error\",\"code\":\"{openai}\",\"message\":\"{message}\",\"param\":null,\"sequence_number\":{n}}}\n\n"
            ),
            Self::Anthropic => format!(
                "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{anthropic}\",\"message\":\"{message}\"}}}}\n\n"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_inside_a_stream_is_told_in_each_dialect() {
        let text = |dialect: Dialect| String::from_utf8(dialect.error_event(0, 429, "RID").to_vec()).unwrap();
        assert_eq!(
            text(Dialect::Native),
            "id:1\nevent:error\n:HTTP_STATUS/429\ndata:{\"request_id\":\"RID\",\"code\":\"Throttling.AllocationQuota\",\
             \"message\":\"Allocated quota exceeded, please increase your quota limit.\"}\n\n"
        );
        assert_eq!(
            text(Dialect::Anthropic),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\
             \"message\":\"Allocated quota exceeded, please increase your quota limit.\"}}\n\n"
        );
    }
}
