//! Every address of the console, once.

/// Monitoring.
pub const MONITORING: &str = "/monitoring";
/// The figures of Monitoring as they are shown, for spreadsheets.
pub const MONITORING_CSV: &str = "/monitoring.csv";
/// Live use, as server-sent events.
pub const LIVE: &str = "/live";
/// Limits, increases and their history.
pub const RATE_LIMIT: &str = "/monitoring/rate-limit";
/// Refused calls.
pub const REFUSALS: &str = "/monitoring/refusals";
/// Leads from an id, or a text that holds one, to its refusal.
pub const FIND_REFUSAL: &str = "/monitoring/refusals/find";
/// The list of workspaces.
pub const WORKSPACES: &str = "/settings/workspaces";
/// Models.
pub const MODELS: &str = "/settings/models";
/// Providers.
pub const PROVIDERS: &str = "/settings/providers";
/// API keys.
pub const KEYS: &str = "/settings/keys";
/// Members.
pub const MEMBERS: &str = "/settings/members";
/// Models that a provider has, to choose from.
pub const IMPORT: &str = "/settings/models/import";
/// The account's settings, and the viewer's own sign-in.
pub const ACCOUNT: &str = "/settings/account";
/// The audit log as it is filtered, for spreadsheets.
pub const AUDIT_CSV: &str = "/settings/audit.csv";
/// The audit log.
pub const AUDIT: &str = "/settings/audit";
/// How limits work.
pub const HELP: &str = "/help/rate-limits";
/// Sign-in.
pub const SIGN_IN: &str = "/sign-in";
/// Where an invitation is accepted.
pub const INVITATION: &str = "/invitation";
/// First-run set-up.
pub const SET_UP: &str = "/set-up";

/// One workspace's editor.
pub fn workspace(id: &str) -> String {
    format!("{WORKSPACES}/{}", encode(id))
}

/// Why one call was refused.
pub fn refusal(id: &str) -> String {
    format!("{REFUSALS}/{}", encode(id))
}

/// Percent-encodes what may not stand in a path segment or a query value.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `path?a=1&b=2` without the pairs that have no value.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// An address of this console that may stand in a redirect: a single leading `/`, nothing that ends a header or leaves
/// the host.
pub fn local(address: &str) -> Option<&str> {
    let rest = address.strip_prefix('/')?;
    let bad = |c: char| c == '\\' || c.is_control() || c.is_whitespace() || !c.is_ascii();
    (!rest.starts_with('/') && !rest.contains(bad)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_console_are_redirected_to() {
        for good in ["/", "/monitoring?range=3h", "/settings/workspaces/a%20b"] {
            assert_eq!(local(good), Some(good));
        }
        for bad in [
            "",
            "monitoring",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nset-cookie: x",
            "/a b",
            "/ä",
        ] {
            assert_eq!(local(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_query_holds_what_has_a_value() {
        assert_eq!(
            with_query("/m", &[("range", "3h"), ("model", ""), ("workspace", "a b&c")]),
            "/m?range=3h&workspace=a%20b%26c"
        );
        assert_eq!(with_query("/m", &[("model", "")]), "/m");
    }
}
