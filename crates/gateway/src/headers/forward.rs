//! Which headers pass from the client to the provider and back. Everything passes that is not listed here.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether a client's header is kept from the provider. Hop-by-hop headers named by `connection` come on top.
fn stays_here(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes()[0] {
        b'a' => matches!(name, "authorization" | "accept-encoding"),
        b'c' => matches!(name, "cookie" | "connection" | "content-length"),
        b'e' => name == "expect",
        b'f' => name == "forwarded",
        b'h' => name == "host",
        b'k' => name == "keep-alive",
        b'o' => matches!(name, "openai-organization" | "openai-project"),
        b'p' => name.starts_with("proxy-"),
        b't' => matches!(name, "te" | "trailer" | "transfer-encoding"),
        b'u' => name == "upgrade",
        b'v' => name == "via",
        b'x' => {
            matches!(name, "x-api-key" | "x-request-id" | "x-dashscope-workspace" | "x-dashscope-wait-timeout")
                || name.starts_with("x-forwarded-")
                || name.starts_with("x-sluice-")
        }
        _ => false,
    }
}

/// Whether a provider's header is kept from the client.
fn stays_there(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes()[0] {
        b'a' => name == "alt-svc" || name.starts_with("anthropic-ratelimit-"),
        b'c' => name == "connection",
        b'k' => name == "keep-alive",
        b'p' => name.starts_with("proxy-"),
        b'r' => matches!(name, "request-id" | "ratelimit" | "ratelimit-policy") || name.starts_with("ratelimit-"),
        b's' => matches!(name, "set-cookie" | "server" | "server-timing" | "strict-transport-security"),
        b't' => matches!(name, "te" | "trailer" | "transfer-encoding"),
        b'u' => name == "upgrade",
        b'x' => name == "x-request-id" || name.starts_with("x-ratelimit-") || name.starts_with("x-sluice-"),
        _ => false,
    }
}

/// Leaves the headers that go to the provider.
pub(crate) fn to_provider(headers: &mut HeaderMap) {
    leave(headers, stays_here);
}

/// Leaves the headers that go to the client; returns the provider's own request id.
pub(crate) fn to_client(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let id = headers.get("x-request-id").or_else(|| headers.get("request-id")).cloned();
    leave(headers, stays_there);
    id
}

fn leave(headers: &mut HeaderMap, stays: fn(&HeaderName) -> bool) {
    let mut gone: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        // These two name no header.
        if !value.as_bytes().eq_ignore_ascii_case(b"keep-alive") && !value.as_bytes().eq_ignore_ascii_case(b"close") {
            let names = value.as_bytes().split(|it| *it == b',').map(<[u8]>::trim_ascii);
            gone.extend(names.filter_map(|it| HeaderName::from_bytes(it).ok()));
        }
    }
    gone.extend(headers.keys().filter(|it| stays(it)).cloned());
    for name in &gone {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn headers(names: &[&str]) -> HeaderMap {
        names.iter().map(|it| (HeaderName::from_bytes(it.as_bytes()).unwrap(), HeaderValue::from_static("v"))).collect()
    }

    #[test]
    fn what_the_provider_sees() {
        let mut client = headers(&[
            "authorization",
            "x-api-key",
            "cookie",
            "host",
            "accept-encoding",
            "expect",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-proto",
            "via",
            "x-request-id",
            "x-sluice-fallback",
            "x-dashscope-workspace",
            "openai-organization",
            "openai-project",
            "keep-alive",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "x-dashscope-wait-timeout",
            "content-length",
            "x-private",
            "accept",
            "content-type",
            "anthropic-beta",
            "x-dashscope-sse",
            "user-agent",
            "x-stainless-retry-count",
        ]);
        client.insert(header::CONNECTION, HeaderValue::from_static("close, X-Private"));
        to_provider(&mut client);
        assert_eq!(
            names(&client),
            ["accept", "anthropic-beta", "content-type", "user-agent", "x-dashscope-sse", "x-stainless-retry-count"]
        );
    }

    #[test]
    fn what_the_client_sees() {
        let mut provider = headers(&[
            "connection",
            "keep-alive",
            "transfer-encoding",
            "set-cookie",
            "server",
            "alt-svc",
            "strict-transport-security",
            "request-id",
            "x-ratelimit-limit-requests",
            "ratelimit",
            "ratelimit-policy",
            "anthropic-ratelimit-tokens-limit",
            "x-sluice-model",
            "content-type",
            "content-length",
            "retry-after",
            "retry-after-ms",
            "x-should-retry",
            "openai-processing-ms",
            "date",
        ]);
        provider.insert("x-request-id", HeaderValue::from_static("theirs"));
        let id = to_client(&mut provider);
        assert_eq!(
            names(&provider),
            [
                "content-length",
                "content-type",
                "date",
                "openai-processing-ms",
                "retry-after",
                "retry-after-ms",
                "x-should-retry"
            ]
        );
        assert_eq!(id.unwrap(), "theirs");
    }
}
