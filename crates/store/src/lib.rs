//! The only SQL of Sluice, for SQLite and PostgreSQL alike. Knows rows and transactions; decides nothing.
//!
//! Every statement is one named text that runs on both engines; reads are methods of [`Conn`], writes of [`Tx`].

#[macro_use]
mod sql;
#[macro_use]
mod text;

pub mod account;
pub mod api_key;
pub mod audit;
#[macro_use]
pub mod call_log;
mod changes;
mod connect;
mod error;
pub mod increase;
pub mod member;
pub mod model;
mod open;
mod plan;
pub mod provider;
pub mod provider_object;
pub mod refusal;
pub mod rollup;
mod schema;
pub mod session;
pub mod sign_in;
pub mod transfer;
pub mod usage;
pub mod workspace;

pub use connect::{Changes, Conn, Store, Tx};
pub use error::StoreError;
pub use schema::Column;
pub use sql::{STATEMENTS, Statement};

/// What every function of this crate answers with.
pub type Result<T> = std::result::Result<T, StoreError>;
