//! Which headers pass from the client to the provider and back. Everything passes that is not listed here.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether a client's header is kept from the provider. Hop-by-hop headers named by `connection` come on top.
fn stays_here(name: &[u8]) -> bool {
    let begins = |with: &[u8]| name.starts_with(with);
    match name.first() {
        Some(b'a') => matches!(name, b"authorization" | b"accept-encoding"),
        Some(b'c') => matches!(name, b"cookie" | b"connection" | b"content-length"),
        Some(b'e') => name == b"expect",
        Some(b'f') => name == b"forwarded",
        Some(b'h') => name == b"host",
        Some(b'k') => name == b"keep-alive",
        Some(b'o') => matches!(name, b"openai-organization" | b"openai-project"),
        Some(b'p') => begins(b"proxy-"),
        Some(b't') => matches!(name, b"te" | b"trailer" | b"transfer-encoding"),
        Some(b'u') => name == b"upgrade",
        Some(b'v') => name == b"via",
        Some(b'x') => {
            matches!(name, b"x-api-key" | b"x-request-id" | b"x-dashscope-workspace" | b"x-dashscope-wait-timeout")
                || begins(b"x-forwarded-")
                || begins(b"x-sluice-")
        }
        _ => false,
    }
}

/// Whether a provider's header, its name in lower case, is kept from the client. What `connection` names comes on top.
pub(crate) fn stays_there(name: &[u8]) -> bool {
    let begins = |with: &[u8]| name.starts_with(with);
    match name.first() {
        Some(b'a') => name == b"alt-svc" || begins(b"anthropic-ratelimit-"),
        Some(b'c') => name == b"connection",
        Some(b'k') => name == b"keep-alive",
        Some(b'p') => begins(b"proxy-"),
        Some(b'r') => matches!(name, b"request-id" | b"ratelimit" | b"ratelimit-policy") || begins(b"ratelimit-"),
        Some(b's') => matches!(name, b"set-cookie" | b"server" | b"server-timing" | b"strict-transport-security"),
        Some(b't') => matches!(name, b"te" | b"trailer" | b"transfer-encoding"),
        Some(b'u') => name == b"upgrade",
        Some(b'x') => name == b"x-request-id" || begins(b"x-ratelimit-") || begins(b"x-sluice-"),
        _ => false,
    }
}

/// The client's headers that go to the provider.
pub(crate) fn to_provider(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let mut named: Vec<&[u8]> = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        // These two name no header, and nearly every client sends one of them.
        if !value.as_bytes().eq_ignore_ascii_case(b"keep-alive") && !value.as_bytes().eq_ignore_ascii_case(b"close") {
            named.extend(value.as_bytes().split(|it| *it == b',').map(<[u8]>::trim_ascii));
        }
    }
    headers.iter().filter(move |(name, _)| {
        let name = name.as_str().as_bytes();
        !stays_here(name) && !named.iter().any(|it| it.eq_ignore_ascii_case(name))
    })
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
        let passed: HeaderMap = to_provider(&client).map(|(name, value)| (name.clone(), value.clone())).collect();
        assert_eq!(
            names(&passed),
            ["accept", "anthropic-beta", "content-type", "user-agent", "x-dashscope-sse", "x-stainless-retry-count"]
        );
    }

    #[test]
    fn what_the_client_sees() {
        let sees = |name: &&str| !stays_there(name.as_bytes());
        let provider = [
            "connection",
            "keep-alive",
            "transfer-encoding",
            "set-cookie",
            "server",
            "alt-svc",
            "server-timing",
            "strict-transport-security",
            "x-request-id",
            "request-id",
            "x-ratelimit-limit-requests",
            "ratelimit",
            "ratelimit-policy",
            "anthropic-ratelimit-tokens-limit",
            "x-sluice-model",
            "proxy-authenticate",
            "upgrade",
            "content-type",
            "content-length",
            "retry-after",
            "retry-after-ms",
            "x-should-retry",
            "openai-processing-ms",
            "date",
            "",
        ];
        assert_eq!(
            provider.into_iter().filter(sees).collect::<Vec<_>>(),
            [
                "content-type",
                "content-length",
                "retry-after",
                "retry-after-ms",
                "x-should-retry",
                "openai-processing-ms",
                "date",
                ""
            ]
        );
    }
}
