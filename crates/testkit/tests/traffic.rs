//! The demo's traffic, sent straight to the stand-in provider.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use testkit::{
    Provider, ProviderSettings, demo,
    provider::Ending,
    traffic::{TrafficSettings, habits, run},
};
use tokio::sync::oneshot;

#[tokio::test]
async fn every_workspace_calls_its_models_with_its_key_until_it_is_told_to_stop() {
    let provider = Provider::start(ProviderSettings::instant()).await.unwrap();
    let keys = demo::WORKSPACES.map(|it| (it.to_owned(), format!("sk-{it}"))).to_vec();
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = TrafficSettings { gateway: provider.addr, keys, seed: 1 };
    let traffic = tokio::spawn(run(settings, async { stopped.await.unwrap_or_default() }));

    let calls = provider.log().wait_until(|calls| calls.len() >= 4 && calls.iter().any(|it| it.ended.is_some())).await;
    stop.send(()).unwrap();
    traffic.await.unwrap();

    assert!(calls.iter().any(|it| matches!(it.ended, Some((Ending::Answered, _)))));
    for call in calls {
        let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        let key = call.headers["authorization"].to_str().unwrap();
        let workspace = key.strip_prefix("Bearer sk-").unwrap();
        assert!(habits(workspace).iter().any(|it| body["model"] == it.model), "{workspace} calls {}", body["model"]);
    }
}
