//! Each page for each role: what may not be done is disabled with its reason, and what may not be seen is not there.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod common;

use common::{Console, OWNER, PASSWORD, VIEWER, browser::Browser};
use control::{Actor, Passwords, Secret, members, workspaces};

const ADMIN: &str = "admin@example.com";
const KEYS: &str = "keys@example.com";
const ALL: &str = "all@example.com";

async fn console(folder: &std::path::Path) -> Console {
    let console = common::seeded(folder, Passwords::cheap_for_tests()).await;
    let actor = Actor::command_line(&console.account);
    let ids = workspaces::list(&console.control, &actor).await.unwrap();
    let id = |name: &str| ids.iter().find(|it| it.name == name).unwrap().id.clone();
    for (email, role, workspace) in
        [(ADMIN, "admin", String::new()), (KEYS, "workspace-admin", id("search")), (ALL, "viewer", id("default"))]
    {
        let member = members::NewMember { email: email.to_owned(), role: role.to_owned(), workspace };
        members::create(&console.control, &actor, &member, Secret::new(PASSWORD.to_owned())).await.unwrap();
    }
    console
}

const PAGES: [&str; 9] = [
    "/settings/workspaces",
    "/settings/models",
    "/settings/models/import",
    "/settings/providers",
    "/settings/keys",
    "/settings/members",
    "/settings/audit",
    "/settings/account",
    "/help/rate-limits",
];

/// Whether the button or link with these words can be pressed.
fn can_press(page: &str, words: &str) -> bool {
    page.split("<button").skip(1).any(|it| {
        let (tag, rest) = it.split_once('>').unwrap_or_default();
        !tag.contains("disabled") && rest.split("</button>").next().is_some_and(|it| it.contains(words))
    })
}

#[tokio::test]
async fn owners_and_admins_reach_every_page() {
    let folder = tempfile::tempdir().unwrap();
    let console = console(folder.path()).await;
    for email in [OWNER, ADMIN] {
        let mut browser = Browser::signed_in(&console, email).await;
        for path in PAGES {
            let page = browser.get(path).await;
            assert_eq!(page.address, path);
            page.expect(&["<h1>", "aria-label=\"Main\""]);
            page.expect_none(&["class=\"empty\" role=\"alert\"", "a viewer only reads"]);
        }
        for (path, words) in [
            ("/settings/workspaces", "New workspace"),
            ("/settings/models", "New model"),
            ("/settings/providers", "New provider"),
            ("/settings/keys", "New key"),
            ("/settings/members", "Invite"),
            ("/settings/account", "Save Changes"),
        ] {
            assert!(can_press(&browser.get(path).await.text, words), "{words} for {email}");
        }
    }
}

#[tokio::test]
async fn an_admin_sees_owners_and_touches_none() {
    let folder = tempfile::tempdir().unwrap();
    let console = console(folder.path()).await;
    let mut browser = Browser::signed_in(&console, ADMIN).await;
    let page = browser.get("/settings/members").await;
    let row = page.text.split("<tr>").find(|it| it.contains(OWNER)).unwrap();
    assert!(!row.contains("Remove"), "{row}");
    assert!(!page.text.contains("value=\"owner\""), "an admin cannot give the role");
}

#[tokio::test]
async fn the_last_owner_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let console = console(folder.path()).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get("/settings/members").await;
    page.expect(&["the last owner stays one"]);
    let actor = Actor::command_line(&console.account);
    let owner =
        members::list(&console.control, &actor).await.unwrap().into_iter().find(|it| it.email == OWNER).unwrap();
    browser.get(&format!("/settings/members?remove={}", owner.id)).await.expect_none(&["Remove this member?"]);
    let removed = browser.post("/api/members/remove", &[("id", &owner.id)]).await;
    let downgraded = browser.post("/api/members/role/set", &[("id", owner.id.as_str()), ("role", "admin")]).await;
    drop((removed, downgraded));
    let still = members::list(&console.control, &actor).await.unwrap();
    assert!(still.iter().any(|it| it.email == OWNER && it.role == domain::Role::Owner));
}

#[tokio::test]
async fn members_of_one_workspace_see_it_and_nothing_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let console = console(folder.path()).await;
    for email in [VIEWER, KEYS] {
        let mut browser = Browser::signed_in(&console, email).await;
        for path in PAGES {
            let page = browser.get(path).await;
            page.expect_none(&["support-bot", "One model, all workspaces"]);
        }
        for path in ["/settings/members", "/settings/audit", "/settings/models/import"] {
            browser.get(path).await.expect(&["nly owners and admins may"]);
        }
        let csv = browser.get("/settings/audit.csv").await;
        assert!(!csv.text.contains("Before") && csv.text.contains("nly owners and admins may"), "{}", csv.text);
        browser.get("/settings/workspaces").await.expect(&["search", "disabled"]);
        assert!(!can_press(&browser.get("/settings/workspaces").await.text, "New workspace"));
        assert_eq!(can_press(&browser.get("/settings/keys").await.text, "New key"), email == KEYS);
    }
}

#[tokio::test]
async fn members_of_the_default_workspace_see_all_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let console = console(folder.path()).await;
    let mut browser = Browser::signed_in(&console, ALL).await;
    let page = browser.get("/settings/workspaces").await;
    page.expect(&["support-bot", "One model, all workspaces", "a viewer only reads"]);
    for (path, words) in
        [("/settings/workspaces", "New workspace"), ("/settings/models", "New model"), ("/settings/keys", "New key")]
    {
        assert!(!can_press(&browser.get(path).await.text, words), "{words}");
    }
}

#[tokio::test]
async fn nothing_of_another_account_is_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let console = console(folder.path()).await;
    let other = control::accounts::create(&console.control, "other").await.unwrap();
    let stranger = Actor::command_line(&other.id);
    let member =
        members::NewMember { email: "stranger@example.com".to_owned(), role: "owner".to_owned(), ..Default::default() };
    members::create(&console.control, &stranger, &member, Secret::new(PASSWORD.to_owned())).await.unwrap();
    let actor = Actor::command_line(&console.account);
    let ids = workspaces::list(&console.control, &actor).await.unwrap();
    let search = ids.iter().find(|it| it.name == "search").unwrap();
    let provider = control::providers::list(&console.control, &actor).await.unwrap().remove(0);
    let mut browser = Browser::signed_in(&console, "stranger@example.com").await;
    for path in PAGES {
        browser.get(path).await.expect_none(&["qwen-plus", "support-bot", "dashscope-provider", OWNER]);
    }
    browser.get(&app::paths::workspace(&search.id)).await.expect(&["There is no such thing here"]);
    let import = format!("/settings/models/import?provider={}", provider.id);
    browser.get(&import).await.expect(&["There is no such thing here"]);
    for (action, fields) in [
        ("/api/providers/test", vec![("id", provider.id.as_str())]),
        (
            "/api/models/import",
            vec![("provider", provider.id.as_str()), ("pick[]", "x"), ("common_rpm", "1"), ("common_tpm", "1")],
        ),
        ("/api/workspaces/limits/foresee", vec![("id", search.id.as_str()), ("grant[]", "qwen-plus")]),
        ("/api/workspaces/archive", vec![("id", search.id.as_str()), ("revision", "1")]),
    ] {
        browser.post(action, &fields).await.expect(&["There is no such thing here"]);
    }
}
