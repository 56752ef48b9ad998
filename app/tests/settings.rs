//! Settings without script: what is typed stays, nothing is half stored, and a secret is shown once.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod common;

use common::{Console, OWNER, VIEWER, browser::Browser};
use control::{Actor, Passwords, workspaces};

async fn workspace(console: &Console, name: &str) -> String {
    let all = workspaces::list(&console.control, &Actor::command_line(&console.account)).await.unwrap();
    app::paths::workspace(&all.into_iter().find(|it| it.name == name).unwrap().id)
}

/// The stored limits of `search`, by model.
async fn stored(console: &Console, address: &str) -> Vec<(String, Option<i64>, Option<i64>)> {
    let id = address.rsplit('/').next().unwrap();
    let editor = workspaces::editor(&console.control, &Actor::command_line(&console.account), id).await.unwrap();
    editor.models.into_iter().filter(|it| it.granted).map(|it| (it.code, it.rpm, it.tpm)).collect()
}

fn as_seeded() -> Vec<(String, Option<i64>, Option<i64>)> {
    vec![("qwen-flash".to_owned(), None, None), ("qwen-plus".to_owned(), Some(100), Some(200_000))]
}

const SAVE: &str = "/api/workspaces/limits/set";
const DRAFT: &str = "/api/workspaces/limits/draft";

#[tokio::test]
async fn a_wrong_limit_is_said_at_its_field_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let address = workspace(&console, "search").await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get(&address).await;
    let (id, revision) = (page.hidden("id"), page.hidden("revision"));
    for (typed, message) in [
        ("900", "900 is above the account limit of 600 requests per minute"),
        ("-5", "-5 is below zero"),
        ("1e30", "1e30 is not a whole number"),
        ("18446744073709551616", "18446744073709551616 is above the highest possible limit"),
        ("\"><b>", "&gt;&lt;b> is not a whole number"),
    ] {
        let fields = [
            ("id", id.as_str()),
            ("revision", &revision),
            ("grant[]", "qwen-plus"),
            ("rpm[qwen-plus]", typed),
            ("tpm[qwen-plus]", "5000"),
        ];
        let page = browser.post(SAVE, &fields).await;
        assert_eq!(page.address, address);
        page.expect(&["Nothing was stored", "aria-invalid=\"true\"", "value=\"5000\""]);
        let shown = page.text.replace("&gt;", ">").replace("&lt;", "<").replace("&quot;", "\"");
        assert!(shown.contains(&message.replace("&gt;", ">").replace("&lt;", "<")), "{message}");
        assert_eq!(stored(&console, &address).await, as_seeded());
    }
    browser.get(&address).await.expect_none(&["Nothing was stored</p>", "value=\"5000\""]);
}

#[tokio::test]
async fn apply_add_and_remove_keep_a_draft_until_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let address = workspace(&console, "search").await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get(&address).await;
    page.expect(&["No unsaved changes", "name=\"rpm[qwen-plus]\"", "Account: 600"]);
    let (id, revision) = (page.hidden("id"), page.hidden("revision"));
    let both =
        [("id", id.as_str()), ("revision", revision.as_str()), ("grant[]", "qwen-flash"), ("grant[]", "qwen-plus")];
    let typed = [("rpm[qwen-plus]", "90"), ("tpm[qwen-plus]", "200000")];

    let found = browser.post(DRAFT, &[&both[..], &typed, &[("search", "WAN"), ("act", "all")]].concat()).await;
    assert_eq!(found.address, format!("{address}?picker=1"));
    found.expect(&["value=\"WAN\"", "1 model selected", "value=\"90\""]);
    let added = browser.post(DRAFT, &[&both[..], &typed, &[("pick[]", "wanx-image"), ("act", "add")]].concat()).await;
    added.expect(&["2 unsaved changes", "wanx-image", "100 → 90", "not granted → granted", "Not metered in tokens"]);
    let removed = browser
        .post(DRAFT, &[&both[..], &typed, &[("grant[]", "wanx-image"), ("act", "remove:qwen-flash")]].concat())
        .await;
    removed.expect(&["3 unsaved changes", "granted → not granted"]);
    assert_eq!(stored(&console, &address).await, as_seeded());

    let saved = browser
        .post(SAVE, &[&both[..2], &typed, &[("grant[]", "qwen-plus"), ("grant[]", "wanx-image")]].concat())
        .await;
    saved.expect(&["Changes saved", "No unsaved changes"]);
    let expected = vec![("qwen-plus".to_owned(), Some(90), Some(200_000)), ("wanx-image".to_owned(), None, None)];
    assert_eq!(stored(&console, &address).await, expected);
}

#[tokio::test]
async fn who_saves_second_sees_both_versions_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let address = workspace(&console, "search").await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get(&address).await;
    let (id, revision) = (page.hidden("id"), page.hidden("revision"));
    let save = |rpm| {
        [
            ("id", id.clone()),
            ("revision", revision.clone()),
            ("grant[]", "qwen-plus".to_owned()),
            ("rpm[qwen-plus]", rpm),
        ]
    };
    let first = save("70".to_owned());
    browser.post(SAVE, &first.each_ref().map(|(name, value)| (*name, value.as_str()))).await.expect(&["Changes saved"]);
    let second = save("80".to_owned());
    let page = browser.post(SAVE, &second.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    page.expect(&["Someone else saved this workspace meanwhile", "<td>70</td>", "<td>80</td>", "value=\"80\""]);
    assert_eq!(stored(&console, &address).await, [("qwen-plus".to_owned(), Some(70), None)]);
    assert_ne!(page.hidden("revision"), revision, "saving again is possible, knowingly");
}

