//! API keys: made and shown once, found by a digest from then on.

use domain::{Action, WorkspaceId, names::DisplayName};
use serde::Serialize;
use store::{Conn, api_key::KeyRow, workspace::WorkspaceRow};

use crate::{
    Actor, Control, ControlError, Result, Secret,
    edit::{Edit, Object, new_id},
    error::Check,
    secret, workspaces,
};

/// Random characters of a secret after `sk-`: 238 bits.
const RANDOM_CHARACTERS: usize = 40;
/// Characters of a secret that stay visible.
const VISIBLE: usize = 8;

/// In which dialect OpenAI-compatible refusals are told.
pub const ERROR_DIALECTS: [&str; 2] = ["dashscope", "openai"];

#[derive(Serialize)]
struct Audited<'a> {
    id: &'a str,
    workspace: &'a str,
    name: &'a str,
    prefix: &'a str,
    error_dialect: &'a str,
    expires_at: Option<i64>,
}

fn audited(row: &KeyRow) -> Audited<'_> {
    Audited {
        id: &row.id,
        workspace: &row.workspace_id,
        name: &row.name,
        prefix: &row.prefix,
        error_dialect: &row.error_dialect,
        expires_at: row.expires_at,
    }
}

/// A key as pages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its identity.
    pub id: String,
    /// Its workspace.
    pub workspace_id: String,
    /// That workspace's name.
    pub workspace: String,
    /// What people call it.
    pub name: String,
    /// The secret's first characters.
    pub prefix: String,
    /// `dashscope` or `openai`.
    pub error_dialect: String,
    /// When it was made.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// From when it is refused.
    pub expires_at: Option<i64>,
    /// When a call last used it.
    pub last_used_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// Whether its workspace was archived: then it calls nothing, and can only be revoked.
    pub archived: bool,
    /// Whether the actor may revoke it, and change it unless it is `archived`.
    pub editable: bool,
}

/// What a new key is to be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Id, or for commands the name, of its workspace.
    pub workspace: String,
    /// What people will call it.
    pub name: String,
    /// `dashscope` or `openai`; empty for `dashscope`.
    pub error_dialect: String,
    /// From when it is to be refused; `None` for never.
    pub expires_at: Option<i64>,
}

/// A key just made. Its secret is never seen again.
#[derive(Debug)]
pub struct CreatedKey {
    /// Its identity.
    pub id: String,
    /// Its first characters.
    pub prefix: String,
    /// What clients send.
    pub secret: Secret<String>,
}

