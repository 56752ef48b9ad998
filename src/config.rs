//! Every setting of the process: one struct, three sources (built-in, `sluice.toml`, `SLUICE_*`), one line for what is
//! wrong. The only file that reads the environment.

use std::{net::SocketAddr, path::PathBuf};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

/// The file that is read when it exists; another one is named by `SLUICE_CONFIG`.
pub const FILE: &str = "sluice.toml";

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr;)*) => {
        /// Settings of the process. Those of an account (periods and maxima) live in the database.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Settings { $($(#[doc = $doc])+ pub $name: $type,)* }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// Name and meaning of each setting, in the order in which `check-config` lists them.
        pub const SETTINGS: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),+)),)*];
    };
}

settings! {
    /// Where the console listens.
    console_addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 3000));
    /// Where the gateway listens.
    gateway_addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080));
    /// The store: `sqlite://path` or `postgres://…`.
    database_url: String = "sqlite://data/sluice.db".to_owned();
    /// Limits shared by several nodes; empty: kept in this process.
    valkey_url: String = String::new();
    /// The key that provider credentials are encrypted with; made at first start with mode 0600.
    secret_key_file: PathBuf = PathBuf::from("data/secret.key");
    /// The base URL that the console shows to developers of clients; empty: made from `gateway_addr`.
    gateway_url: String = String::new();
    /// Whether the session cookie is sent over TLS only; off for plain HTTP on a loopback address.
    secure_cookies: bool = false;
    /// Bearer token for `/metrics` from other machines; empty: loopback only.
    metrics_token: String = String::new();
    /// What is logged: a tracing filter such as `info` or `gateway=debug`.
    log: String = "info".to_owned();
    /// Logs as lines of JSON instead of text.
    log_json: bool = false;
    /// Threads that answer model calls; 0: one for each core.
    gateway_threads: usize = 0;
    /// Largest body of a model call, in bytes.
    max_body_bytes: u64 = 32 * 1024 * 1024;
    /// Largest upload of a file, its form included, in bytes.
    max_file_bytes: u64 = 512 * 1024 * 1024;
    /// Bytes of calls' bodies that are held at the same time, beside those of at most 64 KiB; more are answered with a 503.
    max_held_bytes: usize = 1024 * 1024 * 1024;
    /// Connections of clients that are held at the same time; more are answered with a 503.
    max_connections: usize = 8192;
    /// Calls that may hold a connection to one provider at the same time; more are answered with a 503.
    max_provider_connections: usize = 8192;
    /// Longest wait that `X-DashScope-Wait-Timeout` can ask for, in seconds.
    max_wait_s: u64 = 120;
    /// Time to connect to a provider, in seconds.
    connect_timeout_s: u64 = 5;
    /// Time until a provider's first byte, in seconds.
    first_byte_timeout_s: u64 = 300;
    /// Longest silence within a provider's stream, in seconds.
    stream_silence_s: u64 = 120;
    /// How long running calls may finish when the process is asked to stop, in seconds.
    drain_s: u64 = 30;
    /// Surge protection: requests in a second that are never too many.
    surge_floor: u64 = 10;
    /// Surge protection: share of the per-second limit that is never too much, in percent.
    surge_share_percent: u64 = 50;
    /// Surge protection: how many times the mean second of the preceding minute is too much.
    surge_growth: u64 = 3;
    /// How long roll-ups by the minute are kept, in days.
    keep_minutes_days: u32 = 35;
    /// How long roll-ups by the hour are kept, in days.
    keep_hours_days: u32 = 400;
    /// How long the call log is kept, in days: at most 14.
    keep_calls_days: u32 = 7;
    /// Where the admission journal is kept, which `sluice verify` reads; empty: none.
    journal_folder: PathBuf = PathBuf::from("data/journal");
    /// How long the admission journal is kept, in hours.
    keep_journal_hours: u32 = 24;
    /// Where statistics wait while the database does not take them; empty: in memory alone.
    spool_folder: PathBuf = PathBuf::from("data/spool");
    /// How much may wait there, in MiB.
    spool_max_mib: u64 = 1024;
    /// When the use of limits cannot be kept for longer than a second: `relaxed` goes on and raises an alarm, `strict`
    /// refuses calls with 503 until it can.
    durability: Durability = Durability::Relaxed;
    /// For tests alone: tells the provider the exact instant of each admission, in a header.
    stamp_admissions: bool = false;
}

