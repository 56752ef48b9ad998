//! Help: in the words that people know, with what the reader may call, and whole without anything to call.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod common;

use common::{Console, OWNER, PASSWORD, VIEWER, browser::Browser};
use control::{Actor, Passwords, Secret, accounts, members};

const HELP: &str = "/help/rate-limits";

/// The words of the page that this one takes the place of.
const WORDS: [&str; 11] = [
    "How rate limits work",
    "Rate limit errors",
    "RPM limit reached",
    "TPM limit reached",
    "Sudden request surge triggered stability protection, even if RPM/TPM limits were not reached",
    "Limits reset within one minute.",
    "<h2 id=\"practices\">Best practices</h2>",
    "Smooth your request rate",
    "Use a backup model",
    "Split large tasks",
    "Choose higher-limit models",
];

#[tokio::test]
async fn the_words_are_those_that_people_know() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let page = Browser::signed_in(&console, OWNER).await.get(HELP).await;
    page.expect(&WORDS);
    page.expect(&["Use batch inference", "SLUICE_API_KEY", "wanx-image"]);
    page.expect_none(&["SLUICE_KEY"]);
}

#[tokio::test]
async fn a_member_of_one_workspace_is_told_of_what_it_may_call() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let page = Browser::signed_in(&console, VIEWER).await.get(HELP).await;
    page.expect(&["Limits of your workspace"]);
    let plain = page.text.replace("&quot;", "\"");
    assert!(plain.contains("for model in (\"qwen-flash\", \"qwen-plus\"):"), "{plain}");
    page.expect_none(&["wanx-image", "qwen-plus-2025-07-28"]);
}

#[tokio::test]
async fn without_a_model_the_practices_are_there_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (control, router) = common::empty(folder.path(), Passwords::cheap_for_tests()).await;
    let account = accounts::find(&control, None).await.unwrap().id;
    let owner = members::NewMember { email: OWNER.to_owned(), role: "owner".to_owned(), workspace: String::new() };
    let by = Actor::command_line(&account);
    members::create(&control, &by, &owner, Secret::new(PASSWORD.to_owned())).await.unwrap();
    let console = Console { control, account, router };
    let page = Browser::signed_in(&console, OWNER).await.get(HELP).await;
    page.expect(&WORDS);
    page.expect(&["This account has no model yet", "A call that falls back", "your-model"]);
}
