use control::{
    ControlError,
    increases::{self, IncreaseForm},
    workspaces::{self, Grant, SetLimits},
};
use store::{
    increase::IncreaseRow,
    rollup::{Batch, Peak},
};

use crate::fixture::{DAY, FILE, Fixture, NOW, messages};

async fn ask(it: &Fixture, tpm: &str) -> control::Result<IncreaseRow> {
    let form = IncreaseForm { model: "qwen-plus".to_owned(), tpm: tpm.to_owned() };
    increases::request(&it.control, &it.owner, &form).await
}

async fn limits(it: &Fixture) -> increases::RateLimitView {
    let all = increases::rate_limits(&it.control, &it.owner).await.unwrap();
    all.into_iter().find(|it| it.model == "qwen-plus").unwrap()
}

async fn states(it: &Fixture) -> Vec<String> {
    let rows = increases::history(&it.control, &it.owner, None, 10).await.unwrap();
    rows.into_iter().map(|it| format!("{} {}", it.tpm, it.state)).collect()
}

async fn used(it: &Fixture, at_ms: i64, tokens: i64) {
    let peak = Peak { account: it.owner.account().to_owned(), model: "qwen-plus".to_owned(), at_ms, tokens };
    it.control.store().record(&Batch { peaks: vec![peak], ..Batch::default() }).await.unwrap();
}

#[tokio::test]
async fn an_increase_is_a_whole_number_above_the_quota_and_within_the_upper_limit() {
    let it = Fixture::new().await;
    for (typed, message) in [
        ("", "tpm: a number of tokens is needed"),
        ("a lot", "tpm: a lot is not a whole number"),
        ("1500000.5", "tpm: 1500000.5 is not a whole number"),
        ("-1", "tpm: -1 is below zero"),
        ("1000000", "tpm: 1000000 is not above the current quota of 1000000"),
        ("2000001", "tpm: 2000001 is above the upper limit of 2000000"),
        ("99999999999999999999", "tpm: 99999999999999999999 is above the highest possible limit of 1000000000000"),
    ] {
        assert_eq!(messages(ask(&it, typed).await), [message]);
    }
    let unknown = IncreaseForm { model: "nothing".to_owned(), tpm: "1".to_owned() };
    assert_eq!(messages(increases::request(&it.control, &it.owner, &unknown).await).len(), 1);
    assert!(states(&it).await.is_empty());
    let row = ask(&it, "1,500,000").await.unwrap();
    assert_eq!((row.former_tpm, row.tpm, row.valid_until), (1_000_000, 1_500_000, NOW + 30 * DAY));
}

#[tokio::test]
async fn a_new_request_replaces_the_former_and_an_equal_one_renews_it() {
    let it = Fixture::new().await;
    ask(&it, "1500000").await.unwrap();
    it.clock.advance(DAY);
    assert_eq!(messages(ask(&it, "1400000").await), ["tpm: 1400000 is not above the current quota of 1500000"]);
    ask(&it, "1500000").await.unwrap();
    it.clock.advance(1);
    ask(&it, "2000000").await.unwrap();
    assert_eq!(states(&it).await, ["2000000 active", "1500000 replaced", "1500000 replaced"]);
    let shown = limits(&it).await;
    assert_eq!((shown.tpm, shown.default_tpm, shown.can_increase), (Some(2_000_000), Some(1_000_000), false));
    assert_eq!(shown.increase.unwrap().valid_until, NOW + 31 * DAY + 1);
    let page = increases::history(&it.control, &it.owner, None, 1).await.unwrap();
    let next = increases::history(&it.control, &it.owner, Some((page[0].requested_at, &page[0].id)), 9).await.unwrap();
    assert_eq!((next.len(), next[0].ended_by.as_deref()), (2, Some(it.owner.name.as_str())));
}

#[tokio::test]
async fn an_increase_expires_by_itself_and_then_in_the_history() {
    let it = Fixture::new().await;
    ask(&it, "1500000").await.unwrap();
    let read = control::snapshot::read(&it.control).await.unwrap();
    assert_eq!(read.next_change_ms, Some(NOW + 30 * DAY));
    let model = read.models.iter().find(|it| it.code == "qwen-plus").unwrap();
    assert_eq!(model.effective_tpm(NOW + 30 * DAY - 1), Some(1_500_000));
    assert_eq!(model.effective_tpm(NOW + 30 * DAY), Some(1_000_000));

    used(&it, NOW + 29 * DAY, 1_200_000).await;
    it.clock.advance(30 * DAY - 1);
    assert_eq!(increases::sweep(&it.control).await.unwrap(), 0);
    it.clock.advance(1);
    assert_eq!(states(&it).await, ["1500000 expired"], "told at once, whenever the sweep comes");
    let before = it.revision().await;
    assert_eq!(increases::sweep(&it.control).await.unwrap(), 1);
    assert_eq!(increases::sweep(&it.control).await.unwrap(), 0);
    assert!(it.revision().await > before);
    let row = &increases::history(&it.control, &it.owner, None, 1).await.unwrap()[0];
    assert_eq!((row.state.as_str(), row.ended_at, row.peak_used), ("expired", Some(NOW + 30 * DAY), 1_200_000));
    ask(&it, "1500000").await.unwrap();
}

