//! The product: builds the parts in order, runs the long-lived tasks, and takes them down in reverse.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use app::ssr::{ConsoleSettings, ConsoleState, Proof};
use arc_swap::ArcSwap;
use control::{Control, Sessions, increases, setup};
use gateway::{Gateway, Records, Snapshot};
use limiter::{Keeping, Ledger};
use store::rollup::Together;
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_sessions::ExpiredDeletion as _;

use crate::{
    clock::{SystemClock, SystemWallClock},
    command::Outcome,
    config::{Settings, variable},
    console, descriptors,
    flush::{Flush, Fold, Kept, Outbox},
    freshness::{Age, Freshness},
    journal::{Journal, JournalProof},
    live::LivePort,
    metrics::{Metrics, Scrape},
    owners::StoredOwners,
    parts,
    reach::ProviderReach,
    seconds::Seconds,
    sync::Sync,
    usage::{self, Usage},
};

/// Finished calls that may wait for a flush: two seconds of more calls than one machine answers.
const RECORDS: usize = 100_000;

/// How often what is due by time is done: increases that end, sessions that expired, rows past their keeping.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

const DAY_MS: i64 = 86_400_000;

/// `sluice serve`.
///
/// # Errors
/// What could not be started, in one line.
pub async fn run(settings: Settings) -> Outcome {
    let mut running = start(settings).await?;
    if let Some(token) = &running.set_up_token {
        println!("No one can sign in yet. Make the owner's account at");
        println!("    http://{}/set-up?token={token}", running.console_addr);
    }
    println!("console  http://{}", running.console_addr);
    println!("gateway  http://{}", running.gateway_addr);
    running.asked_to_stop().await;
    running.stop().await;
    Ok(())
}

/// What a supervisor or a person at a terminal asks a process to stop with. A signal that comes between making this and
/// waiting for it is kept.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }
}

/// A running installation.
pub struct Running {
    /// The use cases, for a command that runs inside the process.
    pub control: Control,
    /// Where the console listens.
    pub console_addr: SocketAddr,
    /// Where the gateway listens.
    pub gateway_addr: SocketAddr,
    /// What first-run set-up asks for; `None` once somebody can sign in.
    pub set_up_token: Option<String>,
    signals: Signals,
    sync: Arc<SyncHandle>,
    stop: Stop,
}

struct SyncHandle {
    control: Control,
    ledger: Arc<Ledger>,
    snapshot: Arc<ArcSwap<Snapshot>>,
}

struct Stop {
    gateway: CancellationToken,
    gateway_threads: Vec<JoinHandle<io::Result<()>>>,
    flush: CancellationToken,
    console: CancellationToken,
    tasks: TaskTracker,
    for_flush: Apart,
    for_fold: Apart,
}

/// A runtime of one thread for one task, which neither pages that take long nor another task make late. One thread, since
/// each statement is a step of another thread's: of several, one wakes the next to look for work that is not there.
struct Apart(Option<Runtime>);

impl Apart {
    fn begin(name: &str) -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    fn spawn(&self, tasks: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            tasks.spawn_on(task, runtime.handle());
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Dropped as it is, it would wait for its thread, which no task may do.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Running {
    /// Returns when the process is asked to stop, by Ctrl-C or SIGTERM, or was since before the first call.
    pub async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.signals.interrupt.recv() => {}
            _ = self.signals.terminate.recv() => {}
        }
    }

    /// Takes edits made by this process into the snapshot at once.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn sync(&self) -> Outcome {
        let SyncHandle { control, ledger, snapshot } = &*self.sync;
        let sync = Sync { control: control.clone(), ledger: Arc::clone(ledger), snapshot: Arc::clone(snapshot) };
        sync.load().await.map(drop)
    }

    /// Finishes running calls, writes what they left, closes the store.
    pub async fn stop(self) {
        tracing::info!("stopping: running calls are finished first");
        self.stop.gateway.cancel();
        let threads = self.stop.gateway_threads;
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|it| drop(it.join())));
        if joined.await.is_err() {
            tracing::error!("a gateway thread panicked");
        }
        self.stop.console.cancel();
        self.stop.flush.cancel();
        self.stop.tasks.close();
        self.stop.tasks.wait().await;
        // Connections that were opened on a thread of its own are driven by it: it ends after them.
        self.control.store().close().await;
        drop((self.stop.for_flush, self.stop.for_fold));
    }
}

