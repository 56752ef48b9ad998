//! Why a call was refused: what the log keeps of it, who else called, and who may see what.

use control::{
    Actor, ControlError, keys,
    refusals::{self, Explained, Filter, Found, Missing},
};
use domain::{BrokenLimit, Cause, Explanation, Scope, Window};
use store::{call_log::CallRow, refusal::Gap, rollup::Batch};
use uuid::Uuid;

use crate::fixture::{DAY, Fixture, NOW};

/// The instant of the refusals; the log is read two minutes later.
const AT: i64 = NOW - 120_000;

/// An id as the gateway makes one for a call that came in at `at_ms`.
fn id(at_ms: i64, n: u8) -> String {
    uuid::Builder::from_unix_timestamp_millis(at_ms.unsigned_abs(), &[n; 10]).into_uuid().to_string()
}

fn call(actor: &Actor, workspace: &str, key: &str, at_ms: i64, n: u8, tokens: i64) -> CallRow {
    CallRow {
        account_id: actor.account().to_owned(),
        at_ms,
        id: id(at_ms, n),
        workspace_id: workspace.to_owned(),
        key_id: key.to_owned(),
        model_code: "qwen-plus".to_owned(),
        lane: "limited".to_owned(),
        outcome: "ok".to_owned(),
        status: 200,
        cause: None,
        scope: None,
        window_s: None,
        explanation: None,
        tokens_prompt: tokens / 4,
        tokens_output: tokens - tokens / 4,
        tokens_total: tokens,
        estimated: false,
        streamed: false,
        latency_us: Some(1_000),
        ttft_us: None,
        upstream_id: None,
        notable: false,
        fell_back: false,
        retries: 0,
    }
}

fn tokens(scope: Scope, used: u64, needed: u64) -> BrokenLimit {
    let (cause, window) = (Cause::Tokens, Window::Minute);
    BrokenLimit { cause, scope, window, limit: 200_000, used, needed, retry_after_us: Some(8_250_000) }
}

fn refused(call: CallRow, limits: Vec<BrokenLimit>) -> CallRow {
    let retry_after_us = limits[0].retry_after_us;
    let text = |it: &str| Some(it.to_owned());
    CallRow {
        outcome: "refused".to_owned(),
        status: 429,
        cause: text(limits[0].cause.as_str()),
        scope: text(limits[0].scope.as_str()),
        window_s: Some(60),
        explanation: serde_json::to_string(&Explanation { limits, retry_after_us }).ok(),
        tokens_prompt: 0,
        tokens_output: 0,
        tokens_total: 0,
        notable: true,
        ..call
    }
}

/// Two workspaces that share the account's tokens of a model, and the refusals that came of it.
struct House {
    it: Fixture,
    search: String,
    batch: String,
    keys: [String; 3],
}

/// The refusals by what they are of: the account, the workspace `search`, and the workspace `batch`.
const OF_ACCOUNT: u8 = 1;
const OF_SEARCH: u8 = 2;
const OF_BATCH: u8 = 3;

impl House {
    async fn new() -> Self {
        let it = Fixture::new().await;
        let search = it.workspace(&it.owner, "search").await;
        let batch = control::workspaces::create(&it.control, &it.owner, "batch").await.unwrap();
        let mut keys = Vec::new();
        for (workspace, name) in [("search", "site"), ("search", "app"), ("batch", "nightly")] {
            let form = keys::NewKey { workspace: workspace.to_owned(), name: name.to_owned(), ..Default::default() };
            keys.push(keys::create(&it.control, &it.owner, &form).await.unwrap().id);
        }
        let house = Self { it, search, batch, keys: keys.try_into().unwrap() };
        let [site, app, nightly] = &house.keys;
        let (owner, search, batch) = (&house.it.owner, &house.search, &house.batch);
        let limits = |scope, used| vec![tokens(scope, used, 2_600)];
        let calls = vec![
            call(owner, batch, nightly, AT - 60_000, 11, 900_000),
            call(owner, batch, nightly, AT - 59_999, 12, 150_000),
            call(owner, search, site, AT - 30_000, 13, 30_000),
            call(owner, search, app, AT - 1_000, 14, 10_000),
            CallRow { outcome: "provider".to_owned(), notable: true, ..call(owner, search, app, AT - 500, 15, 7_000) },
            CallRow { model_code: "qwen-flash".to_owned(), ..call(owner, search, app, AT - 400, 16, 70_000) },
            refused(call(owner, search, site, AT - 300, 17, 0), limits(Scope::Workspace, 1)),
            refused(call(owner, search, site, AT, OF_ACCOUNT, 0), limits(Scope::Account, 198_000)),
            refused(call(owner, search, site, AT + 1, OF_SEARCH, 0), limits(Scope::Workspace, 47_000)),
            refused(call(owner, batch, nightly, AT + 2, OF_BATCH, 0), limits(Scope::Account, 198_000)),
            call(owner, search, app, AT + 5_000, 18, 99_000),
        ];
        house.it.control.store().record(&Batch { calls, ..Batch::default() }).await.unwrap();
        house
    }

