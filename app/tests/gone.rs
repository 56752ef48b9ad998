//! What was archived, revoked or removed: shown as what it is, and said where an address still asks for it.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod common;

use common::{Console, OWNER, VIEWER, browser::Browser};
use control::{
    Actor, Passwords,
    keys::{self, NewKey},
    workspaces::{self, WorkspaceView},
};

async fn seeded(folder: &tempfile::TempDir) -> Console {
    common::seeded(folder.path(), Passwords::cheap_for_tests()).await
}

/// Puts the workspace `search` away.
async fn archived(console: &Console) -> WorkspaceView {
    let actor = Actor::command_line(&console.account);
    let all = workspaces::list(&console.control, &actor).await.unwrap();
    let search = all.into_iter().find(|it| it.name == "search").unwrap();
    workspaces::archive(&console.control, &actor, &search.id, search.revision).await.unwrap();
    search
}

#[tokio::test]
async fn a_key_of_an_archived_workspace_says_so_and_can_only_be_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let actor = Actor::command_line(&console.account);
    let form = NewKey { workspace: "search".to_owned(), name: "of the past".to_owned(), ..NewKey::default() };
    let key = keys::create(&console.control, &actor, &form).await.unwrap().id;
    archived(&console).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get("/settings/keys").await;
    page.expect(&["of the past", "<span class=\"badge\">workspace archived</span>", "Create key"]);
    page.expect(&[&format!("?revoke={key}")]);
    page.expect_none(&["?rotate=", "?edit=", "<span class=\"badge good\">active</span>"]);
    for asked in ["rotate", "edit"] {
        let page = browser.get(&format!("/settings/keys?{asked}={key}")).await;
        page.expect(&["That key cannot be changed"]);
        page.expect_none(&["Rotate this key?", "Edit key"]);
    }
    browser.post("/api/keys/rotate", &[("id", &key)]).await.expect(&["That key cannot be changed"]);
    browser.post("/api/keys/revoke", &[("id", &key)]).await.expect(&["Key revoked", "<span class=\"badge\">revoked"]);
}

#[tokio::test]
async fn what_an_address_asks_for_and_is_gone_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    for (address, words) in [
        ("/settings/keys?edit=gone", "That key cannot be changed"),
        ("/settings/keys?revoke=gone", "That key cannot be changed"),
        ("/settings/members?remove=gone", "That member is gone"),
        ("/settings/models?edit=gone", "That model is gone"),
        ("/settings/providers?edit=gone", "That provider is gone"),
        ("/monitoring/rate-limit?increase=gone", "gone cannot be raised"),
        // It stands at its upper limit, which is its limit.
        ("/monitoring/rate-limit?increase=qwen-plus-2025-07-28", "qwen-plus-2025-07-28 cannot be raised"),
    ] {
        browser.get(address).await.expect(&[words]);
        let page = browser.get(address.split('?').next().unwrap()).await;
        page.expect_none(&[words]);
    }
    browser.get("/settings/models?edit=qwen-plus").await.expect_none(&["That model is gone"]);
    browser.get("/monitoring/rate-limit?increase=qwen-plus").await.expect_none(&["cannot be raised"]);
}

#[tokio::test]
async fn figures_of_an_archived_workspace_are_shown_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let id = archived(&console).await.id;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let chosen = format!("<option value=\"{id}\" selected>search (archived)</option>");
    for page in ["monitoring", "monitoring/refusals"] {
        browser.get(&format!("/{page}?workspace={id}")).await.expect(&[&chosen]);
        browser.get(&format!("/{page}")).await.expect_none(&["search (archived)"]);
    }
}

#[tokio::test]
async fn the_audit_log_names_workspaces_and_writes_instants() {
    let folder = tempfile::tempdir().unwrap();
    let console = seeded(&folder).await;
    let actor = Actor::command_line(&console.account);
    let expires_at = Some(4_073_587_199_000);
    let form = NewKey { workspace: "search".to_owned(), name: "ci".to_owned(), expires_at, ..NewKey::default() };
    keys::create(&console.control, &actor, &form).await.unwrap();
    let id = archived(&console).await.id;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    for (kind, words) in [("key", "2099-01-31 23:59:59 UTC"), ("member", VIEWER)] {
        let page = browser.get(&format!("/settings/audit?kind={kind}")).await;
        page.expect(&[words, "<ins>search</ins>"]);
        page.expect_none(&[&id, "4073587199000"]);
    }
}