/// Builds everything and starts answering.
///
/// # Errors
/// What could not be started, in one line that says what and where.
pub async fn start(settings: Settings) -> Outcome<Running> {
    let console_listener = bind(settings.console_addr, "console_addr", false)?;
    let threads = if settings.gateway_threads == 0 { cores() } else { settings.gateway_threads };
    let gateway_listeners = bind_many(settings.gateway_addr, threads)?;
    let (console_addr, gateway_addr) = (console_listener.local_addr()?, gateway_listeners[0].local_addr()?);
    let settings = Settings { console_addr, gateway_addr, ..settings };

    let control = parts::control(&settings).await?;
    control::accounts::find(&control, None).await?;
    let clock = Arc::new(SystemClock);
    let surge = settings.surge();
    let keeping = Keeping { charges: true, journal: !settings.journal_folder.as_os_str().is_empty() };
    let ledger = Arc::new(Ledger::keeping(clock.clone(), surge, keeping));
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let records = Arc::new(Records::new(RECORDS));
    let sync = Sync { control: control.for_tasks(), ledger: Arc::clone(&ledger), snapshot: Arc::clone(&snapshot) };
    let rows = sync.load().await?;
    sync.restore_learned(&rows);
    let kept = Arc::new(Kept::of(&ledger));
    let node = node(&settings, control.store());
    let blackout = usage::restore(control.store(), &ledger, &rows, &node, control.now_ms()).await?;

    let stop = Stop {
        gateway: CancellationToken::new(),
        gateway_threads: Vec::new(),
        flush: CancellationToken::new(),
        console: CancellationToken::new(),
        tasks: TaskTracker::new(),
        for_flush: Apart::begin("flush")?,
        for_fold: Apart::begin("fold")?,
    };
    let freshness = Arc::new(Freshness::new(control.now_ms()));
    let metrics = Arc::<Metrics>::default();
    let seconds = Arc::new(Seconds::new(control.now_ms()));
    let mut flush = Flush {
        store: control.store().for_tasks(),
        records: Arc::clone(&records),
        usage: Usage::new(Arc::clone(&ledger), Arc::clone(&seconds), node, settings.durability).after(blackout),
        journal: journal(&settings, &ledger)?,
        ledger: Arc::clone(&ledger),
        kept: Arc::clone(&kept),
        outbox: outbox(&settings, control.store())?,
        freshness: Arc::clone(&freshness),
        metrics: Arc::clone(&metrics),
        seconds: Arc::clone(&seconds),
    };
    // Before the first call: from here on a crash is told from a clean stop, and a stop is a clean one.
    let signals = Signals::listen()?;
    flush.begin().await?;
    stop.for_flush.spawn(&stop.tasks, flush.run(stop.flush.clone()));
    let (store, cells) = (control.store().for_tasks(), Arc::clone(&ledger));
    let fold = Fold { store, ledger: cells, kept, freshness: Arc::clone(&freshness) };
    stop.for_fold.spawn(&stop.tasks, fold.run(stop.flush.clone()));
    stop.tasks.spawn(sync.run(rows.revision, rows.next_change_ms, stop.console.clone()));
    stop.tasks.spawn(housekeeping(control.clone(), Arc::clone(&ledger), settings.clone(), stop.console.clone()));

    let gateway = Gateway::new(
        gateway_settings(&settings),
        Arc::clone(&snapshot),
        Arc::clone(&records),
        clock,
        Arc::new(SystemWallClock),
    );
    let gateway = Arc::new(gateway.with_owners(Arc::new(StoredOwners::new(control.store().clone()))));
    let gateway_threads = gateway_listeners
        .into_iter()
        .enumerate()
        .map(|(n, listener)| gateway_thread(n, listener, Arc::clone(&gateway), stop.gateway.clone()))
        .collect::<io::Result<_>>()?;

    // Not before: what cannot start says so in one line.
    descriptors::raise(settings.max_connections, settings.max_provider_connections);
    let set_up_token = setup::begin(&control).await?.map(|it| it.expose().clone());
    let state = ConsoleState {
        control: control.clone(),
        live: Arc::new(LivePort { ledger: Arc::clone(&ledger), seconds }),
        figures: Arc::new(Age(freshness)),
        reach: Arc::new(ProviderReach::new()),
        proof: proof(&settings),
        settings: Arc::new(ConsoleSettings {
            gateway_url: settings.shown_gateway_url(),
            secure_cookies: settings.secure_cookies,
        }),
    };
    let scrape = Scrape {
        metrics,
        gateway: Arc::clone(&gateway),
        records,
        ledger: Arc::clone(&ledger),
        control: control.clone(),
        token: settings.metrics_token.clone(),
    };
    let router = console::router(state, Sessions::new(control.clone()), scrape);
    let listener = tokio::net::TcpListener::from_std(console_listener)?;
    let console_stop = stop.console.clone();
    stop.tasks.spawn(async move {
        if let Err(error) = console::serve(listener, router, console_stop).await {
            tracing::error!(%error, "the console has stopped");
        }
    });
    let sync = Arc::new(SyncHandle { control: control.clone(), ledger, snapshot });
    let stop = Stop { gateway_threads, ..stop };
    Ok(Running { control, console_addr, gateway_addr, set_up_token, signals, sync, stop })
}

