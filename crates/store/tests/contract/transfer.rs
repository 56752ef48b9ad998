//! Moving installations between databases, and what tells processes of each other's edits.

use std::path::Path;

use sqlx::{Connection as _, PgConnection};
use store::{
    Store,
    account::AccountRow,
    rollup::{Batch, Packet},
    transfer,
    usage::{Heartbeat, UsageFlush},
};

use crate::{accounts, engine::Engines, statistics};

const NOW: i64 = 1_763_812_800_000;

pub(crate) async fn edits_are_told_of(engines: &Engines) {
    let [_, one] = engines.empty("told").await;
    let [_, two] = engines.again("told").await;
    let mut changes = two.changes().await.unwrap();
    drop(one.edit().await.unwrap());
    let before = two.read().await.unwrap().revision().await.unwrap();
    one.edit().await.unwrap().commit().await.unwrap();
    // Not before it is committed, and then without asking.
    changes.next().await.unwrap();
    assert_eq!(two.read().await.unwrap().revision().await.unwrap(), before + 1);
}

/// Rows of every kind: edits, sessions, statistics, the call log, charges, and a packet that is not added up.
async fn fill(store: &Store) {
    accounts::check(store).await;
    statistics::check(store).await;
    let late = Batch { deltas: vec![statistics::delta("w1", "m1", NOW, 3)], ..Batch::default() };
    store.record(&late).await.unwrap();
    while store.put_together(NOW + 7 * 86_400_000).await.unwrap().more {}
    let mut tx = store.begin().await.unwrap();
    let session = store::session::SessionRow { expires_at: NOW, content: "{\"ü\":1}".to_owned() };
    tx.insert_session(&[0, 255, 7], Some("a-m1"), &session).await.unwrap();
    tx.set_key_check(Some(&[1, 2, 3])).await.unwrap();
    tx.commit().await.unwrap();
    let packet = Packet { writer: "w".to_owned(), seq: 4, at_ms: NOW, body: vec![9] };
    store.append(&[packet], Some(&beat(NOW - 60_000, false))).await.unwrap();
}

fn beat(at_ms: i64, clean: bool) -> UsageFlush {
    let beat = Heartbeat { boot: "b".to_owned(), at_us: at_ms, at_ms, clean };
    UsageFlush { node: "this".to_owned(), beat, changes: vec![], forget_before_us: None }
}

pub(crate) async fn an_installation_moves_and_comes_back(engines: &Engines) {
    let [sqlite, _] = engines.empty("source").await;
    fill(&sqlite).await;
    let [_, postgres] = engines.bare("target").await;
    let [back, _] = engines.bare("back").await;
    let moved = sqlite.copy_to(&postgres, NOW).await.unwrap();
    assert_eq!(moved, sqlite.tallies().await.unwrap());
    let tables = [
        "session",
        "audit_event",
        "call_series",
        "call_strip",
        "strip_made",
        "call_sum",
        "flush_pending",
        "flush_writer",
    ];
    for table in tables {
        let rows = moved.iter().find(|it| it.table == table).map(|it| it.tally.rows);
        assert!(rows > Some(0), "{table}: {rows:?}");
    }
    assert_eq!(postgres.copy_to(&back, NOW).await.unwrap().len(), moved.len());
    assert_eq!(sorted(back.tallies().await.unwrap()), sorted(moved));

    // It lives on: what is written now is numbered after what came.
    let mut tx = postgres.edit().await.unwrap();
    tx.insert_account(&AccountRow::with_defaults("new", "new", NOW)).await.unwrap();
    tx.commit().await.unwrap();
    statistics::a_new_series_has_a_number_of_its_own(&postgres).await;

    let refused = async |from: &Store, to: &Store| from.copy_to(to, NOW).await.unwrap_err().to_string();
    let told = refused(&sqlite, &postgres).await;
    assert!(told.contains("is not empty: ") && told.contains("has rows"), "{told}");
    assert!(refused(&sqlite, &sqlite).await.contains("cannot be copied to itself"));
    let [empty, bare] = engines.bare("bare").await;
    assert!(refused(&empty, &bare).await.contains("holds no installation of Sluice"));
    assert!(bare.read().await.unwrap().columns().await.unwrap().is_empty(), "nothing was made of the target");
    sqlite.append(&[], Some(&beat(NOW - 1_000, false))).await.unwrap();
    assert!(refused(&sqlite, &bare).await.contains("this gave a sign of life 1 s ago; stop it first"));
    sqlite.append(&[], Some(&beat(NOW - 500, true))).await.unwrap();
    sqlite.copy_to(&bare, NOW).await.unwrap();
}

