//! Signing in, changing the password, signing out everywhere.

use store::member::MemberRow;

use crate::{Actor, Control, ControlError, Passwords, Result, Secret, attempts, edit::Object, error::Check};

/// Who has this address and this password. `origin` is the network address of the one who asks.
///
/// # Errors
/// [`ControlError::WrongCredentials`] for an unknown address as for a wrong password, after the same time;
/// [`ControlError::TooManyAttempts`] after several failures.
pub async fn sign_in(control: &Control, email: &str, password: Secret<String>, origin: &str) -> Result<MemberRow> {
    let email = email.trim().to_lowercase();
    let attempt = attempts::begin(control, &email, origin).await?;
    let member = control.store().read().await?.member_by_email(&email).await?;
    let stored = member.as_ref().and_then(|it| it.password_hash.clone());
    let right = control.parts.passwords.verify(password, stored).await;
    let Some(member) = member.filter(|_| right) else { return Err(ControlError::WrongCredentials) };
    attempt.succeeded(control).await?;
    let mut tx = control.store().begin().await?;
    tx.signed_in(&member.id, control.now_ms()).await?;
    tx.commit().await?;
    Ok(member)
}

/// A member who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// With their rights.
    pub actor: Actor,
    /// The name of their account.
    pub account: String,
    /// The name of the workspace that they belong to, if it is one alone.
    pub workspace: Option<String>,
}

/// The member of a session, as of now: someone removed, or given another role, has it at the next request.
///
/// # Errors
/// When the store cannot answer.
pub async fn signed_in(control: &Control, member_id: &str, request_id: Option<String>) -> Result<Option<SignedIn>> {
    let row = control.store().read().await?.member(member_id).await?;
    Ok(row.filter(|it| it.password_hash.is_some()).and_then(|row| {
        let actor = Actor::member(&row, request_id)?;
        Some(SignedIn { actor, account: row.account_name.unwrap_or_default(), workspace: row.workspace_name })
    }))
}

/// Changes the actor's own password and ends all of their sessions; the caller begins a new one.
///
/// # Errors
/// [`ControlError::Invalid`] at `current` or `password`; [`ControlError::TooManyAttempts`] after several failures.
pub async fn change_password(
    control: &Control,
    actor: &Actor,
    current: Secret<String>,
    password: Secret<String>,
    origin: &str,
) -> Result<()> {
    let id = actor.standing.member.as_str();
    let row = control.store().read().await?.member(id).await?.ok_or(ControlError::NotFound("the member"))?;
    let email = row.email.to_lowercase();
    let attempt = attempts::begin(control, &email, origin).await?;
    if !control.parts.passwords.verify(current, row.password_hash).await {
        return Err(ControlError::field("current", "this is not your password"));
    }
    attempt.succeeded(control).await?;
    let mut check = Check::default();
    check.take("password", Passwords::check(&password));
    check.done()?;
    let hash = control.parts.passwords.hash(password).await;
    let mut edit = control.edit(actor).await?;
    edit.set_password(actor.account(), id, &hash).await?;
    edit.delete_sessions_of(id).await?;
    edit.note::<()>("change password", Object::Member, &row.email, None, None);
    edit.commit().await
}

/// Ends every session of the actor.
///
/// # Errors
/// When the store cannot.
pub async fn sign_out_everywhere(control: &Control, actor: &Actor) -> Result<()> {
    let mut tx = control.store().begin().await?;
    tx.delete_sessions_of(actor.standing.member.as_str()).await?;
    Ok(tx.commit().await?)
}