/// The keys the actor may see, the newest first, of one workspace or of all.
///
/// # Errors
/// [`ControlError::NotFound`] for a workspace the actor does not see.
pub async fn list(control: &Control, actor: &Actor, workspace: Option<&str>) -> Result<Vec<KeyView>> {
    actor.authorise(Action::View)?;
    let mut conn = control.store().read().await?;
    let workspaces = conn.workspaces(actor.account()).await?;
    let rows = match workspace {
        Some(id) if !actor.sees(id) || !workspaces.iter().any(|it| it.id == id) => {
            return Err(ControlError::NotFound("this workspace"));
        }
        Some(id) => conn.keys_of_workspace(actor.account(), id).await?,
        None => conn.keys(actor.account()).await?,
    };
    let view = |row: KeyRow| {
        let workspace = workspaces.iter().find(|it| it.id == row.workspace_id)?;
        let editable = actor.standing.may(Action::ManageKeys(&WorkspaceId::new(row.workspace_id.as_str())));
        Some(KeyView {
            workspace: workspace.name.clone(),
            archived: workspace.archived_at.is_some(),
            editable: editable && row.revoked_at.is_none(),
            id: row.id,
            workspace_id: row.workspace_id,
            name: row.name,
            prefix: row.prefix,
            error_dialect: row.error_dialect,
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
    };
    Ok(rows.into_iter().filter(|it| actor.sees(&it.workspace_id)).filter_map(view).collect())
}

/// Makes a key.
///
/// # Errors
/// [`ControlError::Invalid`] at `workspace`, `name`, `error_dialect` or `expires_at`, and at `workspace` when it has as
/// many keys as the account allows; [`ControlError::Forbidden`].
pub async fn create(control: &Control, actor: &Actor, form: &NewKey) -> Result<CreatedKey> {
    // Said before anything is read: who may manage no keys at all learns nothing of workspaces.
    if actor.standing.role == domain::Role::Viewer {
        actor.authorise(Action::ManageKeys(&WorkspaceId::new("")))?;
    }
    let mut edit = control.edit(actor).await?;
    let mut check = Check::default();
    let name = check.take("name", DisplayName::parse(if form.name.trim().is_empty() { "key" } else { &form.name }));
    let dialect = parse_dialect(&mut check, &form.error_dialect);
    if form.expires_at.is_some_and(|at| at <= edit.now_ms) {
        check.wrong("expires_at", "the expiry must lie in the future");
    }
    let workspace = workspaces::by_name_or_id(&mut edit, actor.account(), form.workspace.trim()).await?;
    let workspace = workspace.filter(|it| actor.sees(&it.id));
    let Some(workspace) = workspace else {
        check.wrong("workspace", format!("there is no workspace {}", form.workspace.trim()));
        return check.done().and(Err(ControlError::NotFound("this workspace")));
    };
    actor.authorise(Action::ManageKeys(&WorkspaceId::new(workspace.id.as_str())))?;
    check.done()?;
    let name = name.map(|it| it.as_str().to_owned()).unwrap_or_default();
    room_for_one(&mut edit, actor, &workspace).await?;
    let created = insert(&mut edit, actor, &workspace.id, &name, dialect, form.expires_at).await?;
    edit.commit().await?;
    Ok(created)
}

/// Replaces a key by a new one of the same name, dialect and expiry. The old one is refused from now on.
///
/// # Errors
/// [`ControlError::NotFound`] for a key that is revoked or not seen; [`ControlError::Forbidden`];
/// [`ControlError::Refused`] for one that has expired or whose workspace was archived.
pub async fn rotate(control: &Control, actor: &Actor, id: &str) -> Result<CreatedKey> {
    let mut edit = control.edit(actor).await?;
    let row = changeable(&mut edit, actor, id).await?;
    if row.expires_at.is_some_and(|at| at <= edit.now_ms) {
        return Err(ControlError::Refused("this key has expired; make a new one".to_owned()));
    }
    let now_ms = edit.now_ms;
    edit.revoke_key(actor.account(), id, now_ms).await?;
    edit.note("revoke", Object::Key, &row.prefix, Some(&audited(&row)), None);
    let dialect = if row.error_dialect == ERROR_DIALECTS[1] { ERROR_DIALECTS[1] } else { ERROR_DIALECTS[0] };
    let created = insert(&mut edit, actor, &row.workspace_id, &row.name, dialect, row.expires_at).await?;
    edit.commit().await?;
    Ok(created)
}

/// Revokes a key for good.
///
/// # Errors
/// [`ControlError::NotFound`] for a key that is revoked or not seen; [`ControlError::Forbidden`].
pub async fn revoke(control: &Control, actor: &Actor, id: &str) -> Result<()> {
    let mut edit = control.edit(actor).await?;
    let row = existing(&mut edit, actor, id).await?;
    let now_ms = edit.now_ms;
    edit.revoke_key(actor.account(), id, now_ms).await?;
    edit.note("revoke", Object::Key, &row.prefix, Some(&audited(&row)), None);
    edit.commit().await
}

/// What a key is to be from now on.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// What people will call it.
    pub name: String,
    /// `dashscope` or `openai`; empty for `dashscope`.
    pub error_dialect: String,
    /// From when it is to be refused; `None` for never.
    pub expires_at: Option<i64>,
}

/// Changes name, error dialect and expiry.
///
/// # Errors
/// [`ControlError::Invalid`] at `name`, `error_dialect` or `expires_at`; [`ControlError::NotFound`];
/// [`ControlError::Forbidden`]; [`ControlError::Refused`] for a key whose workspace was archived.
pub async fn update(control: &Control, actor: &Actor, id: &str, form: &KeyChange) -> Result<()> {
    let mut edit = control.edit(actor).await?;
    let before = changeable(&mut edit, actor, id).await?;
    let mut check = Check::default();
    let name = check.take("name", DisplayName::parse(&form.name));
    let dialect = parse_dialect(&mut check, &form.error_dialect);
    // One that lies in the past already may stay: only its name is changed then.
    if form.expires_at != before.expires_at && form.expires_at.is_some_and(|at| at <= edit.now_ms) {
        check.wrong("expires_at", "the expiry must lie in the future; to end the key now, revoke it");
    }
    check.done()?;
    let name = name.map(|it| it.as_str().to_owned()).unwrap_or_default();
    let after = KeyRow { name, error_dialect: dialect.to_owned(), expires_at: form.expires_at, ..before.clone() };
    if after == before {
        return Ok(());
    }
    edit.update_key(&after).await?;
    edit.note("set", Object::Key, &before.prefix, Some(&audited(&before)), Some(&audited(&after)));
    edit.commit().await
}

fn parse_dialect(check: &mut Check, word: &str) -> &'static str {
    let word = word.trim();
    if word.is_empty() {
        return ERROR_DIALECTS[0];
    }
    match ERROR_DIALECTS.into_iter().find(|it| *it == word) {
        Some(dialect) => dialect,
        None => {
            check.wrong("error_dialect", "an error dialect is dashscope or openai");
            ERROR_DIALECTS[0]
        }
    }
}

