//! Members: inviting, roles, removing.

use domain::{Action, Role};
use serde::Serialize;
use store::{Tx, member::MemberRow};

use crate::{
    Actor, Control, ControlError, Passwords, Result, Secret,
    edit::{Object, new_id},
    error::Check,
    secret,
};

/// For how long an invitation can be accepted.
const INVITATION_MS: i64 = 7 * 86_400_000;

#[derive(Serialize)]
pub(crate) struct Audited {
    pub(crate) role: Role,
    pub(crate) workspace: Option<String>,
}

/// A member as the page shows them.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// Their identity.
    pub id: String,
    /// What they sign in with.
    pub email: String,
    /// Their role.
    pub role: Role,
    /// The workspace they belong to; `None` for owners and admins.
    pub workspace: Option<String>,
    /// When they last signed in.
    pub last_sign_in_at: Option<i64>,
    /// Until when their open invitation holds; `None` once it was accepted.
    pub invited_until: Option<i64>,
}

/// Whom to add.
#[derive(Clone, Debug, Default)]
pub struct NewMember {
    /// Their address.
    pub email: String,
    /// The word of a [`Role`].
    pub role: String,
    /// The id, or for commands the name, of a workspace: for workspace admins and viewers, and for nobody else.
    pub workspace: String,
}

/// An invitation: the token goes into a link, and is shown once.
#[derive(Debug)]
pub struct Invitation {
    /// The new member.
    pub member: String,
    /// What the link holds.
    pub token: Secret<String>,
}

/// Reads an address.
pub(crate) fn parse_email(text: &str) -> std::result::Result<String, String> {
    let text = text.trim();
    let plausible = text.len() <= 254
        && !text.chars().any(|it| it.is_whitespace() || it.is_control() || "<>()[],;:\"\\".contains(it))
        && text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && !host.contains('@')
                && !host.is_empty()
                && !host.starts_with('.')
                && !host.ends_with('.')
        });
    match (plausible, text.is_empty()) {
        (true, _) => Ok(text.to_owned()),
        (_, true) => Err("an address is needed".to_owned()),
        _ => Err("this is no e-mail address".to_owned()),
    }
}

pub(crate) fn new_row(
    account: &str,
    email: &str,
    role: Role,
    workspace: Option<String>,
    password_hash: Option<String>,
    now_ms: i64,
) -> MemberRow {
    MemberRow {
        id: new_id(),
        account_id: account.to_owned(),
        email: email.to_owned(),
        password_hash,
        role: role.as_str().to_owned(),
        workspace_id: workspace,
        in_default: false,
        workspace_name: None,
        account_name: None,
        created_at: now_ms,
        last_sign_in_at: None,
        invite_expires_at: None,
    }
}

pub(crate) async fn insert(tx: &mut Tx, row: &MemberRow, invite: Option<&[u8]>) -> Result<()> {
    match tx.insert_member(row, invite).await {
        // Which account has the address is nobody's business.
        Err(error) if error.is_duplicate() => Err(ControlError::field("email", "this address is taken")),
        other => Ok(other.map(drop)?),
    }
}

/// The account's members.
///
/// # Errors
/// [`ControlError::Forbidden`] for workspace admins and viewers.
pub async fn list(control: &Control, actor: &Actor) -> Result<Vec<MemberView>> {
    actor.authorise(Action::ManageMember(Role::Viewer))?;
    let rows = control.store().read().await?.members(actor.account()).await?;
    let view = |row: MemberRow| {
        Some(MemberView {
            role: Role::parse(&row.role)?,
            id: row.id,
            email: row.email,
            workspace: row.workspace_name,
            last_sign_in_at: row.last_sign_in_at,
            invited_until: row.password_hash.is_none().then_some(row.invite_expires_at).flatten(),
        })
    };
    Ok(rows.into_iter().filter_map(view).collect())
}

/// Adds a member who chooses a password by following a link.
///
/// # Errors
/// [`ControlError::Invalid`] at `email`, `role` or `workspace`; [`ControlError::Forbidden`].
pub async fn invite(control: &Control, actor: &Actor, form: &NewMember) -> Result<Invitation> {
    // Said before anything is read: who may manage nobody learns nothing of members.
    actor.authorise(Action::ManageMember(Role::Viewer))?;
    let token = secret::random_text(32);
    let mut edit = control.edit(actor).await?;
    let mut row = checked(&mut edit, actor, form, Check::default()).await?;
    row.invite_expires_at = Some(edit.now_ms + INVITATION_MS);
    insert(&mut edit, &row, Some(&secret::digest(&token))).await?;
    note_new(&mut edit, &row);
    edit.commit().await?;
    Ok(Invitation { member: row.id, token: Secret::new(token) })
}

