//! Accounts and their settings.

use domain::{Action, counts::highest, names::DisplayName};
use serde::Serialize;
use store::{Tx, account::AccountRow, workspace::WorkspaceRow};

use crate::{
    Actor, Control, ControlError, Result,
    edit::{Object, new_id},
    error::Check,
};

/// The name of the account that is made when none is named.
pub const FIRST_ACCOUNT: &str = "main";

/// Every account, the first one first. For the command line: no member may see more than the own one.
///
/// # Errors
/// When the store cannot answer.
pub async fn list(control: &Control) -> Result<Vec<AccountRow>> {
    Ok(control.store().read().await?.accounts().await?)
}

/// The account called `name`, or the first one; on a fresh installation the first one is made.
///
/// # Errors
/// [`ControlError::NotFound`] for an unknown name.
pub async fn find(control: &Control, name: Option<&str>) -> Result<AccountRow> {
    let accounts = list(control).await?;
    if let Some(name) = name {
        let wanted = name.trim().to_lowercase();
        return accounts
            .into_iter()
            .find(|it| it.name.to_lowercase() == wanted)
            .ok_or_else(|| ControlError::Refused(format!("there is no account {name}")));
    }
    if let Some(first) = accounts.into_iter().next() {
        return Ok(first);
    }
    match create(control, FIRST_ACCOUNT).await {
        // Another process was quicker.
        Err(ControlError::Invalid(_)) => match list(control).await?.into_iter().next() {
            Some(first) => Ok(first),
            None => Err(ControlError::NotFound("the account")),
        },
        other => other,
    }
}

/// The same without making anything: on a fresh installation the account that would be made. For a dry run.
///
/// # Errors
/// [`ControlError::NotFound`] for an unknown name.
pub async fn find_or_planned(control: &Control, name: Option<&str>) -> Result<AccountRow> {
    if name.is_none() && list(control).await?.is_empty() {
        return Ok(planned(&new_id(), control.now_ms()));
    }
    find(control, name).await
}

/// The first account before it is made.
pub(crate) fn planned(id: &str, now_ms: i64) -> AccountRow {
    AccountRow::with_defaults(id, FIRST_ACCOUNT, now_ms)
}

/// Makes an account with its default workspace. For the command line.
///
/// # Errors
/// [`ControlError::Invalid`] at `name`.
pub async fn create(control: &Control, name: &str) -> Result<AccountRow> {
    let name = DisplayName::parse(name).map_err(|error| ControlError::field("name", error))?;
    let row = AccountRow::with_defaults(&new_id(), name.as_str(), control.now_ms());
    let mut edit = control.edit(&Actor::command_line(&row.id)).await?;
    insert(&mut edit, &row).await?;
    edit.note("create", Object::Account, &row.name, None, Some(&row.name));
    edit.commit().await?;
    Ok(row)
}

/// Writes an account and its default workspace.
pub(crate) async fn insert(tx: &mut Tx, row: &AccountRow) -> Result<WorkspaceRow> {
    match tx.insert_account(row).await {
        Err(error) if error.is_duplicate() => {
            return Err(ControlError::field("name", format!("there is an account {} already", row.name)));
        }
        other => other?,
    };
    let workspace = WorkspaceRow {
        id: new_id(),
        account_id: row.id.clone(),
        name: domain::names::DEFAULT_WORKSPACE.to_owned(),
        is_default: true,
        created_at: row.created_at,
        archived_at: None,
        revision: 1,
        models: 0,
        keys: 0,
    };
    tx.insert_workspace(&workspace).await?;
    Ok(workspace)
}

/// The settings of an account, as they are typed.
#[derive(Clone, Debug, Default)]
pub struct SettingsForm {
    /// The revision they were read with.
    pub revision: i64,
    /// Days for which a temporary increase holds.
    pub increase_validity_days: String,
    /// Days without use after which it is withdrawn.
    pub inactivity_days: String,
    /// Workspaces, the default one included.
    pub max_workspaces: String,
    /// Keys a workspace.
    pub max_keys: String,
    /// Characters of a workspace's name.
    pub max_name_length: String,
}

#[derive(Serialize)]
struct Audited {
    increase_validity_days: i64,
    inactivity_days: i64,
    max_workspaces: i64,
    max_keys: i64,
    max_name_length: i64,
}

fn audited(row: &AccountRow) -> Audited {
    Audited {
        increase_validity_days: row.increase_validity_days,
        inactivity_days: row.inactivity_days,
        max_workspaces: row.max_workspaces,
        max_keys: row.max_keys,
        max_name_length: row.max_name_length,
    }
}

/// The actor's account.
///
/// # Errors
/// When the store cannot answer.
pub async fn settings(control: &Control, actor: &Actor) -> Result<AccountRow> {
    actor.authorise(Action::View)?;
    control.store().read().await?.account(actor.account()).await?.ok_or(ControlError::NotFound("the account"))
}

/// Changes the account's settings.
///
/// # Errors
/// [`ControlError::Invalid`] at each wrong field, [`ControlError::Conflict`] if someone else saved meanwhile.
pub async fn set_settings(control: &Control, actor: &Actor, form: &SettingsForm) -> Result<()> {
    actor.authorise(Action::Configure)?;
    let mut check = Check::default();
    let mut number = |field: &str, text: &str, highest: u64| {
        check.take(field, domain::parse_count(text, highest)).and_then(|it| i64::try_from(it).ok()).unwrap_or_default()
    };
    let mut row = AccountRow::with_defaults(actor.account(), "", 0);
    row.revision = form.revision;
    row.increase_validity_days = number("increase_validity_days", &form.increase_validity_days, highest::DAYS);
    row.inactivity_days = number("inactivity_days", &form.inactivity_days, highest::DAYS);
    row.max_workspaces = number("max_workspaces", &form.max_workspaces, highest::WORKSPACES);
    row.max_keys = number("max_keys", &form.max_keys, highest::KEYS);
    row.max_name_length = number("max_name_length", &form.max_name_length, highest::NAME_LENGTH);
    check.done()?;
    let mut edit = control.edit(actor).await?;
    let before = edit.account(actor.account()).await?.ok_or(ControlError::NotFound("the account"))?;
    if edit.update_settings(&row).await? == 0 {
        return Err(ControlError::Conflict("the account's settings"));
    }
    edit.note("set", Object::Account, &before.name, Some(&audited(&before)), Some(&audited(&row)));
    edit.commit().await
}
