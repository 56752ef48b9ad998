//! Databases from the outside: moving between them, backing up, and several processes on one.

use std::process::{Output, Stdio};

use crate::{engine::Server, installation::Installation};

const LIMITS: &str = "rpm = 60000\ntpm = 100000000";

/// An installation that was used for a while and stopped.
async fn used() -> (Installation, String) {
    let mut sluice = Installation::new().await;
    sluice.apply(LIMITS, "rpm = 60000");
    sluice.owner(crate::EMAIL, crate::PASSWORD);
    let key = sluice.key("search");
    sluice.serve();
    for _ in 0..3 {
        assert_eq!(sluice.chat(&key).await.status, 200);
    }
    assert_eq!(sluice.chat("sk-unknown").await.status, 401);
    sluice.report(3).await;
    (sluice, key)
}

/// One line on standard error, exit status 1.
fn refused(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), told.trim_end().lines().count()), (Some(1), 1), "{told}");
    told
}

fn rows(report: &serde_json::Value) -> String {
    format!("{} {}", report["summary"], report["rows"][0]["total_calls"])
}

#[tokio::test]
async fn an_installation_moves_to_postgresql_and_back() {
    let server = Server::start().await;
    let postgres = server.database("moved");
    let (mut sluice, key) = used().await;
    let sqlite = format!("sqlite://{}/data/sluice.db", sluice.folder().display());
    let running = refused(&sluice.run(&["copy", "--from", &sqlite, "--to", &postgres]));
    assert!(running.contains("gave a sign of life") && running.contains("stop it first"), "{running}");
    let before = rows(&sluice.report(3).await);
    sluice.terminate();
    let told = sluice.done(&["copy", "--from", &sqlite, "--to", &postgres]);
    assert!(told.contains("counts, sums and contents are the same on both sides"), "{told}");
    let again = refused(&sluice.run(&["copy", "--from", &sqlite, "--to", &postgres]));
    assert!(again.contains("is not empty"), "{again}");
    let nothing = refused(&sluice.run(&["copy", "--from", "sqlite://no/such.db", "--to", &postgres]));
    assert!(nothing.contains("there is no file no/such.db"), "{nothing}");
    assert!(!sluice.folder().join("no").exists());

    // The address of the database is all that changes: the key opens, the owner signs in, the past is there.
    sluice.database = Some(postgres.clone());
    assert_eq!(rows(&sluice.report(3).await), before);
    sluice.serve();
    crate::sign_in(&sluice).await;
    assert_eq!(used_up(&sluice.chat(&key).await), 4, "what was used within the last minute counts on");
    sluice.report(4).await;
    sluice.terminate();

    let back = format!("sqlite://{}/back.db", sluice.folder().display());
    sluice.done(&["copy", "--from", &postgres, "--to", &back]);
    sluice.database = Some(back);
    sluice.report(4).await;
    sluice.serve();
    assert_eq!(used_up(&sluice.chat(&key).await), 5);
    sluice.terminate();
}

/// Requests of the last minute, as an answer tells them.
fn used_up(answer: &crate::installation::Answer) -> u64 {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = |name: &str| answer.headers[name].to_str().ok()?.parse::<u64>().ok();
    let (limit, left) = (told("x-ratelimit-limit-requests"), told("x-ratelimit-remaining-requests"));
    limit.zip(left).map(|(limit, left)| limit - left).expect("an answer tells them")
}

#[tokio::test]
async fn a_backup_is_taken_under_load_and_comes_back() {
    let (mut sluice, key) = used().await;
    let target = sluice.target();
    let caller = key.clone();
    let load = tokio::spawn(async move {
        let mut calls = 0;
        while target.chat_as(&caller, "load").await.is_ok_and(|it| it.status == 200) {
            calls += 1;
        }
        calls
    });
    let told = sluice.done(&["backup", "copy.db"]);
    assert!(told.contains("copy.db holds") && told.contains("data/secret.key"), "{told}");
    assert!(!load.is_finished(), "calls go on meanwhile");
    assert!(refused(&sluice.run(&["backup", "copy.db"])).contains("there is such a file already"));
    assert!(refused(&sluice.run(&["restore", "copy.db"])).contains("stop it first"));
    sluice.terminate();
    load.await.expect("it ends when nobody answers");

    // Another key file is told at once, and so is none.
    let folder = sluice.folder().to_owned();
    let restore = |key_file: &str, more: &[&str]| {
        let mut command = sluice.command(&[&["restore", "copy.db"], more].concat());
        command.env("SLUICE_DATABASE_URL", "sqlite://other/new.db").env("SLUICE_SECRET_KEY_FILE", key_file);
        command.output().expect("the program was built")
    };
    let none = refused(&restore("other/none.key", &[]));
    assert!(none.contains("there is no key file other/none.key") && !folder.join("other/none.key").exists(), "{none}");
    sluice.command(&["migrate"]).env("SLUICE_DATABASE_URL", "sqlite://other/x.db").output().expect("it was built");
    let made = sluice
        .command(&["report"])
        .envs([("SLUICE_DATABASE_URL", "sqlite://other/x.db"), ("SLUICE_SECRET_KEY_FILE", "other/other.key")])
        .output()
        .expect("the program was built");
    assert!(folder.join("other/other.key").exists(), "{made:?}");
    let other = refused(&restore("other/other.key", &[]));
    assert!(other.contains("sealed under another key file than other/other.key"), "{other}");
    assert!(!folder.join("other/new.db").exists(), "nothing was put in place");
    assert!(restore("other/other.key", &["--other-key"]).status.success());

    // With its own key it takes the place of what is there, which is kept.
    let told = sluice.done(&["restore", "copy.db"]);
    assert!(told.contains("byte for byte") && told.contains("What was there before is"), "{told}");
    sluice.serve();
    crate::sign_in(&sluice).await;
    // The backup was taken of a running process, so its start holds a second of every limit back.
    while sluice.chat(&key).await.status != 200 {
        tokio::task::yield_now().await;
    }

    // What cannot be read any more is no obstacle, unless a process has it open.
    let place = sluice.folder().join("data/sluice.db");
    std::fs::write(&place, "this is no database, however long it is ".repeat(200)).expect("it can be written");
    let beside = |end: &str| drop(std::fs::remove_file(sluice.folder().join(format!("data/sluice.db{end}"))));
    beside("-wal");
    beside("-shm");
    let running = refused(&sluice.run(&["restore", "copy.db"]));
    assert!(running.contains("a process still has it open"), "{running}");
    sluice.kill();
    let told = sluice.done(&["restore", "copy.db"]);
    assert!(told.contains("could not be read any more: file is not a database"), "{told}");
    sluice.serve();
    crate::sign_in(&sluice).await;
    sluice.terminate();
}

