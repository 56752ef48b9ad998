//! Workspaces: a team's models and limits.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Action, Cause, LimitError, WorkspaceId, WorkspaceName, check_changed_limit, parse_limit};
use serde::Serialize;
use store::{
    Conn, Tx,
    model::ModelRow,
    workspace::{LimitRow, WorkspaceRow},
};

use crate::{
    Actor, Control, ControlError, Result,
    edit::{Object, new_id},
    error::Check,
};

mod shares;

pub use shares::{ModelShares, Share, shares};

const WHY_DEFAULT: &str =
    "the default workspace has the account's limits and every model; only its name can be changed";

/// A workspace as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceView {
    /// Its identity.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it is the default one, which cannot be edited.
    pub is_default: bool,
    /// When it was made.
    pub created_at: i64,
    /// Models granted; of the default one, all of the account's.
    pub models: i64,
    /// Keys not revoked.
    pub keys: i64,
    /// For a form's hidden field.
    pub revision: i64,
}

/// What the editor shows.
#[derive(Clone, Debug)]
pub struct Editor {
    /// The workspace.
    pub workspace: WorkspaceView,
    /// Every model of the account by code: granted ones, and those the picker offers.
    pub models: Vec<EditorModel>,
    /// Whether the actor may save.
    pub editable: bool,
}

/// One model in the editor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditorModel {
    /// What clients call it.
    pub code: String,
    /// Where it is called.
    pub provider: String,
    /// Whether it has a token limit at all.
    pub metered_in_tokens: bool,
    /// Whether this workspace may call it.
    pub granted: bool,
    /// The workspace's own limit of requests in 60 s.
    pub rpm: Option<i64>,
    /// The workspace's own limit of tokens in 60 s.
    pub tpm: Option<i64>,
    /// The account's requests in 60 s.
    pub account_rpm: i64,
    /// The account's tokens in 60 s at this moment, a temporary increase included.
    pub account_tpm: Option<i64>,
    /// The sum of the requests of all workspaces that have an own limit.
    pub sum_rpm: i64,
    /// The sum of the tokens of all workspaces that have an own limit.
    pub sum_tpm: i64,
}

/// What *Save Changes* sends: exactly the models the workspace is to have, as typed.
#[derive(Clone, Debug, Default)]
pub struct SetLimits {
    /// The workspace's id.
    pub workspace: String,
    /// The revision the editor was read with.
    pub revision: i64,
    /// The grants.
    pub grants: Vec<Grant>,
}

/// One granted model with its limits as typed. Messages stand at `rpm.<model>`, `tpm.<model>` and `model.<model>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The model's code.
    pub model: String,
    /// *Times / min*; empty for the account's limit.
    pub rpm: String,
    /// *Token / min*; empty for the account's limit.
    pub tpm: String,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

/// A workspace's limits as the audit log keeps them.
#[derive(Serialize)]
pub(crate) struct AuditedLimit {
    rpm: Option<i64>,
    tpm: Option<i64>,
}

pub(crate) type AuditedLimits = BTreeMap<String, AuditedLimit>;

pub(crate) fn audited(limits: &[LimitRow]) -> AuditedLimits {
    limits.iter().map(|it| (it.model_code.clone(), AuditedLimit { rpm: it.rpm, tpm: it.tpm })).collect()
}

fn view(row: WorkspaceRow, all_models: i64) -> WorkspaceView {
    WorkspaceView {
        models: if row.is_default { all_models } else { row.models },
        id: row.id,
        name: row.name,
        is_default: row.is_default,
        created_at: row.created_at,
        keys: row.keys,
        revision: row.revision,
    }
}

/// The workspaces the actor may see, the default one first.
///
/// # Errors
/// When the store cannot answer.
pub async fn list(control: &Control, actor: &Actor) -> Result<Vec<WorkspaceView>> {
    actor.authorise(Action::View)?;
    let mut conn = control.store().read().await?;
    let configuration = control.configuration(&mut conn, actor.account()).await?;
    let models = i64::try_from(configuration.models.len()).unwrap_or(i64::MAX);
    let seen = configuration.workspaces.iter().filter(|it| it.archived_at.is_none() && actor.sees(&it.id));
    Ok(seen.map(|it| view(it.clone(), models)).collect())
}

/// A workspace that was put away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Its identity, under which Monitoring still shows its figures.
    pub id: String,
    /// What people called it.
    pub name: String,
    /// When it was put away.
    pub archived_at: i64,
}

