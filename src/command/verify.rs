//! `sluice verify`: the highest use of every limit against the limit in force, from the admission journal.

use std::{collections::HashMap, fmt::Write as _, io::Write as _};

use chrono::{DateTime, SecondsFormat};
use control::{Control, accounts};
use limiter::verify::{self, Report, Row};

use super::{Outcome, Verify};
use crate::{config::Settings, journal::Whole, parts};

pub(super) async fn run(settings: &Settings, command: Verify) -> Outcome {
    let since = command.since.as_deref().map(instant).transpose()?;
    let folder = &settings.journal_folder;
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    let control = parts::control(settings).await?;
    let account = accounts::find(&control, command.of.account.as_deref()).await?.id;
    let mut journal = Whole::open(folder, since.map(|us| us / 1_000)).map_err(|error| named(&error))?;
    let mut report = verify::run(&mut journal, since).map_err(|error| named(&error))?;
    report.rows.retain(|row| row.account == account);
    report.cut_off.retain(|of, _| *of == account);
    report.admissions = report.by_account.get(&account).copied().unwrap_or(0);
    let text = table(&report, journal.torn, &names(&control).await?);
    std::io::stdout().write_all(text.as_bytes())?;
    if report.holds() {
        return Ok(());
    }
    Err("a window went over its limit".into())
}

fn instant(text: &str) -> Outcome<i64> {
    let at = DateTime::parse_from_rfc3339(text);
    at.map(|it| it.timestamp_micros())
        .map_err(|_| format!("--since {text}: expected an instant such as 2026-01-31T08:00:00Z").into())
}

/// What people call accounts and workspaces.
async fn names(control: &Control) -> Outcome<HashMap<String, String>> {
    let mut names = HashMap::new();
    let mut conn = control.store().read().await?;
    for account in conn.accounts().await? {
        for workspace in conn.workspaces(&account.id).await? {
            names.insert(workspace.id.clone(), workspace.command_name().to_owned());
        }
        names.insert(account.id, account.name);
    }
    Ok(names)
}

fn table(report: &Report, torn: u64, names: &HashMap<String, String>) -> String {
    let name = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let head = ["Account", "Model", "Scope", "Limit of", "Highest", "Limit", "Use", "At", "Over"].map(str::to_owned);
    let rows = report.rows.iter().map(|row| {
        [
            name(&row.account),
            row.model.clone(),
            row.workspace.as_deref().map_or_else(|| "account".to_owned(), |id| format!("workspace {}", name(id))),
            format!("{} in {} s", row.cause, row.window.seconds()),
            row.highest.to_string(),
            row.limit.to_string(),
            share(row),
            at(row.at_us),
            row.over().to_string(),
        ]
    });
    let lines: Vec<[String; 9]> = std::iter::once(head).chain(rows).collect();
    let widths: [usize; 9] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<_> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    let over: u64 = report.rows.iter().map(Row::over).sum();
    let _ = writeln!(text, "\n{} admissions checked, {over} over a limit", report.admissions);
    let cut_off: u64 = report.cut_off.values().sum();
    if cut_off > 0 {
        let _ = writeln!(
            text,
            "{cut_off} calls were cut off by an unclean stop before their charge was kept, or their end is in a gap of the \
             journal; of their tokens, only those that had been seen are counted"
        );
    }
    for note in report.notes() {
        let _ = writeln!(text, "{note}");
    }
    if torn > 0 {
        let _ = writeln!(text, "{torn} files end inside a chunk, as they do after an unclean stop");
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(row: &Row) -> String {
    if row.limit == 0 { "—".to_owned() } else { format!("{:.1} %", row.highest as f64 / row.limit as f64 * 100.0) }
}

fn at(us: i64) -> String {
    DateTime::from_timestamp_micros(us).map_or_else(String::new, |it| it.to_rfc3339_opts(SecondsFormat::Micros, true))
}
