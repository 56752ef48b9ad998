//! File descriptors: each connection takes one, and systems give a process few unless it asks for more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::variable;

/// Beside the connections: files, listeners, the store.
const OTHERS: u64 = 256;

/// Asks for as many as the connections need, as far as the system allows.
pub fn raise(connections: usize, provider_connections: usize) {
    let wanted = (connections as u64).saturating_add(provider_connections as u64).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|it| it >= wanted) {
        return;
    }
    let allowed = maximum.map_or(wanted, |it| it.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
    if raised.is_err() || allowed < wanted {
        let setting = variable("max_connections");
        tracing::warn!(
            allowed,
            wanted,
            "fewer file descriptors are allowed than {setting} and the providers' connections need; raise LimitNOFILE"
        );
    }
}
