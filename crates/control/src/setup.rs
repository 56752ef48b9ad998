//! First-run set-up: whoever reads the server's terminal becomes the first owner.

use std::sync::{Mutex, PoisonError};

use domain::Role;
use subtle::ConstantTimeEq;

use crate::{
    Actor, Control, ControlError, Passwords, Result, Secret, accounts,
    edit::Object,
    error::Check,
    members::{self, Audited},
    secret,
};

/// The digest of the token, while set-up is open.
#[derive(Debug, Default)]
pub(crate) struct Setup(Mutex<Option<[u8; 32]>>);

/// Whether nobody can sign in yet.
///
/// # Errors
/// When the store cannot answer.
pub async fn is_open(control: &Control) -> Result<bool> {
    Ok(!control.store().read().await?.any_member().await?)
}

/// A new token to print on the terminal; `None` if somebody can sign in already. A former token ends.
///
/// # Errors
/// When the store cannot answer.
pub async fn begin(control: &Control) -> Result<Option<Secret<String>>> {
    if !is_open(control).await? {
        return Ok(None);
    }
    let token = secret::random_text(32);
    *control.parts.setup.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret::digest(&token));
    Ok(Some(Secret::new(token)))
}

/// What the set-up page sends.
#[derive(Debug)]
pub struct SetupForm {
    /// The token from the terminal.
    pub token: Secret<String>,
    /// The first owner's address.
    pub email: String,
    /// The first owner's password.
    pub password: Secret<String>,
}

/// Makes the first owner (and the first account, if there is none) and returns the member's id.
///
/// # Errors
/// [`ControlError::Invalid`] at a wrong field, `token` included; [`ControlError::Refused`] if somebody can sign in
/// already.
pub async fn complete(control: &Control, form: SetupForm) -> Result<String> {
    let right = {
        let expected = control.parts.setup.0.lock().unwrap_or_else(PoisonError::into_inner);
        expected.is_some_and(|it| bool::from(it.ct_eq(&secret::digest(form.token.expose().trim()))))
    };
    if !right {
        return Err(ControlError::field("token", "this is not the token on the server's terminal"));
    }
    let mut check = Check::default();
    let email = check.take("email", members::parse_email(&form.email));
    check.take("password", Passwords::check(&form.password));
    check.done()?;
    let email = email.unwrap_or_default();
    let hash = control.parts.passwords.hash(form.password).await;
    let account = accounts::find(control, None).await?;
    let actor = Actor { name: email.clone(), ..Actor::command_line(&account.id) };
    let mut edit = control.edit(&actor).await?;
    // Within the transaction: of two who hold the token, one becomes the owner.
    if edit.any_member().await? {
        return Err(ControlError::Refused("the set-up is done; sign in".to_owned()));
    }
    let row = members::new_row(&account.id, &email, Role::Owner, None, Some(hash), edit.now_ms);
    members::insert(&mut edit, &row, None).await?;
    edit.note("create", Object::Member, &email, None, Some(&Audited { role: Role::Owner, workspace: None }));
    edit.commit().await?;
    control.parts.setup.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(row.id)
}
