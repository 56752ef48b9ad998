use control::{
    ControlError,
    audit::{self, AuditQuery},
    members::{self, NewMember},
    sign_in,
};
use domain::Role;

use crate::fixture::{DAY, Fixture, messages, secret};

fn new(email: &str, role: &str, workspace: &str) -> NewMember {
    NewMember { email: email.to_owned(), role: role.to_owned(), workspace: workspace.to_owned() }
}

#[tokio::test]
async fn an_invitation_is_accepted_once_and_in_time() {
    let it = Fixture::new().await;
    let invitation =
        members::invite(&it.control, &it.owner, &new("bob@example.com", "viewer", "search")).await.unwrap();
    assert!(matches!(
        sign_in::sign_in(&it.control, "bob@example.com", secret(""), "::1").await,
        Err(ControlError::WrongCredentials)
    ));
    assert!(sign_in::signed_in(&it.control, &invitation.member, None).await.unwrap().is_none());
    assert_eq!(members::invitation(&it.control, &invitation.token).await.unwrap(), "bob@example.com");
    assert!(members::accept(&it.control, &secret("guess"), secret("a password")).await.is_err());
    assert_eq!(messages(members::accept(&it.control, &invitation.token, secret("short")).await).len(), 1);
    members::accept(&it.control, &invitation.token, secret("bobs password")).await.unwrap();
    assert!(members::accept(&it.control, &invitation.token, secret("evil password")).await.is_err());
    let bob = sign_in::sign_in(&it.control, "bob@example.com", secret("bobs password"), "::1").await.unwrap();
    assert_eq!((bob.role.as_str(), bob.workspace_name.as_deref()), ("viewer", Some("search")));

    let late = members::invite(&it.control, &it.owner, &new("eve@example.com", "admin", "")).await.unwrap();
    let renewed = members::invite_again(&it.control, &it.owner, &late.member).await.unwrap();
    assert!(members::accept(&it.control, &late.token, secret("a password")).await.is_err(), "its link was replaced");
    it.clock.advance(7 * DAY);
    assert!(members::accept(&it.control, &renewed.token, secret("a password")).await.is_err());

    let query = AuditQuery { kind: "member".to_owned(), ..AuditQuery::default() };
    let events = audit::list(&it.control, &it.owner, &query, 10).await.unwrap().events;
    let told = |action: &str, object: &str, actor: &str| {
        events.iter().any(|it| (it.action.as_str(), it.object.as_str(), it.actor.as_str()) == (action, object, actor))
    };
    assert!(told("accept invitation of", "bob@example.com", "bob@example.com"), "{events:?}");
    assert!(told("renew invitation of", "eve@example.com", &it.owner.name), "{events:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_new_member_is_said_at_the_field() {
    let it = Fixture::new().await;
    let check = async |form: NewMember| messages(members::invite(&it.control, &it.owner, &form).await);
    assert_eq!(check(new("", "viewer", "search")).await, ["email: an address is needed"]);
    assert_eq!(check(new("a@b@c", "boss", "")).await.len(), 2);
    assert_eq!(check(new("a@b.c", "viewer", "")).await, ["workspace: a workspace is needed for this role"]);
    assert_eq!(check(new("a@b.c", "viewer", "nowhere")).await, ["workspace: there is no workspace nowhere"]);
    assert_eq!(
        check(new("a@b.c", "admin", "search")).await,
        ["workspace: owners and admins belong to the whole account"]
    );
    let taken = new(&it.owner.name.to_uppercase(), "admin", "");
    assert_eq!(check(taken).await, ["email: this address is taken"]);
}

#[tokio::test]
async fn the_last_owner_stays() {
    let it = Fixture::new().await;
    let owner = it.owner.standing.member.as_str();
    assert!(matches!(members::remove(&it.control, &it.owner, owner).await, Err(ControlError::Refused(_))));
    let demoted = members::set_role(&it.control, &it.owner, owner, "viewer", "default").await;
    assert!(matches!(demoted, Err(ControlError::Refused(_))));
    // Who was only invited cannot take over.
    members::invite(&it.control, &it.owner, &new("second@example.com", "owner", "")).await.unwrap();
    assert!(matches!(members::remove(&it.control, &it.owner, owner).await, Err(ControlError::Refused(_))));
    let third = new("third@example.com", "owner", "");
    members::create(&it.control, &it.owner, &third, secret("a password")).await.unwrap();
    members::remove(&it.control, &it.owner, owner).await.unwrap();
    assert!(sign_in::signed_in(&it.control, owner, None).await.unwrap().is_none());
}

#[tokio::test]
async fn an_admin_cannot_touch_or_make_owners() {
    let it = Fixture::new().await;
    let admin = it.member(&it.owner, "admin", "").await;
    let owner = it.owner.standing.member.as_str();
    assert!(matches!(members::remove(&it.control, &admin, owner).await, Err(ControlError::Forbidden(_))));
    let made = members::invite(&it.control, &admin, &new("x@example.com", "owner", "")).await;
    assert!(matches!(made, Err(ControlError::Forbidden(_))));
    let own = admin.standing.member.as_str();
    let raised = members::set_role(&it.control, &admin, own, "owner", "").await;
    assert!(matches!(raised, Err(ControlError::Forbidden(_))));
    members::set_role(&it.control, &it.owner, own, "workspace-admin", "search").await.unwrap();
    let now = sign_in::signed_in(&it.control, own, None).await.unwrap().unwrap().actor;
    assert_eq!(now.standing.role, Role::WorkspaceAdmin);
    assert!(matches!(members::list(&it.control, &now).await, Err(ControlError::Forbidden(_))));
}