/// Under which name this process keeps its charges: on SQLite there is one process, and it finds them again whatever address
/// it listens on. Processes that share a PostgreSQL are told apart by machine and gateway: of two with one name, a start
/// would take the other's last second for its own unclean stop.
fn node(settings: &Settings, store: &control::Store) -> String {
    if !store.is_postgres() {
        return "this".to_owned();
    }
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {}", machine.trim(), settings.gateway_addr)
}

fn proof(settings: &Settings) -> Option<Arc<dyn Proof>> {
    let folder = settings.journal_folder.clone();
    if folder.as_os_str().is_empty() { None } else { Some(Arc::new(JournalProof::new(folder))) }
}

fn journal(settings: &Settings, ledger: &Arc<Ledger>) -> Outcome<Option<Journal>> {
    let folder = &settings.journal_folder;
    if folder.as_os_str().is_empty() {
        return Ok(None);
    }
    let journal = Journal::new(Arc::clone(ledger), folder, settings.keep_journal_hours);
    journal.map(Some).map_err(|error| format!("{}: {error}", variable("journal_folder")).into())
}

fn outbox(settings: &Settings, store: &control::Store) -> Outcome<Outbox> {
    let folder = Some(settings.spool_folder.as_path()).filter(|it| !it.as_os_str().is_empty());
    let outbox = Outbox::open(store.writer(), folder, settings.spool_max_mib << 20);
    outbox.map_err(|error| format!("{}: {error}", variable("spool_folder")).into())
}

/// One runtime for each thread, so that a call's two connections stay on one core.
fn gateway_thread(
    n: usize,
    listener: TcpListener,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
) -> io::Result<JoinHandle<io::Result<()>>> {
    std::thread::Builder::new().name(format!("gateway-{n}")).spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            gateway::serve(listener, gateway, stop).await
        })
    })
}

