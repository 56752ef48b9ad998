//! Models: their limits, where they are called, and what stands in for them.

use domain::{Action, LimitError, Metering, ModelCode, TimeoutSeconds, parse_limit};
use serde::Serialize;
use store::Tx;
pub use store::model::ModelRow;

use crate::{Actor, Control, ControlError, Result, edit::Object, error::Check};

mod import;

pub use import::{Import, Wanted, import};

/// The first guess of a call's output when nobody says another: PRODUCT's default.
pub const DEFAULT_OUTPUT_TOKENS: i64 = 1024;

/// A model as it is typed.
#[derive(Clone, Debug, Default)]
pub struct ModelForm {
    /// What clients will call it. Not changed by [`edit`].
    pub code: String,
    /// The name of its provider.
    pub provider: String,
    /// What the provider calls it; empty for the same.
    pub upstream: String,
    /// `tokens` or `calls`; empty for tokens.
    pub metering: String,
    /// Requests in 60 s.
    pub rpm: String,
    /// Tokens in 60 s; empty when metered in calls.
    pub tpm: String,
    /// The highest temporary increase; empty for the TPM.
    pub tpm_upper_limit: String,
    /// The model that stands in for it; empty for none.
    pub backup: String,
    /// Whether every call may fall back.
    pub fallback: bool,
    /// First guess of the output of calls that set no maximum; empty for 1024.
    pub default_output_tokens: String,
    /// Seconds until the provider's first byte; empty for the setting's, `None` to leave it as it is.
    pub first_byte_timeout_s: Option<String>,
    /// Seconds of silence within a stream; empty for the setting's, `None` to leave it as it is.
    pub stream_silence_s: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Audited {
    provider: String,
    upstream: String,
    metering: String,
    rpm: i64,
    tpm: Option<i64>,
    tpm_upper_limit: Option<i64>,
    backup: Option<String>,
    fallback: bool,
    default_output_tokens: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_timeout_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_silence_s: Option<i64>,
}

pub(crate) fn audited(row: &ModelRow) -> Audited {
    Audited {
        provider: row.provider_name.clone(),
        upstream: row.upstream.clone(),
        metering: row.metering.clone(),
        rpm: row.rpm,
        tpm: row.tpm,
        tpm_upper_limit: row.tpm_upper_limit,
        backup: row.backup.clone(),
        fallback: row.fallback,
        default_output_tokens: row.default_output_tokens,
        first_byte_timeout_s: row.first_byte_timeout_s,
        stream_silence_s: row.stream_silence_s,
    }
}

/// The account's models by code, each with its increase and what was learned of it.
///
/// # Errors
/// When the store cannot answer.
pub async fn list(control: &Control, actor: &Actor) -> Result<Vec<ModelRow>> {
    actor.authorise(Action::View)?;
    Ok(control.store().read().await?.models(actor.account()).await?)
}

/// One model of the account.
///
/// # Errors
/// [`ControlError::NotFound`].
pub async fn find(control: &Control, actor: &Actor, code: &str) -> Result<ModelRow> {
    actor.authorise(Action::View)?;
    control.store().read().await?.model(actor.account(), code).await?.ok_or(ControlError::NotFound("this model"))
}

/// Makes a model.
///
/// # Errors
/// [`ControlError::Invalid`] at each wrong field.
pub async fn create(control: &Control, actor: &Actor, form: &ModelForm) -> Result<()> {
    actor.authorise(Action::Configure)?;
    let code = ModelCode::parse(&form.code).map_err(|error| ControlError::field("code", error))?;
    let mut edit = control.edit(actor).await?;
    let mut row = blank(actor.account(), code.as_str(), edit.now_ms);
    fill(&mut edit, &mut row, form).await?;
    match edit.insert_model(&row).await {
        Err(error) if error.is_duplicate() => {
            return Err(ControlError::field("code", format!("there is a model {code} already")));
        }
        other => drop(other?),
    }
    edit.note("create", Object::Model, &row.code, None, Some(&audited(&row)));
    edit.commit().await
}

/// Changes a model; in force from the next call on.
///
/// # Errors
/// [`ControlError::Invalid`] at each wrong field; [`ControlError::Conflict`] if someone else saved meanwhile.
pub async fn edit(control: &Control, actor: &Actor, revision: i64, form: &ModelForm) -> Result<()> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let found = edit.model(actor.account(), form.code.trim()).await?;
    let before = found.ok_or(ControlError::NotFound("this model"))?;
    let mut after = ModelRow { revision, ..before.clone() };
    fill(&mut edit, &mut after, form).await?;
    if edit.update_model(&after).await? == 0 {
        return Err(ControlError::Conflict("this model"));
    }
    edit.note("set", Object::Model, &after.code, Some(&audited(&before)), Some(&audited(&after)));
    edit.commit().await
}

