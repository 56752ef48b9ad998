use control::{
    ControlError,
    models::{self, ModelForm},
    workspaces::{self, Grant, SetLimits},
};

use crate::fixture::{Fixture, messages};

fn grant(model: &str, rpm: &str, tpm: &str) -> Grant {
    Grant { model: model.to_owned(), rpm: rpm.to_owned(), tpm: tpm.to_owned() }
}

async fn set(it: &Fixture, revision: i64, grants: &[Grant]) -> control::Result<i64> {
    let workspace = it.workspace(&it.owner, "search").await;
    workspaces::set_limits(&it.control, &it.owner, &SetLimits { workspace, revision, grants: grants.to_vec() }).await
}

async fn editor(it: &Fixture) -> workspaces::Editor {
    let id = it.workspace(&it.owner, "search").await;
    workspaces::editor(&it.control, &it.owner, &id).await.unwrap()
}

#[tokio::test]
async fn every_wrong_limit_has_its_message_and_nothing_is_stored() {
    let it = Fixture::new().await;
    let before = editor(&it).await;
    let installation = it.revision().await;
    let check = async |rpm: &str, tpm: &str, expected: &[&str]| {
        let grants = [grant("qwen-flash", "1", ""), grant("qwen-plus", rpm, tpm)];
        assert_eq!(messages(set(&it, before.workspace.revision, &grants).await), expected);
        assert_eq!(editor(&it).await.models, before.models);
        assert_eq!(it.revision().await, installation);
    };
    check("900", "", &["rpm.qwen-plus: 900 is above the account limit of 600 requests per minute"]).await;
    check("", "1000001", &["tpm.qwen-plus: 1000001 is above the account limit of 1000000 tokens per minute"]).await;
    check("-5", "five", &["rpm.qwen-plus: -5 is below zero", "tpm.qwen-plus: five is not a whole number"]).await;
    check(
        "18446744073709551616",
        "1.5",
        &[
            "rpm.qwen-plus: 18446744073709551616 is above the highest possible limit of 1000000000000",
            "tpm.qwen-plus: 1.5 is not a whole number",
        ],
    )
    .await;
    let told =
        messages(set(&it, before.workspace.revision, &[grant("nothing", "1", ""), grant("nothing", "", "")]).await);
    assert_eq!(told.len(), 2);
    let twice = [grant("qwen-plus", "1", ""), grant("qwen-plus", "2", "")];
    assert_eq!(
        messages(set(&it, before.workspace.revision, &twice).await),
        ["model.qwen-plus: this model is named twice"]
    );
}

#[tokio::test]
async fn saving_makes_the_grants_exactly_what_was_sent() {
    let it = Fixture::new().await;
    let revision = editor(&it).await.workspace.revision;
    let saved = set(&it, revision, &[grant("qwen-plus", "0", " 1,000,000 ")]).await.unwrap();
    let now = editor(&it).await;
    assert_eq!(now.workspace.revision, saved);
    let [flash, plus] = now.models.as_slice() else { panic!("two models") };
    assert!(!flash.granted && plus.granted);
    assert_eq!(
        (plus.rpm, plus.tpm, plus.account_rpm, plus.account_tpm),
        (Some(0), Some(1_000_000), 600, Some(1_000_000))
    );
    assert!(matches!(set(&it, revision, &[]).await, Err(ControlError::Conflict(_))), "it was read before");
    assert_eq!(editor(&it).await.models, now.models);
    let installation = it.revision().await;
    assert_eq!(set(&it, saved, &[grant("qwen-plus", "0", "1000000")]).await.unwrap(), saved);
    assert_eq!(it.revision().await, installation, "what changes nothing is no change");
    set(&it, saved, &[]).await.unwrap();
    assert!(editor(&it).await.models.iter().all(|it| !it.granted));
}

#[tokio::test]
async fn the_default_workspace_has_only_a_name_to_change() {
    let it = Fixture::new().await;
    let id = it.workspace(&it.owner, "default").await;
    let shown = workspaces::editor(&it.control, &it.owner, &id).await.unwrap();
    assert!(!shown.editable && shown.models.iter().all(|it| it.granted && it.rpm.is_none()));
    let command = SetLimits { workspace: id.clone(), revision: 1, grants: vec![grant("qwen-plus", "1", "")] };
    assert!(matches!(workspaces::set_limits(&it.control, &it.owner, &command).await, Err(ControlError::Refused(_))));
    assert!(matches!(workspaces::archive(&it.control, &it.owner, &id, 1).await, Err(ControlError::Refused(_))));
    workspaces::rename(&it.control, &it.owner, &id, 1, "Headquarters").await.unwrap();
    assert_eq!(it.workspace(&it.owner, "Headquarters").await, id);
    workspaces::rename(&it.control, &it.owner, &id, 2, "default").await.unwrap();
}

