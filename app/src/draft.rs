//! What the workspace editor holds before it is stored: which models, and limits as they are typed.
//! Pure, and the same in the browser and on the server.

use crate::{api::workspaces::GrantView, format::whole, outcome::FieldError};
use domain::{Cause, LimitError, check_changed_limit, parse_limit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Granted models in the order of the list, with what stands in their fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Codes of the granted models.
    pub grant: Vec<String>,
    /// *Times / min* by model.
    pub rpm: BTreeMap<String, String>,
    /// *Token / min* by model.
    pub tpm: BTreeMap<String, String>,
}

/// One difference between what is stored and what is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The model's code.
    pub model: String,
    /// What of it.
    pub what: &'static str,
    /// As it is stored.
    pub stored: String,
    /// As it is typed.
    pub typed: String,
}

impl GrantView {
    /// Whether the picker shows it.
    pub fn matches(&self, search: &str, provider: &str) -> bool {
        let search = search.trim().to_ascii_lowercase();
        (provider.is_empty() || self.provider == provider)
            && (self.model.to_ascii_lowercase().contains(&search)
                || self.provider.to_ascii_lowercase().contains(&search))
    }

    /// The account's limit of `of`; `None` when there is none.
    pub fn account(&self, of: Cause) -> Option<u64> {
        if of == Cause::Tokens { self.account_tpm } else { Some(self.account_rpm) }
    }

    /// The workspace's stored limit of `of`; `None` is the account's.
    pub fn own(&self, of: Cause) -> Option<u64> {
        if of == Cause::Tokens { self.tpm } else { self.rpm }
    }

    /// What is wrong with a limit as it is typed.
    pub fn wrong(&self, of: Cause, text: &str) -> Option<String> {
        let check = |given| check_changed_limit(given, self.own(of), self.account(of), of);
        let checked = parse_limit(text).and_then(check);
        checked.err().map(|error: LimitError| error.to_string())
    }
}

/// The name a model's field is sent under.
pub fn field_name(of: Cause, model: &str) -> String {
    format!("{}[{model}]", if of == Cause::Tokens { "tpm" } else { "rpm" })
}

impl Draft {
    /// What is stored.
    pub fn stored(models: &[GrantView]) -> Self {
        let mut draft = Self::default();
        for it in models.iter().filter(|it| it.granted) {
            draft.grant.push(it.model.clone());
            draft.rpm.insert(it.model.clone(), it.rpm.map(whole).unwrap_or_default());
            draft.tpm.insert(it.model.clone(), it.tpm.map(whole).unwrap_or_default());
        }
        draft
    }

    /// What is typed into one field.
    pub fn text(&self, of: Cause, model: &str) -> &str {
        let map = if of == Cause::Tokens { &self.tpm } else { &self.rpm };
        map.get(model).map_or("", String::as_str)
    }

    /// Types into one field.
    pub fn set(&mut self, of: Cause, model: &str, text: String) {
        let map = if of == Cause::Tokens { &mut self.tpm } else { &mut self.rpm };
        map.insert(model.to_owned(), text);
    }

    /// Grants more models, at the end and each once; what is no model of the account is passed over.
    pub fn add(&mut self, picks: &[String], models: &[GrantView]) {
        for it in models.iter().filter(|it| picks.contains(&it.model)) {
            if !self.grant.contains(&it.model) {
                self.grant.push(it.model.clone());
            }
        }
    }

    /// Everything that is wrong.
    pub fn errors(&self, models: &[GrantView]) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (model, of) in self.fields(models) {
            if let Some(message) = model.wrong(of, self.text(of, &model.model)) {
                errors.push(FieldError::new(field_name(of, &model.model), message));
            }
        }
        errors
    }

    /// Writes every limit as the console writes numbers.
    pub fn tidy(&mut self, models: &[GrantView]) {
        for (model, of) in self.fields(models) {
            if let Ok(Some(limit)) = parse_limit(self.text(of, &model.model)) {
                self.set(of, &model.model, whole(limit));
            }
        }
    }

    /// What *Save Changes* would change.
    pub fn changes(&self, models: &[GrantView]) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut say = |model: &GrantView, what, stored: String, typed: String| {
            changes.push(Change { model: model.model.clone(), what, stored, typed });
        };
        for model in models {
            let kept = self.grant.contains(&model.model);
            if kept != model.granted {
                let word = |granted: bool| if granted { "granted" } else { "not granted" }.to_owned();
                say(model, "Permission", word(model.granted), word(kept));
            }
        }
        for (model, of) in self.fields(models) {
            let (stored, text) = (model.own(of), self.text(of, &model.model).trim());
            let typed = parse_limit(text);
            if typed != Ok(stored) {
                let shown = typed.map_or_else(|_| text.to_owned(), limit_words);
                let what = if of == Cause::Tokens { "Token / min" } else { "Times / min" };
                say(model, what, limit_words(stored), shown);
            }
        }
        changes
    }

    /// The pairs a form sends.
    #[cfg(feature = "ssr")]
    pub fn typed(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<_> = self.grant.iter().map(|it| ("grant".to_owned(), it.clone())).collect();
        for (of, map) in [(Cause::Requests, &self.rpm), (Cause::Tokens, &self.tpm)] {
            pairs.extend(map.iter().map(|(model, text)| (field_name(of, model), text.clone())));
        }
        pairs
    }

    /// The same, with the revision that it was typed on top of.
    #[cfg(feature = "ssr")]
    pub fn typed_on(&self, revision: Option<i64>) -> Vec<(String, String)> {
        let mut pairs = self.typed();
        pairs.extend(revision.map(|it| ("revision".to_owned(), it.to_string())));
        pairs
    }

    /// Reads the pairs a form sent.
    pub fn from_typed(pairs: &[(String, String)]) -> Self {
        let mut draft = Self::default();
        for (name, value) in pairs {
            let inner = |prefix: &str| name.strip_prefix(prefix)?.strip_suffix(']');
            if name == "grant" {
                draft.grant.push(value.clone());
            } else if let Some(model) = inner("rpm[") {
                draft.set(Cause::Requests, model, value.clone());
            } else if let Some(model) = inner("tpm[") {
                draft.set(Cause::Tokens, model, value.clone());
            }
        }
        draft
    }

    /// The fields on the page: two for a granted model, one if it is not metered in tokens.
    fn fields<'a>(&self, models: &'a [GrantView]) -> Vec<(&'a GrantView, Cause)> {
        let granted = models.iter().filter(|it| self.grant.contains(&it.model));
        granted
            .flat_map(|it| [(it, Cause::Requests), (it, Cause::Tokens)])
            .filter(|(it, of)| it.account(*of).is_some())
            .collect()
    }
}

