//! A console over a SQLite file of its own, with the layers the process puts around it and some weeks of calls.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test and example uses a part of it")]

pub mod browser;

use app::ssr::{ConsoleSettings, ConsoleState, FigureAge, LastSeconds, LiveCell, LiveFigures, LiveUse, SecondUse};
use axum::Router;
use control::{
    Actor, Control, Passwords, Secret, Sessions, SystemWallClock, Vault, WallClock, apply, members,
    reach::{Answer, Reach},
    workspaces,
};
use domain::{AccountId, ModelCode, WorkspaceId};
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};
use store::{
    Store,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Peak, SeriesKey},
};
use tower_sessions::{SessionManagerLayer, cookie::SameSite};

pub const OWNER: &str = "owner@example.com";
pub const VIEWER: &str = "viewer@example.com";
pub const PASSWORD: &str = "correct horse battery";

const FILE: &str = r#"
[[provider]]
name = "dashscope"
openai_base_url = "http://127.0.0.1:9/compatible-mode/v1"

[[model]]
code = "qwen-plus"
provider = "dashscope"
rpm = 600
tpm = 1_000_000
tpm_upper_limit = 2_000_000

[[model]]
code = "qwen-flash"
provider = "dashscope"
rpm = 600
tpm = 5_000_000
tpm_upper_limit = 8_000_000

[[model]]
code = "qwen-plus-2025-07-28"
provider = "dashscope"
rpm = 60
tpm = 100_000

[[model]]
code = "wanx-image"
provider = "dashscope"
rpm = 120
metering = "calls"

[[workspace]]
name = "search"
models = [ { code = "qwen-plus", rpm = 100, tpm = 200_000 }, { code = "qwen-flash" } ]

[[workspace]]
name = "support-bot"
models = [ { code = "qwen-plus" }, { code = "qwen-plus-2025-07-28" } ]
"#;

/// Steady use that can be told apart by model, and by whether it is that of the workspace `search`.
#[derive(Default)]
pub struct SteadyUse {
    search: OnceLock<WorkspaceId>,
}

/// Requests and tokens in 60 s of the workspace `search`, of each model.
pub const SEARCH_USES: (u64, u64) = (7, 12_345);

impl LiveUse for SteadyUse {
    fn live(&self, _account: &AccountId) -> Vec<LiveCell> {
        let moving = u64::try_from(SystemWallClock.now_ms() / 500 % 40).unwrap_or(0);
        let of_search =
            LiveFigures { requests_minute: SEARCH_USES.0, tokens_minute: SEARCH_USES.1, ..LiveFigures::default() };
        let cell = |model: &str, requests: u64, tokens: u64| LiveCell {
            model: ModelCode::parse(model).expect("a model's code"),
            account: LiveFigures {
                requests_minute: requests + moving,
                tokens_minute: tokens + moving * 1_000,
                requests_second: moving / 4,
                tokens_second: moving * 100,
            },
            workspaces: self.search.get().map(|id| (id.clone(), of_search)).into_iter().collect(),
        };
        vec![cell("qwen-plus", 440, 910_000), cell("qwen-flash", 180, 390_000), cell("wanx-image", 2, 0)]
    }

    /// Bursts that come and go, known for the last eight minutes; a quarter of them is the workspace's.
    fn seconds(&self, _account: &AccountId, _model: &ModelCode, workspace: Option<&WorkspaceId>) -> LastSeconds {
        let now_s = SystemWallClock.now_ms() / 1_000;
        let part = if workspace.is_some() { 4 } else { 1 };
        let second = |at_s: i64| {
            let wave = u64::try_from((at_s * 7 % 13 + at_s / 3 % 5 - 6).max(0)).unwrap_or(0);
            let refused = if wave > 8 { wave - 7 } else { 0 };
            SecondUse { at_s, requests: wave / part, tokens: wave * 1_900 / part, refused: refused / part }
        };
        let seconds = (now_s - 480..now_s).map(second).filter(|it| it.requests + it.refused > 0).collect();
        LastSeconds { since_s: now_s - 480, seconds }
    }
}

/// A provider that lists three models, one of which is known; under any address with `/broken/` it is not there.
pub struct Scripted;

