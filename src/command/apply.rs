//! `sluice apply`: reads the file and what it points to, prints the plan.

use control::{Actor, accounts, apply};

use super::{Apply, Outcome};
use crate::{config, config::Settings, parts};

pub(super) async fn run(settings: &Settings, command: Apply) -> Outcome {
    let Apply { file, dry_run, of } = command;
    let name = file.display().to_string();
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"))?;
    let folder = file.parent().unwrap_or_else(|| std::path::Path::new("."));
    let control = parts::control(settings).await?;
    let named = of.account.as_deref();
    let account = if dry_run {
        accounts::find_or_planned(&control, named).await?
    } else {
        accounts::find(&control, named).await?
    };
    let source = apply::Source { name: &name, text: &text, folder, variable: &config::environment };
    let plan = apply::apply(&control, &Actor::command_line(&account.id), &source, dry_run).await?;
    println!("{plan}");
    Ok(())
}
