//! A whole installation for one test: the real program in a folder of its own, a provider behind it, plain HTTP to it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use testkit::{Provider, ProviderSettings};

pub(crate) struct Installation {
    folder: tempfile::TempDir,
    pub(crate) provider: Provider,
    pub(crate) console: SocketAddr,
    pub(crate) gateway: SocketAddr,
    child: Option<Child>,
    stamped: bool,
    wall_clock: bool,
    /// Further settings from the next start on.
    settings: Vec<(&'static str, String)>,
    target: Target,
    /// Another database than the file in the folder.
    pub(crate) database: Option<String>,
}

/// Where calls go: enough for a caller in a task of its own.
#[derive(Clone)]
pub(crate) struct Target {
    gateway: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: String,
}

/// Debian's libfaketime, which answers `CLOCK_REALTIME` in the kernel's place.
fn fake_time() -> std::path::PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a Debian machine has /usr/lib").flatten();
    let libraries = folders.map(|it| it.path().join("faketime/libfaketimeMT.so.1"));
    libraries.into_iter().find(|it| it.exists()).expect("libfaketime is installed by xtask/prepare.sh")
}

fn free_addr() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port is free");
    listener.local_addr().expect("it is bound")
}

impl Installation {
    pub(crate) async fn new() -> Self {
        let gateway = free_addr();
        // A connection each: the process behind them is killed and started anew.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
            provider: Provider::start(ProviderSettings::instant()).await.expect("a loopback port is free"),
            console: free_addr(),
            gateway,
            child: None,
            stamped: false,
            wall_clock: false,
            settings: Vec::new(),
            target: Target { gateway, client },
            database: None,
        }
    }

    /// From the next start on, the provider is told when each call was admitted.
    pub(crate) fn stamp_admissions(&mut self) {
        self.stamped = true;
    }

    /// A setting from the next command on, by its variable.
    pub(crate) fn set(&mut self, variable: &'static str, value: &str) {
        self.settings.push((variable, value.to_owned()));
    }

    /// From the next start on, the gateway listens elsewhere.
    pub(crate) fn move_gateway(&mut self) {
        self.gateway = free_addr();
        self.target.gateway = self.gateway;
    }

    /// What was logged since the last start.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).expect("it was started")
    }

    /// From the next start on, the wall clock of the process, and it alone, is off by what [`Self::step_clock`] says.
    pub(crate) fn own_wall_clock(&mut self) {
        self.wall_clock = true;
        self.step_clock("+0");
    }

    /// Steps that wall clock, e.g. `+1h` or `-1h`.
    pub(crate) fn step_clock(&self, by: &str) {
        // Renamed into place: the process reads the file whenever it looks at the time.
        self.write("clock.new", by);
        std::fs::rename(self.folder().join("clock.new"), self.folder().join("clock"))
            .expect("the folder can be written");
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command
            .args(arguments)
            .current_dir(self.folder())
            .env("SLUICE_CONSOLE_ADDR", self.console.to_string())
            .env("SLUICE_GATEWAY_ADDR", self.gateway.to_string())
            .env("SLUICE_STAMP_ADMISSIONS", self.stamped.to_string())
            .env("SLUICE_LOG", "warn");
        if let Some(url) = &self.database {
            command.env("SLUICE_DATABASE_URL", url);
        }
        command.envs(self.settings.iter().map(|(variable, value)| (variable, value)));
        if self.wall_clock {
            command
                .env("LD_PRELOAD", fake_time())
                .env("FAKETIME_TIMESTAMP_FILE", self.folder().join("clock"))
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program was built for this test")
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("output is text")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder().join(name), text).expect("the folder can be written");
    }

    /// One model `m` of the stand-in provider, and a workspace `search` with these limits.
    pub(crate) fn apply(&self, account: &str, workspace: &str) {
        let url = self.provider.openai_base_url();
        self.write(
            "models.toml",
            &format!(
                "[[provider]]\nname = \"stand-in\"\nopenai_base_url = \"{url}\"\n\
                 [[model]]\ncode = \"m\"\nprovider = \"stand-in\"\n{account}\n\
                 [[workspace]]\nname = \"search\"\nmodels = [ {{ code = \"m\", {workspace} }} ]\n"
            ),
        );
        self.done(&["apply", "models.toml"]);
    }

    pub(crate) fn key(&self, workspace: &str) -> String {
        self.done(&["key", "create", "--workspace", workspace]).trim_end().to_owned()
    }

    pub(crate) fn owner(&self, email: &str, password: &str) {
        let mut child = self
            .command(&["user", "create", "--email", email, "--role", "owner", "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program was built for this test");
        child.stdin.take().expect("it is piped").write_all(password.as_bytes()).expect("it reads");
        assert!(child.wait().expect("it ends").success());
    }

    /// Starts the product and waits until it says where it listens.
    pub(crate) fn serve(&mut self) {
        let log = std::fs::File::create(self.folder().join("log")).expect("the folder can be written");
        let mut child =
            self.command(&["serve"]).stdout(Stdio::piped()).stderr(log).spawn().expect("the program was built");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut lines = out.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("gateway")), "it must say where it listens: {}", self.log());
        self.child = Some(child);
    }

    /// Ends it without a chance to write anything.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it was started");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// Ends it as an operator would.
    pub(crate) fn terminate(&mut self) {
        let mut child = self.child.take().expect("it was started");
        let asked = Command::new("kill").arg(child.id().to_string()).status().expect("kill is there");
        assert!(asked.success());
        assert!(child.wait().expect("it ends").success());
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.target.send(request).await.expect("it answers")
    }

    /// A call with this body.
    pub(crate) async fn call(&self, path: &str, key: &str, body: &str) -> Answer {
        let request = Request::post(format!("http://{}{path}", self.gateway))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))
            .expect("it is a request");
        self.send(request).await
    }

    /// One chat completion.
    pub(crate) async fn chat(&self, key: &str) -> Answer {
        self.target.chat_as(key, "somebody").await.expect("it answers")
    }

    /// A form, as the console's own script sends it.
    pub(crate) async fn form(&self, path: &str, cookie: &str, fields: &str) -> Answer {
        let request = Request::post(format!("http://{}{path}", self.console))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .header("origin", format!("http://{}", self.console))
            .header("cookie", cookie)
            .body(Full::new(Bytes::from(fields.to_owned())))
            .expect("it is a request");
        self.send(request).await
    }

    pub(crate) async fn get(&self, url: &str, cookie: &str) -> Answer {
        let request = Request::get(url).header("cookie", cookie).body(Full::default()).expect("it is a request");
        self.send(request).await
    }

    /// The figures, once `calls` calls are in them.
    pub(crate) async fn report(&self, calls: i64) -> serde_json::Value {
        loop {
            let report = self.done(&["report", "--range", "1h", "--format", "json"]);
            let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
            if report["summary"]["total_calls"] == calls {
                return report;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Target {
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let (head, body) = self.client.request(request).await?.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// One chat completion that names its user.
    pub(crate) async fn chat_as(
        &self,
        key: &str,
        user: &str,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"Who are you?"}}],"max_tokens":5,"user":"{user}"}}"#
        );
        let request = Request::post(format!("http://{}/v1/chat/completions", self.gateway))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        self.send(request).await
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The test is over, well or not; there is nobody to tell.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
