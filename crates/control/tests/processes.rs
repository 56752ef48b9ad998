//! Two processes on one database, SQLite and PostgreSQL alike: whoever comes second waits, sees the first one's work,
//! and is told so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../../store/tests/contract/engine.rs"]
mod engine;

use std::{path::Path, sync::Arc};

use control::{
    Actor, Control, ControlError, ManualWallClock, Passwords, Secret, Store, Vault, accounts, apply,
    increases::{self, IncreaseForm},
    keys::{self, NewKey},
    report,
    setup::{self, SetupForm},
    sign_in,
    workspaces::{self, Grant, SetLimits},
};
use domain::TimeRange;
use engine::Engines;
use store::rollup::{Batch, CallDelta, Figures, Histogram, Lane, SeriesKey};

const NOW: i64 = 1_763_812_800_000;

const FILE: &str = r#"
[[provider]]
name = "dashscope"
openai_base_url = "https://example.com/v1"
api_key_env = "KEY"
[[model]]
code = "qwen-plus"
provider = "dashscope"
rpm = 600
tpm = 1_000_000
tpm_upper_limit = 2_000_000
[[workspace]]
name = "search"
models = [ { code = "qwen-plus", rpm = 100 } ]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_one_installation() {
    let engines = Engines::start().await;
    let first = engines.empty("shared").await;
    let second = engines.again("shared").await;
    for (first, second) in first.into_iter().zip(second) {
        let (one, two) = (process(first), process(second));
        the_first_owner(&one, &two).await;
        let account = accounts::find(&two, None).await.unwrap();
        let actor = Actor::command_line(&account.id);
        a_file(&one, &two, &actor).await;
        limits(&one, &two, &actor).await;
        increases_and_keys(&one, &two, &actor).await;
        statistics(&one, &two, &actor).await;
    }
}

fn process(store: Store) -> Control {
    let vault = Vault::from_key(&[7; 32]).unwrap();
    Control::new(store, vault, Arc::new(ManualWallClock::at(NOW)), Passwords::cheap_for_tests())
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn the_first_owner(one: &Control, two: &Control) {
    let tokens = (setup::begin(one).await.unwrap().unwrap(), setup::begin(two).await.unwrap().unwrap());
    let form = |token, email: &str| SetupForm { token, email: email.to_owned(), password: secret("a password") };
    let (first, second) = tokio::join!(
        setup::complete(one, form(tokens.0, "one@example.com")),
        setup::complete(two, form(tokens.1, "two@example.com"))
    );
    assert!(first.is_ok() != second.is_ok(), "there is one first owner: {first:?}, {second:?}");
    assert_eq!(accounts::list(one).await.unwrap().len(), 1, "and one first account");
    let email = if first.is_ok() { "one@example.com" } else { "two@example.com" };
    assert!(sign_in::sign_in(two, email, secret("a password"), "::1").await.is_ok());
}

async fn a_file(one: &Control, two: &Control, actor: &Actor) {
    let apply = async |control: &Control| {
        let variable = |_: &str| Some("sk-upstream".to_owned());
        let source = apply::Source { name: "f", text: FILE, folder: Path::new("."), variable: &variable };
        apply::apply(control, actor, &source, false).await.unwrap().changes.len()
    };
    let (first, second) = tokio::join!(apply(one), apply(two));
    assert_eq!((first.min(second), first.max(second)), (0, 4), "the second finds nothing to do");
    let rows = control::snapshot::read(two).await.unwrap();
    assert_eq!(rows.providers[0].credential, Some(secret("sk-upstream")));
}

async fn limits(one: &Control, two: &Control, actor: &Actor) {
    let listed = workspaces::list(one, actor).await.unwrap();
    let search = listed.into_iter().find(|it| it.name == "search").unwrap();
    let save = async |control: &Control, rpm: &str| {
        let grant = Grant { model: "qwen-plus".to_owned(), rpm: rpm.to_owned(), tpm: String::new() };
        let command = SetLimits { workspace: search.id.clone(), revision: search.revision, grants: vec![grant] };
        workspaces::set_limits(control, actor, &command).await
    };
    let (first, second) = tokio::join!(save(one, "10"), save(two, "20"));
    let conflicts = [&first, &second].into_iter().filter(|it| matches!(it, Err(ControlError::Conflict(_)))).count();
    assert_eq!(conflicts, 1, "{first:?}, {second:?}");
    let shown = workspaces::editor(two, actor, &search.id).await.unwrap();
    assert_eq!(shown.models[0].rpm, Some(if first.is_ok() { 10 } else { 20 }));
}

async fn increases_and_keys(one: &Control, two: &Control, actor: &Actor) {
    let ask = async |control: &Control, tpm: &str| {
        let form = IncreaseForm { model: "qwen-plus".to_owned(), tpm: tpm.to_owned() };
        increases::request(control, actor, &form).await
    };
    ask(one, "1500000").await.unwrap();
    let (first, second) = tokio::join!(ask(one, "1600000"), ask(two, "1700000"));
    assert!(second.is_ok(), "{second:?}");
    let history = increases::history(two, actor, None, 10).await.unwrap();
    assert_eq!(history.len(), 2 + usize::from(first.is_ok()));
    assert_eq!(history.iter().filter(|it| it.state == "active").map(|it| it.tpm).collect::<Vec<_>>(), [1_700_000]);

    let make = async |control: &Control| {
        let form = NewKey { workspace: "search".to_owned(), ..NewKey::default() };
        keys::create(control, actor, &form).await.is_ok()
    };
    for _ in 0..18 {
        assert!(make(one).await);
    }
    let made = tokio::join!(make(one), make(two), make(one), make(two));
    assert_eq!([made.0, made.1, made.2, made.3].into_iter().filter(|it| *it).count(), 2, "20 keys, not one more");
}

async fn statistics(one: &Control, two: &Control, actor: &Actor) {
    let workspace = workspaces::list(one, actor).await.unwrap().remove(0).id;
    let write = async |control: &Control| {
        for _ in 0..10 {
            let series = SeriesKey {
                account: actor.account().to_owned(),
                lane: Lane::Limited,
                workspace: workspace.clone(),
                model: "qwen-plus".to_owned(),
            };
            let figures = Figures { calls: 3, ..Figures::default() };
            let (latency, ttft) = (Histogram::default(), Histogram::default());
            let deltas = vec![CallDelta { series, first_at_ms: NOW - 1, figures, latency, ttft }];
            control.store().record(&Batch { deltas, ..Batch::default() }).await.unwrap();
        }
    };
    tokio::join!(write(one), write(two));
    let report = report::report(two, actor, TimeRange::ending_now(60, NOW)).await.unwrap();
    assert_eq!((report.rows.len(), report.summary.total_calls), (1, 60), "what both write adds up");
}
