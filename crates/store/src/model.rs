//! Models with their limits, each with the increase in force, if any, and with what the limiter learned.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

/// The columns of a [`ModelRow`]; macros, since a statement is one literal.
macro_rules! models {
    ($rest:literal) => {
        concat!(
            "select m.account_id, m.code, m.provider_id, p.name as provider_name, m.upstream, m.metering, m.rpm, m.tpm,
                m.tpm_upper_limit, m.backup, m.fallback, m.default_output_tokens, m.first_byte_timeout_s, m.stream_silence_s,
                m.created_at, m.revision,
                i.id as increase_id, i.tpm as increase_tpm, i.valid_until as increase_valid_until,
                l.factor_ppm as learned_factor_ppm, l.output_tokens as learned_output_tokens
            from model m
            join provider p on p.id = m.provider_id
            left join temporary_increase i
                on i.account_id = m.account_id and i.model_code = m.code and i.state = 'active'
            left join model_learned l on l.account_id = m.account_id and l.model_code = m.code ",
            $rest
        )
    };
}

statements! {
    MODELS = models!("where m.account_id = $1 order by m.code");
    ALL_MODELS = models!("order by m.account_id, m.code");
    MODEL = models!("where m.account_id = $1 and m.code = $2");
    INSERT_MODEL = "insert into model (account_id, code, provider_id, upstream, metering, rpm, tpm, tpm_upper_limit,
            backup, fallback, default_output_tokens, first_byte_timeout_s, stream_silence_s, created_at, revision)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1)";
    UPDATE_MODEL = "update model
        set provider_id = $1, upstream = $2, metering = $3, rpm = $4, tpm = $5, tpm_upper_limit = $6, backup = $7,
            fallback = $8, default_output_tokens = $9, first_byte_timeout_s = $10, stream_silence_s = $11,
            revision = revision + 1
        where account_id = $12 and code = $13 and revision = $14";
    SET_LEARNED = "insert into model_learned (account_id, model_code, factor_ppm, output_tokens, at_ms)
        values ($1, $2, $3, $4, $5)
        on conflict (account_id, model_code) do update
        set factor_ppm = excluded.factor_ppm, output_tokens = excluded.output_tokens, at_ms = excluded.at_ms";
}

/// One model of an account.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ModelRow {
    /// Its account.
    pub account_id: String,
    /// What clients call it.
    pub code: String,
    /// Where it is called.
    pub provider_id: String,
    /// That provider's name.
    pub provider_name: String,
    /// What the provider calls it.
    pub upstream: String,
    /// `tokens` or `calls`.
    pub metering: String,
    /// Requests in 60 s.
    pub rpm: i64,
    /// Tokens in 60 s by default; `None` when metered in calls.
    pub tpm: Option<i64>,
    /// The highest temporary increase; `None` when metered in calls.
    pub tpm_upper_limit: Option<i64>,
    /// The model that is called instead, if fallback is on or asked for.
    pub backup: Option<String>,
    /// Whether every call may fall back.
    pub fallback: bool,
    /// First guess of the output of calls that set no maximum.
    pub default_output_tokens: i64,
    /// Seconds until the provider's first byte; `None`: as the settings have it.
    pub first_byte_timeout_s: Option<i64>,
    /// Seconds of silence within a stream; `None`: as the settings have it.
    pub stream_silence_s: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// Counts its changes, for optimistic locking.
    pub revision: i64,
    /// The increase marked active, if any; see [`Self::increased_to`].
    pub increase_id: Option<String>,
    /// What it raises the TPM to.
    pub increase_tpm: Option<i64>,
    /// Until when.
    pub increase_valid_until: Option<i64>,
    /// Millionths of the estimate's learned factor.
    pub learned_factor_ppm: Option<i64>,
    /// The learned output of a call without a maximum.
    pub learned_output_tokens: Option<i64>,
}

impl ModelRow {
    /// The TPM of the increase in force at `now_ms`: not one whose time is over but which nobody has ended yet.
    pub fn increased_to(&self, now_ms: i64) -> Option<i64> {
        match (self.increase_tpm, self.increase_valid_until) {
            (Some(tpm), Some(until)) if now_ms < until => Some(tpm),
            _ => None,
        }
    }

    /// The account's TPM of this moment. An edit that raises the default above a running increase wins over it.
    pub fn effective_tpm(&self, now_ms: i64) -> Option<i64> {
        self.tpm.map(|tpm| self.increased_to(now_ms).map_or(tpm, |increased| increased.max(tpm)))
    }
}

impl Conn {
    /// An account's models by code.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn models(&mut self, account: &str) -> Result<Vec<ModelRow>> {
        all!(self, ModelRow, MODELS, account)
    }

    /// Every account's models.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn all_models(&mut self) -> Result<Vec<ModelRow>> {
        all!(self, ModelRow, ALL_MODELS)
    }

    /// One model of an account.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn model(&mut self, account: &str, code: &str) -> Result<Option<ModelRow>> {
        optional!(self, ModelRow, MODEL, account, code)
    }
}

impl Tx {
    /// Makes a model. What a row says of increases and learning is not written here.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] when the code is taken.
    pub async fn insert_model(&mut self, row: &ModelRow) -> Result<u64> {
        run!(
            self,
            INSERT_MODEL,
            &row.account_id,
            &row.code,
            &row.provider_id,
            &row.upstream,
            &row.metering,
            row.rpm,
            row.tpm,
            row.tpm_upper_limit,
            row.backup.as_deref(),
            row.fallback,
            row.default_output_tokens,
            row.first_byte_timeout_s,
            row.stream_silence_s,
            row.created_at,
        )
    }

    /// Changes a model if nobody did since `row.revision`; 0 if somebody did.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn update_model(&mut self, row: &ModelRow) -> Result<u64> {
        run!(
            self,
            UPDATE_MODEL,
            &row.provider_id,
            &row.upstream,
            &row.metering,
            row.rpm,
            row.tpm,
            row.tpm_upper_limit,
            row.backup.as_deref(),
            row.fallback,
            row.default_output_tokens,
            row.first_byte_timeout_s,
            row.stream_silence_s,
            &row.account_id,
            &row.code,
            row.revision,
        )
    }

    /// Keeps what the limiter learned of a model; `output_tokens` is `None` until a call of it ended well.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn set_learned(
        &mut self,
        account: &str,
        code: &str,
        factor_ppm: i64,
        output_tokens: Option<i64>,
        at_ms: i64,
    ) -> Result<u64> {
        run!(self, SET_LEARNED, account, code, factor_ppm, output_tokens, at_ms)
    }
}
