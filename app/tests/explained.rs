//! The page of a refused call: of one that a limit refused, and of one that the provider refused.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod common;

use common::{Console, OWNER, VIEWER, browser::Browser};
use control::{Actor, Passwords, workspaces};
use domain::{BrokenLimit, Cause, Explanation, Scope, Window};
use store::{call_log::CallRow, rollup::Batch};

/// An id as the gateway makes one for a call that came in at `at_ms`.
fn id(at_ms: i64, n: u8) -> String {
    format!("{:08x}-{:04x}-7000-8000-{n:012x}", at_ms >> 16, at_ms & 0xffff)
}

struct House {
    console: Console,
    /// The call that is explained.
    at_ms: i64,
    _folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
        let at_ms = console.control.now_ms() - 10_000;
        Self { console, at_ms, _folder: folder }
    }

    async fn call(&self, workspace: &str, key: &str, n: u8) -> CallRow {
        let actor = Actor::command_line(&self.console.account);
        let all = workspaces::list(&self.console.control, &actor).await.unwrap();
        CallRow {
            account_id: self.console.account.clone(),
            at_ms: self.at_ms - 1_000,
            id: id(self.at_ms, n),
            workspace_id: all.into_iter().find(|it| it.name == workspace).unwrap().id,
            key_id: key.to_owned(),
            model_code: "qwen-plus".to_owned(),
            lane: "limited".to_owned(),
            outcome: "ok".to_owned(),
            status: 200,
            cause: None,
            scope: None,
            window_s: None,
            explanation: None,
            tokens_prompt: 1_000,
            tokens_output: 9_000,
            tokens_total: 10_000,
            estimated: false,
            streamed: false,
            latency_us: Some(1_000),
            ttft_us: None,
            upstream_id: None,
            notable: false,
            fell_back: false,
            retries: 0,
        }
    }

    async fn record(&self, calls: Vec<CallRow>) {
        self.console.control.store().record(&Batch { calls, ..Batch::default() }).await.unwrap();
    }

    fn page(&self, n: u8) -> String {
        app::paths::refusal(&id(self.at_ms, n))
    }
}

#[tokio::test]
async fn a_429_of_the_provider_has_a_page_of_its_own() {
    let house = House::new().await;
    let call = CallRow {
        outcome: "provider".to_owned(),
        status: 429,
        cause: Some("tokens".to_owned()),
        notable: true,
        at_ms: house.at_ms,
        ..house.call("search", "k", 1).await
    };
    house.record(vec![call]).await;
    let mut owner = Browser::signed_in(&house.console, OWNER).await;
    let page = owner.get(&house.page(1)).await;
    page.expect(&["Sluice admitted this call; the provider answered it with 429. Its limit of tokens was reached."]);
    page.expect(&["<h3>Wait</h3>", "<h3>Fall back</h3>", "Set what the provider grants", "?edit=qwen-plus"]);
    page.expect_none(&["There is no such refusal here"]);
    let mut viewer = Browser::signed_in(&house.console, VIEWER).await;
    viewer.get(&house.page(1)).await.expect(&["the provider answered it with 429", "An owner or admin can do that"]);
    owner.get("/help/rate-limits").await.expect(&["429 of the provider"]);
}

#[tokio::test]
async fn the_own_workspaces_other_keys_are_not_told_as_other_workspaces() {
    let house = House::new().await;
    let mut calls = Vec::new();
    for n in 0..10 {
        calls.push(house.call("search", &format!("key-{n}"), 10 + n).await);
    }
    calls.push(CallRow { tokens_total: 50_000, ..house.call("support-bot", "theirs", 30).await });
    let named = BrokenLimit {
        cause: Cause::Tokens,
        scope: Scope::Account,
        window: Window::Minute,
        limit: 1_000_000,
        used: 150_000,
        needed: 2_600,
        retry_after_us: Some(8_250_000),
    };
    let explanation = Explanation { limits: vec![named], retry_after_us: named.retry_after_us };
    calls.push(CallRow {
        outcome: "refused".to_owned(),
        status: 429,
        at_ms: house.at_ms,
        notable: true,
        explanation: serde_json::to_string(&explanation).ok(),
        tokens_prompt: 0,
        tokens_total: 0,
        ..house.call("search", "key-0", 2).await
    });
    house.record(calls).await;
    let mut viewer = Browser::signed_in(&house.console, VIEWER).await;
    let page = viewer.get(&house.page(2)).await;
    page.expect(&["Other keys of your workspace together", "Other workspaces together"]);
    let row = |words: &str| page.text.split(words).nth(1).unwrap().split("</tr>").next().unwrap().to_owned();
    assert!(row("Other keys of your workspace together").contains(">20,000<"), "{}", page.text);
    assert!(row("Other workspaces together").contains(">50,000<"), "{}", page.text);
    let mut owner = Browser::signed_in(&house.console, OWNER).await;
    let page = owner.get(&house.page(2)).await;
    page.expect(&["All others together", "support-bot"]);
    page.expect_none(&["Other workspaces together"]);
}
