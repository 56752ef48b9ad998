//! A database in trouble while calls go on: none fails for it, and each is counted once when it is over.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    engine::Server,
    installation::{Installation, Target},
};

const LIMITS: &str = "rpm = 600000\ntpm = 1000000000";

/// Calls without a pause until it is stopped; answers how many were answered well.
struct Load {
    task: JoinHandle<u64>,
    answered: Arc<AtomicU64>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Load {
    fn start(target: Target, key: String) -> Self {
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let answered = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&answered);
        let task = tokio::spawn(async move {
            while !*stopping.borrow() {
                let answer =
                    target.chat_as(&key, "load").await.expect("the gateway answers whatever the database does");
                assert_eq!(answer.status, 200, "{}", answer.body);
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            count.load(Ordering::Relaxed)
        });
        Self { task, answered, stop }
    }

    /// Waits for so many more calls.
    async fn more(&self, calls: u64) {
        let until = self.answered.load(Ordering::Relaxed) + calls;
        while self.answered.load(Ordering::Relaxed) < until {
            assert!(!self.task.is_finished(), "a call failed");
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) -> u64 {
        self.stop.send_replace(true);
        self.task.await.expect("no call failed")
    }
}

async fn installation(database: String) -> (Installation, String) {
    let mut sluice = Installation::new().await;
    sluice.database = Some(database);
    sluice.apply(LIMITS, "rpm = 600000");
    sluice.owner(crate::EMAIL, crate::PASSWORD);
    let key = sluice.key("search");
    sluice.serve();
    (sluice, key)
}

/// The files in which packets wait.
fn spool(sluice: &Installation) -> u64 {
    let files = std::fs::read_dir(sluice.folder().join("data/spool")).into_iter().flatten().flatten();
    files.filter_map(|it| it.metadata().ok()).map(|it| it.len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stops_costs_no_call_and_no_count() {
    let mut server = Server::start().await;
    let (mut sluice, key) = installation(server.database("stopped")).await;
    let cookie = crate::sign_in(&sluice).await;
    let load = Load::start(sluice.target(), key.clone());
    load.more(100).await;
    server.stop();
    load.more(100).await;
    while spool(&sluice) == 0 {
        load.more(1).await;
    }
    // Edits say what is wrong, and nobody is told to be signed out.
    let edit = sluice.form("/api/workspaces/create", &cookie, "name=new").await;
    assert_eq!(edit.status, 503);
    assert!(edit.body.starts_with("{\"Unavailable\":\"") && edit.body.len() > 36, "with its id: {}", edit.body);
    let page = sluice.get(&format!("http://{}/monitoring", sluice.console), &cookie).await;
    assert_eq!(page.status, 503);
    assert!(page.body.contains("database does not answer"), "{}", page.body);
    server.again().await;
    while spool(&sluice) > 0 {
        load.more(1).await;
    }
    load.more(100).await;
    let calls = load.end().await;
    sluice.report(i64::try_from(calls).unwrap()).await;
    assert!(sluice.get(&format!("http://{}/api/workspaces", sluice.console), &cookie).await.status == 200);

    // Once more, and killed meanwhile: what waited in the spool is taken up by the next start, and counted once.
    let load = Load::start(sluice.target(), key.clone());
    server.stop();
    while spool(&sluice) == 0 {
        load.more(1).await;
    }
    let more = load.end().await;
    // A flush after the last call has everything in the spool.
    let before = spool(&sluice);
    sluice.chat(&key).await;
    while spool(&sluice) == before {
        tokio::task::yield_now().await;
    }
    sluice.kill();
    assert!(spool(&sluice) > 0);
    server.again().await;
    sluice.serve();
    sluice.report(i64::try_from(calls + more + 1).unwrap()).await;
    while spool(&sluice) > 0 {
        tokio::task::yield_now().await;
    }
    sluice.terminate();
}

/// Passes bytes to the database and back, each time as late as it is told.
async fn slow_road(to: SocketAddr, delay_ms: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port is free");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let delay_ms = Arc::clone(&delay_ms);
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(to).await else { return };
                let (mut near_read, mut near_write) = near.into_split();
                let (mut far_read, mut far_write) = far.into_split();
                let back = tokio::spawn(async move { tokio::io::copy(&mut far_read, &mut near_write).await });
                let mut bytes = vec![0; 1 << 16];
                while let Ok(length @ 1..) = near_read.read(&mut bytes).await {
                    tokio::time::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed))).await;
                    if far_write.write_all(&bytes[..length]).await.is_err() {
                        break;
                    }
                }
                back.abort();
            });
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_database_slows_no_call() {
    let server = Server::start().await;
    let delay_ms = Arc::new(AtomicU64::new(0));
    let road = slow_road(SocketAddr::from(([127, 0, 0, 1], server.port())), Arc::clone(&delay_ms)).await;
    server.database("slow");
    let (mut sluice, key) = installation(format!("postgres://sluice@{road}/slow?sslmode=disable")).await;
    let load = Load::start(sluice.target(), key);
    load.more(50).await;
    delay_ms.store(1_000, Ordering::Relaxed);
    // Writing lags, so packets go to the spool; and they are written from there while the database is slow.
    while spool(&sluice) == 0 {
        load.more(1).await;
    }
    delay_ms.store(0, Ordering::Relaxed);
    load.more(50).await;
    let calls = load.end().await;
    sluice.report(i64::try_from(calls).unwrap()).await;
    sluice.terminate();
}

/// Passes bytes to the database and back until it is told to forget: from then on, what comes over connections that were there
/// before goes nowhere, and nobody closes them. New ones work.
async fn forgetful_road(to: SocketAddr, forgotten: tokio::sync::watch::Receiver<u64>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port is free");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut forgotten = forgotten.clone();
            forgotten.mark_unchanged();
            tokio::spawn(async move {
                let Ok(mut far) = TcpStream::connect(to).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = forgotten.changed() => std::future::pending().await,
                }
            });
        }
    });
    addr
}

/// As when a machine vanishes and another takes its address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_lead_nowhere_are_given_up() {
    let server = Server::start().await;
    let (forget, forgotten) = tokio::sync::watch::channel(0);
    let road = forgetful_road(SocketAddr::from(([127, 0, 0, 1], server.port())), forgotten).await;
    server.database("vanished");
    let (mut sluice, key) = installation(format!("postgres://sluice@{road}/vanished?sslmode=disable")).await;
    let load = Load::start(sluice.target(), key);
    load.more(50).await;
    forget.send_replace(1);
    while spool(&sluice) == 0 {
        load.more(1).await;
    }
    while spool(&sluice) > 0 {
        load.more(1).await;
    }
    let calls = load.end().await;
    sluice.report(i64::try_from(calls).unwrap()).await;
    // Edits are followed again too.
    sluice.apply(LIMITS, "rpm = 0");
    let key = sluice.key("search");
    while !sluice.chat(&key).await.body.contains("may use 0 requests in 60 s") {
        tokio::task::yield_now().await;
    }
    sluice.terminate();
}
