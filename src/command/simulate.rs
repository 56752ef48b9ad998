//! `sluice simulate`: the limiter itself over a trace, with the trace's clock and this installation's surge numbers.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write as _},
};

use super::{Outcome, Simulate};
use crate::config::Settings;

pub(super) fn run(settings: &Settings, it: &Simulate) -> Outcome {
    let named = |path: &std::path::Path, error: std::io::Error| format!("{}: {error}", path.display());
    let limits = std::fs::read_to_string(&it.limits).map_err(|error| named(&it.limits, error))?;
    let trace = BufReader::new(File::open(&it.trace).map_err(|error| named(&it.trace, error))?);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let decided = limiter::simulate::run_with(settings.surge(), &limits, trace, &mut out, it.expected_output);
    // What was decided before a malformed line is printed all the same.
    out.flush()?;
    Ok(decided?)
}