#[tokio::test]
async fn disuse_withdraws_an_increase_after_notice_and_keep_begins_anew() {
    let it = Fixture::new().await;
    ask(&it, "1500000").await.unwrap();
    used(&it, NOW + DAY, 1_000_000).await;
    assert!(!limits(&it).await.increase.unwrap().notice, "the default limit was not exceeded, but there is time");
    it.clock.advance(5 * DAY);
    let shown = limits(&it).await.increase.unwrap();
    assert_eq!((shown.notice, shown.peak_used, shown.downsizes_at), (true, 1_000_000, NOW + 7 * DAY));
    increases::keep(&it.control, &it.owner, &shown.id).await.unwrap();
    it.clock.advance(2 * DAY);
    assert_eq!(increases::sweep(&it.control).await.unwrap(), 0);
    used(&it, NOW + 11 * DAY, 1_000_001).await;
    it.clock.advance(5 * DAY);
    assert_eq!(increases::sweep(&it.control).await.unwrap(), 0, "it was used a day ago");
    it.clock.advance(6 * DAY + 3_600_000);
    assert_eq!(increases::sweep(&it.control).await.unwrap(), 1);
    assert_eq!(states(&it).await, ["1500000 downsized"]);
    assert_eq!(limits(&it).await.tpm, Some(1_000_000));
}

#[tokio::test]
async fn ending_by_hand_returns_the_default() {
    let it = Fixture::new().await;
    let row = ask(&it, "1500000").await.unwrap();
    let viewer = it.member(&it.owner, "viewer", "default").await;
    assert!(matches!(increases::end_now(&it.control, &viewer, &row.id).await, Err(ControlError::Forbidden(_))));
    assert!(matches!(increases::keep(&it.control, &viewer, &row.id).await, Err(ControlError::Forbidden(_))));
    let form = IncreaseForm { model: "qwen-plus".to_owned(), tpm: "1600000".to_owned() };
    assert!(matches!(increases::request(&it.control, &viewer, &form).await, Err(ControlError::Forbidden(_))));
    increases::end_now(&it.control, &it.owner, &row.id).await.unwrap();
    assert!(matches!(increases::end_now(&it.control, &it.owner, &row.id).await, Err(ControlError::NotFound(_))));
    assert_eq!((limits(&it).await.tpm, states(&it).await), (Some(1_000_000), vec!["1500000 ended".to_owned()]));
}

#[tokio::test]
async fn a_workspace_may_have_as_much_as_the_increase_and_keeps_it_when_that_ends() {
    let it = Fixture::new().await;
    let workspace = it.workspace(&it.owner, "search").await;
    let revision = workspaces::editor(&it.control, &it.owner, &workspace).await.unwrap().workspace.revision;
    let grant = Grant { model: "qwen-plus".to_owned(), rpm: String::new(), tpm: "1500000".to_owned() };
    let command = SetLimits { workspace: workspace.clone(), revision, grants: vec![grant] };
    assert_eq!(messages(workspaces::set_limits(&it.control, &it.owner, &command).await).len(), 1);
    let increase = ask(&it, "1500000").await.unwrap();
    workspaces::set_limits(&it.control, &it.owner, &command).await.unwrap();
    increases::end_now(&it.control, &it.owner, &increase.id).await.unwrap();
    let shown = workspaces::editor(&it.control, &it.owner, &workspace).await.unwrap();
    let model = shown.models.into_iter().find(|it| it.code == "qwen-plus").unwrap();
    assert_eq!((model.tpm, model.account_tpm), (Some(1_500_000), Some(1_000_000)));

    let grant =
        |rpm: &str, tpm: &str| Grant { model: "qwen-plus".to_owned(), rpm: rpm.to_owned(), tpm: tpm.to_owned() };
    let save = async |grant: Grant| {
        let revision = workspaces::editor(&it.control, &it.owner, &workspace).await.unwrap().workspace.revision;
        let command = SetLimits { workspace: workspace.clone(), revision, grants: vec![grant] };
        workspaces::set_limits(&it.control, &it.owner, &command).await
    };
    save(grant("50", "1500000")).await.expect("a change beside it is no change of it");
    assert_eq!(messages(save(grant("50", "1400000")).await).len(), 1, "a new value is judged");
    let file = |tpm: &str| FILE.replace("rpm = 100, tpm = 200_000", &format!("rpm = 40, tpm = {tpm}"));
    it.apply(&it.owner, &file("1_500_000").replace(", { code = \"qwen-flash\" }", "")).await.expect("so in a file");
    assert!(it.apply(&it.owner, &file("1_400_000")).await.is_err());
}
