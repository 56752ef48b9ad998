//! Logs: lines on standard error, as text or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::Settings;

/// Switches logging on for this process. Commands other than `serve` and `demo` log warnings only.
pub fn init(settings: &Settings, long_lived: bool) {
    let filter = if long_lived { EnvFilter::new(&settings.log) } else { EnvFilter::new("warn") };
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    if settings.log_json { registry.with(lines.json()).init() } else { registry.with(lines).init() }
}
