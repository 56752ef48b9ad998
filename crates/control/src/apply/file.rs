//! The file's shape. Every value keeps its place, so that whatever is wrong with it can be pointed at.

use serde::Deserialize;
use toml::Spanned;

use super::{ApplyError, Problems, Source};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) provider: Vec<Provider>,
    #[serde(default)]
    pub(super) model: Vec<Model>,
    #[serde(default)]
    pub(super) workspace: Vec<Workspace>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) name: Spanned<String>,
    pub(super) openai_base_url: Option<Spanned<String>>,
    pub(super) dashscope_base_url: Option<Spanned<String>>,
    pub(super) anthropic_base_url: Option<Spanned<String>>,
    pub(super) api_key_env: Option<Spanned<String>>,
    pub(super) api_key_file: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    pub(super) code: Spanned<String>,
    pub(super) provider: Spanned<String>,
    pub(super) upstream: Option<Spanned<String>>,
    pub(super) rpm: Spanned<i64>,
    pub(super) tpm: Option<Spanned<i64>>,
    pub(super) tpm_upper_limit: Option<Spanned<i64>>,
    pub(super) metering: Option<Spanned<String>>,
    pub(super) backup: Option<Spanned<String>>,
    pub(super) fallback: Option<Spanned<bool>>,
    pub(super) default_output_tokens: Option<Spanned<i64>>,
    pub(super) first_byte_timeout_s: Option<Spanned<i64>>,
    pub(super) stream_silence_s: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Workspace {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) models: Vec<Grant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    pub(super) code: Spanned<String>,
    pub(super) rpm: Option<Spanned<i64>>,
    pub(super) tpm: Option<Spanned<i64>>,
}

pub(super) fn parse(source: &Source<'_>) -> Result<File, ApplyError> {
    toml::from_str(source.text).map_err(|error| {
        let mut problems = Problems::new(source);
        // A message of several lines explains itself in the first.
        let message = error.message().lines().next().unwrap_or("this is no TOML").to_owned();
        problems.at(error.span().map_or(0, |it| it.start), message);
        match problems.done() {
            Err(error) => error,
            Ok(()) => unreachable!("a problem was just added"),
        }
    })
}
