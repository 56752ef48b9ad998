//! `sluice demo`: the product with a stand-in provider behind it and a little real traffic in front.

use std::{collections::BTreeMap, fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use control::{Actor, Control, Secret, accounts, keys, members};
use serde::{Deserialize, Serialize};
use testkit::{Provider, ProviderSettings, demo, traffic};

use super::Outcome;
use crate::{
    config::Settings,
    serve::{self, Running},
};

const OWNER: &str = "owner@demo.example";

/// Beside the demo's database: what is printed at every start, and what the traffic calls with.
const SIGN_IN_FILE: &str = "data/demo-sign-in.json";

/// Whose key newcomers try; its workspace is the default one.
const NEWCOMER: &str = "default";

#[derive(Debug, Default, Deserialize, Serialize)]
struct SignIn {
    email: String,
    password: String,
    /// Secrets by workspace.
    keys: BTreeMap<String, String>,
}

pub(super) async fn run(settings: Settings) -> Outcome {
    let settings = apart(settings);
    let provider = Provider::start(ProviderSettings::real()).await?;
    let mut running = serve::start(settings).await?;
    let sign_in = prepare(&running, provider.addr).await?;
    running.sync().await?;
    greet(&running, &sign_in);
    let workspaces = sign_in.keys.into_iter().filter(|(workspace, _)| workspace != NEWCOMER);
    let traffic = traffic::TrafficSettings { gateway: running.gateway_addr, keys: workspaces.collect(), seed: 1 };
    traffic::run(traffic, running.asked_to_stop()).await;
    running.stop().await;
    Ok(())
}

/// Nothing of the demo lies where the real installation's files do, unless it was told where.
fn apart(settings: Settings) -> Settings {
    let usual = Settings::default();
    let mut demo = settings;
    if demo.database_url == usual.database_url {
        demo.database_url = "sqlite://data/demo.db".to_owned();
    }
    if demo.secret_key_file == usual.secret_key_file {
        demo.secret_key_file = "data/demo.key".into();
    }
    if demo.journal_folder == usual.journal_folder {
        demo.journal_folder = "data/demo-journal".into();
    }
    if demo.spool_folder == usual.spool_folder {
        demo.spool_folder = "data/demo-spool".into();
    }
    demo
}

/// Makes models, workspaces, owner and keys at the first start; at every other, only the provider's new address.
async fn prepare(running: &Running, provider: std::net::SocketAddr) -> Outcome<SignIn> {
    let control = &running.control;
    let account = accounts::find(control, None).await?;
    let actor = Actor::command_line(&account.id);
    let file = demo::demo_file(provider);
    let path = Path::new(SIGN_IN_FILE);
    let at = control.store().address().to_owned();
    if members::list(control, &actor).await?.iter().any(|it| it.email == OWNER) {
        let gone = |error: std::io::Error| format!("{SIGN_IN_FILE}: {error}; delete {at} to begin anew");
        let text = fs::read_to_string(path).map_err(gone)?;
        let providers_alone = file.split("[[model]]").next().unwrap_or_default();
        apply(control, &actor, providers_alone).await?;
        return serde_json::from_str(&text).map_err(|error| format!("{SIGN_IN_FILE}: {error}").into());
    }
    if !control::models::list(control, &actor).await?.is_empty() && !members::list(control, &actor).await?.is_empty() {
        return Err(format!("{at} holds an installation already, and the demo needs one of its own").into());
    }
    apply(control, &actor, &file).await?;
    let mut sign_in = SignIn { email: OWNER.to_owned(), password: password(), keys: BTreeMap::new() };
    for workspace in demo::WORKSPACES.into_iter().chain([NEWCOMER]) {
        let name = if workspace == NEWCOMER { "try it" } else { "demo traffic" };
        let key = keys::NewKey { workspace: workspace.to_owned(), name: name.to_owned(), ..Default::default() };
        let created = keys::create(control, &actor, &key).await?;
        sign_in.keys.insert(workspace.to_owned(), created.secret.expose().clone());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // These open an installation that holds nothing but the demo's own figures.
    let mut kept = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    kept.write_all(serde_json::to_string_pretty(&sign_in)?.as_bytes())?;
    // Last, so that a start that was cut short is begun anew by the next one.
    let owner = members::NewMember { email: OWNER.to_owned(), role: "owner".to_owned(), workspace: String::new() };
    members::create(control, &actor, &owner, Secret::new(sign_in.password.clone())).await?;
    Ok(sign_in)
}

async fn apply(control: &Control, actor: &Actor, text: &str) -> Outcome {
    let source = control::apply::Source { name: "demo.toml", text, folder: Path::new("."), variable: &|_| None };
    control::apply::apply(control, actor, &source, false).await?;
    Ok(())
}

fn password() -> String {
    control::secret::random_text(12)
}

fn greet(running: &Running, sign_in: &SignIn) {
    let (console, gateway) = (running.console_addr, running.gateway_addr);
    let key = sign_in.keys.get(NEWCOMER).map_or("", String::as_str);
    println!();
    println!("  Sluice demo: a stand-in provider, three workspaces, real calls through the real gateway");
    println!();
    println!("  console   http://{console}");
    println!("            sign in as {} with password {}", sign_in.email, sign_in.password);
    println!("  gateway   http://{gateway}/v1");
    println!("            key {key}");
    println!();
    println!("  curl http://{gateway}/v1/chat/completions -H 'authorization: Bearer {key}' \\");
    println!("       -H 'content-type: application/json' \\");
    println!(
        "       -d '{{\"model\":\"qwen-plus\",\"messages\":[{{\"role\":\"user\",\"content\":\"Who are you?\"}}]}}'"
    );
    println!();
    println!("  Ctrl-C stops it; its data stays in data/demo.db");
    println!();
}