/// Whole tables take longer than a statement of a page may; so does waiting until another process has migrated.
pub(crate) async fn moving_and_migrating_may_take_their_time(engines: &Engines) {
    let [sqlite, _] = engines.empty("slow-source").await;
    accounts::seed(&sqlite, "a").await;
    let [_, _] = engines.bare("slow-target").await;
    let limited = |name: &str| format!("{}&options=-c%20statement_timeout%3D{LIMIT_MS}", engines.postgres(name));
    let target = Store::open(&limited("slow-target")).await.unwrap();

    // The migrator of the first waits for a table that somebody else makes, the second's for the first's.
    let url = engines.postgres("slow-target");
    let other = Store::open(&limited("slow-target")).await.unwrap();
    let held = hold(&url, "create table _sqlx_migrations (version bigint primary key)").await;
    let ((), first, second) = tokio::join!(until_waited_for(held, &url, 2), target.migrate(), other.migrate());
    first.unwrap();
    second.unwrap();
    // Writing a table, and reading one.
    let held = hold(&url, "lock table workspace in share mode").await;
    let ((), copied) = tokio::join!(until_waited_for(held, &url, 1), sqlite.copy_to(&target, NOW));
    copied.unwrap();
    let [back, _] = engines.bare("slow-came-back").await;
    let held = hold(&url, "lock table workspace in access exclusive mode").await;
    let ((), copied) = tokio::join!(until_waited_for(held, &url, 1), target.copy_to(&back, NOW));
    copied.unwrap();
    assert_eq!(sorted(back.tallies().await.unwrap()), sorted(sqlite.tallies().await.unwrap()));
}

/// A clock that is an hour off makes no running process look stopped, and what starts meanwhile is noticed.
pub(crate) async fn a_running_source_is_noticed(engines: &Engines) {
    let [sqlite, _] = engines.empty("running-source").await;
    accounts::seed(&sqlite, "a").await;
    let [_, target] = engines.bare("running-target").await;
    let give = async |at_us: i64| {
        let usage = UsageFlush { beat: Heartbeat { at_us, ..beat(0, false).beat }, ..beat(0, false) };
        sqlite.append(&[], Some(&usage)).await.unwrap();
    };
    give(1).await;
    let beats = async {
        for tick in 2.. {
            give(tick).await;
        }
    };
    let told = tokio::select! {
        () = beats => unreachable!(),
        outcome = sqlite.copy_to(&target, NOW) => outcome.unwrap_err().to_string(),
    };
    assert!(told.contains("this gave a sign of life 0 s ago"), "{told}");
    sqlite.append(&[], Some(&beat(NOW, true))).await.unwrap();

    let url = engines.postgres("running-target");
    target.migrate().await.unwrap();
    let held = hold(&url, "lock table workspace in share mode").await;
    // The edit comes while a table waits to be written, and everything is read as of before it.
    let edit = async {
        until_waiting(&url, 1).await;
        let mut tx = sqlite.edit().await.unwrap();
        tx.set_key_check(Some(&[7])).await.unwrap();
        tx.commit().await.unwrap();
        held.close().await.unwrap();
    };
    let ((), copied) = tokio::join!(edit, sqlite.copy_to(&target, NOW));
    let told = copied.unwrap_err().to_string();
    assert!(told.contains("was changed while it was copied"), "{told}");
    assert!(target.read().await.unwrap().accounts().await.unwrap().is_empty(), "nothing stays");
    sqlite.copy_to(&target, NOW).await.unwrap();
}

/// What a statement may take in that test.
const LIMIT_MS: u32 = 1_000;

pub(crate) async fn hold(url: &str, what: &'static str) -> PgConnection {
    let mut conn = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql("begin").execute(&mut conn).await.unwrap();
    sqlx::raw_sql(what).execute(&mut conn).await.unwrap();
    conn
}

/// Returns when so many wait for a lock.
pub(crate) async fn until_waiting(url: &str, count: i64) {
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    let mut watch = PgConnection::connect(url).await.unwrap();
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watch).await.unwrap() < count {
        tokio::task::yield_now().await;
    }
}

/// Lets go when so many others have waited longer than a statement may take.
async fn until_waited_for(held: PgConnection, url: &str, waiting: i64) {
    let long = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'
            and clock_timestamp() - query_start > $1 * interval '1 ms'";
    let mut watch = PgConnection::connect(url).await.unwrap();
    let ms = f64::from(LIMIT_MS) * 1.2;
    while sqlx::query_scalar::<_, i64>(long).bind(ms).fetch_one(&mut watch).await.unwrap() < waiting {
        tokio::task::yield_now().await;
    }
    held.close().await.unwrap();
}

fn sorted(mut moved: Vec<transfer::Moved>) -> Vec<transfer::Moved> {
    moved.sort_by(|a, b| a.table.cmp(&b.table));
    moved
}

