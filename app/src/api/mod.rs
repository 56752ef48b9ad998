//! What pages read and forms change: view structs, and server functions that are doors and not rooms.

#![allow(missing_docs, reason = "a server function makes a struct of its arguments, which carry the form's own names")]
#![allow(clippy::too_many_arguments, reason = "one for each field of a form")]

pub mod account;
pub mod audit;
pub mod door;
pub mod keys;
pub mod members;
pub mod models;
pub mod monitoring;
pub mod providers;
pub mod rate_limit;
pub mod refusals;
pub mod workspaces;