/// What happens to calls while the store lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// They go on: a crash in that time could grant more than the limits until a minute has passed.
    Relaxed,
    /// They are refused: what a crash loses is never more than the second that is held back after it.
    Strict,
}

/// One line that says what is wrong and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

fn figment() -> Result<Figment, ConfigError> {
    let named = std::env::var("SLUICE_CONFIG").ok();
    let file = named.clone().unwrap_or_else(|| FILE.to_owned());
    if named.is_some() && !std::path::Path::new(&file).is_file() {
        return Err(ConfigError(format!("SLUICE_CONFIG: there is no file {file}")));
    }
    let known: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    // `exact`: a file of that name in a folder above belongs to something else.
    if std::path::Path::new(&file).exists() {
        figment = figment.merge(Toml::file_exact(file));
    }
    let mut figment = figment.merge(Env::prefixed("SLUICE_").only(&known));
    // Text is taken as it stands: read as a value, a token of digits would be a number.
    for (name, value) in texts() {
        figment = figment.merge((name, value));
    }
    Ok(figment)
}

/// Settings that are text and stand in the environment.
fn texts() -> Vec<(&'static str, String)> {
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let is_text = |name: &str| defaults[name].is_string() && !name.ends_with("_addr");
    let names = SETTINGS.iter().map(|(name, _)| *name).filter(|name| is_text(name));
    names.filter_map(|name| Some((name, std::env::var(variable(name)).ok()?))).collect()
}

impl Settings {
    /// Reads all sources; later ones win.
    ///
    /// # Errors
    /// The first wrong value or unknown name, with the place it stands in.
    pub fn load() -> Result<Self, ConfigError> {
        let settings: Self = figment()?.extract().map_err(|error| ConfigError(place(&error)))?;
        settings.check()?;
        Ok(settings)
    }

    /// Where each setting came from, for `check-config`: `default`, the file or the environment.
    pub fn sources() -> Result<Vec<(&'static str, String)>, ConfigError> {
        let figment = figment()?;
        Ok(SETTINGS
            .iter()
            .map(|(name, _)| {
                let source = match figment.find_metadata(name) {
                    _ if std::env::var_os(variable(name)).is_some() => variable(name),
                    Some(from) if from.name.contains("TOML") => from.source.as_ref().map_or(FILE.to_owned(), file_name),
                    _ => "default".to_owned(),
                };
                (*name, source)
            })
            .collect())
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |name: &str, why: &str| Err(ConfigError(format!("{}: {why}", variable(name))));
        if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| self.database_url.starts_with(scheme)) {
            return wrong("database_url", "the address begins with sqlite:// or postgres://");
        }
        if !self.valkey_url.is_empty() {
            return wrong("valkey_url", "limits shared by several nodes are not part of this version");
        }
        if self.console_addr == self.gateway_addr && self.console_addr.port() != 0 {
            return wrong("gateway_addr", "console and gateway cannot share one address");
        }
        if tracing_subscriber::EnvFilter::try_new(&self.log).is_err() {
            return wrong("log", &format!("`{}` is not a log filter, such as info or gateway=debug", self.log));
        }
        for (name, days) in [("keep_minutes_days", self.keep_minutes_days), ("keep_hours_days", self.keep_hours_days)] {
            if days < 2 {
                return wrong(name, "at least 2 days must be kept");
            }
        }
        if self.keep_calls_days > 14 {
            return wrong("keep_calls_days", "the call log can be kept for at most 14 days");
        }
        for (name, value) in [
            ("connect_timeout_s", self.connect_timeout_s),
            ("first_byte_timeout_s", self.first_byte_timeout_s),
            ("stream_silence_s", self.stream_silence_s),
            ("max_body_bytes", self.max_body_bytes),
            ("max_file_bytes", self.max_file_bytes),
            ("max_held_bytes", self.max_held_bytes as u64),
            ("max_connections", self.max_connections as u64),
            ("max_provider_connections", self.max_provider_connections as u64),
        ] {
            if value == 0 {
                return wrong(name, "must be at least 1");
            }
        }
        Ok(())
    }

    /// The numbers of surge protection.
    pub fn surge(&self) -> limiter::Surge {
        limiter::Surge {
            least: self.surge_floor,
            share_percent: self.surge_share_percent,
            growth_percent: self.surge_growth.saturating_mul(100),
        }
    }

    /// What developers put into their client as base URL, without a path.
    pub fn shown_gateway_url(&self) -> String {
        if self.gateway_url.is_empty() {
            format!("http://{}", self.gateway_addr)
        } else {
            self.gateway_url.trim_end_matches('/').to_owned()
        }
    }
}

