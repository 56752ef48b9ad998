use control::{
    Actor, accounts,
    apply::ApplyError,
    increases::{self, IncreaseForm},
    models::{self, ModelForm},
};

use crate::fixture::{FILE, Fixture};

async fn check(it: &Fixture, text: &str, expected: &[&str]) {
    let before = it.revision().await;
    let told = match it.apply(&it.owner, text).await {
        Err(error @ ApplyError::File { .. }) => error.to_string(),
        other => panic!("problems were expected, not {other:?}"),
    };
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    assert_eq!(it.revision().await, before, "nothing is applied of a wrong file");
}

#[tokio::test]
async fn a_file_is_applied_once_and_then_there_is_nothing_to_do() {
    let it = Fixture::bare().await;
    let account = accounts::find(&it.control, None).await.unwrap();
    let actor = Actor::command_line(&account.id);
    let planned = it.apply_in(&actor, FILE, it.folder.path(), true).await.unwrap();
    let after_dry_run = it.revision().await;
    let applied = it.apply(&actor, FILE).await.unwrap();
    assert_eq!(planned, applied);
    assert_eq!(it.revision().await, after_dry_run + 1, "the dry run changed nothing, applying is one edit");
    assert_eq!(
        applied.to_string(),
        "+ provider dashscope: openai_base_url https://example.com/compatible-mode/v1\n\
         + model qwen-plus: provider dashscope, rpm 600, tpm 1000000, tpm_upper_limit 2000000\n\
         + model qwen-flash: provider dashscope, rpm 60, tpm 100000, tpm_upper_limit 100000\n\
         + workspace search\n\
         + grant search/qwen-flash\n\
         + grant search/qwen-plus: rpm 100, tpm 200000"
    );
    assert_eq!(it.apply(&actor, FILE).await.unwrap().to_string(), "nothing to do");
    assert_eq!(it.revision().await, after_dry_run + 1);
}

#[tokio::test]
async fn what_differs_is_changed_and_what_is_not_named_stays() {
    let it = Fixture::new().await;
    let text = r#"
[[model]]
code = "qwen-plus"
provider = "dashscope"
upstream = "qwen-plus-latest"
rpm = 300
tpm = 1_000_000
backup = "qwen-flash"
fallback = true

[[workspace]]
name = "Search"
models = [ { code = "qwen-plus", rpm = 100 } ]

[[workspace]]
name = "ads"
"#;
    assert_eq!(
        it.apply(&it.owner, text).await.unwrap().to_string(),
        "~ model qwen-plus: upstream none -> qwen-plus-latest, rpm 600 -> 300, tpm_upper_limit 2000000 -> 1000000, \
         backup none -> qwen-flash, fallback none -> on\n\
         ~ grant search/qwen-plus: tpm 200000 -> none\n\
         - grant search/qwen-flash\n\
         + workspace ads"
    );
    assert_eq!(it.apply(&it.owner, text).await.unwrap().changes, []);
    let models = models::list(&it.control, &it.owner).await.unwrap();
    assert_eq!(models.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), ["qwen-flash", "qwen-plus"]);
}

#[tokio::test]
async fn every_problem_is_told_with_its_place() {
    let it = Fixture::new().await;
    check(&it, "[[model]]\ncode = \"x\"\ncolour = 1\n", &["limits.toml:3:1: unknown field `colour`, expected one of `code`, `provider`, `upstream`, `rpm`, `tpm`, `tpm_upper_limit`, `metering`, `backup`, `fallback`, `default_output_tokens`, `first_byte_timeout_s`, `stream_silence_s`"]).await;
    check(&it, "[[provider]\n", &["limits.toml:1:12: unclosed array table, expected `]`"]).await;
    let wrong = r#"
[[provider]]
name = "a b"
[[provider]]
name = "p"
openai_base_url = "example.com"
api_key_env = "MISSING"
[[model]]
code = "m"
provider = "nobody"
rpm = 0
tpm = -1
tpm_upper_limit = 1_000_000_000_001
backup = "m2"
[[model]]
code = "n"
provider = "p"
rpm = 1
metering = "calls"
tpm = 5
[[model]]
code = "o"
provider = "p"
rpm = 1
[[workspace]]
name = "default"
[[workspace]]
name = "search"
models = [ { code = "qwen-plus", rpm = 900, tpm = -1 }, { code = "gone" }, { code = "qwen-plus" } ]
"#;
    check(
        &it,
        wrong,
        &[
            "limits.toml:3:8: character ' ' is not allowed",
            "limits.toml:6:19: example.com does not begin with https:// or http://",
            "limits.toml:7:15: environment variable MISSING is not set",
            "limits.toml:10:12: there is no provider nobody",
            "limits.toml:11:7: an account's limit must be at least 1",
            "limits.toml:12:7: -1 is below zero",
            "limits.toml:13:19: 1000000000001 is above the highest possible limit of 1000000000000",
            "limits.toml:14:10: there is no model m2",
            "limits.toml:20:7: this model is not metered in tokens",
            "limits.toml:22:8: model o is metered in tokens and needs a tpm",
            "limits.toml:26:8: the default workspace has the account's limits and every model, and cannot be edited",
            "limits.toml:29:40: 900 is above the account limit of 600 requests per minute",
            "limits.toml:29:51: -1 is below zero",
            "limits.toml:29:66: there is no model gone",
            "limits.toml:29:85: model qwen-plus stands twice in workspace search",
        ],
    )
    .await;
    let huge = "[[model]]\ncode = \"m\"\nprovider = \"dashscope\"\ntpm = 1\nrpm = 18446744073709551616\n";
    let Err(error) = it.apply(&it.owner, huge).await else { panic!("too large for 64 bits") };
    assert!(error.to_string().starts_with("limits.toml:5:7: "), "{error}");
    assert!(!error.to_string().contains('\n'));
}

