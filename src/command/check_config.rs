//! `sluice check-config`: every setting with its value and where it came from. Secrets are not shown.

use super::Outcome;
use crate::config::{SETTINGS, Settings};

pub(super) fn run(settings: &Settings) -> Outcome {
    let values = serde_json::to_value(settings)?;
    let sources = Settings::sources()?;
    for ((name, meaning), (_, source)) in SETTINGS.iter().zip(&sources) {
        let shown = shown(name, &values[name]);
        println!("{name} = {shown}    # {source}:{meaning}");
    }
    if settings.database_url.starts_with("postgres") {
        println!();
        println!(
            "warning: several processes can share a PostgreSQL, but each keeps limits of its own: of N processes, N"
        );
        println!("         times a limit can pass together.");
    }
    Ok(())
}

fn shown(name: &str, value: &serde_json::Value) -> String {
    let secret =
        name == "metrics_token" || (name == "database_url" && has_password(value.as_str().unwrap_or_default()));
    if secret && value != "" { "\"…\" (hidden)".to_owned() } else { value.to_string() }
}

fn has_password(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| rest.contains('@') || rest.contains("password="))
}