/// Environment variables that look like settings and are none, so that a misspelt one is noticed.
pub fn unknown_variables() -> Vec<String> {
    let known = |name: &str| name == "SLUICE_CONFIG" || SETTINGS.iter().any(|(it, _)| variable(it) == name);
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("SLUICE_") && !known(name))
        .collect()
}

/// A variable that a file read by `sluice apply` names.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The environment variable of a setting.
pub fn variable(name: &str) -> String {
    format!("SLUICE_{}", name.to_uppercase())
}

fn file_name(source: &figment::Source) -> String {
    source.file_path().map_or_else(|| FILE.to_owned(), |path| path.display().to_string())
}

/// `SLUICE_X: why` for the environment, `sluice.toml: x: why` for the file.
fn place(error: &figment::Error) -> String {
    // A syntax error comes as a drawing of several lines: where it is stands in the first, what it is in the last.
    let told = error.kind.to_string();
    let lines: Vec<&str> = told.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    let why = match lines.as_slice() {
        [first, .., last] => format!("{first}: {last}"),
        _ => told.trim().to_owned(),
    };
    let name = error.path.join(".");
    let from = error.metadata.as_ref();
    match from {
        Some(from) if from.name.contains("environment") => format!("{}: {why}", variable(&name)),
        Some(from) => {
            let file = from.source.as_ref().map_or_else(|| FILE.to_owned(), file_name);
            if name.is_empty() { format!("{file}: {why}") } else { format!("{file}: {name}: {why}") }
        }
        None => format!("{FILE}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::result_large_err)]
    fn the_environment_wins_over_the_file_and_errors_name_their_place() {
        figment::Jail::expect_with(|jail| {
            jail.create_file(FILE, "console_addr = \"127.0.0.1:4000\"\nmax_wait_s = 7\n")?;
            jail.set_env("SLUICE_MAX_WAIT_S", "9");
            let settings = Settings::load().unwrap();
            assert_eq!((settings.console_addr.port(), settings.max_wait_s), (4000, 9));

            jail.set_env("SLUICE_CONSOLE_ADDR", "nowhere");
            let message = Settings::load().unwrap_err().to_string();
            assert!(message.starts_with("SLUICE_CONSOLE_ADDR: "), "{message}");

            jail.set_env("SLUICE_CONSOLE_ADDR", "127.0.0.1:4001");
            jail.create_file(FILE, "conzole_addr = \"127.0.0.1:4000\"\n")?;
            let message = Settings::load().unwrap_err().to_string();
            assert!(message.contains(FILE) && message.contains("conzole_addr"), "{message}");
            assert!(!message.contains('\n'));

            jail.create_file(FILE, "console_addr = \"127.0.0.1:4000\"\nmax_wait_s = = 7\n")?;
            let message = Settings::load().unwrap_err().to_string();
            assert!(message.contains(FILE) && message.contains("line 2") && !message.contains('\n'), "{message}");

            jail.create_file(FILE, "")?;
            jail.set_env("SLUICE_METRICS_TOKEN", "12345");
            jail.set_env("SLUICE_SECRET_KEY_FILE", "007");
            let settings = Settings::load().unwrap();
            assert_eq!(
                (settings.metrics_token.as_str(), settings.secret_key_file.as_os_str()),
                ("12345", "007".as_ref())
            );
            Ok(())
        });
    }
}
