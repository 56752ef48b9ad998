//! Hearing of edits at once where the engine can tell of them. What is missed, the poll of the revision finds.

use sqlx::{PgPool, postgres::PgListener};

use crate::{Result, Tx, connect::Engine, open::PATIENCE, sql::within};

const CHANNEL: &str = "sluice_revision";
const TELL: &str = "notify sluice_revision";

/// Edits, as they are committed by whichever process.
#[derive(Debug)]
pub struct Changes(Option<PgListener>);

impl Changes {
    /// Nothing will be told.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) async fn listen(pool: &PgPool) -> Result<Self> {
        let listening = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(CHANNEL).await.map(|()| listener)
        };
        Ok(Self(Some(within(Some(PATIENCE), listening).await?)))
    }

    /// Returns when an edit was committed, or may have been unheard. Never returns on SQLite.
    ///
    /// # Errors
    /// When the connection is gone: from then on nothing is told, and [`crate::Store::changes`] begins anew.
    pub async fn next(&mut self) -> Result<()> {
        let Some(listener) = &mut self.0 else { return std::future::pending().await };
        match listener.try_recv().await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.0 = None;
                Err(error.into())
            }
        }
    }
}

impl Tx {
    /// Tells listeners of the edit when it is committed.
    pub(crate) async fn tell(&mut self) -> Result<()> {
        let patience = self.patience();
        if let Engine::Postgres(it) = self.engine() {
            within(patience, sqlx::query(TELL).execute(it)).await?;
        }
        Ok(())
    }
}
