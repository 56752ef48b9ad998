use control::{
    Actor, Limits, in_force,
    increases::{self, IncreaseForm},
    workspaces::{self, Grant, SetLimits},
};

use crate::fixture::{DAY, FILE, Fixture};

async fn of(it: &Fixture, actor: &Actor, workspace: &str, model: &str) -> (Option<i64>, Option<i64>) {
    let Limits { rpm, tpm } = in_force(&it.control, actor).await.unwrap().workspace(workspace, model);
    (rpm, tpm)
}

async fn raise(it: &Fixture, tpm: &str) {
    let form = IncreaseForm { model: "qwen-plus".to_owned(), tpm: tpm.to_owned() };
    increases::request(&it.control, &it.owner, &form).await.unwrap();
}

async fn grant(it: &Fixture, workspace: &str, rpm: &str, tpm: &str) {
    let revision = workspaces::editor(&it.control, &it.owner, workspace).await.unwrap().workspace.revision;
    let grants = vec![Grant { model: "qwen-plus".to_owned(), rpm: rpm.to_owned(), tpm: tpm.to_owned() }];
    let command = SetLimits { workspace: workspace.to_owned(), revision, grants };
    workspaces::set_limits(&it.control, &it.owner, &command).await.unwrap();
}

#[tokio::test]
async fn the_lower_of_own_and_account_limit_holds_from_each_edit_on() {
    let it = Fixture::new().await;
    let search = it.workspace(&it.owner, "search").await;
    let default = it.workspace(&it.owner, "default").await;
    assert_eq!(of(&it, &it.owner, &search, "qwen-plus").await, (Some(100), Some(200_000)));
    assert_eq!(of(&it, &it.owner, &search, "qwen-flash").await, (Some(60), Some(100_000)));
    assert_eq!(of(&it, &it.owner, &default, "qwen-plus").await, (Some(600), Some(1_000_000)));
    assert_eq!(of(&it, &it.owner, &search, "nothing").await, (None, None));
    grant(&it, &search, "", "1000000").await;
    raise(&it, "1500000").await;
    assert_eq!(of(&it, &it.owner, &search, "qwen-plus").await, (Some(600), Some(1_000_000)));
    assert_eq!(of(&it, &it.owner, &default, "qwen-plus").await, (Some(600), Some(1_500_000)));
    // No edit tells of the end: its time does.
    it.clock.advance(30 * DAY);
    assert_eq!(of(&it, &it.owner, &default, "qwen-plus").await, (Some(600), Some(1_000_000)));
    let lower = FILE.replace("rpm = 600", "rpm = 50").replace("tpm = 1_000_000", "tpm = 10_000");
    it.apply(&it.owner, &lower.replace("rpm = 100, tpm = 200_000", "rpm = 40")).await.unwrap();
    assert_eq!(of(&it, &it.owner, &search, "qwen-plus").await, (Some(40), Some(10_000)));
}

#[tokio::test]
async fn another_accounts_limits_are_its_own() {
    let it = Fixture::new().await;
    let second = it.second_account().await;
    let (search, other) = (it.workspace(&it.owner, "search").await, it.workspace(&second, "search").await);
    grant(&it, &search, "7", "").await;
    assert_eq!(of(&it, &it.owner, &search, "qwen-plus").await.0, Some(7));
    assert_eq!(of(&it, &second, &other, "qwen-plus").await.0, Some(100));
    assert_eq!(of(&it, &second, &search, "qwen-plus").await.0, Some(600), "a workspace it does not have");
}