/// The workspaces that were put away and that the actor may see, the latest first.
///
/// # Errors
/// When the store cannot answer.
pub async fn archived(control: &Control, actor: &Actor) -> Result<Vec<Archived>> {
    actor.authorise(Action::View)?;
    let mut conn = control.store().read().await?;
    let configuration = control.configuration(&mut conn, actor.account()).await?;
    let seen = configuration.workspaces.iter().filter(|it| actor.sees(&it.id));
    let archived =
        |it: &WorkspaceRow| Some(Archived { archived_at: it.archived_at?, id: it.id.clone(), name: it.name.clone() });
    let mut found: Vec<_> = seen.filter_map(archived).collect();
    found.sort_by_key(|it| std::cmp::Reverse(it.archived_at));
    Ok(found)
}

/// Makes a workspace without models and returns its id.
///
/// # Errors
/// [`ControlError::Invalid`] at `name`, also when the account has as many workspaces as it may.
pub async fn create(control: &Control, actor: &Actor, name: &str) -> Result<String> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let row = checked(&mut edit, actor.account(), name).await?;
    let row = WorkspaceRow { created_at: edit.now_ms, ..row };
    insert(&mut edit, &row).await?;
    edit.note("create", Object::Workspace, &row.name, None, Some(&Named { name: &row.name }));
    edit.commit().await?;
    Ok(row.id)
}

/// A row for a new workspace, if there is room for one more and the name will do.
pub(crate) async fn checked(tx: &mut Tx, account: &str, name: &str) -> Result<WorkspaceRow> {
    let settings = tx.account(account).await?.ok_or(ControlError::NotFound("the account"))?;
    let longest = usize::try_from(settings.max_name_length).unwrap_or(30);
    let name = WorkspaceName::parse(name).and_then(|it| it.within(longest));
    let name = name.map_err(|error| ControlError::field("name", error))?;
    let present = tx.workspaces(account).await?.iter().filter(|it| it.archived_at.is_none()).count();
    if i64::try_from(present).unwrap_or(i64::MAX) >= settings.max_workspaces {
        let message = format!("the account has {present} workspaces, as many as it may have");
        return Err(ControlError::field("name", message));
    }
    Ok(WorkspaceRow {
        id: new_id(),
        account_id: account.to_owned(),
        name: name.as_str().to_owned(),
        is_default: false,
        created_at: 0,
        archived_at: None,
        revision: 1,
        models: 0,
        keys: 0,
    })
}

pub(crate) async fn insert(tx: &mut Tx, row: &WorkspaceRow) -> Result<()> {
    match tx.insert_workspace(row).await {
        Err(error) if error.is_duplicate() => Err(taken(&row.name)),
        other => Ok(other.map(drop)?),
    }
}

fn taken(name: &str) -> ControlError {
    ControlError::field("name", format!("there is a workspace {name} already"))
}

/// Gives a workspace, also the default one, another name.
///
/// # Errors
/// [`ControlError::Invalid`] at `name`, [`ControlError::Conflict`] if someone else saved meanwhile.
pub async fn rename(control: &Control, actor: &Actor, id: &str, revision: i64, name: &str) -> Result<()> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let row = existing(&mut edit, actor, id).await?;
    let settings = edit.account(actor.account()).await?.ok_or(ControlError::NotFound("the account"))?;
    let longest = usize::try_from(settings.max_name_length).unwrap_or(30);
    let back_to_default = row.is_default && name.trim() == domain::names::DEFAULT_WORKSPACE;
    let name = if back_to_default {
        name.trim().to_owned()
    } else {
        let name = WorkspaceName::parse(name).and_then(|it| it.within(longest));
        name.map_err(|error| ControlError::field("name", error))?.as_str().to_owned()
    };
    match edit.rename_workspace(actor.account(), id, &name, revision).await {
        Err(error) if error.is_duplicate() => return Err(taken(&name)),
        Ok(0) => return Err(ControlError::Conflict("this workspace")),
        other => drop(other?),
    }
    edit.note("rename", Object::Workspace, &name, Some(&Named { name: &row.name }), Some(&Named { name: &name }));
    edit.commit().await
}