    async fn explain(&self, actor: &Actor, at_ms: i64, n: u8) -> Found {
        refusals::explain(&self.it.control, actor, &id(at_ms, n)).await.unwrap()
    }

    async fn found(&self, actor: &Actor, at_ms: i64, n: u8) -> Explained {
        match self.explain(actor, at_ms, n).await {
            Found::Refusal(it) => *it,
            other => panic!("{other:?}"),
        }
    }

    async fn missing(&self, actor: &Actor, at_ms: i64, n: u8) -> Missing {
        match self.explain(actor, at_ms, n).await {
            Found::Missing(it) => it,
            other => panic!("{other:?}"),
        }
    }
}

/// Key, use, calls admitted, calls refused; `…` for all others together.
fn told(it: &Explained) -> Vec<(String, u64, u64, u64)> {
    let callers = it.callers.as_ref().unwrap();
    let named = callers.named.iter().map(|it| (it.key.clone(), it.used, it.admitted, it.refused));
    named.chain(callers.others.iter().map(|it| ("…".to_owned(), it.used, it.admitted, it.refused))).collect()
}

fn expected(rows: &[(&str, u64, u64, u64)]) -> Vec<(String, u64, u64, u64)> {
    rows.iter().map(|(key, used, admitted, refused)| ((*key).to_owned(), *used, *admitted, *refused)).collect()
}

#[tokio::test]
async fn a_refusal_of_the_account_names_whoever_used_the_window() {
    let house = House::new().await;
    let it = house.found(&house.it.owner, AT, OF_ACCOUNT).await;
    // Half-open: who was admitted exactly 60 s before has left the window, and who comes later is not in it.
    assert_eq!(told(&it), expected(&[("nightly", 150_000, 1, 0), ("site", 30_000, 1, 2), ("app", 17_000, 2, 0)]));
    let callers = it.callers.unwrap();
    assert_eq!((callers.told, callers.left_out), (197_000, 0));
    assert_eq!((it.refusal.workspace.as_str(), it.refusal.key.as_str()), ("search", "site"));
    assert_eq!(*it.refusal.named(), tokens(Scope::Account, 198_000, 2_600));
    assert_eq!((it.now.limit, it.now.tpm_upper_limit), (Some(1_000_000), Some(2_000_000)));
}

#[tokio::test]
async fn to_members_of_one_workspace_the_others_are_one_sum() {
    let house = House::new().await;
    let viewer = house.it.member(&house.it.owner, "viewer", "search").await;
    let it = house.found(&viewer, AT, OF_ACCOUNT).await;
    assert_eq!(told(&it), expected(&[("site", 30_000, 1, 2), ("app", 17_000, 2, 0), ("…", 150_000, 1, 0)]));
    let others = it.callers.unwrap().others.unwrap();
    assert_eq!((others.workspace.as_str(), others.key.as_str()), ("", ""), "neither who they are nor which key");
}

#[tokio::test]
async fn a_refusal_of_a_workspace_names_its_own_keys_alone() {
    let house = House::new().await;
    let it = house.found(&house.it.owner, AT + 1, OF_SEARCH).await;
    assert_eq!(told(&it), expected(&[("site", 30_000, 1, 3), ("app", 17_000, 2, 0)]));
    assert_eq!((it.now.limit, it.now.of_account), (Some(200_000), Some(1_000_000)));
}

