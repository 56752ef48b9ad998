use control::{
    ControlError,
    keys::{self, NewKey},
    secret, workspaces,
};

use crate::fixture::{Fixture, NOW, messages};

fn new(workspace: &str) -> NewKey {
    NewKey { workspace: workspace.to_owned(), name: "ci".to_owned(), ..NewKey::default() }
}

#[tokio::test]
async fn a_key_is_shown_once_and_found_by_its_digest() {
    let it = Fixture::new().await;
    let before = it.revision().await;
    let made = keys::create(&it.control, &it.owner, &new("search")).await.unwrap();
    let text = made.secret.expose();
    assert!(text.starts_with("sk-") && text.len() == 43 && text.starts_with(&made.prefix));
    assert!(it.revision().await > before);
    let stored = control::snapshot::read(&it.control).await.unwrap().keys;
    assert_eq!(stored[0].digest, secret::digest(text));
    let shown = keys::list(&it.control, &it.owner, None).await.unwrap();
    assert_eq!((shown[0].name.as_str(), shown[0].workspace.as_str(), shown[0].editable), ("ci", "search", true));
    assert!(!format!("{made:?}").contains(&text[8..]));
}

#[tokio::test]
async fn rotating_refuses_the_old_secret_and_revoking_is_for_good() {
    let it = Fixture::new().await;
    let form = NewKey { error_dialect: "openai".to_owned(), expires_at: Some(NOW + 1_000), ..new("default") };
    let first = keys::create(&it.control, &it.owner, &form).await.unwrap();
    let second = keys::rotate(&it.control, &it.owner, &first.id).await.unwrap();
    let usable = control::snapshot::read(&it.control).await.unwrap().keys;
    assert_eq!(usable.len(), 1);
    assert_eq!(usable[0].digest, secret::digest(second.secret.expose()));
    assert_eq!((usable[0].error_dialect.as_str(), usable[0].expires_at), ("openai", Some(NOW + 1_000)));
    assert!(matches!(keys::rotate(&it.control, &it.owner, &first.id).await, Err(ControlError::NotFound(_))));
    let change = keys::KeyChange { name: "nightly".to_owned(), ..keys::KeyChange::default() };
    keys::update(&it.control, &it.owner, &second.id, &change).await.unwrap();
    keys::revoke(&it.control, &it.owner, &second.id).await.unwrap();
    assert!(matches!(keys::revoke(&it.control, &it.owner, &second.id).await, Err(ControlError::NotFound(_))));
    assert!(control::snapshot::read(&it.control).await.unwrap().keys.is_empty());
    let shown = keys::list(&it.control, &it.owner, None).await.unwrap();
    assert!(shown.len() == 2 && shown.iter().all(|it| it.revoked_at == Some(NOW) && !it.editable));
}

#[tokio::test]
async fn what_is_wrong_with_a_new_key_is_said_at_the_field() {
    let it = Fixture::new().await;
    let check = async |form: NewKey| messages(keys::create(&it.control, &it.owner, &form).await);
    assert_eq!(check(new("nowhere")).await, ["workspace: there is no workspace nowhere"]);
    let wrong = NewKey { error_dialect: "klingon".to_owned(), expires_at: Some(NOW), ..new("search") };
    assert_eq!(
        check(wrong).await,
        ["error_dialect: an error dialect is dashscope or openai", "expires_at: the expiry must lie in the future"]
    );
    for _ in 0..20 {
        keys::create(&it.control, &it.owner, &new("search")).await.unwrap();
    }
    assert_eq!(check(new("search")).await, ["workspace: workspace search has 20 keys, as many as one may have"]);
    keys::create(&it.control, &it.owner, &new("default")).await.unwrap();
}

#[tokio::test]
async fn a_workspace_admin_manages_the_own_keys_alone() {
    let it = Fixture::new().await;
    let admin = it.member(&it.owner, "workspace-admin", "search").await;
    let viewer = it.member(&it.owner, "viewer", "search").await;
    let own = keys::create(&it.control, &admin, &new("search")).await.unwrap();
    let foreign = keys::create(&it.control, &it.owner, &new("default")).await.unwrap();
    assert_eq!(messages(keys::create(&it.control, &admin, &new("default")).await).len(), 1, "it is not seen");
    assert!(matches!(keys::revoke(&it.control, &admin, &foreign.id).await, Err(ControlError::NotFound(_))));
    assert!(matches!(keys::revoke(&it.control, &viewer, &own.id).await, Err(ControlError::Forbidden(_))));
    assert!(matches!(keys::create(&it.control, &viewer, &new("search")).await, Err(ControlError::Forbidden(_))));
    let seen = keys::list(&it.control, &viewer, None).await.unwrap();
    assert!(seen.len() == 1 && !seen[0].editable);
}

#[tokio::test]
async fn a_key_of_an_archived_workspace_can_only_be_revoked() {
    let it = Fixture::new().await;
    let made = keys::create(&it.control, &it.owner, &new("search")).await.unwrap();
    let id = it.workspace(&it.owner, "search").await;
    let revision = workspaces::editor(&it.control, &it.owner, &id).await.unwrap().workspace.revision;
    workspaces::archive(&it.control, &it.owner, &id, revision).await.unwrap();
    let shown = keys::list(&it.control, &it.owner, None).await.unwrap();
    assert!(shown[0].archived && shown[0].editable, "{shown:?}");
    let change = keys::KeyChange { name: "nightly".to_owned(), ..keys::KeyChange::default() };
    let refused = |error: ControlError| matches!(error, ControlError::Refused(why) if why.contains("was archived"));
    assert!(refused(keys::rotate(&it.control, &it.owner, &made.id).await.unwrap_err()));
    assert!(refused(keys::update(&it.control, &it.owner, &made.id, &change).await.unwrap_err()));
    keys::revoke(&it.control, &it.owner, &made.id).await.unwrap();
    assert!(keys::list(&it.control, &it.owner, None).await.unwrap()[0].revoked_at.is_some());
}
