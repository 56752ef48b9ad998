//! Holds what a first visit downloads to its budget.

use crate::{Result, site, step};
use std::{fs, path::Path};

/// Bytes of brotli that the first page may load.
const WASM: u64 = 150_000;
const STYLE: u64 = 15_000;

/// Fails when `target/site` is above its budget, or was not built the way it is shipped.
pub(crate) fn check(root: &Path) -> Result<()> {
    let manifest = site::manifest(root).ok_or("target/site has no manifest")?;
    if manifest["optimised"] != true {
        return Err("the budget is checked on a full build that wasm-opt has been over; this one is not".into());
    }
    let mut over = Vec::new();
    for (name, allowed) in [("wasm", WASM), ("style", STYLE)] {
        let path = manifest[name].as_str().ok_or_else(|| format!("the manifest names no {name}"))?;
        let bytes = fs::metadata(site::folder(root).join(format!("{}.br", &path[1..])))?.len();
        step(&format!("budget: {name} is {bytes} of {allowed} bytes (brotli)"));
        if bytes > allowed {
            over.push(format!("{name} is {} bytes over its budget", bytes - allowed));
        }
    }
    if over.is_empty() { Ok(()) } else { Err(over.join("; ").into()) }
}