/// Adds a member with a password. For the command line.
///
/// # Errors
/// [`ControlError::Invalid`] at `email`, `role`, `workspace` or `password`; [`ControlError::Forbidden`].
pub async fn create(control: &Control, actor: &Actor, form: &NewMember, password: Secret<String>) -> Result<String> {
    // Said before anything is read: who may manage nobody learns nothing of members.
    actor.authorise(Action::ManageMember(Role::Viewer))?;
    let mut check = Check::default();
    check.take("password", Passwords::check(&password));
    let hash = control.parts.passwords.hash(password).await;
    let mut edit = control.edit(actor).await?;
    let mut row = checked(&mut edit, actor, form, check).await?;
    row.password_hash = Some(hash);
    insert(&mut edit, &row, None).await?;
    note_new(&mut edit, &row);
    edit.commit().await?;
    Ok(row.id)
}

fn note_new(edit: &mut crate::edit::Edit, row: &MemberRow) {
    let role = Role::parse(&row.role).unwrap_or(Role::Viewer);
    edit.note("create", Object::Member, &row.email, None, Some(&Audited { role, workspace: row.workspace_id.clone() }));
}

async fn checked(tx: &mut Tx, actor: &Actor, form: &NewMember, mut check: Check) -> Result<MemberRow> {
    let email = check.take("email", parse_email(&form.email));
    let role = parse_role(&mut check, &form.role);
    let workspace = match role {
        Some(role) => place(tx, actor, role, &form.workspace, &mut check).await?,
        None => None,
    };
    if let Some(role) = role {
        actor.authorise(Action::ManageMember(role))?;
    }
    check.done()?;
    let (email, role) = (email.unwrap_or_default(), role.unwrap_or(Role::Viewer));
    Ok(new_row(actor.account(), &email, role, workspace, None, 0))
}

fn parse_role(check: &mut Check, word: &str) -> Option<Role> {
    let role = Role::parse(word.trim());
    if role.is_none() {
        check.wrong("role", "a role is owner, admin, workspace-admin or viewer");
    }
    role
}

/// The workspace someone of this role belongs to.
async fn place(tx: &mut Tx, actor: &Actor, role: Role, named: &str, check: &mut Check) -> Result<Option<String>> {
    let named = named.trim();
    match (role.whole_account(), named.is_empty()) {
        (true, true) => return Ok(None),
        (true, false) => {
            check.wrong("workspace", "owners and admins belong to the whole account");
            return Ok(None);
        }
        (false, true) => {
            check.wrong("workspace", "a workspace is needed for this role");
            return Ok(None);
        }
        (false, false) => {}
    }
    let found = crate::workspaces::by_name_or_id(tx, actor.account(), named).await?;
    if found.is_none() {
        check.wrong("workspace", format!("there is no workspace {named}"));
    }
    Ok(found.map(|it| it.id))
}

/// Whose invitation this is: what the page that accepts it shows.
///
/// # Errors
/// [`ControlError::NotFound`] if it was accepted, replaced, or is too old.
pub async fn invitation(control: &Control, token: &Secret<String>) -> Result<String> {
    let digest = secret::digest(token.expose().trim());
    let found = control.store().read().await?.member_by_invite(&digest, control.now_ms()).await?;
    found.map(|it| it.email).ok_or(ControlError::NotFound("this invitation"))
}

/// Accepts an invitation with a password and returns the member's id.
///
/// # Errors
/// [`ControlError::NotFound`] if it was accepted or is too old; [`ControlError::Invalid`] at `password`.
pub async fn accept(control: &Control, token: &Secret<String>, password: Secret<String>) -> Result<String> {
    Passwords::check(&password).map_err(|message| ControlError::field("password", message))?;
    let digest = secret::digest(token.expose().trim());
    let now_ms = control.now_ms();
    let open = control.store().read().await?.member_by_invite(&digest, now_ms).await?;
    if open.is_none() {
        return Err(ControlError::NotFound("this invitation"));
    }
    let hash = control.parts.passwords.hash(password).await;
    // Who holds the link acts as the member that it was made for.
    let actor = open.and_then(|it| Actor::member(&it, None)).ok_or(ControlError::NotFound("this invitation"))?;
    let mut edit = control.edit(&actor).await?;
    let member = edit.member_by_invite(&digest, now_ms).await?.ok_or(ControlError::NotFound("this invitation"))?;
    edit.set_password(&member.account_id, &member.id, &hash).await?;
    edit.note::<()>("accept invitation of", Object::Member, &member.email, None, None);
    edit.commit().await?;
    Ok(member.id)
}

