use std::sync::Mutex;

use async_trait::async_trait;
use control::{
    ControlError, Secret,
    models::{self, Import, Wanted},
    providers::{self, ProviderForm},
    reach::{self, Answer, Reach},
    workspaces,
};

use crate::fixture::{Fixture, messages};

/// Answers everything alike, and remembers what it was asked.
struct Scripted {
    answer: Result<(u16, &'static str), &'static str>,
    asked: Mutex<Vec<(String, Vec<String>)>>,
}

impl Scripted {
    fn new(answer: Result<(u16, &'static str), &'static str>) -> Self {
        Self { answer, asked: Mutex::default() }
    }
}

#[async_trait]
impl Reach for Scripted {
    async fn get(&self, url: &str, headers: &[(&'static str, Secret<String>)]) -> Result<Answer, String> {
        let headers = headers.iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect();
        self.asked.lock().unwrap().push((url.to_owned(), headers));
        match self.answer {
            Ok((status, body)) => Ok(Answer { status, body: body.as_bytes().to_vec(), took_ms: 5 }),
            Err(error) => Err(error.to_owned()),
        }
    }
}

async fn provider(it: &Fixture, form: &ProviderForm) -> String {
    providers::create(&it.control, &it.owner, form).await.unwrap()
}

fn everywhere() -> ProviderForm {
    ProviderForm {
        name: "all".to_owned(),
        openai_base_url: "https://p.example/v1".to_owned(),
        dashscope_base_url: "https://p.example/api/v1".to_owned(),
        anthropic_base_url: "https://p.example/anthropic".to_owned(),
        credential: "sk-secret".to_owned(),
        forget_credential: false,
    }
}

#[tokio::test]
async fn each_base_url_is_asked_in_its_own_way_with_the_stored_credential() {
    let it = Fixture::new().await;
    let id = provider(&it, &everywhere()).await;
    let reach = Scripted::new(Ok((200, r#"{"data":[{"id":"a"}]}"#)));
    let findings = reach::test(&it.control, &it.owner, &reach, &id).await.unwrap();
    assert!(findings.iter().all(|it| it.fine), "{findings:?}");
    let asked = reach.asked.lock().unwrap();
    assert_eq!(asked[0].0, "https://p.example/v1/models");
    assert!(asked[1].0.starts_with("https://p.example/api/v1/tasks/"));
    assert_eq!(asked[2].0, "https://p.example/anthropic/v1/models");
    assert_eq!(asked[0].1, ["authorization: Bearer sk-secret"]);
    assert_eq!(asked[2].1, ["x-api-key: sk-secret", "anthropic-version: 2023-06-01"]);
    assert!(!format!("{findings:?}").contains("sk-secret"));
}

#[tokio::test]
async fn what_failed_is_said_and_who_may_not_configure_asks_nobody() {
    let it = Fixture::new().await;
    let id = provider(&it, &everywhere()).await;
    let gone = Scripted::new(Err("no answer: connection refused"));
    let findings = reach::test(&it.control, &it.owner, &gone, &id).await.unwrap();
    assert!(findings.iter().all(|it| !it.fine && it.words == "no answer: connection refused"));
    let error = reach::offered(&it.control, &it.owner, &gone, &id).await.unwrap_err().to_string();
    assert_eq!(error, "all did not list its models: no answer: connection refused");

    let reach = Scripted::new(Ok((200, "{}")));
    let viewer = it.member(&it.owner, "viewer", "search").await;
    assert!(matches!(reach::test(&it.control, &viewer, &reach, &id).await, Err(ControlError::Forbidden(_))));
    assert!(matches!(reach::offered(&it.control, &viewer, &reach, &id).await, Err(ControlError::Forbidden(_))));
    let other = it.second_account().await;
    assert!(matches!(reach::test(&it.control, &other, &reach, &id).await, Err(ControlError::NotFound(_))));
    assert!(reach.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_provider_without_a_list_says_so() {
    let it = Fixture::new().await;
    let native = ProviderForm { openai_base_url: String::new(), anthropic_base_url: String::new(), ..everywhere() };
    let id = provider(&it, &native).await;
    let reach = Scripted::new(Ok((200, "{}")));
    let error = reach::offered(&it.control, &it.owner, &reach, &id).await.unwrap_err().to_string();
    assert!(error.contains("has no list of models"), "{error}");
    let empty = ProviderForm { name: "empty".to_owned(), dashscope_base_url: String::new(), ..native };
    let id = provider(&it, &empty).await;
    let error = reach::test(&it.control, &it.owner, &reach, &id).await.unwrap_err().to_string();
    assert!(error.contains("no base URL"), "{error}");
}

fn wanted(code: &str, rpm: &str, tpm: &str) -> Wanted {
    Wanted { code: code.to_owned(), rpm: rpm.to_owned(), tpm: tpm.to_owned() }
}

async fn import(it: &Fixture, models: &[Wanted], rpm: &str, tpm: &str, upper: &str) -> control::Result<usize> {
    let provider = providers::list(&it.control, &it.owner).await.unwrap().remove(0).id;
    let form = Import {
        provider,
        models: models.to_vec(),
        rpm: rpm.to_owned(),
        tpm: tpm.to_owned(),
        tpm_upper_limit: upper.to_owned(),
    };
    models::import(&it.control, &it.owner, &form).await
}

#[tokio::test]
async fn models_are_imported_all_or_none() {
    let it = Fixture::new().await;
    let before = it.revision().await;
    for (models, common, expected) in [
        (vec![], ("1", "1", ""), vec![": choose at least one model"]),
        (vec![wanted("qwen-plus", "", "")], ("1", "1", ""), vec!["code.qwen-plus: the account has this model already"]),
        (vec![wanted("a", "", ""), wanted("a", "", "")], ("1", "1", ""), vec!["code.a: this model is named twice"]),
        (vec![wanted("a b", "", "")], ("1", "1", ""), vec!["code.a b: character ' ' is not allowed"]),
        (vec![wanted("a", "", "")], ("", "1", ""), vec!["rpm: a limit is needed"]),
        (
            vec![wanted("a", "0", "x")],
            ("", "", ""),
            vec!["rpm.a: an account's limit must be at least 1", "tpm.a: x is not a whole number"],
        ),
        (vec![wanted("a", "", "")], ("1", "1e30", ""), vec!["tpm: 1e30 is not a whole number"]),
        (
            vec![wanted("a", "", "")],
            ("1", "5", "4"),
            vec!["tpm_upper_limit: 4 is below the limit of 5 tokens per minute"],
        ),
        (vec![wanted("a", "", "9")], ("1", "1", "4"), vec!["tpm.a: 4 is below the limit of 9 tokens per minute"]),
    ] {
        // A good one beside the wrong one is not stored either.
        let mut all = models.clone();
        if !models.is_empty() {
            all.push(wanted("good", "1", "1"));
        }
        assert_eq!(messages(import(&it, &all, common.0, common.1, common.2).await), expected, "{models:?}");
        assert_eq!(it.revision().await, before);
    }
    let all = [wanted("a", "", ""), wanted("b", "7", "9"), wanted("org/c:1", "", "")];
    assert_eq!(import(&it, &all, "60", "1,000", "5000").await.unwrap(), 3);
    let rows = models::list(&it.control, &it.owner).await.unwrap();
    let of =
        |code: &str| rows.iter().find(|it| it.code == code).map(|it| (it.rpm, it.tpm, it.tpm_upper_limit)).unwrap();
    assert_eq!(of("a"), (60, Some(1_000), Some(5_000)));
    assert_eq!(of("b"), (7, Some(9), Some(5_000)));
    assert_eq!(import(&it, &[wanted("calls", "", "")], "60", "", "").await.unwrap(), 1);
    let calls = models::find(&it.control, &it.owner, "calls").await.unwrap();
    assert_eq!((calls.metering.as_str(), calls.tpm, calls.tpm_upper_limit), ("calls", None, None));
}

#[tokio::test]
async fn shares_add_up_by_model_and_are_not_for_who_sees_one_workspace() {
    let it = Fixture::new().await;
    it.apply(
        &it.owner,
        "[[workspace]]\nname = \"bulk\"\nmodels = [ { code = \"qwen-plus\", rpm = 550, tpm = 900_000 } ]",
    )
    .await
    .unwrap();
    let shares = workspaces::shares(&it.control, &it.owner).await.unwrap();
    let plus = shares.iter().find(|it| it.model == "qwen-plus").unwrap();
    assert_eq!((plus.sum_rpm, plus.sum_tpm, plus.overcommitted()), (650, 1_100_000, true));
    assert_eq!(plus.shares.iter().map(|it| it.workspace.as_str()).collect::<Vec<_>>(), ["bulk", "search"]);
    let flash = shares.iter().find(|it| it.model == "qwen-flash").unwrap();
    assert_eq!((flash.sum_rpm, flash.overcommitted(), flash.shares[0].rpm), (0, false, None));
    let viewer = it.member(&it.owner, "viewer", "search").await;
    assert!(matches!(workspaces::shares(&it.control, &viewer).await, Err(ControlError::Forbidden(_))));
    let of_default = it.member(&it.owner, "viewer", "default").await;
    assert!(workspaces::shares(&it.control, &of_default).await.is_ok());
}

#[tokio::test]
async fn an_archived_workspace_is_listed_apart() {
    let it = Fixture::new().await;
    let id = it.workspace(&it.owner, "search").await;
    let revision = workspaces::editor(&it.control, &it.owner, &id).await.unwrap().workspace.revision;
    workspaces::archive(&it.control, &it.owner, &id, revision).await.unwrap();
    let archived = workspaces::archived(&it.control, &it.owner).await.unwrap();
    assert_eq!(archived.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["search"]);
    assert!(workspaces::list(&it.control, &it.owner).await.unwrap().iter().all(|it| it.name != "search"));
}
