//! `sluice report`: the figures of Monitoring in the terminal.

use std::io::Write as _;

use control::{Actor, accounts, report};
use domain::{TimeRange, range::parse_minutes};

use super::{Format, Outcome, Report};
use crate::{config::Settings, parts};

pub(super) async fn run(settings: &Settings, command: Report) -> Outcome {
    let minutes = parse_minutes(&command.range).map_err(|error| format!("--range {}: {error}", command.range))?;
    let control = parts::control(settings).await?;
    let account = accounts::find(&control, command.of.account.as_deref()).await?;
    let range = TimeRange::ending_now(minutes, control.now_ms());
    let report = report::report(&control, &Actor::command_line(&account.id), range).await?;
    let text = match command.format {
        Format::Json => report.to_json()? + "\n",
        Format::Csv => report.to_csv(),
        Format::Table => report.to_table(),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
