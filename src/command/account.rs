//! `sluice account create`.

use super::{Account, Outcome};
use crate::{config::Settings, parts};

pub(super) async fn run(settings: &Settings, command: Account) -> Outcome {
    let Account::Create { name } = command;
    let control = parts::control(settings).await?;
    let account = control::accounts::create(&control, &name).await?;
    println!("account {} is made", account.name);
    Ok(())
}
