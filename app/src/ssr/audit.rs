//! The audit log as the page shows it: every event with the fields that differ.

use super::{Caller, ConsoleState, failure};
use crate::{
    api::audit::{AuditView, EventView},
    error::ApiError,
    format::NOTHING,
    ui::Choice,
};
use control::audit::{AuditQuery, KINDS};
use serde_json::Value;
use std::collections::BTreeSet;

/// Events a page.
const PAGE: usize = 50;

/// One page of the log.
pub(crate) async fn view(
    state: &ConsoleState,
    caller: &Caller,
    kind: String,
    actor: String,
    before: &str,
) -> Result<AuditView, ApiError> {
    let before = before.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    let query = AuditQuery { actor, kind, before };
    let page = control::audit::list(&state.control, &caller.actor, &query, PAGE).await.map_err(failure)?;
    let events = page.events.into_iter().map(|it| EventView {
        at_ms: it.at_ms,
        action: format!("{} {}", it.action, it.object_kind),
        changes: changes(it.before_json.as_deref(), it.after_json.as_deref()),
        actor: it.actor,
        object: it.object,
        request_id: it.request_id,
    });
    Ok(AuditView {
        events: events.collect(),
        next: page.next.map(|(at, id)| format!("{at}-{id}")),
        kinds: KINDS.iter().map(|it| Choice::new(*it, *it)).collect(),
    })
}

/// The fields that differ: name, before, after.
fn changes(before: Option<&str>, after: Option<&str>) -> Vec<(String, String, String)> {
    let read = |text: Option<&str>| text.and_then(|it| serde_json::from_str::<Value>(it).ok()).unwrap_or(Value::Null);
    let mut found = Vec::new();
    differ("", &read(before), &read(after), &mut found);
    found
}

fn differ(path: &str, before: &Value, after: &Value, found: &mut Vec<(String, String, String)>) {
    if before == after {
        return;
    }
    let Some(names) = keys(before, after) else {
        let name = if path.is_empty() { "name" } else { path };
        found.push((name.replace('_', " "), shown(before), shown(after)));
        return;
    };
    // A grant without limits of its own has no field that differs, and is a change all the same.
    if !path.is_empty() && (before.is_null() || after.is_null()) {
        let word = |side: &Value| if side.is_null() { "no" } else { "yes" }.to_owned();
        found.push((path.to_owned(), word(before), word(after)));
    }
    for name in names {
        let inner = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        differ(&inner, before.get(&name).unwrap_or(&Value::Null), after.get(&name).unwrap_or(&Value::Null), found);
    }
}

/// The names of both, when they are objects or absent.
fn keys(before: &Value, after: &Value) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for side in [before, after] {
        match side {
            Value::Object(map) => names.extend(map.keys().cloned()),
            Value::Null => {}
            _ => return None,
        }
    }
    (!names.is_empty()).then_some(names)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::changes;

    fn check(before: Option<&str>, after: Option<&str>, expected: &[(&str, &str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
        assert_eq!(changes(before, after), expected);
    }

    #[test]
    fn only_what_differs_is_shown() {
        check(Some(r#"{"rpm":600,"tpm":1}"#), Some(r#"{"rpm":900,"tpm":1}"#), &[("rpm", "600", "900")]);
        check(None, Some(r#"{"name":"search"}"#), &[("name", "—", "search")]);
        check(None, Some("\"main\""), &[("name", "—", "main")]);
        check(
            Some(r#"{"qwen-plus":{"rpm":100,"tpm":null}}"#),
            Some(r#"{"qwen-plus":{"rpm":90,"tpm":5},"qwen-flash":{"rpm":null}}"#),
            &[("qwen-flash", "no", "yes"), ("qwen-plus rpm", "100", "90"), ("qwen-plus tpm", "—", "5")],
        );
    }
}
