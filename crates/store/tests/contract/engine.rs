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
        let sqlite = self.sqlite(name);
        let postgres = self.server.database(name);
        [Store::open(&sqlite).await.unwrap(), Store::open(&postgres).await.unwrap()]
    }

    /// The folder of PostgreSQL's socket, and the port it is named after.
    #[allow(dead_code, reason = "other test programs share this file")]
    pub(crate) fn socket(&self) -> (&Path, u16) {
        (self.server.folder.path(), self.server.port)
    }

    /// The address of what `bare` made on SQLite.
    #[allow(dead_code, reason = "other test programs share this file")]
    pub(crate) fn sqlite(&self, name: &str) -> String {
        format!("sqlite://{}/{name}/test.db", self.folder.path().display())
    }

    /// The address of what `bare` made on PostgreSQL.
    #[allow(dead_code, reason = "other test programs share this file")]
    pub(crate) fn postgres(&self, name: &str) -> String {
        self.server.url(name)
    }

    /// Another connection to what `bare` made.
    pub(crate) async fn again(&self, name: &str) -> [Store; 2] {
        [Store::open(&self.sqlite(name)).await.unwrap(), Store::open(&self.server.url(name)).await.unwrap()]
    }
}

/// A private PostgreSQL, ended with the test. It refuses to run as root, so root starts it as user `postgres`.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    process: Child,
    as_postgres: bool,
    port: u16,
}

impl Server {
    pub(crate) async fn start() -> Self {
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
        // A socket inside the folder, and a port that was free a moment ago, for addresses that name one.
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr()).unwrap();
        let port = free.port();
        let process = run(&folder, &programs, as_postgres, port);
        let server = Self { folder, programs, process, as_postgres, port };
        server.wait().await;
        server
    }

    /// Stops it as a machine that goes down does: nobody is asked, nothing is finished.
    #[allow(dead_code, reason = "other test programs share this file")]
    pub(crate) fn stop(&mut self) {
        let stopped = self.pg_ctl(&["stop", "-m", "immediate", "-s"]).status();
        assert!(stopped.is_ok_and(|it| it.success()), "it runs");
        drop(self.process.wait());
    }

    /// Starts it again with what it has.
    #[allow(dead_code, reason = "other test programs share this file")]
    pub(crate) async fn again(&mut self) {
        self.process = run(&self.folder, &self.programs, self.as_postgres, self.port);
        self.wait().await;
    }

    /// The folder of its programs.
    #[allow(dead_code, reason = "other test programs share this file")]
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// Where it listens on loopback.
    #[allow(dead_code, reason = "other test programs share this file")]
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Command {
        let mut command = as_user(self.as_postgres, &self.programs.join("pg_ctl"));
        command.args(arguments).arg("-D").arg(self.folder.path().join("data"));
        command
    }

    async fn wait(&self) {
        for _ in 0..300 {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-U", "sluice", "-d", "postgres", "-p", &self.port.to_string(), "-h"])
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
        format!("postgres://sluice@{folder}:{}/{name}?sslmode=disable", self.port)
    }

    pub(crate) fn database(&self, name: &str) -> String {
        let made = Command::new(self.programs.join("createdb"))
            .args(["-U", "sluice", "-p", &self.port.to_string(), "-h"])
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
        // `kill` of the child alone would leave its workers to find out.
        let stopped = self.pg_ctl(&["stop", "-m", "immediate", "-s"]).status();
        if !stopped.is_ok_and(|it| it.success()) {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

fn run(folder: &TempDir, programs: &Path, as_postgres: bool, port: u16) -> Child {
    as_user(as_postgres, &programs.join("postgres"))
        .arg("-D")
        .arg(folder.path().join("data"))
        .arg("-k")
        .arg(folder.path())
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
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
