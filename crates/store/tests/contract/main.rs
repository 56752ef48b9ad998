//! What the store promises, checked on SQLite and on PostgreSQL by the same code.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod accounts;
mod engine;
mod schema;
mod statistics;
mod usage;

use engine::Engines;

/// One test, since both engines are started once: each part gets databases of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_keep_the_contract() {
    let engines = Engines::start().await;
    schema::every_statement_can_be_prepared(&engines).await;
    schema::both_schemas_are_the_same(&engines).await;
    schema::migrating_twice_at_once_is_safe(&engines).await;
    for store in engines.empty("accounts").await {
        accounts::check(&store).await;
    }
    for store in engines.empty("statistics").await {
        statistics::check(&store).await;
    }
    for store in engines.empty("usage").await {
        usage::check(&store).await;
    }
}
