//! A workspace's stored limit that the account's fell below: it stays, and is called wrong nowhere.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod common;

use common::{OWNER, browser::Browser};
use control::{Actor, Passwords, apply, workspaces};

#[tokio::test]
async fn a_stored_limit_above_the_accounts_is_applied_and_saved() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let actor = Actor::command_line(&console.account);
    let text = "[[model]]\ncode = \"qwen-plus\"\nprovider = \"dashscope\"\nrpm = 60\ntpm = 1_000_000\n";
    let source = apply::Source { name: "lower", text, folder: folder.path(), variable: &|_| None };
    apply::apply(&console.control, &actor, &source, false).await.unwrap();
    let all = workspaces::list(&console.control, &actor).await.unwrap();
    let id = all.into_iter().find(|it| it.name == "search").unwrap().id;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get(&app::paths::workspace(&id)).await;
    // The browser is told the stored limit as well.
    page.expect(&["data-check=\"requests:60:100\"", "60 is in force: the account's limit is below the stored 100"]);
    let revision = page.hidden("revision");
    let with = |rpm, act| {
        let fields = [("id", id.as_str()), ("revision", &revision), ("grant[]", "qwen-plus"), ("rpm[qwen-plus]", rpm)];
        [&fields[..], &[("act", act)]].concat()
    };
    let draft = "/api/workspaces/limits/draft";
    browser.post(draft, &with("100", "apply")).await.expect_none(&["is above the account limit"]);
    browser.post(draft, &with("101", "apply")).await.expect(&["101 is above the account limit of 60 requests"]);
    browser.post("/api/workspaces/limits/set", &with("100", "")).await.expect(&["Changes saved"]);
}
