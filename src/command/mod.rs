//! The command line: what can be said, and which file answers it.

use std::{error::Error, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    config::{self, Settings},
    telemetry,
};

mod account;
mod apply;
mod backup;
mod check_config;
mod copy;
mod demo;
mod key;
mod migrate;
mod report;
mod restore;
mod simulate;
mod user;
mod verify;

/// What a command ends with.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Gateway and console for language models that many teams share.
///
/// Settings come from sluice.toml in the working directory and from SLUICE_* variables; `sluice check-config` lists them.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, long_about)]
pub struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run console and gateway
    Serve,
    /// Run with a stand-in provider and a little traffic, to see everything work (data/demo.db)
    Demo,
    /// Bring providers, models, workspaces and their limits to what FILE says
    Apply(Apply),
    /// API keys
    #[command(subcommand)]
    Key(Key),
    /// People who sign in to the console
    #[command(subcommand)]
    User(User),
    /// Accounts of this installation
    #[command(subcommand)]
    Account(Account),
    /// The figures of the Monitoring page
    Report(Report),
    /// Decisions of the limiter over a trace, one JSON line for each call
    Simulate(Simulate),
    /// Prove from the recorded admissions that no window went over its limit
    Verify(Verify),
    /// Bring the database to this version's schema
    Migrate,
    /// Move a stopped installation between SQLite and PostgreSQL, and compare what arrived
    Copy(Copy),
    /// Write everything into one file while the installation runs (SQLite)
    Backup(File),
    /// Put a backup in the database's place while nothing runs on it (SQLite)
    Restore(Restore),
    /// Check the settings and list them with their sources
    CheckConfig,
}

/// Which account a command acts on.
#[derive(Debug, Args)]
struct OfAccount {
    /// The account's name; the first account if left out
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

#[derive(Debug, Args)]
struct Apply {
    /// A TOML file of [[provider]], [[model]] and [[workspace]] tables
    file: PathBuf,
    /// Print what would change and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    of: OfAccount,
}

#[derive(Debug, Subcommand)]
enum Key {
    /// Make a key and print its secret, nothing else, on standard output
    Create {
        /// Whose key it is; `default` is the default workspace
        #[arg(long)]
        workspace: String,
        /// What the console calls it
        #[arg(long, default_value = "command line")]
        name: String,
        /// How 429s are worded on OpenAI-compatible routes
        #[arg(long, value_enum, default_value_t = Dialect::Dashscope)]
        error_dialect: Dialect,
        #[command(flatten)]
        of: OfAccount,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Dialect {
    Dashscope,
    Openai,
}

#[derive(Debug, Subcommand)]
enum User {
    /// Add a person
    Create {
        /// Address to sign in with
        #[arg(long)]
        email: String,
        /// owner, admin, workspace-admin or viewer
        #[arg(long)]
        role: String,
        /// The workspace a workspace-admin or viewer belongs to
        #[arg(long)]
        workspace: Option<String>,
        /// Read the password from standard input
        #[arg(long, required = true)]
        password_stdin: bool,
        #[command(flatten)]
        of: OfAccount,
    },
}

#[derive(Debug, Subcommand)]
enum Account {
    /// Add an account, invisible to all others
    Create {
        /// The account's name
        #[arg(long)]
        name: String,
    },
}

#[derive(Debug, Args)]
struct Report {
    /// A length that ends now, such as 90m, 3h or 7d
    #[arg(long, default_value = "3h")]
    range: String,
    /// How the figures are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    of: OfAccount,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Args)]
struct Simulate {
    /// Limits, a JSON object
    #[arg(long)]
    limits: PathBuf,
    /// Calls, settlements and changes of limits, JSON lines in time order
    #[arg(long)]
    trace: PathBuf,
    /// Output expected of calls that state no maximum; learned from the trace if left out
    #[arg(long, value_name = "N")]
    expected_output: Option<u64>,
}

#[derive(Debug, Args)]
struct Verify {
    /// Judge admissions from this instant on, in RFC 3339; everything that is kept if left out
    #[arg(long, value_name = "T")]
    since: Option<String>,
    #[command(flatten)]
    of: OfAccount,
}

#[derive(Debug, Args)]
struct Copy {
    /// The database to read: sqlite://PATH or postgres://…
    #[arg(long, value_name = "URL")]
    from: String,
    /// The database to fill, which must hold nothing
    #[arg(long, value_name = "URL")]
    to: String,
}

#[derive(Debug, Args)]
struct File {
    /// The file to write, which must not exist
    file: PathBuf,
}

#[derive(Debug, Args)]
struct Restore {
    /// A file that `sluice backup` wrote
    file: PathBuf,
    /// Go on with another key file than the backup was sealed under; the providers' credentials have to be typed again
    #[arg(long)]
    other_key: bool,
}

/// The file of a SQLite address.
fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"))?;
    path.split('?').next().map(PathBuf::from)
}

/// Runs one command line to its end.
///
/// # Errors
/// What stopped the command; its text is one line that says what and where.
pub fn run(line: Line) -> Outcome {
    let settings = Settings::load()?;
    if let Command::Simulate(it) = &line.command {
        return simulate::run(&settings, it);
    }
    for name in config::unknown_variables() {
        eprintln!("sluice: {name} is no setting and is ignored; `sluice check-config` lists all");
    }
    telemetry::init(&settings, matches!(line.command, Command::Serve | Command::Demo));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    runtime.block_on(async {
        match line.command {
            Command::Serve => crate::serve::run(settings).await,
            Command::Demo => demo::run(settings).await,
            Command::Apply(it) => apply::run(&settings, it).await,
            Command::Key(it) => key::run(&settings, it).await,
            Command::User(it) => user::run(&settings, it).await,
            Command::Account(it) => account::run(&settings, it).await,
            Command::Report(it) => report::run(&settings, it).await,
            Command::Verify(it) => verify::run(&settings, it).await,
            Command::Migrate => migrate::run(&settings).await,
            Command::Copy(it) => copy::run(it).await,
            Command::Backup(it) => backup::run(&settings, it).await,
            Command::Restore(it) => restore::run(&settings, it).await,
            Command::CheckConfig => check_config::run(&settings),
            Command::Simulate(_) => unreachable!("answered above, since it waits for nothing"),
        }
    })
}
