//! Providers: where models are called. A credential goes in and never comes out again.

use domain::{Action, ProviderName};
use serde::Serialize;
use store::{Tx, provider::ProviderRow};

use crate::{
    Actor, Control, ControlError, Result, Secret, Vault,
    edit::{Object, new_id},
    error::Check,
};

/// A provider as pages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderView {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Ends in `/v1`.
    pub openai_base_url: Option<String>,
    /// Ends in `/api/v1`.
    pub dashscope_base_url: Option<String>,
    /// Without `/v1`.
    pub anthropic_base_url: Option<String>,
    /// Whether a credential is stored.
    pub has_credential: bool,
    /// For a form's hidden field.
    pub revision: i64,
}

/// A provider as it is typed.
#[derive(Clone, Debug, Default)]
pub struct ProviderForm {
    /// Its name.
    pub name: String,
    /// Empty where the dialect is not offered.
    pub openai_base_url: String,
    /// Empty where the dialect is not offered.
    pub dashscope_base_url: String,
    /// Empty where the dialect is not offered.
    pub anthropic_base_url: String,
    /// Empty to keep the one there is.
    pub credential: String,
    /// Removes the one there is.
    pub forget_credential: bool,
}

/// What the audit log keeps: of a credential only that it changed.
#[derive(Serialize)]
pub(crate) struct Audited {
    name: String,
    openai_base_url: Option<String>,
    dashscope_base_url: Option<String>,
    anthropic_base_url: Option<String>,
    credential: &'static str,
}

pub(crate) fn audited(row: &ProviderRow, changed: bool) -> Audited {
    Audited {
        name: row.name.clone(),
        openai_base_url: row.openai_base_url.clone(),
        dashscope_base_url: row.dashscope_base_url.clone(),
        anthropic_base_url: row.anthropic_base_url.clone(),
        credential: match (&row.credential, changed) {
            (None, _) => "none",
            (Some(_), false) => "set",
            (Some(_), true) => "set anew",
        },
    }
}

/// The account's providers by name.
///
/// # Errors
/// When the store cannot answer.
pub async fn list(control: &Control, actor: &Actor) -> Result<Vec<ProviderView>> {
    actor.authorise(Action::View)?;
    let rows = control.store().read().await?.providers(actor.account()).await?;
    let view = |row: ProviderRow| ProviderView {
        has_credential: row.credential.is_some(),
        id: row.id,
        name: row.name,
        openai_base_url: row.openai_base_url,
        dashscope_base_url: row.dashscope_base_url,
        anthropic_base_url: row.anthropic_base_url,
        revision: row.revision,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// Makes a provider and returns its id.
///
/// # Errors
/// [`ControlError::Invalid`] at each wrong field.
pub async fn create(control: &Control, actor: &Actor, form: &ProviderForm) -> Result<String> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let mut row = ProviderRow {
        id: new_id(),
        account_id: actor.account().to_owned(),
        name: String::new(),
        openai_base_url: None,
        dashscope_base_url: None,
        anthropic_base_url: None,
        credential: None,
        created_at: edit.now_ms,
        revision: 1,
    };
    fill(control.vault(), &mut row, form)?;
    insert(&mut edit, &row).await?;
    edit.note("create", Object::Provider, &row.name, None, Some(&audited(&row, false)));
    edit.commit().await?;
    Ok(row.id)
}

/// Changes a provider.
///
/// # Errors
/// [`ControlError::Invalid`] at each wrong field; [`ControlError::Conflict`] if someone else saved meanwhile.
pub async fn edit(control: &Control, actor: &Actor, id: &str, revision: i64, form: &ProviderForm) -> Result<()> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let before = edit.provider(actor.account(), id).await?.ok_or(ControlError::NotFound("this provider"))?;
    let mut after = ProviderRow { revision, ..before.clone() };
    fill(control.vault(), &mut after, form)?;
    update(&mut edit, &after).await?;
    let changed = before.credential != after.credential;
    edit.note("set", Object::Provider, &after.name, Some(&audited(&before, false)), Some(&audited(&after, changed)));
    edit.commit().await
}

pub(crate) async fn insert(tx: &mut Tx, row: &ProviderRow) -> Result<()> {
    match tx.insert_provider(row).await {
        Err(error) if error.is_duplicate() => Err(taken(row)),
        other => Ok(other.map(drop)?),
    }
}

pub(crate) async fn update(tx: &mut Tx, row: &ProviderRow) -> Result<()> {
    match tx.update_provider(row).await {
        Err(error) if error.is_duplicate() => Err(taken(row)),
        Ok(0) => Err(ControlError::Conflict("this provider")),
        other => Ok(other.map(drop)?),
    }
}

