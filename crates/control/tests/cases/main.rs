//! Use cases through their public functions, on a real SQLite file, with a clock that stands still.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod apply;
mod figures;
mod fixture;
mod foresight;
mod in_force;
mod increases;
mod isolation;
mod keys;
mod members;
mod reach;
mod refusals;
mod sign_in;
mod snapshot;
mod workspaces;
