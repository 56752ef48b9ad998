use control::{
    Control, ControlError,
    foresight::{Foresight, ModelForesight, Source, foresee},
    workspaces::{self, Grant, SetLimits},
};
use domain::range::MINUTE_MS;
use store::{
    call_log::CallRow,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, SeriesKey},
};

use crate::fixture::{Fixture, NOW};

async fn command(it: &Fixture, rpm: &str, tpm: &str) -> SetLimits {
    let grant = Grant { model: "qwen-plus".to_owned(), rpm: rpm.to_owned(), tpm: tpm.to_owned() };
    SetLimits { grants: vec![grant], ..nothing(it).await }
}

async fn nothing(it: &Fixture) -> SetLimits {
    let workspace = it.workspace(&it.owner, "search").await;
    let editor = workspaces::editor(&it.control, &it.owner, &workspace).await.unwrap();
    SetLimits { workspace, revision: editor.workspace.revision, grants: Vec::new() }
}

fn plus(found: &Foresight) -> &ModelForesight {
    found.models.iter().find(|it| it.model == "qwen-plus").unwrap()
}

/// `calls` calls of 100 tokens, a millisecond apart from `at_ms` on, of which the first `logged` are in the call log.
async fn record(it: &Fixture, at_ms: i64, calls: i64, logged: i64) {
    let account = it.owner.account().to_owned();
    let search = it.workspace(&it.owner, "search").await;
    let series = SeriesKey {
        account: account.clone(),
        lane: Lane::Limited,
        workspace: search.clone(),
        model: "qwen-plus".to_owned(),
    };
    let figures = Figures { calls, tokens_total: calls * 100, ..Figures::default() };
    let delta =
        CallDelta { series, first_at_ms: at_ms, figures, latency: Histogram::default(), ttft: Histogram::default() };
    let row = |n: i64| CallRow {
        account_id: account.clone(),
        at_ms: at_ms + n,
        id: format!("{at_ms}-{n:06}"),
        workspace_id: search.clone(),
        key_id: "k".to_owned(),
        model_code: "qwen-plus".to_owned(),
        lane: Lane::Limited.as_str().to_owned(),
        outcome: "ok".to_owned(),
        status: 200,
        cause: None,
        scope: None,
        window_s: None,
        explanation: None,
        tokens_prompt: 10,
        tokens_output: 90,
        tokens_total: 100,
        estimated: false,
        streamed: false,
        latency_us: Some(1_000),
        ttft_us: None,
        upstream_id: None,
        notable: false,
        fell_back: false,
        retries: 0,
    };
    let batch = Batch { deltas: vec![delta], calls: (0..logged).map(row).collect(), ..Batch::default() };
    it.control.store().record(&batch).await.unwrap();
}

#[tokio::test]
async fn a_complete_log_is_played_again_through_the_limiter() {
    let it = Fixture::new().await;
    // Twenty calls within 20 ms: under 60 a minute one passes in any second, although the minute has room for all.
    record(&it, NOW - 60 * MINUTE_MS, 20, 20).await;
    let found = foresee(&it.control, &it.owner, &command(&it, "60", "").await).await.unwrap();
    let model = plus(&found);
    assert_eq!((model.calls, model.source), (20, Source::Calls));
    let proposed = model.proposed.as_ref().unwrap();
    assert_eq!((proposed.refused.requests, proposed.refused.tokens), (19, 0));
    assert_eq!(proposed.worst.unwrap().1, 19);
}

#[tokio::test]
async fn surges_are_told_by_the_installations_own_numbers() {
    let it = Fixture::new().await;
    record(&it, NOW - 60 * MINUTE_MS, 20, 20).await;
    let strict = it.control.clone().with_surge(limiter::Surge { least: 1, share_percent: 1, growth_percent: 300 });
    let command = command(&it, "600", "").await;
    let surge = async |control: &Control| {
        let found = foresee(control, &it.owner, &command).await.unwrap();
        plus(&found).proposed.as_ref().unwrap().refused.surge
    };
    assert_eq!(surge(&it.control).await, 0);
    assert!(surge(&strict).await > 0);
}

#[tokio::test]
async fn what_the_log_does_not_hold_is_estimated_by_the_minute() {
    let it = Fixture::new().await;
    record(&it, NOW - 60 * MINUTE_MS, 90, 89).await;
    let found = foresee(&it.control, &it.owner, &command(&it, "60", "").await).await.unwrap();
    let model = plus(&found);
    assert_eq!((model.calls, model.source), (90, Source::Minutes));
    assert_eq!(model.proposed.as_ref().unwrap().refused.requests, 30);
}

#[tokio::test]
async fn calls_of_more_than_seven_days_ago_are_the_past() {
    let it = Fixture::new().await;
    record(&it, NOW - 8 * 24 * 60 * MINUTE_MS, 50, 50).await;
    let found = foresee(&it.control, &it.owner, &command(&it, "0", "").await).await.unwrap();
    assert_eq!(plus(&found).calls, 0);
    assert_eq!(plus(&found).proposed.as_ref().unwrap().refused.total(), 0);
}

#[tokio::test]
async fn taking_the_permission_away_refuses_everything_and_nothing_is_stored() {
    let it = Fixture::new().await;
    record(&it, NOW - 60 * MINUTE_MS, 5, 5).await;
    let found = foresee(&it.control, &it.owner, &nothing(&it).await).await.unwrap();
    assert_eq!((plus(&found).calls, plus(&found).proposed.as_ref()), (5, None));
    let unchanged = it.revision().await;
    foresee(&it.control, &it.owner, &command(&it, "60", "").await).await.unwrap();
    assert_eq!(it.revision().await, unchanged);
}

#[tokio::test]
async fn what_is_wrong_is_said_at_the_field_and_viewers_may_not_ask() {
    let it = Fixture::new().await;
    let wrong = foresee(&it.control, &it.owner, &command(&it, "1e30", "").await).await.unwrap_err();
    let ControlError::Invalid(errors) = wrong else { panic!("{wrong:?}") };
    assert_eq!(errors[0].field, "rpm.qwen-plus");
    let viewer = it.member(&it.owner, "viewer", "search").await;
    let refused = foresee(&it.control, &viewer, &command(&it, "1", "").await).await.unwrap_err();
    assert!(matches!(refused, ControlError::Forbidden(_)));
}
