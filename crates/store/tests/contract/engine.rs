//! Databases for tests: a SQLite file each, and a PostgreSQL server of this run's own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use store::Store;
use tempfile::TempDir;

/// Both engines, ready to make databases.
pub(crate) struct Engines {
    folder: TempDir,
    server: Server,
}

impl Engines {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start().await;
        Self { folder, server }
    }

    /// A migrated, empty database on each engine.
    pub(crate) async fn empty(&self, name: &str) -> [Store; 2] {
        let stores = self.bare(name).await;
        for store in &stores {
            store.migrate().await.unwrap();
        }
        stores
    }

    /// A database without tables on each engine.
    pub(crate) async fn bare(&self, name: &str) -> [Store; 2] {
        let sqlite = format!("sqlite://{}/{name}/test.db", self.folder.path().display());
        let postgres = self.server.database(name);
        [Store::open(&sqlite).await.unwrap(), Store::open(&postgres).await.unwrap()]
    }

    /// Another connection to what `bare` made.
    pub(crate) async fn again(&self, name: &str) -> [Store; 2] {
        let sqlite = format!("sqlite://{}/{name}/test.db", self.folder.path().display());
        [Store::open(&sqlite).await.unwrap(), Store::open(&self.server.url(name)).await.unwrap()]
    }
}

/// A private PostgreSQL, ended with the test. It refuses to run as root, so root starts it as user `postgres`.
struct Server {
    folder: TempDir,
    programs: PathBuf,
    process: Child,
    as_postgres: bool,
}

impl Server {
    async fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("sluice-pg").tempdir().unwrap();
        let as_postgres = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if as_postgres {
            let status = Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(status.success(), "the folder cannot be given to user postgres");
        }
        let data = folder.path().join("data");
        let made = as_user(as_postgres, &programs.join("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=sluice", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Only a socket inside the folder: no port to collide on.
        let process = as_user(as_postgres, &programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder, programs, process, as_postgres };
        server.wait().await;
        server
    }

    async fn wait(&self) {
        for _ in 0..300 {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-U", "sluice", "-d", "postgres", "-h"])
                .arg(self.folder.path())
                .status()
                .unwrap();
            if ready.success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the private PostgreSQL did not come up within 30 s");
    }

    fn url(&self, name: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://sluice@{folder}/{name}?sslmode=disable")
    }

    fn database(&self, name: &str) -> String {
        let made = Command::new(self.programs.join("createdb"))
            .args(["-U", "sluice", "-h"])
            .arg(self.folder.path())
            .arg(name)
            .output()
            .unwrap();
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
        self.url(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is its fast shutdown; `kill` of the child alone would leave its workers to find out.
        let stopped = as_user(self.as_postgres, &self.programs.join("pg_ctl"))
            .args(["stop", "-m", "immediate", "-s", "-D"])
            .arg(self.folder.path().join("data"))
            .status();
        if !stopped.is_ok_and(|it| it.success()) {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

fn as_user(as_postgres: bool, program: &Path) -> Command {
    let mut command;
    if as_postgres {
        command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
    } else {
        command = Command::new(program);
    }
    command.current_dir("/");
    command
}

fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL's programs are not in /usr/lib/postgresql/*/bin: install Debian's `postgresql`, as `make test` does")
}