/// Puts a workspace away: its keys are refused from now on, its figures stay.
///
/// # Errors
/// [`ControlError::Refused`] for the default one, [`ControlError::Conflict`] if someone else saved meanwhile.
pub async fn archive(control: &Control, actor: &Actor, id: &str, revision: i64) -> Result<()> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let row = existing(&mut edit, actor, id).await?;
    if row.is_default {
        return Err(ControlError::Refused("the default workspace cannot be archived".to_owned()));
    }
    let now_ms = edit.now_ms;
    if edit.archive_workspace(actor.account(), id, now_ms, revision).await? == 0 {
        return Err(ControlError::Conflict("this workspace"));
    }
    edit.note("archive", Object::Workspace, &row.name, Some(&Named { name: &row.name }), None);
    edit.commit().await
}

/// What the editor shows of one workspace.
///
/// # Errors
/// [`ControlError::NotFound`] for a workspace the actor does not see.
pub async fn editor(control: &Control, actor: &Actor, id: &str) -> Result<Editor> {
    actor.authorise(Action::View)?;
    let now_ms = control.now_ms();
    let mut conn = control.store().read().await?;
    let row = existing(&mut conn, actor, id).await?;
    let models = conn.models(actor.account()).await?;
    let limits = conn.account_limits(actor.account()).await?;
    let mut by_model = by_model(&limits);
    let all_models = i64::try_from(models.len()).unwrap_or(i64::MAX);
    let editable = actor.standing.may(Action::Configure) && !row.is_default;
    let models = models
        .into_iter()
        .map(|model| {
            let of_model = by_model.remove(model.code.as_str()).unwrap_or_default();
            let own = of_model.iter().find(|it| it.workspace_id == row.id);
            EditorModel {
                granted: row.is_default || own.is_some(),
                rpm: own.and_then(|it| it.rpm),
                tpm: own.and_then(|it| it.tpm),
                account_rpm: model.rpm,
                account_tpm: model.effective_tpm(now_ms),
                sum_rpm: of_model.iter().filter_map(|it| it.rpm).fold(0, i64::saturating_add),
                sum_tpm: of_model.iter().filter_map(|it| it.tpm).fold(0, i64::saturating_add),
                metered_in_tokens: model.tpm.is_some(),
                provider: model.provider_name,
                code: model.code,
            }
        })
        .collect();
    Ok(Editor { workspace: view(row, all_models), models, editable })
}

/// Limits by what may be called.
fn by_model(limits: &[LimitRow]) -> BTreeMap<&str, Vec<&LimitRow>> {
    let mut by_model: BTreeMap<&str, Vec<&LimitRow>> = BTreeMap::new();
    limits.iter().for_each(|it| by_model.entry(&it.model_code).or_default().push(it));
    by_model
}

/// Stores what a workspace may call: all of it, or nothing and a message at each field that is wrong. Returns the new
/// revision.
///
/// # Errors
/// [`ControlError::Invalid`]; [`ControlError::Conflict`] if someone else saved meanwhile; [`ControlError::Refused`] for
/// the default workspace.
pub async fn set_limits(control: &Control, actor: &Actor, command: &SetLimits) -> Result<i64> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let now_ms = edit.now_ms;
    let row = existing(&mut edit, actor, &command.workspace).await?;
    // Before the fields: whoever typed over something older is to see that first.
    if !row.is_default && edit.touch_workspace(actor.account(), &row.id, command.revision).await? == 0 {
        return Err(ControlError::Conflict("this workspace"));
    }
    let Proposal { workspace, before, wanted, .. } = proposal(&mut edit, actor, command, now_ms).await?;
    if before == wanted {
        return Ok(command.revision);
    }
    replace(&mut edit, &workspace, &before, &wanted).await?;
    edit.note("set", Object::Limits, &workspace.name, Some(&audited(&before)), Some(&audited(&wanted)));
    edit.commit().await?;
    Ok(command.revision + 1)
}

/// What *Save Changes* would store, checked.
pub(crate) struct Proposal {
    pub(crate) workspace: WorkspaceRow,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) before: Vec<LimitRow>,
    pub(crate) wanted: Vec<LimitRow>,
}

