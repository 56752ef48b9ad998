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

impl Found<'_> {
    /// The dialect of the path.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Route(route) => route.dialect,
            Self::Nothing(dialect) | Self::OtherMethod(dialect, _) => *dialect,
        }
    }
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
    /// The result of an asynchronous call, by its task's id.
    Task,
    /// Files and batches: passed on without limits, recorded in a lane of their own.
    Batch(BatchTarget),
}

/// What of files and batches is asked for; by its method it is made, read or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchTarget {
    Files,
    File,
    Content,
    Batches,
    Batch,
    Cancel,
}

impl BatchTarget {
    /// What a path below the prefix leads to, and the methods it takes.
    fn find(tail: &str) -> Option<(Self, &'static str)> {
        let mut segments = tail.strip_prefix('/')?.split('/');
        let found = match (segments.next()?, segments.next(), segments.next()) {
            ("files", None, None) => (Self::Files, "GET, POST"),
            ("files", Some(id), None) if is_segment(id) => (Self::File, "GET, DELETE"),
            ("files", Some(id), Some("content")) if is_segment(id) => (Self::Content, "GET"),
            ("batches", None, None) => (Self::Batches, "GET, POST"),
            ("batches", Some(id), None) if is_segment(id) => (Self::Batch, "GET, DELETE"),
            ("batches", Some(id), Some("cancel")) if is_segment(id) => (Self::Cancel, "POST"),
            _ => return None,
        };
        segments.next().is_none().then_some(found)
    }
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
        "/responses" => call(method, dialect, Operation::Responses, tail),
        "/models" => get(method, dialect, Target::Models, tail),
        _ => match tail.strip_prefix("/models/") {
            Some(code) if is_model(code) => get(method, dialect, Target::Model, tail),
            _ => batch(method, tail),
        },
    }
}

fn batch<'a>(method: &Method, tail: &'a str) -> Found<'a> {
    let dialect = Dialect::OpenAi;
    match BatchTarget::find(tail) {
        None => Found::Nothing(dialect),
        Some((target, methods)) if methods.split(", ").any(|it| it == method.as_str()) => {
            Found::Route(Route { dialect, target: Target::Batch(target), tail })
        }
        Some((_, methods)) => Found::OtherMethod(dialect, methods),
    }
}

fn native<'a>(method: &Method, tail: &'a str) -> Found<'a> {
    let dialect = Dialect::Native;
    if let Some(task) = tail.strip_prefix("/tasks/") {
        return if is_segment(task) { get(method, dialect, Target::Task, tail) } else { Found::Nothing(dialect) };
    }
    let Some(service) = tail.strip_prefix("/services/") else { return Found::Nothing(dialect) };
    if !(2..=4).contains(&service.split('/').count()) || !service.split('/').all(is_segment) {
        return Found::Nothing(dialect);
    }
    call(method, dialect, Operation::Service { embeddings: service.starts_with("embeddings/") }, tail)
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

/// A model's code may have characters that no other segment may have; it is only looked up.
fn is_model(code: &str) -> bool {
    is_segment(&code.replace([':', '@', '+'], "_"))
}

