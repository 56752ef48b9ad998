//! The gateway over real HTTP, in front of the stand-in provider.

mod checks;
mod forwarding;
mod limits;
mod streams;
mod support;
mod trouble;