fn taken(row: &ProviderRow) -> ControlError {
    ControlError::field("name", format!("there is a provider {} already", row.name))
}

fn fill(vault: &Vault, row: &mut ProviderRow, form: &ProviderForm) -> Result<()> {
    let mut check = Check::default();
    let name = check.take("name", ProviderName::parse(&form.name));
    let mut url = |field: &str, text: &str| check.take(field, base_url(text)).flatten();
    row.openai_base_url = url("openai_base_url", &form.openai_base_url);
    row.dashscope_base_url = url("dashscope_base_url", &form.dashscope_base_url);
    row.anthropic_base_url = url("anthropic_base_url", &form.anthropic_base_url);
    let credential = check.take("credential", credential(&form.credential)).flatten();
    check.done()?;
    row.name = name.map(|it| it.as_str().to_owned()).unwrap_or_default();
    if form.forget_credential {
        row.credential = None;
    }
    if let Some(credential) = credential {
        row.credential = Some(vault.seal(credential.expose(), &row.id));
    }
    Ok(())
}

/// Bytes of the longest base URL; paths of calls are added to it.
const LONGEST_URL: usize = 1_000;
/// Characters of a wrong one that its message repeats.
const SHOWN_OF_URL: usize = 80;

/// Reads a base URL as it stands in a form or file: `None` if empty, without a trailing slash.
pub(crate) fn base_url(text: &str) -> std::result::Result<Option<String>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > LONGEST_URL {
        return Err(format!("a base URL has at most {LONGEST_URL} characters"));
    }
    let shown: String = text.chars().take(SHOWN_OF_URL).collect();
    let shown = if shown.len() < text.len() { format!("{shown}…") } else { shown };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else {
        return Err(format!("{shown} does not begin with https:// or http://"));
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.contains('@') {
        return Err("a base URL holds no user or password; the credential has a field of its own".to_owned());
    }
    let port_is_fine = match host.rsplit_once(':') {
        Some((_, port)) if !host.ends_with(']') => port.parse::<u16>().is_ok_and(|it| it > 0),
        _ => true,
    };
    let graphic = text.bytes().all(|it| it.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&it));
    if host.is_empty() || host.starts_with(':') || !port_is_fine || !graphic || path.contains(['?', '#']) {
        return Err(format!("{shown} is no base URL"));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

/// Reads a credential: `None` if empty. It must fit into a header.
pub(crate) fn credential(text: &str) -> std::result::Result<Option<Secret<String>>, &'static str> {
    let text = text.trim();
    if text.len() > 8_192 || !text.bytes().all(|it| it.is_ascii_graphic()) {
        return Err("a credential is one word of ASCII characters");
    }
    Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        assert_eq!(base_url(" "), Ok(None));
        assert_eq!(base_url("http://127.0.0.1:9000/v1/"), Ok(Some("http://127.0.0.1:9000/v1".to_owned())));
        assert_eq!(base_url("http://[::1]/v1"), Ok(Some("http://[::1]/v1".to_owned())));
        for wrong in [
            "ftp://x",
            "example.com/v1",
            "https://",
            "https:///v1",
            "https://u:p@x/v1",
            "https://x:0/",
            "https://x:99999/",
            "https://x/v1?a=b",
            "https://x/ v1",
            "https://x/\r\n",
        ] {
            if wrong.ends_with('\n') {
                assert!(base_url(wrong).is_ok(), "the ends are trimmed");
            } else {
                assert!(base_url(wrong).is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn a_base_url_has_a_greatest_length_and_a_message_repeats_a_part() {
        let of = |length: usize| format!("https://x/{}", "v".repeat(length - 10));
        assert!(base_url(&of(LONGEST_URL)).is_ok());
        assert_eq!(base_url(&of(LONGEST_URL + 1)), Err("a base URL has at most 1000 characters".to_owned()));
        let wrong = base_url(&format!("ftp://{}", "ö".repeat(400))).unwrap_err();
        assert!(
            wrong.ends_with("ö… does not begin with https:// or http://") && wrong.chars().count() < 130,
            "{wrong}"
        );
    }

    #[test]
    fn a_credential_fits_into_a_header() {
        assert!(credential("").unwrap().is_none());
        assert_eq!(credential(" sk-1 ").unwrap().unwrap().expose(), "sk-1");
        assert!(credential("a b").is_err() && credential("a\nb").is_err() && credential("ä").is_err());
    }
}