/// Renews the invitation of someone who has not accepted it; a former link ends.
///
/// # Errors
/// [`ControlError::NotFound`] or [`ControlError::Refused`] if it was accepted.
pub async fn invite_again(control: &Control, actor: &Actor, id: &str) -> Result<Invitation> {
    // Said before anything is read: who may manage nobody learns nothing of members.
    actor.authorise(Action::ManageMember(Role::Viewer))?;
    let mut edit = control.edit(actor).await?;
    let (row, role) = existing(&mut edit, actor, id).await?;
    actor.authorise(Action::ManageMember(role))?;
    let token = secret::random_text(32);
    let expires_at = edit.now_ms + INVITATION_MS;
    if edit.set_invite(actor.account(), id, &secret::digest(&token), expires_at).await? == 0 {
        return Err(ControlError::Refused("this invitation was accepted".to_owned()));
    }
    edit.note::<()>("renew invitation of", Object::Member, &row.email, None, None);
    edit.commit().await?;
    Ok(Invitation { member: id.to_owned(), token: Secret::new(token) })
}

/// Changes a member's role; their sessions end, since they were begun with other rights.
///
/// # Errors
/// [`ControlError::Invalid`] at `role` or `workspace`; [`ControlError::Refused`] for the last owner.
pub async fn set_role(control: &Control, actor: &Actor, id: &str, role: &str, workspace: &str) -> Result<()> {
    // Said before anything is read: who may manage nobody learns nothing of members.
    actor.authorise(Action::ManageMember(Role::Viewer))?;
    let mut edit = control.edit(actor).await?;
    let (row, former) = existing(&mut edit, actor, id).await?;
    actor.authorise(Action::ManageMember(former))?;
    let mut check = Check::default();
    let role = parse_role(&mut check, role);
    let workspace = match role {
        Some(role) => {
            actor.authorise(Action::ManageMember(role))?;
            place(&mut edit, actor, role, workspace, &mut check).await?
        }
        None => None,
    };
    check.done()?;
    let role = role.unwrap_or(former);
    if former == Role::Owner && role != Role::Owner {
        not_the_last_owner(&mut edit, &row).await?;
    }
    edit.set_role(actor.account(), id, role.as_str(), workspace.as_deref()).await?;
    edit.delete_sessions_of(id).await?;
    edit.note(
        "set role",
        Object::Member,
        &row.email,
        Some(&Audited { role: former, workspace: row.workspace_id }),
        Some(&Audited { role, workspace }),
    );
    edit.commit().await
}

/// Removes a member; their sessions end with them.
///
/// # Errors
/// [`ControlError::Refused`] for the last owner.
pub async fn remove(control: &Control, actor: &Actor, id: &str) -> Result<()> {
    // Said before anything is read: who may manage nobody learns nothing of members.
    actor.authorise(Action::ManageMember(Role::Viewer))?;
    let mut edit = control.edit(actor).await?;
    let (row, role) = existing(&mut edit, actor, id).await?;
    actor.authorise(Action::ManageMember(role))?;
    if role == Role::Owner {
        not_the_last_owner(&mut edit, &row).await?;
    }
    edit.delete_member(actor.account(), id).await?;
    edit.note("remove", Object::Member, &row.email, Some(&Audited { role, workspace: row.workspace_id }), None);
    edit.commit().await
}

async fn existing(tx: &mut Tx, actor: &Actor, id: &str) -> Result<(MemberRow, Role)> {
    actor.authorise(Action::ManageMember(Role::Viewer))?;
    let row = tx.member(id).await?.filter(|it| it.account_id == actor.account());
    let row = row.ok_or(ControlError::NotFound("this member"))?;
    let role = Role::parse(&row.role).unwrap_or(Role::Viewer);
    Ok((row, role))
}

async fn not_the_last_owner(tx: &mut Tx, row: &MemberRow) -> Result<()> {
    if row.password_hash.is_some() && tx.owners(&row.account_id).await? <= 1 {
        return Err(ControlError::Refused("the last owner cannot be removed or given another role".to_owned()));
    }
    Ok(())
}