#[tokio::test]
async fn names_and_numbers_of_workspaces_are_bounded() {
    let it = Fixture::new().await;
    let make = async |name: &str| workspaces::create(&it.control, &it.owner, name).await;
    assert_eq!(messages(make("Search").await), ["name: there is a workspace Search already"]);
    assert_eq!(messages(make(" ").await), ["name: a name is needed"]);
    assert_eq!(messages(make("Default").await).len(), 1);
    assert_eq!(messages(make(&"x".repeat(31)).await), ["name: 31 characters are more than the 30 allowed"]);
    for number in 2..20 {
        make(&format!("team {number}")).await.unwrap();
    }
    assert_eq!(messages(make("one more").await), ["name: the account has 20 workspaces, as many as it may have"]);
    let search = editor(&it).await.workspace;
    workspaces::archive(&it.control, &it.owner, &search.id, search.revision).await.unwrap();
    make("search").await.unwrap();
    assert!(matches!(workspaces::editor(&it.control, &it.owner, &search.id).await, Err(ControlError::NotFound(_))));
}

#[tokio::test]
async fn a_viewer_sees_the_own_workspace_and_changes_nothing() {
    let it = Fixture::new().await;
    workspaces::create(&it.control, &it.owner, "other").await.unwrap();
    let other = it.workspace(&it.owner, "other").await;
    let viewer = it.member(&it.owner, "viewer", "search").await;
    let names = async |actor| -> Vec<String> {
        workspaces::list(&it.control, actor).await.unwrap().into_iter().map(|it| it.name).collect()
    };
    assert_eq!(names(&viewer).await, ["search"]);
    assert_eq!(names(&it.member(&it.owner, "viewer", "default").await).await, ["default", "other", "search"]);
    assert!(matches!(workspaces::editor(&it.control, &viewer, &other).await, Err(ControlError::NotFound(_))));
    let own = it.workspace(&viewer, "search").await;
    assert!(!workspaces::editor(&it.control, &viewer, &own).await.unwrap().editable);
    let command = SetLimits { workspace: own.clone(), revision: 1, grants: Vec::new() };
    assert!(matches!(workspaces::set_limits(&it.control, &viewer, &command).await, Err(ControlError::Forbidden(_))));
    assert!(matches!(workspaces::create(&it.control, &viewer, "mine").await, Err(ControlError::Forbidden(_))));
    assert!(matches!(workspaces::archive(&it.control, &viewer, &own, 1).await, Err(ControlError::Forbidden(_))));
    assert!(matches!(workspaces::rename(&it.control, &viewer, &own, 1, "x").await, Err(ControlError::Forbidden(_))));
}

fn model(code: &str, rpm: &str, tpm: &str, upper: &str) -> ModelForm {
    ModelForm {
        code: code.to_owned(),
        provider: "dashscope".to_owned(),
        rpm: rpm.to_owned(),
        tpm: tpm.to_owned(),
        tpm_upper_limit: upper.to_owned(),
        ..ModelForm::default()
    }
}

#[tokio::test]
async fn an_accounts_limits_are_at_least_one_and_below_the_upper_limit() {
    let it = Fixture::new().await;
    let check = async |form: ModelForm| messages(models::create(&it.control, &it.owner, &form).await);
    assert_eq!(
        check(model("new", "0", "", "5")).await,
        ["rpm: an account's limit must be at least 1", "tpm: a limit is needed"]
    );
    assert_eq!(
        check(model("new", "1", "10", "5")).await,
        ["tpm_upper_limit: 5 is below the limit of 10 tokens per minute"]
    );
    assert_eq!(check(model("a b", "1", "10", "")).await.len(), 1);
    assert_eq!(check(model("qwen-plus", "1", "10", "")).await, ["code: there is a model qwen-plus already"]);
    let calls = ModelForm { metering: "calls".to_owned(), ..model("new", "1", "10", "") };
    assert_eq!(check(calls).await, ["tpm: this model is not metered in tokens"]);
    let odd = ModelForm {
        provider: "nowhere".to_owned(),
        metering: "words".to_owned(),
        backup: "new".to_owned(),
        ..model("new", "1", "1", "")
    };
    assert_eq!(
        check(odd).await,
        [
            "provider: there is no provider nowhere",
            "metering: metering is tokens or calls",
            "backup: a model cannot be its own backup"
        ]
    );
    let fallback = ModelForm { fallback: true, ..model("new", "1", "1", "") };
    assert_eq!(check(fallback).await.len(), 1);
}

#[tokio::test]
async fn a_lowered_account_limit_leaves_workspaces_as_they_are() {
    let it = Fixture::new().await;
    let row = models::find(&it.control, &it.owner, "qwen-plus").await.unwrap();
    models::edit(&it.control, &it.owner, row.revision, &model("qwen-plus", "50", "1000", "")).await.unwrap();
    let stale = models::edit(&it.control, &it.owner, row.revision, &model("qwen-plus", "60", "1000", "")).await;
    assert!(matches!(stale, Err(ControlError::Conflict(_))));
    let shown = editor(&it).await.models.into_iter().find(|it| it.code == "qwen-plus").unwrap();
    assert_eq!(
        (shown.rpm, shown.account_rpm, shown.tpm, shown.account_tpm),
        (Some(100), 50, Some(200_000), Some(1_000))
    );
}