pub(crate) fn blank(account: &str, code: &str, now_ms: i64) -> ModelRow {
    ModelRow {
        account_id: account.to_owned(),
        code: code.to_owned(),
        provider_id: String::new(),
        provider_name: String::new(),
        upstream: code.to_owned(),
        metering: Metering::Tokens.as_str().to_owned(),
        rpm: 0,
        tpm: None,
        tpm_upper_limit: None,
        backup: None,
        fallback: false,
        default_output_tokens: DEFAULT_OUTPUT_TOKENS,
        first_byte_timeout_s: None,
        stream_silence_s: None,
        created_at: now_ms,
        revision: 1,
        increase_id: None,
        increase_tpm: None,
        increase_valid_until: None,
        learned_factor_ppm: None,
        learned_output_tokens: None,
    }
}

async fn fill(tx: &mut Tx, row: &mut ModelRow, form: &ModelForm) -> Result<()> {
    let mut check = Check::default();
    let providers = tx.providers(&row.account_id).await?;
    match providers.iter().find(|it| it.name == form.provider.trim() || it.id == form.provider.trim()) {
        Some(provider) => {
            row.provider_id.clone_from(&provider.id);
            row.provider_name.clone_from(&provider.name);
        }
        None => check.wrong("provider", format!("there is no provider {}", form.provider.trim())),
    }
    let upstream = if form.upstream.trim().is_empty() { &row.code } else { &form.upstream };
    if let Some(upstream) = check.take("upstream", ModelCode::parse(upstream)) {
        row.upstream = upstream.as_str().to_owned();
    }
    let metering = match form.metering.trim() {
        "" => Some(Metering::Tokens),
        word => Metering::parse(word),
    };
    match metering {
        Some(metering) => row.metering = metering.as_str().to_owned(),
        None => check.wrong("metering", "metering is tokens or calls"),
    }
    row.rpm = check.take("rpm", account_limit(&form.rpm)).unwrap_or_default();
    (row.tpm, row.tpm_upper_limit) = if metering == Some(Metering::Calls) {
        for (field, text) in [("tpm", &form.tpm), ("tpm_upper_limit", &form.tpm_upper_limit)] {
            if !text.trim().is_empty() {
                check.wrong(field, LimitError::NotMetered);
            }
        }
        (None, None)
    } else {
        let tpm = check.take("tpm", account_limit(&form.tpm));
        let upper = if form.tpm_upper_limit.trim().is_empty() {
            tpm
        } else {
            check.take("tpm_upper_limit", account_limit(&form.tpm_upper_limit))
        };
        if let Err(message) = upper_limit(tpm, upper) {
            check.wrong("tpm_upper_limit", message);
        }
        (tpm, upper)
    };
    row.fallback = form.fallback;
    row.backup = match form.backup.trim() {
        "" => None,
        code => {
            if code == row.code {
                check.wrong("backup", "a model cannot be its own backup");
            } else if tx.model(&row.account_id, code).await?.is_none() {
                check.wrong("backup", format!("there is no model {code}"));
            }
            Some(code.to_owned())
        }
    };
    if row.fallback && row.backup.is_none() {
        check.wrong("fallback", "without a backup model there is nothing to fall back to");
    }
    row.default_output_tokens = match form.default_output_tokens.trim() {
        "" => DEFAULT_OUTPUT_TOKENS,
        text => check.take("default_output_tokens", account_limit(text)).unwrap_or_default(),
    };
    for (field, given, stored) in [
        ("first_byte_timeout_s", &form.first_byte_timeout_s, &mut row.first_byte_timeout_s),
        ("stream_silence_s", &form.stream_silence_s, &mut row.stream_silence_s),
    ] {
        if let Some(text) = given
            && let Some(seconds) = check.take(field, TimeoutSeconds::parse(text))
        {
            *stored = seconds.map(|it| it.get().into());
        }
    }
    check.done()
}

/// Reads a limit that an account must have: at least 1.
pub(crate) fn account_limit(text: &str) -> std::result::Result<i64, LimitError> {
    match parse_limit(text)? {
        None => Err(LimitError::Missing),
        Some(0) => Err(LimitError::Zero),
        Some(limit) => i64::try_from(limit).map_err(|_| LimitError::TooLarge(text.to_owned())),
    }
}

/// The highest increase is not below the default.
pub(crate) fn upper_limit(tpm: Option<i64>, upper: Option<i64>) -> std::result::Result<(), String> {
    match (tpm, upper) {
        (Some(tpm), Some(upper)) if upper < tpm => {
            Err(format!("{upper} is below the limit of {tpm} tokens per minute"))
        }
        _ => Ok(()),
    }
}