pub(crate) async fn a_backup_is_whole_and_comes_back(engines: &Engines) {
    let [sqlite, postgres] = engines.empty("backup").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    assert!(postgres.back_up(&file).await.unwrap_err().to_string().contains("pg_dump"));
    fill(&sqlite).await;
    let at_backup = sqlite.tallies().await.unwrap();
    sqlite.back_up(&file).await.unwrap();
    let told = sqlite.back_up(&file).await.unwrap_err().to_string();
    assert!(told.contains("there is such a file already"), "{told}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let nowhere = folder.path().join("no/such/folder.db");
    assert!(sqlite.back_up(&nowhere).await.unwrap_err().to_string().contains("folder.db"));

    let url = format!("sqlite://{}/data/restored.db", folder.path().display());
    assert_eq!(transfer::restore(&file, &url, "x", NOW).await.unwrap().former, None);
    let restored = Store::open(&url).await.unwrap();
    assert_eq!(restored.tallies().await.unwrap(), at_backup);
    restored.edit().await.unwrap().commit().await.unwrap();
    restored.close().await;
    // Once more, over what was written meanwhile: that is kept beside it.
    let former = transfer::restore(&file, &url, "before", NOW).await.unwrap().former.unwrap();
    assert!(former.ends_with("restored.db.before"));
    let again = Store::open(&url).await.unwrap();
    assert_eq!(again.tallies().await.unwrap(), at_backup);
    let kept = Store::open(&format!("sqlite://{}", former.display())).await.unwrap();
    assert_ne!(kept.tallies().await.unwrap(), at_backup);

    again.append(&[], Some(&beat(NOW, false))).await.unwrap();
    let fails = async |file: &Path| transfer::restore(file, &url, "y", NOW).await.unwrap_err().to_string();
    assert!(fails(&file).await.contains("stop it first"));
    again.append(&[], Some(&beat(NOW + 1, true))).await.unwrap();
    assert!(fails(&folder.path().join("none")).await.contains("there is no such file"));
    let mut bytes = std::fs::read(&file).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 20_000].fill(0x55);
    std::fs::write(&file, bytes).unwrap();
    let told = fails(&file).await;
    assert!(told.contains("backup.db: ") && !told.contains('\n'), "{told}");
    assert!(again.read().await.unwrap().revision().await.is_ok());
}

/// When a backup is needed most, what it replaces cannot be read.
pub(crate) async fn a_backup_takes_the_place_of_a_damaged_database(engines: &Engines) {
    let [sqlite, _] = engines.empty("damaged").await;
    accounts::seed(&sqlite, "a").await;
    let folder = tempfile::tempdir().unwrap();
    let (file, place) = (folder.path().join("backup.db"), folder.path().join("it.db"));
    sqlite.back_up(&file).await.unwrap();
    let whole = sqlite.tallies().await.unwrap();
    let url = format!("sqlite://{}", place.display());
    let restore = async |stamp: &str| transfer::restore(&file, &url, stamp, NOW).await;

    let garbage = "this is no database, however long it is ".repeat(200);
    std::fs::write(&place, &garbage).unwrap();
    let restored = restore("one").await.unwrap();
    assert!(restored.damage.is_some_and(|it| it.contains("not a database")));
    assert_eq!(std::fs::read_to_string(restored.former.unwrap()).unwrap(), garbage);
    let store = Store::open(&url).await.unwrap();
    assert_eq!(store.tallies().await.unwrap(), whole);
    store.close().await;
    // Damaged within, as a disk does it: the first page tells of tables that are not there.
    let mut bytes = std::fs::read(&place).unwrap();
    let length = bytes.len();
    bytes[4_096..length].fill(0x55);
    std::fs::write(&place, &bytes).unwrap();
    assert!(restore("two").await.unwrap().damage.is_some());

    // What was kept once is not written over: then nothing is done.
    std::fs::write(&place, &garbage).unwrap();
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    assert!(restore("two").await.unwrap_err().to_string().contains("exists"));
    assert_eq!((names(), std::fs::read_to_string(&place).unwrap()), (before, garbage));
}

pub(crate) async fn addresses_of_all_usual_forms_open(engines: &Engines) {
    let [_, _] = engines.bare("forms").await;
    let (folder, port) = engines.socket();
    let folder = folder.display();
    for url in [
        format!("postgres://sluice@127.0.0.1:{port}/forms"),
        format!("postgresql://sluice:any%20word@localhost:{port}/forms?sslmode=prefer&application_name=x"),
        format!("postgres://sluice@127.0.0.1/forms?port={port}&sslmode=disable"),
        format!("postgres:///forms?host={folder}&port={port}&user=sluice"),
        format!("postgres://sluice@{}:{port}/forms", folder.to_string().replace('/', "%2F")),
    ] {
        let store = Store::open(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(store.version().await.unwrap(), 0);
        assert!(!store.address().contains("any"), "{}", store.address());
    }
    let demanding = format!("postgres://sluice@127.0.0.1:{port}/forms?sslmode=require");
    let told = Store::open(&demanding).await.unwrap_err().to_string();
    assert!(told.contains("TLS") && !told.contains('\n'), "{told}");
}
