//! Monitoring's numbers for the terminal: as JSON, as a table, as CSV.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat};
use domain::TimeRange;
use serde::Serialize;

use crate::{
    Actor, Control, Result,
    figures::{RowFigures, Summary},
    monitoring::{self, Query},
};

/// What `sluice report` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// First instant of the range, in RFC 3339.
    pub from: String,
    /// First instant after it, in RFC 3339.
    pub to: String,
    /// The tiles.
    pub summary: Summary,
    /// The table.
    pub rows: Vec<ReportRow>,
}

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct ReportRow {
    /// The model's code.
    pub model: String,
    /// The workspace's name in commands.
    pub workspace: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: RowFigures,
}

/// The columns' labels, those of the page.
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

/// The numbers of `range`.
///
/// # Errors
/// When the store cannot answer.
pub async fn report(control: &Control, actor: &Actor, range: TimeRange) -> Result<Report> {
    let query = Query { range, workspace: String::new(), model: String::new() };
    let shown = monitoring::show(control, actor, &query).await?;
    let row =
        |it: monitoring::Row| ReportRow { model: it.model, workspace: it.workspace_in_commands, figures: it.figures };
    Ok(Report {
        from: instant(shown.range.from_ms),
        to: instant(shown.range.to_ms),
        summary: shown.summary,
        rows: shown.rows.into_iter().map(row).collect(),
    })
}

/// An instant in RFC 3339, in UTC.
pub fn instant(at_ms: i64) -> String {
    let form = if at_ms % 1_000 == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    DateTime::from_timestamp_millis(at_ms).map(|it| it.to_rfc3339_opts(form, true)).unwrap_or_default()
}

impl Report {
    /// One line of JSON.
    ///
    /// # Errors
    /// Never for a report made here: every number in it is finite.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Comma-separated values with a line of labels, lines ended by CR LF.
    pub fn to_csv(&self) -> String {
        let mut csv = String::new();
        let lines = std::iter::once(LABELS.map(ToOwned::to_owned)).chain(self.rows.iter().map(ReportRow::exact));
        for line in lines {
            csv.push_str(&line.map(|it| csv_field(&it)).join(","));
            csv.push_str("\r\n");
        }
        csv
    }

    /// A table for people: tiles, then rows in aligned columns.
    pub fn to_table(&self) -> String {
        let absent = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |it| format!("{it:.0} ms"));
        let mut text = format!("{} to {}\n\n", self.from, self.to);
        let tiles = &self.summary;
        let _ = writeln!(
            text,
            "Total Models {}   Total Calls {}   Failures {}   Avg Time to First Token {}   Avg Latency {}\n",
            tiles.total_models,
            tiles.total_calls,
            tiles.failures,
            absent(tiles.avg_ttft_ms),
            absent(tiles.avg_latency_ms)
        );
        let lines: Vec<[String; 9]> =
            std::iter::once(LABELS.map(ToOwned::to_owned)).chain(self.rows.iter().map(ReportRow::rounded)).collect();
        let width = |column: usize| lines.iter().map(|it| it[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 9] = std::array::from_fn(width);
        for line in &lines {
            let cells = line.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        if self.rows.is_empty() {
            text.push_str("no calls in this range\n");
        }
        text
    }
}

impl ReportRow {
    fn exact(&self) -> [String; 9] {
        let it = &self.figures;
        let absent = |value: Option<f64>| value.map(|it| it.to_string()).unwrap_or_default();
        [
            self.model.clone(),
            self.workspace.clone(),
            it.avg_tpm.to_string(),
            it.avg_rpm.to_string(),
            it.total_calls.to_string(),
            it.failed_calls.to_string(),
            absent(it.failure_rate),
            absent(it.avg_ttft_ms),
            absent(it.avg_latency_ms),
        ]
    }

    fn rounded(&self) -> [String; 9] {
        let it = &self.figures;
        let absent = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |it| format!("{it:.0}"));
        [
            self.model.clone(),
            self.workspace.clone(),
            format!("{:.0}", it.avg_tpm),
            format!("{:.1}", it.avg_rpm),
            it.total_calls.to_string(),
            it.failed_calls.to_string(),
            it.failure_rate.map_or_else(|| "—".to_owned(), |it| format!("{:.1} %", it * 100.0)),
            absent(it.avg_ttft_ms),
            absent(it.avg_latency_ms),
        ]
    }
}

/// One field of CSV. What a spreadsheet would take for a formula is led by an apostrophe: people choose these names.
pub fn csv_field(text: &str) -> String {
    let number = text.parse::<f64>().is_ok();
    let text = if !number && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let figures = RowFigures {
            avg_tpm: 1_234.5,
            avg_rpm: 0.5,
            total_calls: 90,
            failed_calls: 9,
            failure_rate: Some(0.1),
            avg_ttft_ms: None,
            avg_latency_ms: Some(812.25),
        };
        Report {
            from: instant(0),
            to: instant(60_000),
            summary: Summary { total_models: 1, total_calls: 90, failures: 9, ..Summary::default() },
            rows: vec![ReportRow { model: "qwen-plus".to_owned(), workspace: "=a,\"b\"".to_owned(), figures }],
        }
    }

    #[test]
    fn json_has_the_agreed_names_and_null_for_nothing() {
        assert_eq!(
            report().to_json().unwrap(),
            concat!(
                r#"{"from":"1970-01-01T00:00:00Z","to":"1970-01-01T00:01:00Z","#,
                r#""summary":{"total_models":1,"total_calls":90,"failures":9,"avg_ttft_ms":null,"avg_latency_ms":null},"#,
                r#""rows":[{"model":"qwen-plus","workspace":"=a,\"b\"","avg_tpm":1234.5,"avg_rpm":0.5,"total_calls":90,"#,
                r#""failed_calls":9,"failure_rate":0.1,"avg_ttft_ms":null,"avg_latency_ms":812.25}]}"#
            )
        );
    }

    #[test]
    fn csv_is_exact_and_holds_no_formula() {
        let csv = report().to_csv();
        let row = csv.lines().nth(1).unwrap();
        assert_eq!(row, "qwen-plus,\"'=a,\"\"b\"\"\",1234.5,0.5,90,9,0.1,,812.25");
        assert_eq!([csv_field("-1.5"), csv_field("-x")], ["-1.5", "'-x"]);
    }

    #[test]
    fn the_table_is_aligned() {
        let table = report().to_table();
        let lines: Vec<_> = table.lines().skip(4).map(|it| it.chars().count()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], lines[1], "{table}");
    }
}
