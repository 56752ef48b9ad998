//! Every answer that Sluice itself makes of an error: its status, and its body in the caller's dialect. The only place
//! that knows status codes and provider-shaped bodies.

use std::{fmt::Write, time::Duration};

use domain::{BrokenLimit, Cause, ErrorDialect};
use limiter::{Denial, Violation};

use crate::{
    dialect::Dialect,
    request::Invalid,
    route::Operation,
    serve::{HEAD, HEADERS},
};

mod anthropic;
mod native;
mod openai;

pub(crate) use crate::refusal::native::HEARTBEAT_STATUS;

/// Why a call is not answered by the provider.
#[derive(Clone, Debug)]
pub(crate) enum Refusal<'a> {
    /// 404: nothing is served there.
    NoRoute,
    /// 405, with the value of `allow`.
    WrongMethod(&'static str),
    /// 401: an unknown, revoked, expired or missing key.
    NoKey,
    /// 413, with the bytes accepted.
    TooLarge(u64),
    /// 431: a head that is too large.
    LargeHead,
    /// 415: a content encoding other than identity.
    Encoded,
    /// 400: the body.
    Invalid(Invalid),
    /// 400: `X-DashScope-Wait-Timeout` is no whole number.
    Wait,
    /// 400: `X-Sluice-Fallback` is neither `on` nor `off`.
    Fallback,
    /// 400: the body ended before it was whole, or could not be read.
    Unreadable,
    /// 400: a form that is not taken, with the sentence.
    Form(&'static str),
    /// A line of a batch file, refused for this.
    Line { number: u64, why: &'a Refusal<'a> },
    /// 400: a line's model is at another provider than those before.
    Elsewhere { model: &'a str, provider: &'a str, file: &'a str },
    /// 400: a batch of a file whose lines were not checked.
    Unchecked(&'a str),
    /// 404: the workspace has made no such thing.
    NoObject { kind: &'static str, id: &'a str },
    /// 404: the account has no such model.
    NoModel(&'a str),
    /// 403.
    NotGranted { workspace: &'a str, model: &'a str },
    /// 404: the model's provider lacks this dialect.
    NotOffered(&'a str),
    /// 429.
    Limited { denial: &'a Denial, workspace: &'a str, model: &'a str },
    /// 503: a decision cannot be made.
    Undecided(Undecided),
    /// 503: the provider has as many calls as it may have.
    Busy { provider: &'a str },
    /// 502.
    Upstream(Failure<'a>),
    /// 504: the provider, and how long it was waited for.
    Silent { provider: &'a str, waited: Duration },
}

/// Why no decision can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// The store of the limits is lost in mode `closed`.
    #[cfg_attr(not(test), expect(dead_code, reason = "limits shared by several nodes come with their own ledger"))]
    Store,
    /// What is charged cannot be kept for a restart.
    Usage,
    /// The process is about to end.
    Draining,
    /// The bodies of other calls take all the room that there is.
    Full,
    /// Whose something is can be neither read nor kept.
    Owners,
    /// As many clients are connected as may be.
    Crowded,
}

/// What went wrong between the gateway and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure<'a> {
    Unreachable {
        provider: &'a str,
    },
    Credential,
    Redirect,
    BrokeOff,
    /// An answer that had to be understood could not be.
    Unreadable,
}

/// The kinds of errors that dialects tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Key,
    Access,
    NoModel,
    NotOffered,
    NoRoute,
    BadRequest,
    EmptyModel,
    Number(&'static str),
    Missing(&'static str),
    TooLarge,
    LargeHead,
    Limited(Cause),
    Upstream,
    Undecided,
    Silent,
}

impl Refusal<'_> {
    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Invalid(_)
            | Self::Wait
            | Self::Fallback
            | Self::Unreadable
            | Self::Form(_)
            | Self::Elsewhere { .. }
            | Self::Unchecked(_) => 400,
            Self::Line { why, .. } => why.status(),
            Self::NoKey => 401,
            Self::NotGranted { .. } => 403,
            Self::NoRoute | Self::NoObject { .. } | Self::NoModel(_) | Self::NotOffered(_) => 404,
            Self::WrongMethod(_) => 405,
            Self::TooLarge(_) => 413,
            Self::Encoded => 415,
            Self::Limited { .. } => 429,
            Self::LargeHead => 431,
            Self::Upstream(_) => 502,
            Self::Undecided(_) | Self::Busy { .. } => 503,
            Self::Silent { .. } => 504,
        }
    }

    /// The body of the answer. `codes` matters to OpenAI-compatible 429s only.
    pub(crate) fn body(&self, dialect: Dialect, codes: ErrorDialect, request_id: &str) -> String {
        let details = match self {
            Self::Limited { denial, .. } => Some(details(denial)),
            _ => None,
        };
        let details = details.as_deref();
        match dialect {
            Dialect::Native => native::body(self, details, request_id),
            Dialect::OpenAi => openai::body(self, codes, details, request_id),
            Dialect::Anthropic => anthropic::body(self, details, request_id),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NoKey => Kind::Key,
            Self::NotGranted { .. } => Kind::Access,
            Self::NoModel(_) => Kind::NoModel,
            Self::NotOffered(_) => Kind::NotOffered,
            Self::NoRoute | Self::NoObject { .. } => Kind::NoRoute,
            Self::Line { why, .. } => why.kind(),
            Self::Invalid(Invalid::NoModel) => Kind::EmptyModel,
            Self::Invalid(Invalid::Number(field)) => Kind::Number(field),
            Self::Invalid(Invalid::Missing(field)) => Kind::Missing(field),
            Self::Invalid(_)
            | Self::WrongMethod(_)
            | Self::Encoded
            | Self::Wait
            | Self::Fallback
            | Self::Form(_)
            | Self::Elsewhere { .. }
            | Self::Unchecked(_)
            | Self::Unreadable => Kind::BadRequest,
            Self::TooLarge(_) => Kind::TooLarge,
            Self::LargeHead => Kind::LargeHead,
            Self::Limited { denial, .. } => Kind::Limited(denial.named.cause),
            Self::Upstream(_) => Kind::Upstream,
            Self::Undecided(_) | Self::Busy { .. } => Kind::Undecided,
            Self::Silent { .. } => Kind::Silent,
        }
    }

    /// The sentence for people that follows the provider's phrase; empty where the phrase says all.
    fn sentence(&self) -> String {
        match self {
            Self::NoKey | Self::NoRoute => String::new(),
            Self::NoModel(model) => format!("This account has no model {}.", shown(model)),
            Self::NotGranted { workspace, model } => {
                format!("Workspace {workspace} has no permission for model {}.", shown(model))
            }
            Self::NotOffered(model) => format!("Model {model} is not offered on the native endpoints."),
            Self::WrongMethod(allow) => format!("This path takes {allow}."),
            Self::LargeHead => format!("At most {HEAD} bytes in {HEADERS} fields are accepted."),
            Self::TooLarge(most) => format!("At most {most} bytes are accepted."),
            Self::Encoded => "A content-encoding other than identity is not accepted.".into(),
            Self::Wait => "X-DashScope-Wait-Timeout must be a whole number of seconds.".into(),
            Self::Fallback => "X-Sluice-Fallback must be on or off.".into(),
            Self::Unreadable => "The body broke off.".into(),
            Self::Form(sentence) => (*sentence).into(),
            Self::Line { number, .. } => format!("Line {number} of the file."),
            Self::Elsewhere { model, provider, file } => {
                format!("Model {model} is at provider {provider}, and the lines before are for provider {file}.")
            }
            Self::Unchecked(file) => format!("File {} was not uploaded with the purpose batch.", shown(file)),
            Self::NoObject { kind, id } => format!("This workspace has no {kind} {}.", shown(id)),
            Self::Invalid(invalid) => match invalid {
                Invalid::NotJson { at } => format!("Not valid JSON at byte {at}."),
                Invalid::TooDeep { at } => format!("Nested deeper than 128 levels at byte {at}."),
                Invalid::NotObject => "Not a JSON object.".into(),
                Invalid::Duplicate(key) => format!("Duplicate key \"{key}\"."),
                Invalid::NoModel | Invalid::Number(_) | Invalid::Missing(_) => String::new(),
            },
            Self::Limited { denial, workspace, model } => limited(denial, workspace, model),
            Self::Undecided(Undecided::Store) => {
                "The store of the limits cannot be reached, and without it no call is admitted.".into()
            }
            Self::Undecided(Undecided::Usage) => {
                "The use of the limits cannot be written, and without that no call is admitted.".into()
            }
            Self::Undecided(Undecided::Draining) => "This gateway is about to stop and takes no new call.".into(),
            Self::Busy { provider } => format!("Provider {provider} has as many calls as it may have."),
            Self::Undecided(Undecided::Crowded) => "This gateway holds as many connections as it can.".into(),
            Self::Undecided(Undecided::Owners) => "It cannot be told now whose this is.".into(),
            Self::Undecided(Undecided::Full) => "This gateway holds as many bytes of calls as it can.".into(),
            Self::Upstream(Failure::Unreachable { provider }) => format!("Provider {provider} cannot be reached."),
            Self::Upstream(Failure::Credential) => "The provider refused the gateway's credential.".into(),
            Self::Upstream(Failure::Redirect) => "The provider answered with a redirect.".into(),
            Self::Upstream(Failure::Unreadable) => "The provider's answer cannot be read.".into(),
            Self::Upstream(Failure::BrokeOff) => "The provider's stream broke off.".into(),
            Self::Silent { provider, waited } => {
                format!("Provider {provider} sent nothing for {} s.", waited.as_secs())
            }
        }
    }
}

/// An error inside a stream, after which the stream ends. `last` is the id or sequence number of the last event.
pub(crate) fn event(refusal: &Refusal<'_>, operation: Operation, request_id: &str, last: Option<u64>) -> String {
    match operation {
        Operation::Chat | Operation::Completions | Operation::Embeddings => openai::event(refusal, request_id),
        Operation::Responses => openai::responses_event(refusal, last),
        Operation::Service { .. } => native::event(refusal, request_id, last),
        Operation::Messages => anthropic::event(refusal, request_id),
    }
}

/// A model's name as a client gave it, cut where no name could go on, so that an answer does not echo megabytes.
fn shown(model: &str) -> &str {
    match model.char_indices().nth(200) {
        Some((end, _)) => &model[..end],
        None => model,
    }
}

/// Which limit, how much of it was used, and when to come back.
fn limited(denial: &Denial, workspace: &str, model: &str) -> String {
    domain::sentence(&broken(&denial.named), denial.retry_after_us, workspace, model)
}

/// A violation as it is remembered and explained.
pub(crate) fn broken(violation: &Violation) -> BrokenLimit {
    let Violation { cause, scope, window, limit, used, needed, retry_after_us } = *violation;
    BrokenLimit { cause, scope, window, limit, used, needed, retry_after_us }
}

/// Every violated limit as JSON, the named one first.
fn details(denial: &Denial) -> String {
    let mut out = String::with_capacity(160);
    for (at, it) in denial.violations().enumerate() {
        out.push(if at == 0 { '[' } else { ',' });
        let Violation { cause, scope, window, limit, used, needed, retry_after_us } = it;
        let window = window.seconds();
        let _ = write!(
            out,
            r#"{{"cause":"{cause}","scope":"{scope}","window_s":{window},"limit":{limit},"used":{used},"needed":{needed},"#
        );
        let _ = match retry_after_us {
            Some(us) => write!(out, r#""retry_after_ms":{}}}"#, us.div_ceil(1000)),
            None => write!(out, r#""retry_after_ms":null}}"#),
        };
    }
    out.push(']');
    out
}

/// `text` inside a JSON string.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The provider's phrase, and the sentence after it.
fn message(phrase: &str, sentence: &str) -> String {
    match (phrase, sentence) {
        (phrase, "") => phrase.to_owned(),
        ("", sentence) => sentence.to_owned(),
        (phrase, sentence) => format!("{phrase} {sentence}"),
    }
}

const REQUESTS: &str = "Requests rate limit exceeded, please try again later.";
const ALLOCATED: &str = "Allocated quota exceeded, please increase your quota limit.";
const SURGE: &str = "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time.";
const BODY: &str = "Required body invalid, please check the request body format.";
const ACCESS: &str = "Model access denied.";
const UPSTREAM: &str = "Failed to request model service.";
const LARGE_HEAD: &str = "Request header fields too large.";
const UNDECIDED: &str = "Model is unavailable, please try again later.";
const SILENT: &str = "Request timed out, please try again later.";

#[cfg(test)]
mod tests;
