//! What was typed and could not be stored: it is shown again, it takes the place of nobody else's, and no secret is kept.

#![cfg(feature = "ssr")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod common;

use common::{
    Console, OWNER, PASSWORD, VIEWER,
    browser::{Browser, Page},
};
use control::{Actor, Passwords, members, workspaces};
use std::path::Path;

const SAVE: &str = "/api/workspaces/limits/set";
const DRAFT: &str = "/api/workspaces/limits/draft";
const FORESEE: &str = "/api/workspaces/limits/foresee";
const RENAME: &str = "/api/workspaces/rename";

async fn workspace(console: &Console, name: &str) -> String {
    let all = workspaces::list(&console.control, &Actor::command_line(&console.account)).await.unwrap();
    app::paths::workspace(&all.into_iter().find(|it| it.name == name).unwrap().id)
}

/// The hidden fields of one form, each the first of its name behind the form's own.
fn hidden(page: &Page, form: &str, name: &str) -> String {
    let named = format!("name=\"form\" value=\"{form}\"");
    let (_, rest) = page.text.split_once(&named).unwrap_or_else(|| panic!("{form} is not on {}", page.address));
    Page { address: page.address.clone(), text: rest.to_owned() }.hidden(name)
}

type Pairs = Vec<(String, String)>;

fn pairs(fields: &[(&str, &str)]) -> Pairs {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn send(browser: &mut Browser, action: &str, fields: Pairs) -> Page {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(action, &fields).await
}

/// Whether a file of the installation holds `text` as it is: the database with its journal, and everything beside it.
fn lies_in(folder: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap().map(|it| std::fs::read(it.unwrap().path()).unwrap());
    files.into_iter().any(|bytes| bytes.windows(text.len()).any(|it| it == text.as_bytes()))
}

#[tokio::test]
async fn a_secret_in_a_form_whose_session_ended_is_nowhere_kept() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let provider = [("name", "second"), ("openai_base_url", "http://127.0.0.1:9/v1"), ("credential", "sk-of-the-form")];
    let password = [("current", PASSWORD), ("password", "words-of-the-form")];
    for (action, fields, secret) in [
        ("/api/providers/set", &provider[..], "sk-of-the-form"),
        ("/api/account/password", &password[..], "words-of-the-form"),
    ] {
        let mut browser = Browser::of_nobody(&console);
        let mut kept = browser.post(action, fields).await;
        for _ in 0..2 {
            let (action, fields) = (kept.hidden("resume"), kept.hidden("fields"));
            let again = [("email", OWNER), ("password", "a guess"), ("resume", &action), ("fields", &fields)];
            kept = browser.post("/api/sign-in", &again).await;
            kept.expect(&["the address or the password is wrong", "Sign in to go on", OWNER]);
            assert_eq!(kept.hidden("fields"), fields, "the page brings it along");
            assert!(!lies_in(folder.path(), secret), "{secret}");
        }
        // Not the password is wrong, but everything: what waits still waits.
        let (action, fields) = (kept.hidden("resume"), kept.hidden("fields"));
        kept = browser.post("/api/sign-in", &[("resume", &action), ("fields", &fields)]).await;
        kept.expect(&["Sign in to go on"]);
        assert_eq!((kept.hidden("resume"), kept.hidden("fields")), (action, fields));
        let (action, fields) = (kept.hidden("resume"), kept.hidden("fields"));
        let right = [("email", OWNER), ("password", PASSWORD), ("resume", &action), ("fields", &fields)];
        browser.post("/api/sign-in", &right).await.expect(&["role=\"status\""]);
        assert!(!lies_in(folder.path(), secret), "{secret}");
    }
    assert!(lies_in(folder.path(), OWNER), "what is kept is found by looking this way");
}

#[tokio::test]
async fn a_credential_of_a_form_that_was_not_stored_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get("/settings/providers").await;
    let edit = page.text.split("?edit=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let address = format!("/settings/providers?edit={edit}");
    let page = browser.get(&address).await;
    let revision = hidden(&page, "provider", "revision");
    let url = "http://127.0.0.1:9/v1";
    let form = |name: &str, revision: &str, more: &[(&str, &str)]| {
        let own =
            [("form", "provider"), ("id", &edit), ("revision", revision), ("name", name), ("openai_base_url", url)];
        pairs(&[&own[..], more].concat())
    };
    let set = "/api/providers/set";
    let first = send(&mut browser, set, form("dashscope", &revision, &[("credential", "sk-first")])).await;
    first.expect(&["Provider stored"]);

    // Someone else stored meanwhile: the form comes back, and its credential does not.
    let secret = ("credential", "sk-typed-in-vain");
    let stale = send(&mut browser, set, form("other", &revision, &[secret, ("forget_credential", "on")])).await;
    assert_eq!(stale.address, address);
    let ticked = "name=\"forget_credential\" checked";
    stale.expect(&["changed by someone else meanwhile", "type it again: it is not kept", ticked, "value=\"other\""]);
    let fresh = hidden(&stale, "provider", "revision");
    assert_ne!(fresh, revision, "both versions are shown, so it may be sent again");
    let wrong = send(&mut browser, set, form("", &fresh, &[secret])).await;
    wrong.expect(&["Nothing was stored", "type it again: it is not kept"]);
    wrong.expect_none(&[ticked, "sk-typed-in-vain"]);
    let without = send(&mut browser, set, form("", &fresh, &[])).await;
    without.expect_none(&["type it again"]);
    assert!(!lies_in(folder.path(), secret.1));
}

