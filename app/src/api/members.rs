//! Members: inviting, roles, removing, and accepting an invitation.

use crate::{error::ApiError, outcome::Outcome, ui::Choice};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// The form that invites.
pub const INVITE: &str = "invite";
/// The form that makes a new link; the id of its member follows.
pub const INVITE_AGAIN: &str = "invite-again";
/// The form that changes a role.
pub const ROLE: &str = "set-role";
/// The form that removes someone.
pub const REMOVE: &str = "remove-member";
/// The form that accepts an invitation.
pub const ACCEPT: &str = "accept";

/// Everything on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersView {
    /// The account's members.
    pub members: Vec<MemberView>,
    /// Roles the viewer may give.
    pub roles: Vec<Choice>,
    /// Workspaces a workspace admin or viewer can belong to.
    pub workspaces: Vec<Choice>,
    /// Where an invitation leads, without its token.
    pub invitation_url: String,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Their identity.
    pub id: String,
    /// What they sign in with.
    pub email: String,
    /// The word of their role.
    pub role: String,
    /// The name of the workspace they belong to; empty for the whole account.
    pub workspace: String,
    /// When they last signed in.
    pub last_sign_in_ms: Option<i64>,
    /// Until when their open invitation holds; `None` once it was accepted.
    pub invited_until_ms: Option<i64>,
    /// Whether the viewer may change or remove them.
    pub editable: bool,
    /// Whether they are the account's last owner, who must stay one.
    pub last_owner: bool,
}

/// Lists the account's members.
///
/// # Errors
/// [`ApiError::Forbidden`] for workspace admins and viewers.
#[server(endpoint = "members", input = GetUrl)]
pub async fn members() -> Result<MembersView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::settings::members(&crate::ssr::state(), &caller).await
}

/// Invites someone; the answer alone holds the link's token.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not manage members of this role.
#[server(endpoint = "members/invite")]
pub async fn invite_member(
    email: String,
    role: String,
    #[server(default)] workspace: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let form = control::members::NewMember { email: email.clone(), role: role.clone(), workspace: workspace.clone() };
    let made = ssr::outcome(control::members::invite(&ssr::state().control, &caller.actor, &form).await)?;
    let typed = [("email", email.as_str()), ("role", &role), ("workspace", &workspace)];
    ssr::answer(INVITE, &typed, &paths::with_query(paths::MEMBERS, &[("create", "1")]), shown_once(made)).await
}

/// Makes a new link for someone who has not accepted; the former one ends.
///
/// # Errors
/// [`ApiError::Forbidden`], [`ApiError::NotFound`].
#[server(endpoint = "members/invite-again")]
pub async fn invite_again(id: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let made = ssr::outcome(control::members::invite_again(&ssr::state().control, &caller.actor, &id).await)?;
    ssr::answer(&format!("{INVITE_AGAIN}-{id}"), &[], paths::MEMBERS, shown_once(made)).await
}

#[cfg(feature = "ssr")]
fn shown_once(made: Result<control::members::Invitation, Outcome>) -> Outcome {
    made.map_or_else(
        |outcome| outcome,
        |it| Outcome::Done {
            message: "Invitation made".to_owned(),
            next: Some(crate::paths::MEMBERS.to_owned()),
            secret: Some(it.token.expose().to_owned()),
        },
    )
}

/// Gives a member another role; their sessions end.
///
/// # Errors
/// [`ApiError::Forbidden`], [`ApiError::NotFound`].
#[server(endpoint = "members/role/set")]
pub async fn set_role(id: String, role: String, #[server(default)] workspace: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let done = control::members::set_role(&ssr::state().control, &caller.actor, &id, &role, &workspace).await;
    let outcome = ssr::outcome(done)?.map_or_else(|it| it, |()| Outcome::go("Role stored", paths::MEMBERS));
    let back = paths::with_query(paths::MEMBERS, &[("role", &id)]);
    ssr::answer(ROLE, &[("role", &role), ("workspace", &workspace)], &back, outcome).await
}

/// Removes a member; their sessions end.
///
/// # Errors
/// [`ApiError::Forbidden`], [`ApiError::NotFound`].
#[server(endpoint = "members/remove")]
pub async fn remove_member(id: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let done = control::members::remove(&ssr::state().control, &caller.actor, &id).await;
    let outcome = ssr::outcome(done)?.map_or_else(|it| it, |()| Outcome::go("Member removed", paths::MEMBERS));
    ssr::answer(REMOVE, &[], &paths::with_query(paths::MEMBERS, &[("remove", &id)]), outcome).await
}

/// Accepts an invitation with a password of one's own, and signs in.
///
/// # Errors
/// When the session cannot be written.
#[server(endpoint = "invitations/accept")]
pub async fn accept_invitation(token: String, password: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let back = paths::with_query(paths::INVITATION, &[("token", &token)]);
    let outcome = ssr::accept(token, password).await?;
    ssr::answer(ACCEPT, &[], &back, outcome).await
}