#[tokio::test]
async fn several_processes_may_migrate_at_once() {
    let server = Server::start().await;
    for database in [None, Some(server.database("migrated"))] {
        let mut sluice = Installation::new().await;
        sluice.database = database;
        let start = |_| {
            let mut command = sluice.command(&["migrate"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program was built")
        };
        for process in (0..5).map(start).collect::<Vec<_>>() {
            let output = process.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[tokio::test]
async fn two_processes_on_one_postgresql_see_each_other() {
    let server = Server::start().await;
    let mut one = Installation::new().await;
    one.database = Some(server.database("shared"));
    one.apply(LIMITS, "rpm = 60000");
    one.owner(crate::EMAIL, crate::PASSWORD);
    let key = one.key("search");
    let warned = one.done(&["check-config"]);
    assert!(warned.contains("each keeps limits of its own"), "{warned}");
    let mut two = Installation::new().await;
    two.database.clone_from(&one.database);
    std::fs::create_dir(two.folder().join("data")).expect("it is new");
    std::fs::copy(one.folder().join("data/secret.key"), two.folder().join("data/secret.key")).expect("it was made");
    one.serve();
    two.serve();

    // Calls of both add up to the same minutes, pairs and keys.
    for _ in 0..5 {
        assert_eq!(one.chat(&key).await.status, 200);
        assert_eq!(two.chat(&key).await.status, 200);
    }
    let report = one.report(10).await;
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(1));
    // A session of one is a session of the other, and ends in both.
    let cookie = crate::sign_in(&one).await;
    let page = |sluice: &Installation| format!("http://{}/api/workspaces", sluice.console);
    assert_eq!(two.get(&page(&two), &cookie).await.status, 200);
    two.form("/api/sign-out", &cookie, "").await;
    assert_eq!(one.get(&page(&one), &cookie).await.status, 401);
    // An edit made beside one reaches both.
    one.apply(LIMITS, "rpm = 0");
    for sluice in [&one, &two] {
        while !sluice.chat(&key).await.body.contains("may use 0 requests in 60 s") {
            tokio::task::yield_now().await;
        }
    }
    // Guesses at one count at the other.
    let guess = format!("email={}&password=wrong", crate::EMAIL.replace('@', "%40"));
    let mut guesses = 0;
    loop {
        let sluice = if guesses % 2 == 0 { &one } else { &two };
        if sluice.form("/api/sign-in", "", &guess).await.body.contains("too many attempts") {
            break;
        }
        guesses += 1;
    }
    assert_eq!(guesses, 8, "as many as one process alone allows");
}

/// The commands of docs/operating.md, in its order but for `serve`, with addresses and folders of this test.
#[tokio::test]
async fn the_operating_guide_can_be_followed() {
    let guide =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).expect("it is there");
    let blocks: Vec<&str> = guide.split("```sh\n").skip(1).filter_map(|it| it.split("```").next()).collect();
    assert_eq!(blocks.len(), 6, "{blocks:#?}");
    let server = Server::start().await;
    let (mut sluice, _) = used().await;
    let folder = sluice.folder().to_owned();
    std::fs::create_dir(folder.join("backups")).expect("it is new");
    let (first, second) = (server.database("guide"), server.database("again"));
    let run = |text: &str, url: &str| {
        let text = text.replace("postgres://sluice:secret@db.example.org/sluice", url);
        let text = text.replace("/backups/", &format!("{}/backups/", folder.display())).replace("sluice serve\n", "");
        let programs = std::path::Path::new(env!("CARGO_BIN_EXE_sluice")).parent().expect("it lies in a folder");
        let path = [programs.as_os_str(), server.programs().as_os_str(), "/usr/bin:/bin".as_ref()].join(":".as_ref());
        let mut shell = std::process::Command::new("sh");
        shell.args(["-euc", &text]).current_dir(&folder).env("PATH", path).env("SLUICE_DATABASE_URL", url);
        let output = shell.output().expect("there is a shell");
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let sqlite = "sqlite://data/sluice.db";
    run(blocks[2], sqlite);
    sluice.terminate();
    run(blocks[1], &first);
    run(blocks[3], sqlite);
    run(blocks[4], &first);
    run(blocks[5], &second);
    run(blocks[0], &second);
    sluice.database = Some(second);
    sluice.report(3).await;
}