fn is_segment(text: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str) -> Found<'_> {
        find(&Method::POST, path)
    }

    fn called(path: &str) -> (Dialect, Operation, &str) {
        match post(path) {
            Found::Route(Route { dialect, target: Target::Call(operation), tail }) => (dialect, operation, tail),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn calls_by_path_alone() {
        for prefix in ["/v1", "/compatible-mode/v1"] {
            for (tail, operation) in [
                ("/chat/completions", Operation::Chat),
                ("/completions", Operation::Completions),
                ("/embeddings", Operation::Embeddings),
                ("/responses", Operation::Responses),
            ] {
                assert_eq!(called(&format!("{prefix}{tail}")), (Dialect::OpenAi, operation, tail));
            }
        }
        for path in ["/v1/messages", "/apps/anthropic/v1/messages", "/v1/messages/"] {
            assert_eq!(called(path), (Dialect::Anthropic, Operation::Messages, "/v1/messages"));
        }
        let text = "/services/aigc/text-generation/generation";
        assert_eq!(
            called(&format!("/api/v1{text}")),
            (Dialect::Native, Operation::Service { embeddings: false }, text)
        );
        let embeddings = called("/api/v1/services/embeddings/text-embedding/text-embedding");
        assert_eq!(embeddings.1, Operation::Service { embeddings: true });
    }

    #[test]
    fn nothing_else_is_proxied() {
        for (path, dialect) in [
            ("/", Dialect::OpenAi),
            ("/v2/chat/completions", Dialect::OpenAi),
            ("/v1", Dialect::OpenAi),
            ("/v1x/chat/completions", Dialect::OpenAi),
            ("/v1//chat/completions", Dialect::OpenAi),
            ("/v1/chat/completions//", Dialect::OpenAi),
            ("/v1/chat%2Fcompletions", Dialect::OpenAi),
            ("/v1/chat/%2e%2e/completions", Dialect::OpenAi),
            ("/v1/audio/speech", Dialect::OpenAi),
            ("/api/v1", Dialect::Native),
            ("/api/v1/services/a", Dialect::Native),
            ("/api/v1/services/a/b/c/d/e", Dialect::Native),
            ("/api/v1/services/a//b", Dialect::Native),
            ("/api/v1/services/a/../b", Dialect::Native),
            ("/api/v1/services/a/%2e%2e/b", Dialect::Native),
            ("/api/v1/services/a/b%2Fc", Dialect::Native),
            ("/api/v1/services/a/b;c", Dialect::Native),
            ("/v1/messages/count_tokens", Dialect::Anthropic),
            ("/apps/anthropic/v1/complete", Dialect::Anthropic),
            ("/v1/files//", Dialect::OpenAi),
            ("/v1/files/..", Dialect::OpenAi),
            ("/v1/files/f/other", Dialect::OpenAi),
            ("/v1/files/f/content/x", Dialect::OpenAi),
            ("/v1/files/f%2Fcontent", Dialect::OpenAi),
            ("/v1/batches/b/results", Dialect::OpenAi),
            ("/v1/uploads", Dialect::OpenAi),
            ("/api/v1/tasks", Dialect::Native),
            ("/api/v1/tasks/t/cancel", Dialect::Native),
            ("/api/v1/tasks/%2e%2e", Dialect::Native),
        ] {
            assert_eq!(post(path), Found::Nothing(dialect), "{path}");
        }
        for path in ["/v1/models/..", "/v1/models/a%2Fb", "/v1/models/a/b", "/v1/models//"] {
            assert_eq!(find(&Method::GET, path), Found::Nothing(Dialect::OpenAi), "{path}");
        }
    }

    #[test]
    fn known_paths_say_what_they_take() {
        let get = |path| find(&Method::GET, path);
        assert_eq!(get("/v1/chat/completions"), Found::OtherMethod(Dialect::OpenAi, "POST"));
        assert_eq!(get("/v1/messages"), Found::OtherMethod(Dialect::Anthropic, "POST"));
        assert_eq!(get("/api/v1/services/a/b"), Found::OtherMethod(Dialect::Native, "POST"));
        assert_eq!(post("/v1/models"), Found::OtherMethod(Dialect::OpenAi, "GET"));
        for (method, path, target) in [
            (Method::GET, "/v1/files", BatchTarget::Files),
            (Method::POST, "/compatible-mode/v1/files/", BatchTarget::Files),
            (Method::DELETE, "/v1/files/f-1", BatchTarget::File),
            (Method::GET, "/v1/files/f-1/content", BatchTarget::Content),
            (Method::POST, "/v1/batches", BatchTarget::Batches),
            (Method::GET, "/v1/batches/b_1", BatchTarget::Batch),
            (Method::POST, "/v1/batches/b_1/cancel", BatchTarget::Cancel),
        ] {
            let found = find(&method, path);
            assert!(matches!(found, Found::Route(it) if it.target == Target::Batch(target)), "{path}: {found:?}");
        }
        assert_eq!(post("/v1/files/f"), Found::OtherMethod(Dialect::OpenAi, "GET, DELETE"));
        assert_eq!(get("/v1/batches/b/cancel"), Found::OtherMethod(Dialect::OpenAi, "POST"));
        assert!(matches!(get("/api/v1/tasks/t-1"), Found::Route(Route { target: Target::Task, .. })));
        assert_eq!(post("/api/v1/tasks/t-1"), Found::OtherMethod(Dialect::Native, "GET"));
        assert!(matches!(get("/v1/models/qwen3.5-plus:2025@a+b"), Found::Route(Route { target: Target::Model, .. })));
        assert!(matches!(get("/compatible-mode/v1/models"), Found::Route(Route { target: Target::Models, .. })));
    }
}
