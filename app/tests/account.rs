//! Account settings, the own sign-in, and what a session that ended does to a form.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod common;

use common::{OWNER, PASSWORD, VIEWER, browser::Browser};
use control::Passwords;

const SET: &str = "/api/account/set";

fn settings<'a>(revision: &'a str, days: &'a str, workspaces: &'a str) -> [(&'a str, &'a str); 6] {
    [
        ("revision", revision),
        ("increase_validity_days", days),
        ("inactivity_days", "7"),
        ("max_workspaces", workspaces),
        ("max_keys", "20"),
        ("max_name_length", "30"),
    ]
}

#[tokio::test]
async fn settings_are_checked_at_their_fields_and_hold_when_stored() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get("/settings/account").await;
    page.expect(&["Settings of main", "value=\"30\"", "Workspaces", "Change password", OWNER]);
    let revision = page.hidden("revision");
    for (typed, message) in [
        ("0", "0 is not between 1 and 3650"),
        ("3651", "3651 is not between 1 and 3650"),
        ("", "a number is needed"),
        ("1e30", "1e30 is not a whole number"),
        ("-1", "-1 is below zero"),
        ("مرحبا", "مرحبا is not a whole number"),
        ("🙂", "🙂 is not a whole number"),
    ] {
        let page = browser.post(SET, &settings(&revision, typed, "7")).await;
        assert_eq!(page.address, "/settings/account");
        page.expect(&["Nothing was stored", message, "aria-invalid=\"true\"", "value=\"7\""]);
    }
    let markup = browser.post(SET, &settings(&revision, "<b>&\"x", "7")).await;
    markup.expect_none(&["<b>&\"x"]);
    browser.get("/settings/account").await.expect(&["value=\"20\""]);

    // Three workspaces are there already: a lower maximum keeps them, and makes no more.
    browser.post(SET, &settings(&revision, "10", "3")).await.expect(&["Settings stored", "value=\"10\""]);
    let full = browser.post("/api/workspaces/create", &[("name", "one more")]).await;
    full.expect(&["the account has 3 workspaces, as many as it may have", "value=\"one more\""]);

    // The revision is stale now: nothing is overwritten, and both versions are shown.
    let conflict = browser.post(SET, &settings(&revision, "11", "30")).await;
    conflict.expect(&["changed by someone else meanwhile", "Stored now: 10", "value=\"11\"", "value=\"30\""]);
    let fresh = conflict.hidden("revision");
    browser.post(SET, &settings(&fresh, "11", "30")).await.expect(&["Settings stored", "value=\"11\""]);
    let log = browser.get("/settings/audit?kind=account").await;
    log.expect(&["set account", "<del>10</del>", "<ins>11</ins>", OWNER]);
}

#[tokio::test]
async fn who_may_not_configure_reads_the_settings_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, VIEWER).await;
    let page = browser.get("/settings/account").await;
    page.expect(&["Read only: a viewer only reads", "viewer of search", "Change password"]);
    let refused = browser.post(SET, &settings("1", "1", "1")).await;
    refused.expect(&["Only owners and admins may change this"]);
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut here = Browser::signed_in(&console, OWNER).await;
    let mut there = Browser::signed_in(&console, OWNER).await;
    let wrong = here.post("/api/account/password", &[("current", "a guess"), ("password", "long enough words")]).await;
    wrong.expect(&["this is not your password"]);
    wrong.expect_none(&["a guess", "long enough words"]);
    let short = here.post("/api/account/password", &[("current", PASSWORD), ("password", "short")]).await;
    short.expect(&["a password has at least 8 characters"]);
    assert_eq!(there.get("/settings/keys").await.address, "/settings/keys");

    let before = here.cookies.clone();
    let changed = here.post("/api/account/password", &[("current", PASSWORD), ("password", "long enough words")]).await;
    changed.expect(&["Password changed"]);
    assert_ne!(here.cookies, before, "the session has a new id");
    assert_eq!(here.get("/settings/keys").await.address, "/settings/keys");
    assert!(there.get("/settings/keys").await.address.starts_with("/sign-in"));
    let mut late = Browser::of_nobody(&console);
    let old = late.post("/api/sign-in", &[("email", OWNER), ("password", PASSWORD)]).await;
    old.expect(&["the address or the password is wrong"]);
    let new = late.post("/api/sign-in", &[("email", OWNER), ("password", "long enough words")]).await;
    assert_eq!(new.address, "/monitoring");
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_of_the_own_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut here = Browser::signed_in(&console, OWNER).await;
    let mut there = Browser::signed_in(&console, OWNER).await;
    let mut other = Browser::signed_in(&console, VIEWER).await;
    let out = here.post("/api/sign-out/everywhere", &[]).await;
    assert_eq!(out.address, "/sign-in");
    out.expect(&["You are signed out on every device"]);
    assert!(there.get("/settings/keys").await.address.starts_with("/sign-in"));
    assert_eq!(other.get("/settings/keys").await.address, "/settings/keys");
}

#[tokio::test]
async fn a_form_whose_session_ended_is_kept_over_the_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::of_nobody(&console);
    let kept = browser.post("/api/workspaces/create", &[("name", "typed & \"kept\"")]).await;
    kept.expect(&["Sign in to go on", "what you typed is kept"]);
    let (action, fields) = (kept.hidden("resume"), kept.hidden("fields"));
    assert_eq!(action, "/api/workspaces/create");
    let sign_in = |password: &'static str| {
        [("email", OWNER), ("password", password), ("resume", action.as_str()), ("fields", fields.as_str())]
    };
    let wrong = browser.post("/api/sign-in", &sign_in("a guess")).await;
    wrong.expect(&["the address or the password is wrong", "Sign in to go on"]);
    assert_eq!(wrong.hidden("fields"), fields);
    let stored = browser.post("/api/sign-in", &sign_in(PASSWORD)).await;
    assert!(stored.address.starts_with("/settings/workspaces/"), "{}", stored.address);
    stored.expect(&["Workspace typed &amp; \"kept\" made"]);
}

#[tokio::test]
async fn a_kept_form_leads_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    for elsewhere in ["https://evil.example/api/x", "//evil.example", "/theme", ""] {
        let mut browser = Browser::signed_in(&console, OWNER).await;
        let page = browser.post("/resume", &[("resume", elsewhere), ("fields", "theme=dark")]).await;
        assert_eq!(page.address, "/monitoring", "{elsewhere}");
    }
}