#[async_trait::async_trait]
impl Reach for Scripted {
    async fn get(&self, url: &str, headers: &[(&'static str, Secret<String>)]) -> Result<Answer, String> {
        if url.contains("/broken/") {
            return Err("no answer: Connection refused (os error 111)".to_owned());
        }
        let credential = headers.iter().find(|(name, _)| *name == "authorization").map(|it| it.1.expose().as_str());
        if credential == Some("Bearer sk-wrong") {
            let body = br#"{"error":{"message":"Incorrect API key provided"}}"#.to_vec();
            return Ok(Answer { status: 401, body, took_ms: 7 });
        }
        let body = br#"{"data":[{"id":"qwen-plus"},{"id":"qwen-max"},{"id":"org/new:1"}]}"#.to_vec();
        Ok(Answer { status: 200, body, took_ms: 7 })
    }
}

pub struct Console {
    pub control: Control,
    pub account: String,
    pub router: Router,
}

/// An empty installation in `folder`: nobody can sign in yet.
pub async fn empty(folder: &Path, passwords: Passwords) -> (Control, Router) {
    let (control, router, _) = installed(folder, passwords).await;
    (control, router)
}

async fn installed(folder: &Path, passwords: Passwords) -> (Control, Router, Arc<SteadyUse>) {
    let live = Arc::<SteadyUse>::default();
    let store =
        Store::open(&format!("sqlite://{}", folder.join("console.db").display())).await.expect("the store opens");
    store.migrate().await.expect("the schema can be made");
    let vault = Vault::open(&folder.join("secret.key")).expect("the key can be made");
    let control = Control::new(store, vault, Arc::new(SystemWallClock), passwords);
    let state = ConsoleState {
        control: control.clone(),
        live: Arc::clone(&live) as Arc<dyn LiveUse>,
        figures: Arc::new(Fresh),
        reach: Arc::new(Scripted),
        proof: None,
        settings: Arc::new(ConsoleSettings { gateway_url: "http://127.0.0.1:8080".to_owned(), secure_cookies: false }),
    };
    let sessions =
        SessionManagerLayer::new(Sessions::new(control.clone())).with_secure(false).with_same_site(SameSite::Lax);
    (control, app::ssr::router(state).layer(sessions), live)
}

/// Figures that are never stale.
struct Fresh;

impl FigureAge for Fresh {
    fn stale_since(&self) -> Option<i64> {
        None
    }
}

/// An installation with an owner, a viewer, models, workspaces and calls.
pub async fn seeded(folder: &Path, passwords: Passwords) -> Console {
    let (control, router, live) = installed(folder, passwords).await;
    let account = control::accounts::find(&control, None).await.expect("an account").id;
    let actor = Actor::command_line(&account);
    let source = apply::Source { name: "seed", text: FILE, folder, variable: &|_| None };
    apply::apply(&control, &actor, &source, false).await.expect("the seed is right");
    let ids = workspaces::list(&control, &actor).await.expect("the workspaces");
    let id = |name: &str| ids.iter().find(|it| it.name == name).map(|it| it.id.clone()).expect("a seeded workspace");
    for (email, role, workspace) in [(OWNER, "owner", String::new()), (VIEWER, "viewer", id("search"))] {
        let member = members::NewMember { email: email.to_owned(), role: role.to_owned(), workspace };
        members::create(&control, &actor, &member, Secret::new(PASSWORD.to_owned())).await.expect("a member");
    }
    live.search.get_or_init(|| WorkspaceId::new(id("search")));
    record(&control, &account, &id).await;
    Console { control, account, router }
}

/// Calls of the last three days, a quarter of an hour apart and each minute of the last hours.
async fn record(control: &Control, account: &str, id: &impl Fn(&str) -> String) {
    let now = control.now_ms();
    let minute = 60_000;
    let minutes = (0..240).chain((240..4_320).step_by(15));
    let mut deltas = Vec::new();
    for ago in minutes {
        let at = (now - ago * minute).div_euclid(minute) * minute;
        let wave = 50 + 45 * ((ago / 7) % 5) - 30 * ((ago / 31) % 2);
        for (workspace, model, calls, tokens, streams) in [
            ("support-bot", "qwen-plus", 5 * wave / 2, 2_900, true),
            ("search", "qwen-plus", 90 + wave / 9, 1_950, true),
            ("search", "qwen-flash", wave / 2, 1_700, true),
            ("support-bot", "qwen-plus-2025-07-28", 3, 900, false),
            ("default", "wanx-image", i64::from(ago % 3 == 0), 0, false),
        ] {
            if calls == 0 {
                continue;
            }
            let refused = if workspace == "search" && model == "qwen-plus" { (wave / 12).max(0) } else { 0 };
            let surge = i64::from(ago % 60 == 5 && refused > 0) * 4;
            let answered = calls - refused - surge;
            let figures = Figures {
                calls,
                refused_requests: refused / 3,
                refused_tokens: refused - refused / 3,
                refused_surge: surge,
                tokens_prompt: answered * tokens / 3,
                tokens_output: answered * tokens * 2 / 3,
                tokens_total: answered * tokens,
                latency_sum_us: answered * (900_000 + tokens * 640),
                latency_count: answered,
                ttft_sum_us: if streams { answered * 395_000 } else { 0 },
                ttft_count: if streams { answered } else { 0 },
                ..Figures::default()
            };
            let mut latency = Histogram::default();
            let mut ttft = Histogram::default();
            for i in 0..answered.unsigned_abs() {
                latency.count(700_000 + i * 31_000);
                if streams {
                    ttft.count(250_000 + i * 4_000);
                }
            }
            let series = SeriesKey {
                account: account.to_owned(),
                lane: Lane::Limited,
                workspace: id(workspace),
                model: model.to_owned(),
            };
            deltas.push(CallDelta { series, first_at_ms: at, figures, latency, ttft });
        }
    }
    let peaks = [("qwen-plus", 998_214), ("qwen-flash", 1_204_771)].map(|(model, tokens)| Peak {
        account: account.to_owned(),
        model: model.to_owned(),
        at_ms: now,
        tokens,
    });
    let batch = Batch { deltas, peaks: peaks.to_vec(), ..Batch::default() };
    control.store().record(&batch).await.expect("the calls are recorded");
}
