//! The audit log as the page shows it: every event with the fields that differ.

use super::{Caller, ConsoleState, failure, monitoring::csv_field};
use crate::{
    api::audit::{AuditFilter, AuditView, EventView},
    error::ApiError,
    format::{self, NOTHING},
    ui::Choice,
};
use axum::{
    extract::{Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use control::audit::{AuditPage, AuditQuery, KINDS};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// Events a page.
const PAGE: usize = 50;

/// Events read at once for a file.
const EXPORTED_AT_ONCE: usize = 1_000;

const DAY_MS: i64 = 86_400_000;

/// One page of the log.
pub(crate) async fn view(state: &ConsoleState, caller: &Caller, filter: &AuditFilter) -> Result<AuditView, ApiError> {
    let (query, problem) = query(filter);
    let page = control::audit::list(&state.control, &caller.actor, &query, PAGE).await.map_err(failure)?;
    let names = workspace_names(state, caller).await?;
    let events = page.events.into_iter().map(|it| EventView {
        at_ms: it.at_ms,
        action: format!("{} {}", it.action, it.object_kind),
        changes: changes(it.before_json.as_deref(), it.after_json.as_deref(), &names),
        actor: it.actor,
        object: it.object,
        request_id: it.request_id,
    });
    Ok(AuditView {
        events: events.collect(),
        next: page.next.map(|(at, id)| format!("{at}-{id}")),
        kinds: KINDS.iter().map(|it| Choice::new(*it, *it)).collect(),
        problem,
    })
}

/// The filter as the use case reads it, and what of it could not be read.
fn query(filter: &AuditFilter) -> (AuditQuery, Option<String>) {
    let mut problem = None;
    let mut day = |text: &str| match (text.trim(), format::parse_instant(&format!("{}T00:00", text.trim()))) {
        ("", _) => None,
        (_, Some(at)) => Some(at),
        (text, None) => {
            let short: String = text.chars().take(40).collect();
            problem = Some(format!("{short} is no date such as 2027-01-31, and is left aside"));
            None
        }
    };
    let (from_ms, to_ms) = (day(&filter.from), day(&filter.to).map(|it| it + DAY_MS));
    if let (Some(from), Some(to)) = (from_ms, to_ms)
        && from >= to
    {
        problem = Some("the last day lies before the first".to_owned());
    }
    let before = filter.before.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    let query = AuditQuery { actor: filter.actor.clone(), kind: filter.kind.clone(), from_ms, to_ms, before };
    (query, problem)
}

/// Every event of the filter as comma-separated values, the newest first.
pub(crate) async fn csv(
    State(state): State<ConsoleState>,
    Query(filter): Query<AuditFilter>,
    request: Request,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>() else { return StatusCode::UNAUTHORIZED.into_response() };
    match export(&state, caller, &filter).await {
        Ok(text) => {
            let headers = [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.csv\""),
            ];
            (headers, text).into_response()
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, error.to_string()).into_response()
        }
    }
}

async fn export(state: &ConsoleState, caller: &Caller, filter: &AuditFilter) -> Result<String, ApiError> {
    let (mut query, _) = query(&AuditFilter { before: String::new(), ..filter.clone() });
    let mut text = String::from("When,Who,Action,Kind,Which,Before,After,Request\r\n");
    loop {
        let page = control::audit::list(&state.control, &caller.actor, &query, EXPORTED_AT_ONCE).await;
        let AuditPage { events, next } = page.map_err(failure)?;
        for it in events {
            let fields = [
                format::iso(it.at_ms),
                csv_field(&it.actor),
                csv_field(&it.action),
                csv_field(&it.object_kind),
                csv_field(&it.object),
                csv_field(it.before_json.as_deref().unwrap_or_default()),
                csv_field(it.after_json.as_deref().unwrap_or_default()),
                csv_field(it.request_id.as_deref().unwrap_or_default()),
            ];
            text.push_str(&fields.join(","));
            text.push_str("\r\n");
        }
        match next {
            Some(_) => query.before = next,
            None => return Ok(text),
        }
    }
}

/// Names of workspaces by their id, archived ones included.
type Names = HashMap<String, String>;

async fn workspace_names(state: &ConsoleState, caller: &Caller) -> Result<Names, ApiError> {
    let present = control::workspaces::list(&state.control, &caller.actor).await.map_err(failure)?;
    let archived = control::workspaces::archived(&state.control, &caller.actor).await.map_err(failure)?;
    let present = present.into_iter().map(|it| (it.id, it.name));
    Ok(present.chain(archived.into_iter().map(|it| (it.id, it.name))).collect())
}

/// The fields that differ: name, before, after.
fn changes(before: Option<&str>, after: Option<&str>, names: &Names) -> Vec<(String, String, String)> {
    let read = |text: Option<&str>| text.and_then(|it| serde_json::from_str::<Value>(it).ok()).unwrap_or(Value::Null);
    let mut found = Vec::new();
    differ("", &read(before), &read(after), names, &mut found);
    found
}

fn differ(path: &str, before: &Value, after: &Value, names: &Names, found: &mut Vec<(String, String, String)>) {
    if before == after {
        return;
    }
    let Some(fields) = keys(before, after) else {
        let name = if path.is_empty() { "name" } else { path };
        found.push((name.replace('_', " "), shown(name, before, names), shown(name, after, names)));
        return;
    };
    // A grant without limits of its own has no field that differs, and is a change all the same.
    if !path.is_empty() && (before.is_null() || after.is_null()) {
        let word = |side: &Value| if side.is_null() { "no" } else { "yes" }.to_owned();
        found.push((path.to_owned(), word(before), word(after)));
    }
    for name in fields {
        let inner = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        let side = |it: &Value| it.get(&name).cloned().unwrap_or(Value::Null);
        differ(&inner, &side(before), &side(after), names, found);
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

/// A value as people read it: instants in UTC, workspaces by their names, numbers in groups.
fn shown(field: &str, value: &Value, names: &Names) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(id) if field == "workspace" => names.get(id).unwrap_or(id).clone(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(ms), _) if field.ends_with("_at") || field.ends_with("_until") => {
                format!("{} UTC", format::second_text(ms))
            }
            (_, Some(number)) => format::whole(number),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, changes};

    fn check(before: Option<&str>, after: Option<&str>, expected: &[(&str, &str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
        let names = Names::from([("0198".to_owned(), "search".to_owned())]);
        assert_eq!(changes(before, after, &names), expected);
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

    #[test]
    fn values_are_shown_as_people_read_them() {
        check(
            Some(r#"{"expires_at":null,"workspace":"0198"}"#),
            Some(r#"{"expires_at":4073587199000,"workspace":"gone"}"#),
            &[("expires at", "—", "2099-01-31 23:59:59 UTC"), ("workspace", "search", "gone")],
        );
        check(
            Some(r#"{"tpm":1000000,"valid_until":951782400000}"#),
            Some(r#"{"tpm":1500000,"valid_until":951782407000}"#),
            &[("tpm", "1,000,000", "1,500,000"), ("valid until", "2000-02-29 00:00:00 UTC", "2000-02-29 00:00:07 UTC")],
        );
    }
}