#[tokio::test]
async fn a_draft_does_not_take_the_place_of_what_was_saved_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let address = workspace(&console, "search").await;
    let id = address.rsplit('/').next().unwrap();
    let mut here = Browser::signed_in(&console, OWNER).await;
    let mut there = Browser::signed_in(&console, OWNER).await;
    for (action, act, typed) in
        [(DRAFT, "apply", "80"), (DRAFT, "add", "80"), (FORESEE, "", "80"), (DRAFT, "apply", "900"), (SAVE, "", "900")]
    {
        let page = here.get(&address).await;
        let revision = hidden(&page, "limits", "revision");
        let form = |typed: &str, revision: &str| {
            let own = [("id", id), ("revision", revision), ("grant[]", "qwen-plus"), ("rpm[qwen-plus]", typed)];
            pairs(&[&own[..], &[("act", act), ("form", "limits")]].concat())
        };
        let first = there.post(SAVE, &[("id", id), ("revision", &revision), ("grant[]", "qwen-flash")]).await;
        first.expect(&["Changes saved"]);
        let mut page = send(&mut here, action, form(typed, &revision)).await;
        if action != SAVE {
            page.expect(&[&format!("value=\"{typed}\"")]);
            let kept = hidden(&page, "limits", "revision");
            assert_eq!(kept, revision, "{action} {act} {typed}");
            page = send(&mut here, SAVE, form("80", &kept)).await;
        }
        page.expect(&["Someone else saved this workspace meanwhile", "Stored now"]);
        let stored = workspaces::editor(&console.control, &Actor::command_line(&console.account), id).await.unwrap();
        let granted: Vec<_> = stored.models.iter().filter(|it| it.granted).map(|it| it.code.as_str()).collect();
        assert_eq!(granted, ["qwen-flash"], "{action} {act} {typed}");
        // Saved knowingly, it takes that place.
        let fresh = form("80", &hidden(&page, "limits", "revision"));
        send(&mut here, SAVE, fresh).await.expect(&["Changes saved"]);
    }
}

#[tokio::test]
async fn what_was_wrong_at_first_is_still_typed_on_top_of_what_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let address = workspace(&console, "search").await;
    let id = address.rsplit('/').next().unwrap().to_owned();
    let mut here = Browser::signed_in(&console, OWNER).await;
    let providers = here.get("/settings/providers").await;
    let provider = providers.text.split("?edit=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let days = |days| {
        vec![
            ("increase_validity_days", days),
            ("inactivity_days", "7"),
            ("max_workspaces", "30"),
            ("max_keys", "20"),
            ("max_name_length", "30"),
        ]
    };
    let model = |rpm| vec![("code", "qwen-plus"), ("provider", "dashscope"), ("rpm", rpm), ("tpm", "1000000")];
    let of_provider = |name| vec![("id", &*provider), ("name", name), ("openai_base_url", "http://127.0.0.1:9/v1")];
    let name = |name| vec![("id", &*id), ("name", name)];
    for (form, page, action, wrong, first, second) in [
        ("account", "/settings/account".to_owned(), "/api/account/set", days("0"), days("9"), days("8")),
        (
            "model",
            "/settings/models?edit=qwen-plus".to_owned(),
            "/api/models/set",
            model("0"),
            model("700"),
            model("701"),
        ),
        (
            "provider",
            format!("/settings/providers?edit={provider}"),
            "/api/providers/set",
            of_provider(""),
            of_provider("dashscope"),
            of_provider("dashscope2"),
        ),
        ("rename-workspace", address.clone(), RENAME, name(" "), name("search2"), name("search3")),
    ] {
        let shown = here.get(&page).await;
        let revision = hidden(&shown, form, "revision");
        let with = |revision: &str, fields: &[(&str, &str)]| {
            pairs(&[&[("form", form), ("revision", revision)], fields].concat())
        };
        let told = send(&mut here, action, with(&revision, &wrong)).await;
        told.expect(&["Nothing was stored"]);
        send(&mut here, action, with(&revision, &first)).await.expect(&["class=\"toast\""]);
        let told = send(&mut here, action, with(&hidden(&told, form, "revision"), &wrong)).await;
        let conflict = send(&mut here, action, with(&hidden(&told, form, "revision"), &second)).await;
        conflict.expect(&["changed by someone else meanwhile"]);
        let fresh = hidden(&conflict, form, "revision");
        assert_ne!(fresh, revision, "{form}");
        send(&mut here, action, with(&fresh, &second)).await.expect(&["class=\"toast\""]);
    }
}

