//! Temporary increases, and the peaks they are judged by.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

macro_rules! increases {
    ($rest:literal) => {
        concat!(
            "select id, account_id, model_code, requested_at, requested_by, former_tpm, tpm, valid_until, state, ended_at,
                ended_by, kept_at, peak_used
            from temporary_increase ",
            $rest
        )
    };
}

statements! {
    INCREASES = increases!(
        "where account_id = $1 and requested_at <= $2 and (requested_at < $2 or id < $3)
        order by requested_at desc, id desc
        limit $4"
    );
    INCREASE = increases!("where account_id = $1 and id = $2");
    ACTIVE_INCREASES = increases!("where state = 'active' order by account_id, model_code");
    ACTIVE_INCREASE = increases!("where account_id = $1 and model_code = $2 and state = 'active'");
    INSERT_INCREASE = "insert into temporary_increase (id, account_id, model_code, requested_at, requested_by,
            former_tpm, tpm, valid_until, state, peak_used)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    END_INCREASE = "update temporary_increase
        set state = $1, ended_at = $2, ended_by = $3
        where account_id = $4 and id = $5 and state = 'active'";
    KEEP_INCREASE = "update temporary_increase set kept_at = $1 where account_id = $2 and id = $3 and state = 'active'";
    RAISE_PEAK = "insert into model_peak (account_id, model_code, at_ms, tokens)
        values ($1, $2, $3, $4)
        on conflict (account_id, model_code, at_ms) do update
        set tokens = case when excluded.tokens > model_peak.tokens then excluded.tokens else model_peak.tokens end";
    RAISE_INCREASE_PEAK = "update temporary_increase
        set peak_used = $1
        where account_id = $2 and model_code = $3 and state = 'active' and peak_used < $1";
    PEAK_SINCE = "select cast(coalesce(max(tokens), 0) as bigint)
        from model_peak
        where account_id = $1 and model_code = $2 and at_ms >= $3";
    PEAKS_SINCE = "select model_code, cast(max(tokens) as bigint) as tokens
        from model_peak
        where account_id = $1 and at_ms >= $2
        group by model_code";
    LAST_PEAK_ABOVE = "select cast(coalesce(max(at_ms), -1) as bigint)
        from model_peak
        where account_id = $1 and model_code = $2 and tokens > $3";
    DELETE_PEAKS = "delete from model_peak where at_ms < $1";
}

/// One temporary increase of a model's TPM.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct IncreaseRow {
    /// Its identity.
    pub id: String,
    /// Its account.
    pub account_id: String,
    /// Its model.
    pub model_code: String,
    /// When it was asked for.
    pub requested_at: i64,
    /// Who asked.
    pub requested_by: String,
    /// The account's TPM in force before.
    pub former_tpm: i64,
    /// The account's TPM while it holds.
    pub tpm: i64,
    /// When the default returns.
    pub valid_until: i64,
    /// The word of a [`domain::IncreaseState`].
    pub state: String,
    /// When it stopped being active.
    pub ended_at: Option<i64>,
    /// Who ended or replaced it; `None` where time or disuse did.
    pub ended_by: Option<String>,
    /// When someone last chose to keep it though it was not used.
    pub kept_at: Option<i64>,
    /// The highest sliding 60 s of tokens while it held.
    pub peak_used: i64,
}

/// The highest sliding 60 s of tokens of one model.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct PeakRow {
    /// The model.
    pub model_code: String,
    /// Tokens.
    pub tokens: i64,
}

/// Length of a peak's hour in milliseconds.
pub const PEAK_BUCKET_MS: i64 = 3_600_000;

impl Conn {
    /// A page of history, the newest first, of requests before `(before_ms, before_id)`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn increases(
        &mut self,
        account: &str,
        before_ms: i64,
        before_id: &str,
        limit: i64,
    ) -> Result<Vec<IncreaseRow>> {
        all!(self, IncreaseRow, INCREASES, account, before_ms, before_id, limit)
    }

    /// One increase of an account.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn increase(&mut self, account: &str, id: &str) -> Result<Option<IncreaseRow>> {
        optional!(self, IncreaseRow, INCREASE, account, id)
    }

    /// Every account's increases marked active.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn active_increases(&mut self) -> Result<Vec<IncreaseRow>> {
        all!(self, IncreaseRow, ACTIVE_INCREASES)
    }

    /// The increase of a model marked active.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn active_increase(&mut self, account: &str, model: &str) -> Result<Option<IncreaseRow>> {
        optional!(self, IncreaseRow, ACTIVE_INCREASE, account, model)
    }

    /// The highest sliding 60 s of tokens of a model in hours that began at or after `since_ms`; 0 if none was used.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn peak_since(&mut self, account: &str, model: &str, since_ms: i64) -> Result<i64> {
        scalar!(self, i64, PEAK_SINCE, account, model, since_ms)
    }

    /// The same for every model that was used.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn peaks_since(&mut self, account: &str, since_ms: i64) -> Result<Vec<PeakRow>> {
        all!(self, PeakRow, PEAKS_SINCE, account, since_ms)
    }

    /// The last hour in which some 60 s of a model used more than `tokens`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn last_peak_above(&mut self, account: &str, model: &str, tokens: i64) -> Result<Option<i64>> {
        let at = scalar!(self, i64, LAST_PEAK_ABOVE, account, model, tokens)?;
        Ok((at >= 0).then_some(at))
    }
}

impl Tx {
    /// Writes a request down.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] when the model has an active one.
    pub async fn insert_increase(&mut self, row: &IncreaseRow) -> Result<u64> {
        run!(
            self,
            INSERT_INCREASE,
            &row.id,
            &row.account_id,
            &row.model_code,
            row.requested_at,
            &row.requested_by,
            row.former_tpm,
            row.tpm,
            row.valid_until,
            &row.state,
            row.peak_used,
        )
    }

    /// Notes what became of an active increase; 0 if it is not active.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn end_increase(
        &mut self,
        account: &str,
        id: &str,
        state: domain::IncreaseState,
        at_ms: i64,
        by: Option<&str>,
    ) -> Result<u64> {
        run!(self, END_INCREASE, state.as_str(), at_ms, by, account, id)
    }

    /// Starts the time of inactivity anew.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn keep_increase(&mut self, account: &str, id: &str, at_ms: i64) -> Result<u64> {
        run!(self, KEEP_INCREASE, at_ms, account, id)
    }

    /// Notes the tokens of some sliding 60 s that ended at `at_ms`; only the highest of an hour is kept.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn raise_peak(&mut self, account: &str, model: &str, at_ms: i64, tokens: i64) -> Result<()> {
        let hour = at_ms.div_euclid(PEAK_BUCKET_MS) * PEAK_BUCKET_MS;
        run!(self, RAISE_PEAK, account, model, hour, tokens)?;
        run!(self, RAISE_INCREASE_PEAK, tokens, account, model)?;
        Ok(())
    }

    /// Forgets peaks of hours before `before_ms`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_peaks(&mut self, before_ms: i64) -> Result<u64> {
        run!(self, DELETE_PEAKS, before_ms)
    }
}