/// Whether the actor may change a key.
///
/// # Errors
/// [`ControlError::NotFound`] for a key that is revoked or not seen; [`ControlError::Forbidden`];
/// [`ControlError::Refused`] for a key whose workspace was archived.
pub async fn authorised(control: &Control, actor: &Actor, id: &str) -> Result<()> {
    changeable(&mut control.store().read().await?, actor, id).await.map(drop)
}

async fn existing(tx: &mut Conn, actor: &Actor, id: &str) -> Result<KeyRow> {
    let row = tx.key(actor.account(), id).await?;
    let row = row.filter(|it| it.revoked_at.is_none() && actor.sees(&it.workspace_id));
    let row = row.ok_or(ControlError::NotFound("this key"))?;
    actor.authorise(Action::ManageKeys(&WorkspaceId::new(row.workspace_id.as_str())))?;
    Ok(row)
}

/// A key that can become something else: one of an archived workspace calls nothing, whatever is made of it.
async fn changeable(tx: &mut Conn, actor: &Actor, id: &str) -> Result<KeyRow> {
    let row = existing(tx, actor, id).await?;
    let workspace = tx.workspace(actor.account(), &row.workspace_id).await?;
    match workspace {
        Some(it) if it.archived_at.is_some() => Err(ControlError::Refused(format!(
            "workspace {} was archived; a key of it calls nothing and can only be revoked",
            it.name
        ))),
        _ => Ok(row),
    }
}

async fn room_for_one(edit: &mut Edit, actor: &Actor, workspace: &WorkspaceRow) -> Result<()> {
    let account = edit.account(actor.account()).await?.ok_or(ControlError::NotFound("the account"))?;
    let now_ms = edit.now_ms;
    if edit.count_keys(&workspace.id, now_ms).await? >= account.max_keys {
        let message = format!("workspace {} has {} keys, as many as one may have", workspace.name, account.max_keys);
        return Err(ControlError::field("workspace", message));
    }
    Ok(())
}

async fn insert(
    edit: &mut Edit,
    actor: &Actor,
    workspace: &str,
    name: &str,
    error_dialect: &str,
    expires_at: Option<i64>,
) -> Result<CreatedKey> {
    let secret = format!("sk-{}", secret::random_text(RANDOM_CHARACTERS));
    let row = KeyRow {
        id: new_id(),
        account_id: actor.account().to_owned(),
        workspace_id: workspace.to_owned(),
        name: name.to_owned(),
        prefix: secret[..VISIBLE].to_owned(),
        digest: secret::digest(&secret).to_vec(),
        error_dialect: error_dialect.to_owned(),
        created_at: edit.now_ms,
        created_by: actor.name.clone(),
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    edit.insert_key(&row).await?;
    edit.note("create", Object::Key, &row.prefix, None, Some(&audited(&row)));
    Ok(CreatedKey { id: row.id, prefix: row.prefix, secret: Secret::new(secret) })
}
