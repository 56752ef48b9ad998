//! What tests, measurements and the demo need around a gateway: a provider to stand behind it, traffic to go in front
//! of it, and a set of models and workspaces. Speaks plain HTTP and knows no crate of the product's server.

pub mod chance;
pub mod demo;
pub mod provider;
pub mod traffic;

pub use demo::demo_file;
pub use provider::{Behaviour, Provider, ProviderSettings};
