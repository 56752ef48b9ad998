//! `sluice user create`: the password comes from standard input, so that no process list shows it.

use std::io::Read as _;

use control::{Actor, Secret, accounts, members};

use super::{Outcome, User};
use crate::{config::Settings, parts};

/// More than any password that is taken.
const LONGEST_INPUT: u64 = 4096;

pub(super) async fn run(settings: &Settings, command: User) -> Outcome {
    let User::Create { email, role, workspace, password_stdin: _, of } = command;
    let mut typed = String::new();
    std::io::stdin().take(LONGEST_INPUT).read_to_string(&mut typed)?;
    let password = Secret::new(typed.trim_end_matches(['\r', '\n']).to_owned());
    let control = parts::control(settings).await?;
    let account = accounts::find(&control, of.account.as_deref()).await?;
    let form = members::NewMember { email, role, workspace: workspace.unwrap_or_default() };
    members::create(&control, &Actor::command_line(&account.id), &form, password).await?;
    println!("{} can sign in", form.email.trim());
    Ok(())
}