async fn housekeeping(control: Control, ledger: Arc<Ledger>, settings: Settings, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 0_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = increases::sweep(&control).await {
            tracing::warn!(%error, "increases that are due to end wait");
        }
        if tick.is_multiple_of(10) {
            ledger.sweep();
        }
        if tick % 1200 == 120 {
            if let Err(error) = Sessions::new(control.clone()).delete_expired().await {
                tracing::warn!(%error, "expired sessions wait to be deleted");
            }
            let before = |days: u32| control.now_ms() - i64::from(days) * DAY_MS;
            let store = control.store();
            if let Err(error) = store.forget_writers(before(WRITERS_DAYS)).await {
                tracing::warn!(%error, "the numbers of old flushes wait to be deleted");
            }
            if let Err(error) = store.forget_nodes(before(NODES_DAYS)).await {
                tracing::warn!(%error, "what processes of long ago kept waits to be deleted");
            }
            match store.put_together(control.now_ms()).await {
                Ok(Together { damaged: 0, .. }) => {}
                Ok(Together { damaged, .. }) => {
                    tracing::error!(
                        damaged,
                        "some statistics of hours and days that are over are damaged and left as they are"
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "statistics of hours and days that are over wait to be put together");
                }
            }
            if let Err(error) = forget_peaks(store, before(PEAKS_DAYS)).await {
                tracing::warn!(%error, "old peaks wait to be deleted");
            }
            if let Err(error) = forget_tasks(store, before(TASKS_DAYS)).await {
                tracing::warn!(%error, "old tasks wait to be deleted");
            }
            // Pages of another process, whose clock is behind, still ask for what is just past its time.
            let kept = |days: u32| before(days) - 3_600_000;
            let forgotten = store.forget(kept(settings.keep_minutes_days), kept(settings.keep_hours_days)).await;
            if let Err(error) = forgotten.and(store.empty_call_log(before(settings.keep_calls_days)).await) {
                tracing::warn!(%error, "old statistics wait to be deleted");
            }
        }
    }
}

/// A spool of a run that ended longer ago could be counted twice.
const WRITERS_DAYS: u32 = 400;

/// Charges count for a minute; a day leaves room for clocks.
const NODES_DAYS: u32 = 1;

/// Peaks are looked at for the longest period of inactivity that an account can set, and for the dialog's 7 days.
const PEAKS_DAYS: u32 = 400;

async fn forget_peaks(store: &control::Store, before_ms: i64) -> Outcome {
    let mut tx = store.begin().await?;
    tx.delete_peaks(before_ms).await?;
    Ok(tx.commit().await?)
}

/// Providers keep the results of tasks for a day.
const TASKS_DAYS: u32 = 7;

async fn forget_tasks(store: &control::Store, before_ms: i64) -> Outcome {
    let mut tx = store.begin().await?;
    tx.forget_tasks(before_ms).await?;
    Ok(tx.commit().await?)
}

fn gateway_settings(settings: &Settings) -> gateway::Settings {
    gateway::Settings {
        body_limit: settings.max_body_bytes,
        file_limit: settings.max_file_bytes,
        held_bytes: settings.max_held_bytes,
        connections: settings.max_connections,
        provider_connections: settings.max_provider_connections,
        connect_timeout: Duration::from_secs(settings.connect_timeout_s),
        first_byte_timeout: Duration::from_secs(settings.first_byte_timeout_s),
        silence_timeout: Duration::from_secs(settings.stream_silence_s),
        max_wait: Duration::from_secs(settings.max_wait_s),
        drain: Duration::from_secs(settings.drain_s),
        stamp_admissions: settings.stamp_admissions,
        ..gateway::Settings::default()
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The first listener finds out whether the address is free (and which, for port 0); the others share it.
fn bind_many(addr: SocketAddr, count: usize) -> Outcome<Vec<TcpListener>> {
    // Sharing is possible with a stranger of the same user too, so first try alone.
    let alone = bind(addr, "gateway_addr", false)?;
    let addr = alone.local_addr()?;
    drop(alone);
    (0..count.max(1)).map(|_| bind(addr, "gateway_addr", true)).collect()
}

fn bind(addr: SocketAddr, setting: &str, shared: bool) -> Outcome<TcpListener> {
    let listen = || -> io::Result<TcpListener> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(4096)?;
        Ok(socket.into())
    };
    listen().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{}: {addr} is in use by another program", variable(setting)).into(),
        _ => format!("{}: cannot listen on {addr}: {error}", variable(setting)).into(),
    })
}