#[tokio::test]
async fn a_429_of_the_provider_is_found_by_its_id() {
    let house = House::new().await;
    let (it, owner, search) = (&house.it, &house.it.owner, &house.search);
    let by_provider = |at_ms, n| CallRow {
        outcome: "provider".to_owned(),
        status: 429,
        cause: Some("tokens".to_owned()),
        notable: true,
        id: id(AT, n),
        ..call(owner, search, &house.keys[1], at_ms, n, 0)
    };
    // One was decided at once, one after it had waited, and one ended with another status.
    let waited = by_provider(AT + 110_000, 22);
    let failed = CallRow { status: 500, ..by_provider(AT, 23) };
    let calls = vec![by_provider(AT, 21), waited, failed];
    it.control.store().record(&Batch { calls, ..Batch::default() }).await.unwrap();
    for n in [21, 22] {
        let Found::OfProvider(found) = house.explain(owner, AT, n).await else { panic!("{n} is not found") };
        assert_eq!((found.cause, found.key.as_str(), found.workspace.as_str()), (Some(Cause::Tokens), "app", "search"));
        assert_eq!(found.backup, Some(refusals::Backup::default()), "the model names none");
    }
    assert_eq!(house.missing(owner, AT, 23).await, Missing::Unknown);
    let member = it.member(owner, "viewer", "search").await;
    assert!(matches!(house.explain(&member, AT, 21).await, Found::OfProvider(_)));
    let stranger = it.member(owner, "viewer", "batch").await;
    assert_eq!(house.missing(&stranger, AT, 21).await, Missing::Unknown);
    let other = it.second_account().await;
    assert_eq!(house.missing(&other, AT, 21).await, Missing::Unknown);
}

#[tokio::test]
async fn what_one_may_not_see_does_not_exist() {
    let house = House::new().await;
    let viewer = house.it.member(&house.it.owner, "viewer", "search").await;
    assert_eq!(house.missing(&viewer, AT + 2, OF_BATCH).await, Missing::Unknown);
    let other = house.it.second_account().await;
    assert_eq!(house.missing(&other, AT, OF_ACCOUNT).await, Missing::Unknown);
    assert_eq!(house.missing(&house.it.owner, AT - 1_000, 14).await, Missing::Unknown, "an answered call");
    for id in ["", "x", "../..", "00000000-0000-0000-0000-000000000000", "d9428888-122b-11e1-b85c-61cd3cbb3210"] {
        let found = refusals::explain(&house.it.control, &house.it.owner, id).await.unwrap();
        assert!(matches!(found, Found::Missing(Missing::Unknown)), "{id:?}");
    }
    let shouted = id(AT, OF_ACCOUNT).to_uppercase();
    let found = refusals::explain(&house.it.control, &house.it.owner, &shouted).await.unwrap();
    assert!(matches!(found, Found::Refusal(_)));
}

#[tokio::test]
async fn an_id_without_a_refusal_says_why_that_may_be() {
    let house = House::new().await;
    let (it, owner) = (&house.it, &house.it.owner);
    assert_eq!(house.missing(owner, NOW - 500, 9).await, Missing::NotYet);
    assert_eq!(house.missing(owner, NOW + DAY, 9).await, Missing::Unknown);
    let day = AT.div_euclid(DAY) * DAY;
    assert_eq!(house.missing(owner, day - 1, 9).await, Missing::Older(day));
    let gap = Gap {
        account: owner.account().to_owned(),
        at_ms: AT.div_euclid(60_000) * 60_000,
        workspace: house.batch.clone(),
        notable: true,
        calls: 7,
    };
    for _ in 0..2 {
        it.control.store().record(&Batch { gaps: vec![gap.clone()], ..Batch::default() }).await.unwrap();
    }
    assert_eq!(house.missing(owner, AT, 9).await, Missing::LeftOut(14));
    let viewer = it.member(owner, "viewer", "search").await;
    assert_eq!(house.missing(&viewer, AT, 9).await, Missing::Unknown, "what others' calls left out is not told");
    let page = refusals::list(&it.control, owner, &Filter::default(), 50).await.unwrap();
    assert_eq!(page.left_out, 14);
}