#[tokio::test]
async fn the_default_workspace_says_why_it_cannot_be_edited() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let address = workspace(&console, "default").await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get(&address).await;
    page.expect(&["These cannot be edited here", "Rename", "wanx-image"]);
    page.expect_none(&["Save Changes", "Archive"]);
}

#[tokio::test]
async fn a_key_is_shown_once_and_revoked_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let search = workspace(&console, "search").await;
    let id = search.rsplit('/').next().unwrap();
    let wrong = browser.post("/api/keys/create", &[("workspace", id), ("name", "ci"), ("expires", "soon")]).await;
    wrong.expect(&["a date is a year, a month and a day", "value=\"ci\"", "value=\"soon\""]);
    let made = browser.post("/api/keys/create", &[("workspace", id), ("name", "ci"), ("expires", "2099-01-31")]).await;
    made.expect(&[
        "Your new key",
        "curl http://127.0.0.1:8080/v1/chat/completions",
        "from openai import OpenAI",
        "qwen-flash",
    ]);
    let again = browser.get("/settings/keys").await;
    again.expect(&["ci", "2099-01-31 23:59"]);
    again.expect_none(&["Your new key"]);
    let key = again.text.split("revoke=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    browser.get(&format!("/settings/keys?revoke={key}")).await.expect(&["Revoke this key?", "This cannot be undone"]);
    let revoked = browser.post("/api/keys/revoke", &[("id", &key)]).await;
    revoked.expect(&["Key revoked", "<span class=\"badge\">revoked</span>"]);
    revoked.expect_none(&["?revoke="]);
}

#[tokio::test]
async fn a_model_keeps_what_was_typed_and_an_account_has_limits_of_at_least_one() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get("/settings/models?edit=qwen-plus").await;
    let revision = page.hidden("revision");
    let edit = |rpm| {
        [
            ("code", "qwen-plus"),
            ("revision", revision.as_str()),
            ("provider", "dashscope"),
            ("rpm", rpm),
            ("tpm", "1000000"),
        ]
    };
    let wrong = browser.post("/api/models/set", &edit("0")).await;
    assert_eq!(wrong.address, "/settings/models?edit=qwen-plus");
    wrong.expect(&["limit must be at least 1", "value=\"1000000\""]);
    let mut slow = edit("600").to_vec();
    slow.extend([("first_byte_timeout_s", "never"), ("stream_silence_s", "30")]);
    let wrong = browser.post("/api/models/set", &slow).await;
    wrong.expect(&["never is not a whole number of seconds", "value=\"never\"", "value=\"30\""]);
    browser.post("/api/models/set", &edit("700")).await.expect(&["Model stored", "700"]);
    browser.post("/api/models/set", &edit("800")).await.expect(&[
        "changed by someone else",
        "Stored now: 700",
        "value=\"800\"",
    ]);
}

#[tokio::test]
async fn an_invitation_is_accepted_once() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let made = browser.post("/api/members/invite", &[("email", "new@example.com"), ("role", "admin")]).await;
    made.expect(&["http://sluice.test/invitation?token=", "new@example.com", "invited, until"]);
    let token = made.text.split("/invitation?token=").nth(1).unwrap().split(['"', '<']).next().unwrap().to_owned();
    browser.get("/settings/members").await.expect_none(&["/invitation?token="]);

    let mut guest = Browser::of_nobody(&console);
    guest.get(&format!("/invitation?token={token}")).await.expect(&["Accept your invitation", &token]);
    let short = guest.post("/api/invitations/accept", &[("token", &token), ("password", "short")]).await;
    short.expect(&["Nothing was stored", "Accept your invitation"]);
    let accepted =
        guest.post("/api/invitations/accept", &[("token", &token), ("password", "a long enough password")]).await;
    assert_eq!(accepted.address, "/monitoring");
    accepted.expect(&["new@example.com"]);
    let mut late = Browser::of_nobody(&console);
    let again =
        late.post("/api/invitations/accept", &[("token", &token), ("password", "a long enough password")]).await;
    again.expect(&["this invitation was used or is too old"]);
}

#[tokio::test]
async fn a_viewer_of_one_workspace_sees_that_one_and_may_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, VIEWER).await;
    let list = browser.get("/settings/workspaces").await;
    list.expect(&["search", "a viewer only reads"]);
    list.expect_none(&["support-bot"]);
    browser.get(&workspace(&console, "search").await).await.expect(&["disabled", "a viewer only reads"]);
    browser.get(&workspace(&console, "support-bot").await).await.expect(&["There is no such thing here"]);
}

#[tokio::test]
async fn every_change_of_a_grant_is_in_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get(&workspace(&console, "search").await).await;
    let (id, revision) = (page.hidden("id"), page.hidden("revision"));
    browser
        .post(SAVE, &[("id", &id), ("revision", &revision), ("grant[]", "qwen-plus"), ("rpm[qwen-plus]", "0")])
        .await;
    let log = browser.get(&format!("/settings/audit?kind=limits&actor={}", app::paths::encode(OWNER))).await;
    log.expect(&["set limits", "qwen-flash: ", "<del>yes</del>", "<ins>no</ins>", "<del>100</del>", "<ins>0</ins>"]);
    browser.get("/settings/audit?kind=key").await.expect(&["No event matches", "Clear the filters"]);
}