#[tokio::test]
async fn what_is_typed_into_one_form_stays_when_another_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let address = workspace(&console, "search").await;
    let id = address.rsplit('/').next().unwrap();
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let page = browser.get(&address).await;
    let revision = hidden(&page, "limits", "revision");
    let limits = format!("form=limits&id={id}&revision={revision}&grant%5B%5D=qwen-plus&rpm%5Bqwen-plus%5D=77&search=");
    let named = [("id", id), ("revision", &revision), ("name", "found"), ("beside", &limits)];
    let page = browser.post(RENAME, &named).await;
    page.expect(&["Name stored", "<h1>found</h1>", "value=\"77\"", "100 → 77", "granted → not granted"]);
    let reached = hidden(&page, "limits", "revision");
    assert_ne!(reached, revision, "what was typed goes on from the name that was stored");

    let name = format!("form=rename-workspace&id={id}&revision={reached}&name=typed+only");
    let save =
        [("id", id), ("revision", &*reached), ("grant[]", "qwen-plus"), ("rpm[qwen-plus]", "77"), ("beside", &name)];
    let page = browser.post(SAVE, &save).await;
    page.expect(&["Changes saved", "No unsaved changes", "value=\"typed only\"", "<h1>found</h1>"]);
    let last = hidden(&page, "rename-workspace", "revision");
    let named = [("id", id), ("revision", &*last), ("name", "typed only")];
    browser.post(RENAME, &named).await.expect(&["Name stored", "<h1>typed only</h1>"]);

    // Not stored, because someone else was first: what stood beside it stays, on top of what its author saw.
    let limits = format!("form=limits&id={id}&revision={revision}&grant%5B%5D=qwen-plus&rpm%5Bqwen-plus%5D=66");
    let stale = [("id", id), ("revision", &*revision), ("name", "late"), ("beside", &limits)];
    let page = browser.post(RENAME, &stale).await;
    page.expect(&["changed by someone else meanwhile", "value=\"late\"", "value=\"66\""]);
    assert_eq!(hidden(&page, "limits", "revision"), revision);
}

#[tokio::test]
async fn an_error_that_concerns_no_field_keeps_what_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, VIEWER).await;
    browser.get("/settings/account").await;
    let typed = [("form", "account"), ("revision", "1"), ("increase_validity_days", "123"), ("max_keys", "4")];
    let page = browser.post("/api/account/set", &typed).await;
    assert_eq!(page.address, "/settings/account");
    page.expect(&["Nothing was stored", "Only owners and admins may change this", "value=\"123\"", "value=\"4\""]);

    // A dialog that a button had opened is open again.
    browser.get("/settings/keys").await;
    let typed = [("form", "create-key"), ("workspace", "any"), ("name", "of a job"), ("expires", "2099-01-31")];
    let page = browser.post("/api/keys/create", &typed).await;
    assert_eq!(page.address, "/settings/keys");
    page.expect(&["Nothing was stored", "value=\"of a job\"", "value=\"2099-01-31\"", "data-told"]);
    let mut dialogs = page.text.split("<dialog").skip(1).filter_map(|it| it.split('>').next());
    let dialog = dialogs.find(|it| it.contains("id=\"create-dialog\"")).unwrap();
    assert!(dialog.contains(" open"), "{dialog}");

    // A long form of a stranger is not kept: it would fill the store.
    let mut stranger = Browser::of_nobody(&console);
    let long = "x".repeat(20_000);
    let page = stranger.post("/api/sign-in", &[("email", &*long), ("password", "a guess")]).await;
    page.expect(&["the address or the password is wrong"]);
    page.expect_none(&[&long]);
}

#[tokio::test]
async fn what_a_form_is_told_is_said_even_if_it_is_not_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let console = common::seeded(folder.path(), Passwords::cheap_for_tests()).await;
    let mut browser = Browser::signed_in(&console, OWNER).await;
    let actor = Actor::command_line(&console.account);
    let all = members::list(&console.control, &actor).await.unwrap();
    let owner = all.iter().find(|it| it.email == OWNER).unwrap();
    let said = "class=\"toast bad\"";
    let page = browser.post("/api/members/remove", &[("id", &owner.id)]).await;
    page.expect(&[said, "last owner"]);
    let page = browser.post("/api/members/role/set", &[("id", owner.id.as_str()), ("role", "admin")]).await;
    page.expect(&[said]);
    page.expect_none(&["data-told"]);
    browser.get("/settings/members").await.expect_none(&[said]);
}
