//! Providers: where models are called. Credentials pass through sealed; this crate cannot open them.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

statements! {
    PROVIDERS = "select id, account_id, name, openai_base_url, dashscope_base_url, anthropic_base_url, credential,
            created_at, revision
        from provider
        where account_id = $1
        order by name";
    ALL_PROVIDERS = "select id, account_id, name, openai_base_url, dashscope_base_url, anthropic_base_url, credential,
            created_at, revision
        from provider
        order by id";
    PROVIDER = "select id, account_id, name, openai_base_url, dashscope_base_url, anthropic_base_url, credential,
            created_at, revision
        from provider
        where account_id = $1 and id = $2";
    INSERT_PROVIDER = "insert into provider (id, account_id, name, openai_base_url, dashscope_base_url,
            anthropic_base_url, credential, created_at, revision)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 1)";
    UPDATE_PROVIDER = "update provider
        set name = $1, openai_base_url = $2, dashscope_base_url = $3, anthropic_base_url = $4, credential = $5,
            revision = revision + 1
        where account_id = $6 and id = $7 and revision = $8";
}

/// One provider of an account.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ProviderRow {
    /// Its identity.
    pub id: String,
    /// Its account.
    pub account_id: String,
    /// Its name in files and errors.
    pub name: String,
    /// Ends in `/v1`; `None` where the dialect is not offered.
    pub openai_base_url: Option<String>,
    /// Ends in `/api/v1`; `None` where the dialect is not offered.
    pub dashscope_base_url: Option<String>,
    /// Without `/v1`; `None` where the dialect is not offered.
    pub anthropic_base_url: Option<String>,
    /// The sealed credential.
    pub credential: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: i64,
    /// Counts its changes, for optimistic locking.
    pub revision: i64,
}

impl Conn {
    /// An account's providers by name.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn providers(&mut self, account: &str) -> Result<Vec<ProviderRow>> {
        all!(self, ProviderRow, PROVIDERS, account)
    }

    /// Every account's providers.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn all_providers(&mut self) -> Result<Vec<ProviderRow>> {
        all!(self, ProviderRow, ALL_PROVIDERS)
    }

    /// One provider of an account.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn provider(&mut self, account: &str, id: &str) -> Result<Option<ProviderRow>> {
        optional!(self, ProviderRow, PROVIDER, account, id)
    }
}

impl Tx {
    /// Makes a provider.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] when the name is taken.
    pub async fn insert_provider(&mut self, row: &ProviderRow) -> Result<u64> {
        run!(
            self,
            INSERT_PROVIDER,
            &row.id,
            &row.account_id,
            &row.name,
            row.openai_base_url.as_deref(),
            row.dashscope_base_url.as_deref(),
            row.anthropic_base_url.as_deref(),
            row.credential.as_deref(),
            row.created_at,
        )
    }

    /// Changes a provider if nobody did since `row.revision`; 0 if somebody did.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] when the name is taken.
    pub async fn update_provider(&mut self, row: &ProviderRow) -> Result<u64> {
        run!(
            self,
            UPDATE_PROVIDER,
            &row.name,
            row.openai_base_url.as_deref(),
            row.dashscope_base_url.as_deref(),
            row.anthropic_base_url.as_deref(),
            row.credential.as_deref(),
            &row.account_id,
            &row.id,
            row.revision,
        )
    }
}
