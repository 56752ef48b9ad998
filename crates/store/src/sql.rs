//! How a statement is written once and run on either engine.

use std::{io, time::Duration};

/// A statement's name and text.
pub type Statement = (&'static str, &'static str);

/// Every statement of the crate, by file: a test prepares each of them on both engines.
pub const STATEMENTS: &[&[Statement]] = &[
    crate::account::STATEMENTS,
    crate::api_key::STATEMENTS,
    crate::audit::STATEMENTS,
    crate::call_log::STATEMENTS,
    crate::increase::STATEMENTS,
    crate::member::STATEMENTS,
    crate::model::STATEMENTS,
    crate::provider::STATEMENTS,
    crate::provider_object::STATEMENTS,
    crate::refusal::STATEMENTS,
    crate::rollup::READ,
    crate::rollup::WRITE,
    crate::rollup::SUMS,
    crate::rollup::FOLD,
    crate::rollup::MERGE,
    crate::rollup::PAIRS,
    crate::rollup::PARTS,
    crate::rollup::OLD,
    crate::session::STATEMENTS,
    crate::sign_in::STATEMENTS,
    crate::transfer::STATEMENTS,
    crate::usage::STATEMENTS,
    crate::workspace::STATEMENTS,
];

/// Names statements, and lists them in `STATEMENTS`.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        pub(crate) const STATEMENTS: &[$crate::Statement] = &[$((stringify!($name), $name)),*];
    };
}

/// What a statement answers, unless it does not for so long. What was asked may then have been done or not.
pub(crate) async fn within<T>(
    patience: Option<Duration>,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match patience {
        None => answer.await,
        Some(limit) => tokio::time::timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))),
    }
}

/// Runs the same query with the same arguments on whichever engine `$conn` belongs to.
macro_rules! on_engine {
    ($conn:expr, $query:expr, $fetch:ident $(, $arg:expr)*) => {{
        let patience = $conn.patience();
        match $conn.engine() {
            $crate::connect::Engine::Sqlite(it) => $query$(.bind($arg))*.$fetch(it).await,
            $crate::connect::Engine::Postgres(it) => $crate::sql::within(patience, $query$(.bind($arg))*.$fetch(it)).await,
        }
    }};
}

/// Every row, as `$row`.
macro_rules! all {
    ($conn:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        on_engine!($conn, sqlx::query_as::<_, $row>($sql), fetch_all $(, $arg)*).map_err($crate::StoreError::from)
    };
}

/// The one row there is, if any, as `$row`.
macro_rules! optional {
    ($conn:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        on_engine!($conn, sqlx::query_as::<_, $row>($sql), fetch_optional $(, $arg)*).map_err($crate::StoreError::from)
    };
}

/// The first column of the one row that must be there.
macro_rules! scalar {
    ($conn:expr, $value:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        on_engine!($conn, sqlx::query_scalar::<_, $value>($sql), fetch_one $(, $arg)*)
            .map_err($crate::StoreError::from)
    };
}

/// Changes rows and tells how many.
macro_rules! run {
    ($conn:expr, $sql:expr $(, $arg:expr)* $(,)?) => {{
        let patience = $conn.patience();
        match $conn.engine() {
            $crate::connect::Engine::Sqlite(it) => {
                sqlx::query($sql)$(.bind($arg))*.execute(it).await.map(|done| done.rows_affected())
            }
            $crate::connect::Engine::Postgres(it) => {
                let done = $crate::sql::within(patience, sqlx::query($sql)$(.bind($arg))*.execute(it)).await;
                done.map(|done| done.rows_affected())
            }
        }
        .map_err($crate::StoreError::from)
    }};
}
