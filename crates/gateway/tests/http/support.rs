//! A gateway in front of a stand-in provider, with clocks that stand still, and a client that says what it got.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use domain::{
    AccountId, ErrorDialect, KeyId, Limits, Metering, ModelCode, ProviderId, ProviderName, Rpm, Tpm, WorkspaceId,
};
use gateway::{
    CallRecord, Contents, Credential, Gateway, KeyDigest, Record, Records, Settings, Snapshot, WallClock,
    snapshot::{Grants, Key, Model, Provider as ProviderRow, Timeouts, Workspace},
};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use limiter::{Clock, Ledger, ManualClock, Micros, Surge};
use testkit::{Provider, ProviderSettings};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) const SEARCH: &str = "sk-search";
pub(crate) const OPENAI: &str = "sk-search-openai";
pub(crate) const DEFAULT: &str = "sk-default";
pub(crate) const EXPIRED: &str = "sk-expired";
pub(crate) const CREDENTIAL: &str = "sk-provider";
pub(crate) const CHAT: &str = "/v1/chat/completions";
/// Both clocks' start: an instant in November 2026.
pub(crate) const NOW_MS: i64 = 1_795_305_600_000;

pub(crate) struct House {
    pub(crate) provider: Provider,
    pub(crate) addr: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ledger: Ledger,
    pub(crate) served: tokio::task::JoinHandle<std::io::Result<()>>,
    pub(crate) wall: Arc<Wall>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    records: Arc<Records>,
}

struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> Micros {
        Micros(600_000_000 + u64::try_from(self.0.elapsed().as_micros()).unwrap())
    }
}

pub(crate) struct Wall(pub(crate) AtomicI64);

impl WallClock for Wall {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) fn limits(rpm: u64, tpm: u64) -> Limits {
    Limits { rpm: Rpm::new(rpm), tpm: Tpm::new(tpm) }
}

