use control::{
    ControlError, accounts,
    audit::{self, AuditQuery},
    keys, providers, workspaces,
};

use crate::fixture::{Fixture, messages};

#[tokio::test]
async fn the_snapshots_rows_hold_what_may_be_called() {
    let it = Fixture::new().await;
    let form = providers::ProviderForm {
        name: "dashscope".to_owned(),
        openai_base_url: "https://example.com/v1/".to_owned(),
        credential: "sk-upstream".to_owned(),
        ..Default::default()
    };
    let shown = providers::list(&it.control, &it.owner).await.unwrap().remove(0);
    providers::edit(&it.control, &it.owner, &shown.id, shown.revision, &form).await.unwrap();
    let stale = providers::edit(&it.control, &it.owner, &shown.id, shown.revision, &form).await;
    assert!(matches!(stale, Err(ControlError::Conflict(_))));
    let made = keys::NewKey { workspace: "search".to_owned(), ..Default::default() };
    keys::create(&it.control, &it.owner, &made).await.unwrap();

    let rows = control::snapshot::read(&it.control).await.unwrap();
    assert_eq!(rows.revision, it.revision().await);
    assert_eq!(rows.providers[0].credential.as_ref().map(|it| it.expose().as_str()), Some("sk-upstream"));
    assert_eq!(rows.providers[0].row.openai_base_url.as_deref(), Some("https://example.com/v1"));
    assert!(!format!("{rows:?}").contains("sk-upstream"));
    let search = it.workspace(&it.owner, "search").await;
    assert_eq!(rows.grants[&search].len(), 2);
    assert_eq!((rows.models.len(), rows.workspaces.len(), rows.keys.len()), (2, 2, 1));

    let revision = workspaces::editor(&it.control, &it.owner, &search).await.unwrap().workspace.revision;
    workspaces::archive(&it.control, &it.owner, &search, revision).await.unwrap();
    let rows = control::snapshot::read(&it.control).await.unwrap();
    assert!(rows.keys.is_empty() && rows.workspaces.len() == 1, "an archived workspace's keys are refused");

    let again = providers::list(&it.control, &it.owner).await.unwrap().remove(0);
    let kept = providers::ProviderForm { credential: String::new(), ..form.clone() };
    providers::edit(&it.control, &it.owner, &again.id, again.revision, &kept).await.unwrap();
    assert!(control::snapshot::read(&it.control).await.unwrap().providers[0].credential.is_some());
    let forgotten = providers::ProviderForm { forget_credential: true, ..kept };
    providers::edit(&it.control, &it.owner, &again.id, again.revision + 1, &forgotten).await.unwrap();
    assert!(control::snapshot::read(&it.control).await.unwrap().providers[0].credential.is_none());
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_with_who_and_from_what_to_what() {
    let it = Fixture::new().await;
    let id = workspaces::create(&it.control, &it.owner, "ads").await.unwrap();
    workspaces::rename(&it.control, &it.owner, &id, 1, "adverts").await.unwrap();
    let query = AuditQuery { actor: it.owner.name.clone(), kind: "workspace".to_owned(), ..AuditQuery::default() };
    let page = audit::list(&it.control, &it.owner, &query, 1).await.unwrap();
    let event = &page.events[0];
    assert_eq!((event.action.as_str(), event.object.as_str()), ("rename", "adverts"));
    assert_eq!(event.before_json.as_deref(), Some(r#"{"name":"ads"}"#));
    assert_eq!(event.after_json.as_deref(), Some(r#"{"name":"adverts"}"#));
    assert_eq!(event.request_id.as_deref(), Some("request"));
    let next = audit::list(&it.control, &it.owner, &AuditQuery { before: page.next, ..query }, 1).await.unwrap();
    assert_eq!((next.events[0].action.as_str(), next.next), ("create", None));
    let viewer = it.member(&it.owner, "viewer", "default").await;
    assert!(matches!(
        audit::list(&it.control, &viewer, &AuditQuery::default(), 1).await,
        Err(ControlError::Forbidden(_))
    ));
}

#[tokio::test]
async fn an_accounts_settings_are_numbers_within_bounds() {
    let it = Fixture::new().await;
    let row = accounts::settings(&it.control, &it.owner).await.unwrap();
    let form = accounts::SettingsForm {
        revision: row.revision,
        increase_validity_days: "14".to_owned(),
        inactivity_days: "0".to_owned(),
        max_workspaces: "many".to_owned(),
        max_keys: String::new(),
        max_name_length: "101".to_owned(),
    };
    assert_eq!(
        messages(accounts::set_settings(&it.control, &it.owner, &form).await),
        [
            "inactivity_days: 0 is not between 1 and 3650",
            "max_workspaces: many is not a whole number",
            "max_keys: a number is needed",
            "max_name_length: 101 is not between 1 and 100",
        ]
    );
    let form = accounts::SettingsForm {
        inactivity_days: "3".to_owned(),
        max_workspaces: "2".to_owned(),
        max_keys: "1".to_owned(),
        max_name_length: "5".to_owned(),
        ..form
    };
    accounts::set_settings(&it.control, &it.owner, &form).await.unwrap();
    assert!(matches!(accounts::set_settings(&it.control, &it.owner, &form).await, Err(ControlError::Conflict(_))));
    assert_eq!(messages(workspaces::create(&it.control, &it.owner, "ads").await).len(), 1);
    let viewer = it.member(&it.owner, "viewer", "default").await;
    assert!(matches!(accounts::set_settings(&it.control, &viewer, &form).await, Err(ControlError::Forbidden(_))));
}
