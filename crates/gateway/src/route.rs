//! From method and path to what is called: the table of routes, and nothing of what they do.

use http::Method;

use crate::{dialect::Dialect, request::Shape};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Route(Route<'a>),
    /// 404 in this dialect.
    Nothing(Dialect),
    /// 405 in this dialect, with the value of `allow`.
    OtherMethod(Dialect, &'static str),
}

/// One of the things a client may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) target: Target,
    /// What is appended to the provider's base URL, with its leading slash.
    pub(crate) tail: &'a str,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A call on a model, metered.
    Call(Operation),
    /// The models the key may call.
    Models,
    /// One of them, named by the last segment.
    Model,
}

/// The calls that are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    Completions,
    Embeddings,
    Responses,
    /// A native service; embeddings state no maximum of output, for there is none.
    Service {
        embeddings: bool,
    },
    Messages,
}

impl Operation {
    /// Which fields its body has.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Chat | Self::Completions => Shape::Chat,
            Self::Embeddings => Shape::Embeddings,
            Self::Responses => Shape::Responses,
            Self::Service { .. } => Shape::Native,
            Self::Messages => Shape::Messages,
        }
    }
}

/// Finds the route of a call.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    // A trailing slash is dropped; a second one leaves an empty segment, which is none.
    let path = path.strip_suffix('/').unwrap_or(path);
    if path == "/v1/messages" || path == "/apps/anthropic/v1/messages" {
        return call(method, Dialect::Anthropic, Operation::Messages, "/v1/messages");
    }
    if within(path, "/v1/messages").is_some() || within(path, "/apps/anthropic").is_some() {
        return Found::Nothing(Dialect::Anthropic);
    }
    if let Some(tail) = within(path, "/v1").or_else(|| within(path, "/compatible-mode/v1")) {
        return openai(method, tail);
    }
    if let Some(tail) = within(path, "/api/v1") {
        return native(method, tail);
    }
    Found::Nothing(Dialect::OpenAi)
}

fn openai<'a>(method: &Method, tail: &'a str) -> Found<'a> {
    let dialect = Dialect::OpenAi;
    match tail {
        "/chat/completions" => call(method, dialect, Operation::Chat, tail),
        "/completions" => call(method, dialect, Operation::Completions, tail),
        "/embeddings" => call(method, dialect, Operation::Embeddings, tail),
        "/models" => get(method, dialect, Target::Models, tail),
        _ => match tail.strip_prefix("/models/") {
            Some(code) if is_segment(code) => get(method, dialect, Target::Model, tail),
            _ => Found::Nothing(dialect),
        },
    }
}

fn native<'a>(_method: &Method, _tail: &'a str) -> Found<'a> {
    Found::Nothing(Dialect::Native)
}

fn call<'a>(method: &Method, dialect: Dialect, operation: Operation, tail: &'a str) -> Found<'a> {
    if method == Method::POST {
        Found::Route(Route { dialect, target: Target::Call(operation), tail })
    } else {
        Found::OtherMethod(dialect, "POST")
    }
}

fn get<'a>(method: &Method, dialect: Dialect, target: Target, tail: &'a str) -> Found<'a> {
    if method == Method::GET {
        Found::Route(Route { dialect, target, tail })
    } else {
        Found::OtherMethod(dialect, "GET")
    }
}

/// What follows `prefix`, if `path` is it or lies below it.
fn within<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|it| it.is_empty() || it.starts_with('/'))
}

fn is_segment(text: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}
