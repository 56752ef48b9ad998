//! `sluice key create`: prints the secret and nothing else.

use control::{Actor, accounts, keys};

use super::{Dialect, Key, Outcome};
use crate::{config::Settings, parts};

pub(super) async fn run(settings: &Settings, command: Key) -> Outcome {
    let Key::Create { workspace, name, error_dialect, of } = command;
    let control = parts::control(settings).await?;
    let account = accounts::find(&control, of.account.as_deref()).await?;
    let error_dialect = match error_dialect {
        Dialect::Dashscope => "dashscope",
        Dialect::Openai => "openai",
    };
    let form = keys::NewKey { workspace, name, error_dialect: error_dialect.to_owned(), expires_at: None };
    let created = keys::create(&control, &Actor::command_line(&account.id), &form).await?;
    println!("{}", created.secret.expose());
    Ok(())
}