fn limit_words(limit: Option<u64>) -> String {
    limit.map_or_else(|| "the account's".to_owned(), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Vec<GrantView> {
        let model = |code: &str, granted, rpm, tpm: Option<u64>| GrantView {
            model: code.to_owned(),
            provider: "dashscope".to_owned(),
            granted,
            rpm,
            tpm: None,
            account_rpm: 600,
            account_tpm: tpm,
            ..GrantView::default()
        };
        vec![model("qwen-plus", true, Some(100), Some(1_000_000)), model("image", false, None, None)]
    }

    fn typed(grant: &[&str], rpm: &[(&str, &str)], tpm: &[(&str, &str)]) -> Draft {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Draft { grant: grant.iter().map(|it| (*it).to_owned()).collect(), rpm: map(rpm), tpm: map(tpm) }
    }

    #[test]
    fn what_is_stored_is_no_change_however_it_is_written() {
        assert_eq!(Draft::stored(&models()).changes(&models()), []);
        assert_eq!(typed(&["qwen-plus"], &[("qwen-plus", "")], &[]).changes(&models()).len(), 1);
        assert_eq!(typed(&["qwen-plus"], &[("qwen-plus", " 0100 ")], &[("qwen-plus", "")]).changes(&models()), []);
    }

    #[test]
    fn changes_are_named() {
        let draft = typed(&["qwen-plus", "image"], &[("qwen-plus", "90")], &[("qwen-plus", "x"), ("image", "7")]);
        let words: Vec<_> = draft
            .changes(&models())
            .into_iter()
            .map(|it| format!("{} {}: {} → {}", it.model, it.what, it.stored, it.typed))
            .collect();
        assert_eq!(
            words,
            [
                "image Permission: not granted → granted",
                "qwen-plus Times / min: 100 → 90",
                "qwen-plus Token / min: the account's → x",
            ]
        );
        let removed = typed(&[], &[("qwen-plus", "x")], &[]).changes(&models());
        assert_eq!(removed.iter().map(|it| it.typed.as_str()).collect::<Vec<_>>(), ["not granted"]);
    }

    #[test]
    fn each_wrong_field_has_its_message() {
        let draft = typed(&["qwen-plus"], &[("qwen-plus", "900")], &[("qwen-plus", "-1")]);
        assert_eq!(
            draft.errors(&models()),
            [
                FieldError::new("rpm[qwen-plus]", "900 is above the account limit of 600 requests per minute"),
                FieldError::new("tpm[qwen-plus]", "-1 is below zero"),
            ]
        );
        assert_eq!(typed(&["image"], &[("image", "0")], &[("image", "not shown")]).errors(&models()), []);
    }

    #[test]
    fn what_is_stored_may_stay_when_the_accounts_limit_fell_below_it() {
        let mut models = models();
        models[0].rpm = Some(900);
        assert_eq!(Draft::stored(&models).errors(&models), []);
        assert_eq!(typed(&["qwen-plus"], &[("qwen-plus", " 0900 ")], &[]).errors(&models), []);
        assert_eq!(typed(&["qwen-plus"], &[("qwen-plus", "901")], &[]).errors(&models).len(), 1);
    }

    #[test]
    fn a_model_is_added_once_and_only_if_it_exists() {
        let mut draft = Draft::stored(&models());
        draft.add(&["image".into(), "qwen-plus".into(), "nothing".into()], &models());
        assert_eq!(draft.grant, ["qwen-plus", "image"]);
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn a_draft_survives_the_form() {
        let draft = typed(&["org/model:tag"], &[("org/model:tag", "1e30")], &[("org/model:tag", "<b>")]);
        assert_eq!(Draft::from_typed(&draft.typed()), draft);
    }

    #[test]
    fn the_picker_searches_codes_and_providers() {
        let models = models();
        let found = |search: &str, provider: &str| models.iter().filter(|it| it.matches(search, provider)).count();
        assert_eq!(
            [found("", ""), found("QWEN", ""), found("scope", ""), found("zzz", ""), found("", "other")],
            [2, 1, 2, 0, 0]
        );
    }
}
