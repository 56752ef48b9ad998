//! Takes several of a provider's models at once, with limits for each: all of them, or none and a message at each field.

use std::collections::BTreeSet;

use domain::{Action, Metering, ModelCode, parse_limit};

use super::{account_limit, audited, blank, upper_limit};
use crate::{Actor, Control, ControlError, Result, edit::Object, error::Check};

/// Models taken at once: more than any provider lists.
const MOST: usize = 2_000;

/// One model to take, with limits as they are typed. Messages stand at `code.<model>`, `rpm.<model>` and `tpm.<model>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The provider's name for it, by which clients will call it too.
    pub code: String,
    /// Requests in 60 s; empty for the common one.
    pub rpm: String,
    /// Tokens in 60 s; empty for the common one.
    pub tpm: String,
}

/// Which models to take from which provider. Messages about the common limits stand at `rpm`, `tpm` and
/// `tpm_upper_limit`.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The provider's id.
    pub provider: String,
    /// The models.
    pub models: Vec<Wanted>,
    /// Requests in 60 s of those without a limit of their own.
    pub rpm: String,
    /// Tokens in 60 s of those without a limit of their own; empty: these are metered in requests alone.
    pub tpm: String,
    /// The highest temporary increase of those that are metered in tokens; empty for each one's TPM.
    pub tpm_upper_limit: String,
}

/// Makes the models and returns how many.
///
/// # Errors
/// [`ControlError::Invalid`] at each wrong field, and at the form when nothing was chosen; [`ControlError::NotFound`] for
/// an unknown provider.
pub async fn import(control: &Control, actor: &Actor, form: &Import) -> Result<usize> {
    actor.authorise(Action::Configure)?;
    if form.models.is_empty() || form.models.len() > MOST {
        let message = if form.models.is_empty() { "choose at least one model" } else { "these are too many models" };
        return Err(ControlError::field("", message));
    }
    let mut edit = control.edit(actor).await?;
    let provider = edit.provider(actor.account(), form.provider.trim()).await?;
    let provider = provider.ok_or(ControlError::NotFound("this provider"))?;
    let known: BTreeSet<String> = edit.models(actor.account()).await?.into_iter().map(|it| it.code).collect();
    let mut check = Check::default();
    // The common limits are looked at where one of the models needs them, so that each mistake is told once.
    let any_without = |own: fn(&Wanted) -> &String| form.models.iter().any(|it| own(it).trim().is_empty());
    let common_rpm = if any_without(|it| &it.rpm) { check.take("rpm", account_limit(&form.rpm)) } else { None };
    let common_tpm = if any_without(|it| &it.tpm) { check.take("tpm", optional(&form.tpm)).flatten() } else { None };
    let upper = check.take("tpm_upper_limit", optional(&form.tpm_upper_limit)).flatten();
    let mut rows = Vec::with_capacity(form.models.len());
    let mut taken = BTreeSet::new();
    for wanted in &form.models {
        let at = |field: &str| format!("{field}.{}", wanted.code);
        let Some(code) = check.take(&at("code"), ModelCode::parse(&wanted.code)) else { continue };
        if known.contains(code.as_str()) {
            check.wrong(&at("code"), "the account has this model already");
        } else if !taken.insert(code.as_str().to_owned()) {
            check.wrong(&at("code"), "this model is named twice");
        }
        let rpm =
            if wanted.rpm.trim().is_empty() { common_rpm } else { check.take(&at("rpm"), account_limit(&wanted.rpm)) };
        let tpm =
            if wanted.tpm.trim().is_empty() { common_tpm } else { check.take(&at("tpm"), account_limit(&wanted.tpm)) };
        let mut row = blank(actor.account(), code.as_str(), edit.now_ms);
        row.provider_id.clone_from(&provider.id);
        row.provider_name.clone_from(&provider.name);
        (row.rpm, row.tpm, row.tpm_upper_limit) = (rpm.unwrap_or_default(), tpm, tpm.map(|tpm| upper.unwrap_or(tpm)));
        if tpm.is_none() {
            row.metering = Metering::Calls.as_str().to_owned();
        } else if let Err(message) = upper_limit(row.tpm, row.tpm_upper_limit) {
            let field = if wanted.tpm.trim().is_empty() { "tpm_upper_limit".to_owned() } else { at("tpm") };
            check.wrong(&field, message);
        }
        rows.push(row);
    }
    check.done()?;
    for row in &rows {
        match edit.insert_model(row).await {
            Err(error) if error.is_duplicate() => {
                return Err(ControlError::field(format!("code.{}", row.code), "the account has this model already"));
            }
            other => drop(other?),
        }
        edit.note("import", Object::Model, &row.code, None, Some(&audited(row)));
    }
    edit.commit().await?;
    Ok(rows.len())
}

/// Reads a limit that may be missing; where it is there, it is an account's.
fn optional(text: &str) -> std::result::Result<Option<i64>, domain::LimitError> {
    match parse_limit(text)? {
        None => Ok(None),
        Some(_) => account_limit(text).map(Some),
    }
}
