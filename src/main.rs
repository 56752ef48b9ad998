//! The process: reads settings, builds the parts and runs one command. Errors leave as one line and exit status 1.
#![allow(unreachable_pub, reason = "a program has no outside: `pub` marks what its other files use")]

mod clock;
mod command;
mod config;
mod console;
mod descriptors;
mod flush;
mod freshness;
mod journal;
mod live;
mod metrics;
mod owners;
mod parts;
mod reach;
mod seconds;
mod serve;
mod sync;
mod telemetry;
mod usage;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let line = command::Line::parse();
    match command::run(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice: {}", told(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes on one line; a cause whose text the line before already holds is left out. Only errors that
/// list several things, such as everything wrong with a file, have several lines.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