#[tokio::test]
async fn a_part_of_the_window_is_said_to_be_one() {
    let house = House::new().await;
    let gap = Gap {
        account: house.it.owner.account().to_owned(),
        at_ms: AT.div_euclid(60_000) * 60_000,
        workspace: house.batch.clone(),
        notable: false,
        calls: 3,
    };
    house.it.control.store().record(&Batch { gaps: vec![gap], ..Batch::default() }).await.unwrap();
    assert_eq!(house.found(&house.it.owner, AT, OF_ACCOUNT).await.callers.unwrap().left_out, 3);
    assert_eq!(house.found(&house.it.owner, AT + 1, OF_SEARCH).await.callers.unwrap().left_out, 0);
}

async fn ids(house: &House, actor: &Actor, filter: &Filter, limit: usize) -> (Vec<String>, Option<(i64, String)>) {
    let page = refusals::list(&house.it.control, actor, filter, limit).await.unwrap();
    assert!(!page.stopped_looking);
    (page.refusals.into_iter().map(|it| it.id).collect(), page.next)
}

#[tokio::test]
async fn the_list_goes_back_page_by_page_and_leaves_failures_out() {
    let house = House::new().await;
    let owner = &house.it.owner;
    let all = [id(AT + 2, OF_BATCH), id(AT + 1, OF_SEARCH), id(AT, OF_ACCOUNT), id(AT - 300, 17)];
    assert_eq!(ids(&house, owner, &Filter::default(), 50).await, (all.to_vec(), None));
    let (first, next) = ids(&house, owner, &Filter::default(), 3).await;
    assert_eq!(first, all[..3]);
    let rest = Filter { before: next, ..Filter::default() };
    assert_eq!(ids(&house, owner, &rest, 3).await, (all[3..].to_vec(), None));

    let of = |filter: Filter| filter;
    let account = of(Filter { scope: Some(Scope::Account), ..Filter::default() });
    assert_eq!(ids(&house, owner, &account, 50).await.0, [all[0].clone(), all[2].clone()]);
    for nothing in [
        Filter { cause: Some(Cause::Surge), ..Filter::default() },
        Filter { model: "qwen-flash".to_owned(), ..Filter::default() },
    ] {
        assert!(ids(&house, owner, &nothing, 50).await.0.is_empty());
    }
    let search = Filter { workspace: "search".to_owned(), ..Filter::default() };
    assert_eq!(ids(&house, owner, &search, 50).await.0, all[1..]);
    assert_eq!(ids(&house, owner, &search, 2).await.0, all[1..3]);
}

#[tokio::test]
async fn members_of_a_workspace_list_its_refusals_alone() {
    let house = House::new().await;
    let viewer = house.it.member(&house.it.owner, "viewer", "search").await;
    let (seen, _) = ids(&house, &viewer, &Filter::default(), 50).await;
    assert_eq!(seen, [id(AT + 1, OF_SEARCH), id(AT, OF_ACCOUNT), id(AT - 300, 17)]);
    let asked = Filter { workspace: house.batch.clone(), ..Filter::default() };
    let refused = refusals::list(&house.it.control, &viewer, &asked, 50).await.unwrap_err();
    assert!(matches!(refused, ControlError::NotFound(_)));
}

#[tokio::test]
async fn what_was_logged_before_every_limit_was_kept_is_explained_too() {
    let house = House::new().await;
    let row =
        refused(call(&house.it.owner, &house.search, &house.keys[0], AT, 30, 0), vec![tokens(Scope::Account, 5, 6)]);
    let former = r#"{"limit":100,"used":100,"needed":1,"retry_after_us":null}"#;
    let row = CallRow { explanation: Some(former.to_owned()), ..row };
    house.it.control.store().record(&Batch { calls: vec![row], ..Batch::default() }).await.unwrap();
    let it = house.found(&house.it.owner, AT, 30).await;
    assert_eq!((it.refusal.named().limit, it.refusal.named().scope), (100, Scope::Account));
    assert!(it.callers.is_none(), "no use of others stands in the way of what can never pass");
}

#[test]
fn ids_here_are_those_of_the_gateway() {
    assert_eq!(Uuid::parse_str(&id(AT, 1)).unwrap().get_version_num(), 7);
}