/// A model with everything else as most tests want it.
pub(crate) fn model(code: &str, limits: Limits) -> Model {
    Model {
        account: AccountId::new("a1"),
        code: ModelCode::parse(code).unwrap(),
        provider: ProviderId::new("p1"),
        upstream: None,
        metering: Metering::Tokens,
        limits,
        default_output_tokens: 1024,
        backup: None,
        fallback: false,
        created_at_ms: NOW_MS,
        timeouts: Timeouts::default(),
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default(), |_| {}).await
    }

    /// With contents that differ from [`Self::contents`].
    pub(crate) async fn with(settings: Settings, change: impl FnOnce(&mut Contents)) -> Self {
        Self::on(settings, None, change).await
    }

    /// On a clock that runs, for calls that wait.
    pub(crate) async fn running(change: impl FnOnce(&mut Contents)) -> Self {
        Self::on(Settings::default(), Some(Arc::new(Monotonic(Instant::now()))), change).await
    }

    async fn on(settings: Settings, clock: Option<Arc<dyn Clock>>, change: impl FnOnce(&mut Contents)) -> Self {
        let provider =
            Provider::start(ProviderSettings { credential: Some(CREDENTIAL.into()), ..ProviderSettings::instant() })
                .await
                .unwrap();
        let manual = Arc::new(ManualClock::at(Micros(600_000_000)));
        let clock = clock.unwrap_or_else(|| Arc::clone(&manual) as _);
        let ledger = Ledger::new(Arc::clone(&clock), Surge::default());
        let records = Arc::new(Records::new(100_000));
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let wall = Arc::new(Wall(AtomicI64::new(NOW_MS)));
        let gateway =
            Gateway::new(settings, Arc::clone(&snapshot), Arc::clone(&records), clock, Arc::clone(&wall) as _);
        let gateway = Arc::new(gateway);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(gateway::serve(listener, Arc::clone(&gateway), shutdown.clone()));
        let house = Self { provider, addr, clock: manual, gateway, shutdown, ledger, served, wall, snapshot, records };
        let mut contents = house.contents();
        change(&mut contents);
        house.set(contents);
        house
    }

    /// One account with a provider; the workspace "search" has limits of its own.
    pub(crate) fn contents(&self) -> Contents {
        let account = AccountId::new("a1");
        let granted = |code: &str, limits| (ModelCode::parse(code).unwrap(), limits);
        let mut renamed = model("fast", limits(600, 1_000_000));
        renamed.upstream = Some("qwen-flash-\"2026\"".into());
        let mut elsewhere = model("elsewhere", limits(600, 1_000_000));
        elsewhere.provider = ProviderId::new("p2");
        let mut images = model("images", limits(600, 1_000_000));
        images.metering = Metering::Calls;
        let key = |id: &str, workspace: &str, secret: &str| Key {
            id: KeyId::new(id),
            workspace: WorkspaceId::new(workspace),
            digest: KeyDigest::of(secret.as_bytes()),
            error_dialect: ErrorDialect::DashScope,
            expires_at_ms: None,
        };
        Contents {
            revision: 1,
            providers: vec![
                ProviderRow {
                    id: ProviderId::new("p1"),
                    name: ProviderName::parse("dashscope").unwrap(),
                    openai_base_url: Some(self.provider.openai_base_url() + "/"),
                    dashscope_base_url: Some(self.provider.dashscope_base_url()),
                    anthropic_base_url: Some(self.provider.anthropic_base_url()),
                    credential: Some(Credential::new(CREDENTIAL)),
                },
                ProviderRow {
                    id: ProviderId::new("p2"),
                    name: ProviderName::parse("nowhere").unwrap(),
                    openai_base_url: None,
                    dashscope_base_url: None,
                    anthropic_base_url: None,
                    credential: None,
                },
            ],
            models: vec![
                model("qwen-plus", limits(600, 1_000_000)),
                model("qwen-max", limits(600, 1_000_000)),
                renamed,
                elsewhere,
                images,
            ],
            workspaces: vec![
                Workspace {
                    account: account.clone(),
                    id: WorkspaceId::new("w0"),
                    name: "default".into(),
                    grants: Grants::Everything,
                },
                Workspace {
                    account,
                    id: WorkspaceId::new("w1"),
                    name: "search".into(),
                    grants: Grants::These(vec![
                        granted("qwen-plus", limits(100, 200_000)),
                        granted("fast", Limits::default()),
                        granted("elsewhere", Limits::default()),
                        granted("images", Limits::default()),
                    ]),
                },
            ],
            keys: vec![
                key("k0", "w0", DEFAULT),
                key("k1", "w1", SEARCH),
                Key { error_dialect: ErrorDialect::OpenAi, ..key("k2", "w1", OPENAI) },
                Key { expires_at_ms: Some(NOW_MS), ..key("k3", "w1", EXPIRED) },
            ],
        }
    }

    /// Puts new contents in force.
    pub(crate) fn set(&self, contents: Contents) {
        let (snapshot, problems) = Snapshot::build(contents, &self.ledger);
        assert!(problems.is_empty(), "{problems:?}");
        self.snapshot.store(Arc::new(snapshot));
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.connect().await.send_request(request).await.unwrap()
    }

    pub(crate) async fn connect(&self) -> http1::SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(crate) async fn call(&self, request: Request<Full<Bytes>>) -> Reply {
        let (parts, body) = self.send(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn chat(&self, key: &str, body: impl Into<Bytes>) -> Reply {
        self.call(post(CHAT, key, body)).await
    }

    /// Everything recorded since the last time.
    pub(crate) fn taken(&self) -> Vec<Record> {
        let mut records = Vec::new();
        self.records.take(&mut records);
        records
    }

    /// Waits for `count` calls in the records.
    pub(crate) async fn calls(&self, count: usize) -> Vec<CallRecord> {
        let mut calls = Vec::new();
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while calls.len() < count {
                calls.extend(self.taken().into_iter().filter_map(|it| match it {
                    Record::Call(call) => Some(call),
                    Record::Stopped(_) => None,
                }));
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("fewer than {count} calls were recorded"));
        assert_eq!(calls.len(), count, "{calls:?}");
        calls
    }

    pub(crate) fn strangers(&self) -> u64 {
        self.records.strangers()
    }

    /// Tokens and requests charged to the account in the last minute.
    pub(crate) fn used(&self, code: &str) -> (u64, u64) {
        let cell = self.ledger.cell(&AccountId::new("a1"), &ModelCode::parse(code).unwrap());
        let live = cell.live().account;
        (live.requests_minute, live.tokens_minute)
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found: Vec<_> = self.headers.get_all(name).iter().map(|it| it.to_str().unwrap()).collect();
        match found[..] {
            [one] => one,
            [] => "",
            _ => panic!("{name} is there {} times", found.len()),
        }
    }

    /// The body with the call's id replaced by `RID`, after looking that both are the same.
    pub(crate) fn masked(&self) -> String {
        let id = self.header("x-request-id");
        assert_eq!(id.len(), 36, "{:?}", self.headers);
        assert_eq!(id, id.to_lowercase());
        self.text().replace(id, "RID")
    }
}

pub(crate) fn post(path: &str, key: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", "gateway.test")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"))
        .body(Full::new(body.into()))
        .unwrap()
}

pub(crate) fn get(path: &str, key: &str) -> Request<Full<Bytes>> {
    let mut request = post(path, key, "");
    *request.method_mut() = http::Method::GET;
    request
}

/// A behaviour of the stand-in provider for one call.
pub(crate) fn acting(mut request: Request<Full<Bytes>>, behaviour: &str) -> Request<Full<Bytes>> {
    request.headers_mut().insert("x-stand-in", behaviour.parse().unwrap());
    request
}

pub(crate) fn plain() -> &'static str {
    r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Who are you?"}],"max_tokens":64}"#
}

pub(crate) fn stream() -> &'static str {
    r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Who are you?"}],"max_tokens":64,"stream":true}"#
}
