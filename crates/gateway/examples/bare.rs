//! The gateway alone, for measurements: one account, one workspace with limits of its own, one key, one model, records
//! taken every 100 ms and dropped. Shows the data plane's own cost, and one runtime for all cores against one for each.
//!
//! usage: bare LISTEN PROVIDER_BASE_URL KEY [--stealing N | --cores N]

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use domain::{
    AccountId, ErrorDialect, KeyId, Limits, Metering, ModelCode, ProviderId, ProviderName, Rpm, Tpm, WorkspaceId,
};
use gateway::{
    Contents, Gateway, KeyDigest, Records, Settings, Snapshot, WallClock,
    snapshot::{Grants, Key, Model, Provider, Timeouts, Workspace},
};
use limiter::{Clock, Ledger, Micros, Surge};
use tokio::{net::TcpListener, runtime::Builder};
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error>;

struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> Micros {
        Micros(600_000_000 + u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

struct Wall;

impl WallClock for Wall {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, base_url, key, runtime @ ..] = &args[..] else {
        return Err("usage: bare LISTEN PROVIDER_BASE_URL KEY [--stealing N | --cores N]".into());
    };
    let listen: SocketAddr = listen.parse()?;
    let clock = Arc::new(Monotonic(Instant::now()));
    let ledger = Ledger::new(Arc::clone(&clock) as _, Surge { least: u64::MAX, ..Surge::default() });
    let (snapshot, problems) = Snapshot::build(contents(base_url, key)?, &ledger);
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem.into());
    }
    let records = Arc::new(Records::new(1 << 20));
    let gateway = Arc::new(Gateway::new(
        Settings::default(),
        Arc::new(ArcSwap::from_pointee(snapshot)),
        Arc::clone(&records),
        clock,
        Arc::new(Wall),
    ));
    std::thread::spawn(move || {
        let mut taken = Vec::new();
        loop {
            std::thread::sleep(Duration::from_millis(100));
            records.take(&mut taken);
            taken.clear();
        }
    });
    let number = |text: &String| text.parse::<usize>();
    match runtime {
        [] => stealing(1, listen, gateway),
        [flag, n] if flag == "--stealing" => stealing(number(n)?, listen, gateway),
        [flag, n] if flag == "--cores" => cores(number(n)?, listen, &gateway),
        other => Err(format!("{} is not understood", other.join(" ")).into()),
    }
}

fn stealing(threads: usize, listen: SocketAddr, gateway: Arc<Gateway>) -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let serving = gateway::serve(TcpListener::bind(listen).await?, gateway, CancellationToken::new());
        Ok(tokio::spawn(serving).await??)
    })
}

fn cores(count: usize, listen: SocketAddr, gateway: &Arc<Gateway>) -> Result<(), Failure> {
    let serve_one = |gateway: Arc<Gateway>| -> Result<(), std::io::Error> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.set_reuseport(true)?;
            socket.bind(listen)?;
            gateway::serve(socket.listen(1024)?, gateway, CancellationToken::new()).await
        })
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..count).map(|_| scope.spawn(|| serve_one(Arc::clone(gateway)))).collect();
        serve_one(Arc::clone(gateway))?;
        others.into_iter().try_for_each(|it| it.join().unwrap_or(Ok(())))
    })?;
    Ok(())
}

fn contents(base_url: &str, key: &str) -> Result<Contents, Failure> {
    let (account, workspace, provider) = (AccountId::new("a"), WorkspaceId::new("w"), ProviderId::new("p"));
    let code = ModelCode::parse("qwen-plus")?;
    let limits = |share: u64| Limits { rpm: Rpm::new(100_000_000 * share), tpm: Tpm::new(100_000_000_000 * share) };
    Ok(Contents {
        revision: 1,
        providers: vec![Provider {
            id: provider.clone(),
            name: ProviderName::parse("stand-in")?,
            openai_base_url: Some(base_url.to_owned()),
            dashscope_base_url: None,
            anthropic_base_url: None,
            credential: Some(gateway::Credential::new("sk-provider")),
        }],
        models: vec![Model {
            account: account.clone(),
            code: code.clone(),
            provider,
            upstream: None,
            metering: Metering::Tokens,
            limits: limits(2),
            default_output_tokens: 1024,
            backup: None,
            fallback: false,
            created_at_ms: 0,
            timeouts: Timeouts::default(),
        }],
        workspaces: vec![Workspace {
            account,
            id: workspace.clone(),
            name: "bench".into(),
            grants: Grants::These(vec![(code, limits(1))]),
        }],
        keys: vec![Key {
            id: KeyId::new("k"),
            workspace,
            digest: KeyDigest::of(key.as_bytes()),
            error_dialect: ErrorDialect::DEFAULT,
            expires_at_ms: None,
        }],
    })
}
