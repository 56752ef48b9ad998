//! Nothing of one account is visible, or can be changed, from another.

use control::{
    ControlError, increases, keys, members, models, monitoring, providers,
    workspaces::{self, SetLimits},
};
use domain::TimeRange;
use store::rollup::{Batch, CallDelta, Figures, Histogram, Lane, SeriesKey};

use crate::fixture::{Fixture, NOW, secret};

#[tokio::test]
async fn two_accounts_do_not_see_each_other() {
    let it = Fixture::new().await;
    let other = it.second_account().await;
    let (control, owner) = (&it.control, &it.owner);
    let workspace = it.workspace(owner, "search").await;
    let key = keys::create(control, owner, &keys::NewKey { workspace: "search".to_owned(), ..Default::default() })
        .await
        .unwrap();
    let form = increases::IncreaseForm { model: "qwen-plus".to_owned(), tpm: "1500000".to_owned() };
    let increase = increases::request(control, owner, &form).await.unwrap();
    let provider = providers::list(control, owner).await.unwrap().remove(0);
    let series = SeriesKey {
        account: owner.account().to_owned(),
        lane: Lane::Limited,
        workspace: workspace.clone(),
        model: "qwen-plus".to_owned(),
    };
    let figures = Figures { calls: 5, ..Figures::default() };
    let (latency, ttft) = (Histogram::default(), Histogram::default());
    let deltas = vec![CallDelta { series, first_at_ms: NOW, figures, latency, ttft }];
    control.store().record(&Batch { deltas, ..Batch::default() }).await.unwrap();

    let not_found = |it: ControlError| assert!(matches!(it, ControlError::NotFound(_)), "{it}");
    not_found(workspaces::editor(control, &other, &workspace).await.unwrap_err());
    not_found(workspaces::rename(control, &other, &workspace, 2, "mine").await.unwrap_err());
    not_found(workspaces::archive(control, &other, &workspace, 2).await.unwrap_err());
    let command = SetLimits { workspace: workspace.clone(), revision: 2, grants: Vec::new() };
    not_found(workspaces::set_limits(control, &other, &command).await.unwrap_err());
    not_found(keys::revoke(control, &other, &key.id).await.unwrap_err());
    not_found(keys::rotate(control, &other, &key.id).await.unwrap_err());
    not_found(keys::update(control, &other, &key.id, &keys::KeyChange::default()).await.unwrap_err());
    not_found(keys::list(control, &other, Some(&workspace)).await.unwrap_err());
    not_found(members::remove(control, &other, owner.standing.member.as_str()).await.unwrap_err());
    not_found(
        members::set_role(control, &other, owner.standing.member.as_str(), "viewer", "search").await.unwrap_err(),
    );
    not_found(members::invite_again(control, &other, owner.standing.member.as_str()).await.unwrap_err());
    not_found(increases::end_now(control, &other, &increase.id).await.unwrap_err());
    not_found(increases::keep(control, &other, &increase.id).await.unwrap_err());
    let base_url = "https://evil.example.com/v1".to_owned();
    let stolen =
        providers::ProviderForm { name: "dashscope".to_owned(), openai_base_url: base_url, ..Default::default() };
    not_found(providers::edit(control, &other, &provider.id, provider.revision, &stolen).await.unwrap_err());
    let foreign = models::ModelForm {
        code: "new".to_owned(),
        provider: provider.id.clone(),
        rpm: "1".to_owned(),
        tpm: "1".to_owned(),
        ..Default::default()
    };
    assert!(matches!(models::create(control, &other, &foreign).await, Err(ControlError::Invalid(_))));
    let foreign = members::NewMember {
        email: "x@example.com".to_owned(),
        role: "viewer".to_owned(),
        workspace: workspace.clone(),
    };
    assert!(members::create(control, &other, &foreign, secret("a password")).await.is_err());

    let range = TimeRange::ending_now(60, NOW);
    let query = |workspace: &str| monitoring::Query { range, workspace: workspace.to_owned(), model: String::new() };
    assert!(monitoring::show(control, &other, &query("")).await.unwrap().rows.is_empty());
    not_found(monitoring::show(control, &other, &query(&workspace)).await.unwrap_err());
    assert!(monitoring::charts(control, &other, &query("")).await.unwrap().points.is_empty());
    assert!(keys::list(control, &other, None).await.unwrap().is_empty());
    assert!(increases::history(control, &other, None, 10).await.unwrap().is_empty());
    assert!(increases::rate_limits(control, &other).await.unwrap().iter().all(|it| it.increase.is_none()));
    assert_eq!(members::list(control, &other).await.unwrap().len(), 1);
    let events = control::audit::list(control, &other, &control::audit::AuditQuery::default(), 1_000).await.unwrap();
    assert!(events.events.iter().all(|it| it.account_id == other.account()));
    assert_eq!(monitoring::show(control, owner, &query("")).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn an_address_or_an_accounts_name_is_taken_once() {
    let it = Fixture::new().await;
    let other = it.second_account().await;
    let form = members::NewMember { email: it.owner.name.clone(), role: "admin".to_owned(), workspace: String::new() };
    assert!(matches!(members::invite(&it.control, &other, &form).await, Err(ControlError::Invalid(_))));
    assert!(matches!(control::accounts::create(&it.control, "SECOND").await, Err(ControlError::Invalid(_))));
    let found = control::accounts::find(&it.control, Some("Second")).await.unwrap();
    assert_eq!(found.id, other.account());
    assert_eq!(control::accounts::find(&it.control, None).await.unwrap().id, it.owner.account());
    assert!(control::accounts::find(&it.control, Some("third")).await.is_err());
}