/// Reads and checks a command against the rows of the moment.
pub(crate) async fn proposal(conn: &mut Conn, actor: &Actor, command: &SetLimits, now_ms: i64) -> Result<Proposal> {
    let row = existing(conn, actor, &command.workspace).await?;
    if row.is_default {
        return Err(ControlError::Refused(WHY_DEFAULT.to_owned()));
    }
    let models = conn.models(actor.account()).await?;
    let before = conn.workspace_limits(actor.account(), &row.id).await?;
    let mut check = Check::default();
    let mut wanted: Vec<LimitRow> = Vec::with_capacity(command.grants.len());
    for grant in &command.grants {
        let code = grant.model.trim();
        let Some(model) = models.iter().find(|it| it.code == code) else {
            check.wrong(&format!("model.{code}"), "this account has no such model");
            continue;
        };
        if wanted.iter().any(|it| it.model_code == code) {
            check.wrong(&format!("model.{code}"), "this model is named twice");
            continue;
        }
        let stored = stored(&before, code);
        let rpm = parse_limit(&grant.rpm).and_then(|it| own_rpm(it, model, stored));
        let tpm = parse_limit(&grant.tpm).and_then(|it| own_tpm(it, model, stored, now_ms));
        let (rpm, tpm) = (check.take(&format!("rpm.{code}"), rpm), check.take(&format!("tpm.{code}"), tpm));
        wanted.push(LimitRow {
            workspace_id: row.id.clone(),
            account_id: row.account_id.clone(),
            model_code: code.to_owned(),
            rpm: rpm.flatten(),
            tpm: tpm.flatten(),
        });
    }
    check.done()?;
    wanted.sort_by(|a, b| a.model_code.cmp(&b.model_code));
    Ok(Proposal { workspace: row, models, before, wanted })
}

/// Makes the grants exactly `wanted`.
pub(crate) async fn replace(tx: &mut Tx, row: &WorkspaceRow, before: &[LimitRow], wanted: &[LimitRow]) -> Result<()> {
    let kept: BTreeSet<&str> = wanted.iter().map(|it| it.model_code.as_str()).collect();
    for gone in before.iter().filter(|it| !kept.contains(it.model_code.as_str())) {
        tx.delete_limit(&row.account_id, &row.id, &gone.model_code).await?;
    }
    for limit in wanted.iter().filter(|it| !before.contains(it)) {
        tx.set_limit(limit).await?;
    }
    Ok(())
}

/// What a workspace has of a model already.
pub(crate) fn stored<'a>(before: &'a [LimitRow], model: &str) -> Option<&'a LimitRow> {
    before.iter().find(|it| it.model_code == model)
}

/// A workspace's own RPM, checked against the account's. What is stored stays as it is when the account's falls below it.
pub(crate) fn own_rpm(
    given: Option<u64>,
    model: &ModelRow,
    stored: Option<&LimitRow>,
) -> std::result::Result<Option<i64>, LimitError> {
    let stored = stored.and_then(|it| it.rpm).and_then(|it| u64::try_from(it).ok());
    check_changed_limit(given, stored, u64::try_from(model.rpm).ok(), Cause::Requests)?;
    Ok(given.and_then(|it| i64::try_from(it).ok()))
}

/// A workspace's own TPM, checked against the account's of this moment. What is stored stays as it is when an increase
/// ends.
pub(crate) fn own_tpm(
    given: Option<u64>,
    model: &ModelRow,
    stored: Option<&LimitRow>,
    now_ms: i64,
) -> std::result::Result<Option<i64>, LimitError> {
    if given.is_none() {
        return Ok(None);
    }
    let account = model.effective_tpm(now_ms).ok_or(LimitError::NotMetered)?;
    let stored = stored.and_then(|it| it.tpm).and_then(|it| u64::try_from(it).ok());
    check_changed_limit(given, stored, u64::try_from(account).ok(), Cause::Tokens)?;
    Ok(given.and_then(|it| i64::try_from(it).ok()))
}

/// A workspace that is not archived, by its name in commands or its id.
pub(crate) async fn by_name_or_id(conn: &mut Conn, account: &str, named: &str) -> Result<Option<WorkspaceRow>> {
    let wanted = named.to_lowercase();
    let rows = conn.workspaces(account).await?;
    let mut present: Vec<_> = rows.into_iter().filter(|it| it.archived_at.is_none()).collect();
    let found = present
        .iter()
        .position(|it| it.id == named || it.command_name().to_lowercase() == wanted)
        .or_else(|| present.iter().position(|it| it.name.to_lowercase() == wanted));
    Ok(found.map(|at| present.swap_remove(at)))
}

async fn existing(conn: &mut Conn, actor: &Actor, id: &str) -> Result<WorkspaceRow> {
    let row = conn.workspace(actor.account(), id).await?;
    row.filter(|it| it.archived_at.is_none() && actor.standing.sees(&WorkspaceId::new(it.id.as_str())))
        .ok_or(ControlError::NotFound("this workspace"))
}
