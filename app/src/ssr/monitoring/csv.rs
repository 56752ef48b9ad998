//! The table of the page as comma-separated values, in full precision.

use super::{MonitoringQuery, read, words::Group};
use crate::ssr::{Caller, ConsoleState};
use axum::{
    extract::{Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// The labels of the page's columns.
const LABELS: [&str; 9] = [
    "Model",
    "Workspace",
    "Avg TPM",
    "Avg RPM",
    "Total Calls",
    "Failed Calls",
    "Failure Rate",
    "Avg Time to First Token (ms)",
    "Avg Latency (ms)",
];

/// Exactly the rows that the page of the same address shows.
pub(crate) async fn csv(
    State(state): State<ConsoleState>,
    Query(query): Query<MonitoringQuery>,
    request: Request,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>() else { return StatusCode::UNAUTHORIZED.into_response() };
    match read(&state, caller, query).await {
        Ok(read) => {
            let headers = [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"monitoring.csv\""),
            ];
            (headers, text(&read.groups)).into_response()
        }
        Err(error) => StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response(),
    }
}

fn text(groups: &[Group]) -> String {
    let optional = |value: Option<f64>| value.map_or_else(String::new, |it| it.to_string());
    let mut text = LABELS.join(",");
    text.push_str("\r\n");
    for (model, (workspace, it)) in groups.iter().flat_map(|group| group.parts.iter().map(|part| (&group.model, part)))
    {
        let fields = [
            field(model),
            field(workspace),
            it.tpm.to_string(),
            it.rpm.to_string(),
            it.calls.to_string(),
            it.failed.to_string(),
            optional(it.failure_rate()),
            optional(it.ttft_ms),
            optional(it.latency_ms),
        ];
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Quoted where it must be; a name that a spreadsheet would take for a formula is given as text.
pub(crate) fn field(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn names_stay_in_their_field() {
        assert_eq!(field("search"), "search");
        assert_eq!(field("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(field("=1+1"), "'=1+1");
    }
}
