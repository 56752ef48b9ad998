//! Sessions of the console in the store, under the SHA-256 of their id: a copy of the database signs nobody in.

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use store::{Store, session::SessionRow};
use tower_sessions::{
    ExpiredDeletion, SessionStore,
    cookie::time::OffsetDateTime,
    session::{Id, Record},
    session_store,
};

use crate::Control;

/// Where a session's content names its member, so that all sessions of one can be ended at once.
pub const MEMBER_KEY: &str = "member";

/// The sessions of an installation, for `tower_sessions::SessionManagerLayer`.
#[derive(Clone, Debug)]
pub struct Sessions(Control);

impl Sessions {
    /// Keeps sessions in the store of `control`.
    pub const fn new(control: Control) -> Self {
        Self(control)
    }

    fn store(&self) -> &Store {
        self.0.store()
    }
}

fn digest(id: Id) -> [u8; 32] {
    Sha256::digest(id.0.to_le_bytes()).into()
}

fn backend(error: &store::StoreError) -> session_store::Error {
    tracing::error!(error = error as &dyn std::error::Error, "a session could not be read or written");
    session_store::Error::Backend(error.to_string())
}

fn row(record: &Record) -> session_store::Result<(Option<String>, SessionRow)> {
    let content =
        serde_json::to_string(&record.data).map_err(|error| session_store::Error::Encode(error.to_string()))?;
    let member = record.data.get(MEMBER_KEY).and_then(|it| it.as_str()).map(ToOwned::to_owned);
    let expires_at = i64::try_from(record.expiry_date.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
    Ok((member, SessionRow { expires_at, content }))
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        loop {
            let (member, row) = row(record)?;
            let mut tx = self.store().begin().await.map_err(|it| backend(&it))?;
            if tx.insert_session(&digest(record.id), member.as_deref(), &row).await.map_err(|it| backend(&it))? {
                return tx.commit().await.map_err(|it| backend(&it));
            }
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let (member, row) = row(record)?;
        let mut tx = self.store().begin().await.map_err(|it| backend(&it))?;
        tx.update_session(&digest(record.id), member.as_deref(), &row).await.map_err(|it| backend(&it))?;
        tx.commit().await.map_err(|it| backend(&it))
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let mut conn = self.store().read().await.map_err(|it| backend(&it))?;
        let Some(row) = conn.session(&digest(*id), self.0.now_ms()).await.map_err(|it| backend(&it))? else {
            return Ok(None);
        };
        let data =
            serde_json::from_str(&row.content).map_err(|error| session_store::Error::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(row.expires_at) * 1_000_000)
            .map_err(|error| session_store::Error::Decode(error.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let mut tx = self.store().begin().await.map_err(|it| backend(&it))?;
        tx.delete_session(&digest(*id)).await.map_err(|it| backend(&it))?;
        tx.commit().await.map_err(|it| backend(&it))
    }
}

#[async_trait]
impl ExpiredDeletion for Sessions {
    async fn delete_expired(&self) -> session_store::Result<()> {
        let mut tx = self.store().begin().await.map_err(|it| backend(&it))?;
        let now_ms = self.0.now_ms();
        tx.delete_expired_sessions(now_ms).await.map_err(|it| backend(&it))?;
        tx.forget_attempts(now_ms).await.map_err(|it| backend(&it))?;
        tx.commit().await.map_err(|it| backend(&it))
    }
}
