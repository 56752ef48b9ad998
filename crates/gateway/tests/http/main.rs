//! The gateway over real HTTP, in front of the stand-in provider.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bytes;
mod checks;
mod clients;
mod fallback;
mod forwarding;
mod hostile;
mod kinds;
mod lanes;
mod limits;
mod streams;
mod support;
mod trouble;
mod waiting;