#[tokio::test]
async fn credentials_come_from_the_environment_or_a_file_and_are_sealed() {
    let it = Fixture::new().await;
    let folder = it.folder.path().join("etc");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("key"), "sk-from-file\n").unwrap();
    let provider = |line: &str| {
        format!(
            "[[provider]]\nname = \"dashscope\"\nopenai_base_url = \"https://example.com/compatible-mode/v1\"\n{line}\n"
        )
    };
    let credential = async || {
        let read = control::snapshot::read(&it.control).await.unwrap();
        read.providers[0].credential.as_ref().map(|it| it.expose().clone())
    };
    let apply = async |line: &str| it.apply_in(&it.owner, &provider(line), &folder, false).await.unwrap().to_string();
    assert_eq!(apply("api_key_file = \"key\"").await, "~ provider dashscope: credential set anew");
    assert_eq!(credential().await.as_deref(), Some("sk-from-file"));
    assert_eq!(apply("api_key_file = \"key\"").await, "nothing to do");
    assert_eq!(apply("").await, "nothing to do", "left out, it stays");
    assert_eq!(apply("api_key_env = \"UPSTREAM_KEY\"").await, "~ provider dashscope: credential set anew");
    assert_eq!(credential().await.as_deref(), Some("sk-upstream"));
    check(
        &it,
        &provider("api_key_env = \"UPSTREAM_KEY\"\napi_key_file = \"key\""),
        &["limits.toml:5:16: api_key_env and api_key_file exclude each other"],
    )
    .await;
    let Err(error) = it.apply(&it.owner, &provider("api_key_file = \"nothing\"")).await else { panic!("no such file") };
    assert!(
        error.to_string().starts_with("limits.toml:4:16: ") && error.to_string().contains("nothing cannot be read")
    );
    let events =
        control::audit::list(&it.control, &it.owner, &control::audit::AuditQuery::default(), 100).await.unwrap();
    assert!(!format!("{events:?}").contains("sk-upstream"));
}

#[tokio::test]
async fn an_active_increase_survives_and_counts() {
    let it = Fixture::new().await;
    let form = IncreaseForm { model: "qwen-plus".to_owned(), tpm: "1500000".to_owned() };
    increases::request(&it.control, &it.owner, &form).await.unwrap();
    let text = FILE.replace("rpm = 600", "rpm = 500").replace("tpm = 200_000", "tpm = 1_500_000");
    it.apply(&it.owner, &text).await.unwrap();
    let shown = increases::rate_limits(&it.control, &it.owner).await.unwrap();
    let model = shown.into_iter().find(|it| it.model == "qwen-plus").unwrap();
    assert_eq!((model.rpm, model.default_tpm, model.tpm), (500, Some(1_000_000), Some(1_500_000)));
}

#[tokio::test]
async fn a_dry_run_on_a_fresh_installation_makes_no_account() {
    let it = Fixture::bare().await;
    let before = it.revision().await;
    let planned = accounts::find_or_planned(&it.control, None).await.unwrap();
    let actor = Actor::command_line(&planned.id);
    let plan = it.apply_in(&actor, FILE, it.folder.path(), true).await.unwrap();
    assert_eq!((planned.name.as_str(), plan.changes.len()), (accounts::FIRST_ACCOUNT, 6));
    assert!(accounts::list(&it.control).await.unwrap().is_empty());
    assert_eq!(it.revision().await, before);
    assert!(accounts::find_or_planned(&it.control, Some("other")).await.is_err());
}

#[tokio::test]
async fn only_who_may_configure_may_apply() {
    let it = Fixture::new().await;
    let viewer = it.member(&it.owner, "viewer", "default").await;
    assert!(matches!(it.apply(&viewer, FILE).await, Err(ApplyError::Control(control::ControlError::Forbidden(_)))));
}

#[tokio::test]
async fn a_model_may_have_time_outs_of_its_own() {
    let it = Fixture::new().await;
    let file = |lines: &str| {
        format!("[[model]]\ncode = \"qwen-flash\"\nprovider = \"dashscope\"\nrpm = 60\ntpm = 100_000\n{lines}")
    };
    let set = file("first_byte_timeout_s = 900\nstream_silence_s = 30");
    assert_eq!(
        it.apply(&it.owner, &set).await.unwrap().to_string(),
        "~ model qwen-flash: first_byte_timeout_s none -> 900, stream_silence_s none -> 30"
    );
    let row = models::find(&it.control, &it.owner, "qwen-flash").await.unwrap();
    assert_eq!((row.first_byte_timeout_s, row.stream_silence_s), (Some(900), Some(30)));
    // A form without these fields leaves them, an empty field takes one away.
    let form = ModelForm {
        code: "qwen-flash".to_owned(),
        provider: "dashscope".to_owned(),
        rpm: "60".to_owned(),
        tpm: "100000".to_owned(),
        stream_silence_s: Some(String::new()),
        ..ModelForm::default()
    };
    models::edit(&it.control, &it.owner, row.revision, &form).await.unwrap();
    let row = models::find(&it.control, &it.owner, "qwen-flash").await.unwrap();
    assert_eq!((row.first_byte_timeout_s, row.stream_silence_s), (Some(900), None));
    assert_eq!(
        it.apply(&it.owner, &file("")).await.unwrap().to_string(),
        "~ model qwen-flash: first_byte_timeout_s 900 -> none"
    );
    check(
        &it,
        &file("first_byte_timeout_s = 0\nstream_silence_s = 86401"),
        &[
            "limits.toml:6:24: 0 is not a whole number of seconds from 1 to 86400",
            "limits.toml:7:20: 86401 is not a whole number of seconds from 1 to 86400",
        ],
    )
    .await;
}
