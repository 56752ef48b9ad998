//! What the store promises, checked on SQLite and on PostgreSQL by the same code.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod accounts;
mod engine;
mod exact;
mod flush;
mod fold;
mod merge;
mod old;
mod provider_objects;
mod refusals;
mod schema;
mod statistics;
mod transfer;
mod usage;

use engine::Engines;

/// One test, since both engines are started once: each part gets databases of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_keep_the_contract() {
    let engines = Engines::start().await;
    schema::every_statement_can_be_prepared(&engines).await;
    schema::no_statement_goes_through_a_table_that_grows(&engines).await;
    schema::both_schemas_are_the_same(&engines).await;
    schema::both_schemas_hold_the_same_together(&engines).await;
    schema::migrating_twice_at_once_is_safe(&engines).await;
    for store in engines.empty("accounts").await {
        accounts::check(&store).await;
    }
    for store in engines.empty("statistics").await {
        statistics::check(&store).await;
    }
    transfer::edits_are_told_of(&engines).await;
    transfer::an_installation_moves_and_comes_back(&engines).await;
    transfer::moving_and_migrating_may_take_their_time(&engines).await;
    transfer::a_running_source_is_noticed(&engines).await;
    transfer::a_backup_is_whole_and_comes_back(&engines).await;
    transfer::a_backup_takes_the_place_of_a_damaged_database(&engines).await;
    transfer::addresses_of_all_usual_forms_open(&engines).await;
    for (store, other) in engines.empty("flush").await.iter().zip(&engines.again("flush").await) {
        flush::check(store, other).await;
    }
    exact::sums_are_those_of_the_call_log(&engines).await;
    fold::check(&engines).await;
    merge::check(&engines).await;
    old::two_that_start_at_once_pack_old_rows_once(&engines).await;
    for store in engines.empty("refusals").await {
        refusals::check(&store).await;
    }
    for store in engines.empty("usage").await {
        usage::check(&store).await;
    }
    for store in engines.empty("objects").await {
        provider_objects::check(&store).await;
    }
}

#[test]
fn migrations_have_equal_names() {
    schema::migrations_have_equal_names();
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_and_where_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    std::fs::write(folder.path().join("file"), "this is no database, however long it is ".repeat(200)).unwrap();
    for (url, told) in [
        ("mysql://host/db".to_owned(), "mysql://host/db is no database address".to_owned()),
        (format!("sqlite://{here}/file/x.db"), format!("sqlite://{here}/file/x.db: folder {here}/file cannot be made")),
        (format!("sqlite://{here}/file"), format!("sqlite://{here}/file: ")),
        (format!("sqlite://{here}"), format!("sqlite://{here}: ")),
        (
            "postgres://me:secret@127.0.0.1:1/db".to_owned(),
            "cannot open the database postgres://me@127.0.0.1:1/db: ".to_owned(),
        ),
    ] {
        let message = match store::Store::open(&url).await {
            Ok(store) => store.migrate().await.expect_err(&url).to_string(),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(&told) && !message.contains('\n') && !message.contains("secret"), "{message}");
    }
}
