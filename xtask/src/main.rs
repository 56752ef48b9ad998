//! Builds the browser part of the console into `target/site`. Knows cargo, wasm-bindgen and CSS; knows nothing of Sluice.
//!
//! `cargo run -p xtask -- browser` makes what is shipped: small code, hashed names, compressed copies beside each file.
//! `… browser --dev` makes the same files quickly. `… browser --check-budget` also fails when they are too large.

mod budget;
mod fingerprint;
mod site;
mod style;
mod toolchain;
mod wasm;

use std::{path::PathBuf, process::ExitCode, time::Instant};

/// What can go wrong here is told to a person and nobody else.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const USAGE: &str = "usage: cargo run -p xtask -- browser [--dev] [--check-budget]";

/// How much time the build may take, and how small its result must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    /// For `make run`: no link-time optimisation, no wasm-opt, light compression.
    Dev,
    /// For everything that is measured or shipped.
    Full,
}

impl Flavour {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Full => "full",
        }
    }

    const fn profile(self) -> &'static str {
        match self {
            Self::Dev => "wasm-dev",
            Self::Full => "wasm-release",
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (command, flags) = words.split_first().ok_or(USAGE)?;
    if command != "browser" || flags.iter().any(|it| it != "--dev" && it != "--check-budget") {
        return Err(USAGE.into());
    }
    let has = |flag: &str| flags.iter().any(|it| it == flag);
    let flavour = if has("--dev") { Flavour::Dev } else { Flavour::Full };
    browser(flavour)?;
    if has("--check-budget") { budget::check(&root()) } else { Ok(()) }
}

fn browser(flavour: Flavour) -> Result<()> {
    let (root, started) = (root(), Instant::now());
    let code = fingerprint::of(&root, fingerprint::CODE)?;
    let sources = format!("{code}{}", fingerprint::of(&root, fingerprint::LOOKS)?);
    if site::is_current(&root, flavour, &sources) {
        step("the browser part is up to date");
        return Ok(());
    }
    let css = style::bundle(&root)?;
    let code = wasm::build(&root, flavour, &code)?;
    site::write(&root, flavour, &sources, &code, &css)?;
    step(&format!("the browser part is in target/site after {} s", started.elapsed().as_secs()));
    Ok(())
}

/// The folder of the workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

/// Says what is being done, one line for each step.
fn step(text: &str) {
    println!("==> {text}");
}
