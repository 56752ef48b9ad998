//! Compares the file with the store and writes what differs, within the caller's transaction.

use std::{collections::BTreeMap, collections::BTreeSet};

use domain::{
    LimitError, Metering, ModelCode, ProviderName, TimeoutSeconds, names::DEFAULT_WORKSPACE, units::HIGHEST_LIMIT,
};
use store::{
    model::ModelRow,
    provider::ProviderRow,
    workspace::{LimitRow, WorkspaceRow},
};
use toml::Spanned;

use super::{
    ApplyError, Problems, Source,
    file::{self, File},
    plan::{Plan, Values, all, differences},
};
use crate::{
    Actor, Control, ControlError, Secret,
    edit::{Edit, Object, new_id},
    models, providers, workspaces,
};

pub(super) async fn write(
    control: &Control,
    edit: &mut Edit,
    actor: &Actor,
    file: &File,
    source: &Source<'_>,
) -> Result<Plan, ApplyError> {
    let mut apply = Apply { control, edit, actor, problems: Problems::new(source), plan: Plan::default() };
    let providers = apply.providers(file, source).await?;
    let models = apply.models(file, &providers).await?;
    apply.workspaces(file, &models).await?;
    let Apply { problems, plan, .. } = apply;
    problems.done()?;
    Ok(plan)
}

/// Once a problem is found, the rest is checked but no longer written: the file is refused in the end.
struct Apply<'a> {
    control: &'a Control,
    edit: &'a mut Edit,
    actor: &'a Actor,
    problems: Problems<'a>,
    plan: Plan,
}

impl Apply<'_> {
    async fn providers(
        &mut self,
        file: &File,
        source: &Source<'_>,
    ) -> Result<BTreeMap<String, ProviderRow>, ApplyError> {
        let present = self.edit.providers(self.actor.account()).await?;
        let mut rows: BTreeMap<_, _> = present.into_iter().map(|it| (it.name.clone(), it)).collect();
        let mut named = BTreeSet::new();
        for wanted in &file.provider {
            let at = wanted.name.span().start;
            let Some(name) = self.problems.take(at, ProviderName::parse(wanted.name.get_ref())) else { continue };
            let name = name.as_str().to_owned();
            if !named.insert(name.clone()) {
                self.problems.at(at, format!("provider {name} stands twice in this file"));
                continue;
            }
            let before = rows.get(&name).cloned();
            let mut after = before.clone().unwrap_or_else(|| ProviderRow {
                id: new_id(),
                account_id: self.actor.account().to_owned(),
                name: name.clone(),
                openai_base_url: None,
                dashscope_base_url: None,
                anthropic_base_url: None,
                credential: None,
                created_at: self.edit.now_ms,
                revision: 1,
            });
            after.openai_base_url = self.base_url(wanted.openai_base_url.as_ref());
            after.dashscope_base_url = self.base_url(wanted.dashscope_base_url.as_ref());
            after.anthropic_base_url = self.base_url(wanted.anthropic_base_url.as_ref());
            // Left out, the credential that is there stays. Sealing is never the same twice, so what is there is opened.
            if let Some(credential) = self.credential(wanted, source) {
                let vault = self.control.vault();
                let stored = after.credential.as_deref().and_then(|it| vault.open_sealed(it, &after.id));
                if stored.as_ref() != Some(&credential) {
                    after.credential = Some(vault.seal(credential.expose(), &after.id));
                }
            }
            self.provider(before.as_ref(), &after).await?;
            rows.insert(name, after);
        }
        Ok(rows)
    }

    async fn provider(&mut self, before: Option<&ProviderRow>, after: &ProviderRow) -> Result<(), ApplyError> {
        if self.problems.any() {
            return Ok(());
        }
        let values = |row: &ProviderRow| -> Values {
            vec![
                ("openai_base_url", row.openai_base_url.clone()),
                ("dashscope_base_url", row.dashscope_base_url.clone()),
                ("anthropic_base_url", row.anthropic_base_url.clone()),
            ]
        };
        let what = format!("provider {}", after.name);
        let Some(before) = before else {
            let mut details = all(&values(after));
            details.extend(after.credential.is_some().then(|| "credential set".to_owned()));
            self.plan.add('+', what, details);
            providers::insert(self.edit, after).await?;
            self.edit.note("create", Object::Provider, &after.name, None, Some(&providers::audited(after, false)));
            return Ok(());
        };
        let changed = before.credential != after.credential;
        let mut details = differences(&values(before), &values(after));
        details.extend(changed.then(|| "credential set anew".to_owned()));
        if details.is_empty() {
            return Ok(());
        }
        self.plan.add('~', what, details);
        providers::update(self.edit, after).await?;
        let (old, new) = (providers::audited(before, false), providers::audited(after, changed));
        self.edit.note("set", Object::Provider, &after.name, Some(&old), Some(&new));
        Ok(())
    }

    fn base_url(&mut self, text: Option<&Spanned<String>>) -> Option<String> {
        let text = text?;
        self.problems.take(text.span().start, providers::base_url(text.get_ref())).flatten()
    }

    fn credential(&mut self, wanted: &file::Provider, source: &Source<'_>) -> Option<Secret<String>> {
        let (at, text) = match (&wanted.api_key_env, &wanted.api_key_file) {
            (None, None) => return None,
            (Some(_), Some(file)) => {
                self.problems.at(file.span().start, "api_key_env and api_key_file exclude each other");
                return None;
            }
            (Some(name), None) => {
                let at = name.span().start;
                let missing = || format!("environment variable {} is not set", name.get_ref());
                (at, self.problems.take(at, (source.variable)(name.get_ref()).ok_or_else(missing))?)
            }
            (None, Some(file)) => {
                let at = file.span().start;
                let path = source.folder.join(file.get_ref());
                let read = std::fs::read_to_string(&path);
                let read = read.map_err(|error| format!("{} cannot be read: {error}", path.display()));
                (at, self.problems.take(at, read)?)
            }
        };
        let credential = self.problems.take(at, providers::credential(&text))?;
        if credential.is_none() {
            self.problems.at(at, "the credential is empty");
        }
        credential
    }

    async fn models(
        &mut self,
        file: &File,
        providers: &BTreeMap<String, ProviderRow>,
    ) -> Result<BTreeMap<String, ModelRow>, ApplyError> {
        let present = self.edit.models(self.actor.account()).await?;
        let mut rows: BTreeMap<_, _> = present.into_iter().map(|it| (it.code.clone(), it)).collect();
        let mut named = BTreeSet::new();
        for wanted in &file.model {
            let at = wanted.code.span().start;
            let Some(code) = self.problems.take(at, ModelCode::parse(wanted.code.get_ref())) else { continue };
            let code = code.as_str().to_owned();
            if !named.insert(code.clone()) {
                self.problems.at(at, format!("model {code} stands twice in this file"));
                continue;
            }
            let before = rows.get(&code).cloned();
            let blank = || models::blank(self.actor.account(), &code, self.edit.now_ms);
            let mut after = before.clone().unwrap_or_else(blank);
            self.fill(&mut after, wanted, providers);
            self.model(before.as_ref(), &after).await?;
            rows.insert(code, after);
        }
        for wanted in &file.model {
            let Some(backup) = &wanted.backup else { continue };
            if !rows.contains_key(backup.get_ref()) {
                self.problems.at(backup.span().start, format!("there is no model {}", backup.get_ref()));
            }
        }
        Ok(rows)
    }

    fn fill(&mut self, row: &mut ModelRow, wanted: &file::Model, providers: &BTreeMap<String, ProviderRow>) {
        match providers.get(wanted.provider.get_ref()) {
            Some(provider) => {
                row.provider_id.clone_from(&provider.id);
                row.provider_name.clone_from(&provider.name);
            }
            None => {
                let message = format!("there is no provider {}", wanted.provider.get_ref());
                self.problems.at(wanted.provider.span().start, message);
            }
        }
        row.upstream.clone_from(&row.code);
        if let Some(upstream) = &wanted.upstream
            && let Some(name) = self.problems.take(upstream.span().start, ModelCode::parse(upstream.get_ref()))
        {
            row.upstream = name.as_str().to_owned();
        }
        let metering = match &wanted.metering {
            None => Metering::Tokens,
            Some(word) => Metering::parse(word.get_ref()).unwrap_or_else(|| {
                self.problems.at(word.span().start, "metering is \"tokens\" or \"calls\"");
                Metering::Tokens
            }),
        };
        row.metering = metering.as_str().to_owned();
        row.rpm = self.account_limit(&wanted.rpm).unwrap_or_default();
        (row.tpm, row.tpm_upper_limit) = match (metering, &wanted.tpm) {
            (Metering::Calls, _) => {
                for limit in [&wanted.tpm, &wanted.tpm_upper_limit].into_iter().flatten() {
                    self.problems.at(limit.span().start, LimitError::NotMetered);
                }
                (None, None)
            }
            (Metering::Tokens, None) => {
                let message = format!("model {} is metered in tokens and needs a tpm", row.code);
                self.problems.at(wanted.code.span().start, message);
                (None, None)
            }
            (Metering::Tokens, Some(tpm)) => {
                let given = self.account_limit(tpm);
                let upper = wanted.tpm_upper_limit.as_ref().map_or(given, |it| self.account_limit(it));
                if let Err(message) = models::upper_limit(given, upper) {
                    let at = wanted.tpm_upper_limit.as_ref().unwrap_or(tpm).span().start;
                    self.problems.at(at, message);
                }
                (given, upper)
            }
        };
        row.backup = wanted.backup.as_ref().map(|it| it.get_ref().clone());
        if let Some(backup) = wanted.backup.as_ref().filter(|it| *it.get_ref() == row.code) {
            self.problems.at(backup.span().start, "a model cannot be its own backup");
        }
        row.fallback = wanted.fallback.as_ref().is_some_and(|it| *it.get_ref());
        if let Some(fallback) = wanted.fallback.as_ref().filter(|_| row.fallback && row.backup.is_none()) {
            let message = "without a backup model there is nothing to fall back to";
            self.problems.at(fallback.span().start, message);
        }
        let output = wanted.default_output_tokens.as_ref();
        row.default_output_tokens =
            output.map_or(Some(models::DEFAULT_OUTPUT_TOKENS), |it| self.account_limit(it)).unwrap_or_default();
        row.first_byte_timeout_s = wanted.first_byte_timeout_s.as_ref().and_then(|it| self.timeout(it));
        row.stream_silence_s = wanted.stream_silence_s.as_ref().and_then(|it| self.timeout(it));
    }

    async fn model(&mut self, before: Option<&ModelRow>, after: &ModelRow) -> Result<(), ApplyError> {
        if self.problems.any() {
            return Ok(());
        }
        let values = |row: &ModelRow| -> Values {
            vec![
                ("provider", Some(row.provider_name.clone())),
                ("upstream", (row.upstream != row.code).then(|| row.upstream.clone())),
                ("metering", (row.metering != "tokens").then(|| row.metering.clone())),
                ("rpm", Some(row.rpm.to_string())),
                ("tpm", row.tpm.map(|it| it.to_string())),
                ("tpm_upper_limit", row.tpm_upper_limit.map(|it| it.to_string())),
                ("backup", row.backup.clone()),
                ("fallback", row.fallback.then(|| "on".to_owned())),
                (
                    "default_output_tokens",
                    (row.default_output_tokens != models::DEFAULT_OUTPUT_TOKENS)
                        .then(|| row.default_output_tokens.to_string()),
                ),
                ("first_byte_timeout_s", row.first_byte_timeout_s.map(|it| it.to_string())),
                ("stream_silence_s", row.stream_silence_s.map(|it| it.to_string())),
            ]
        };
        let what = format!("model {}", after.code);
        let new = models::audited(after);
        let Some(before) = before else {
            self.plan.add('+', what, all(&values(after)));
            self.edit.insert_model(after).await?;
            self.edit.note("create", Object::Model, &after.code, None, Some(&new));
            return Ok(());
        };
        let details = differences(&values(before), &values(after));
        if details.is_empty() {
            return Ok(());
        }
        self.plan.add('~', what, details);
        if self.edit.update_model(after).await? == 0 {
            return Err(ControlError::Conflict("this model").into());
        }
        self.edit.note("set", Object::Model, &after.code, Some(&models::audited(before)), Some(&new));
        Ok(())
    }

    async fn workspaces(&mut self, file: &File, models: &BTreeMap<String, ModelRow>) -> Result<(), ApplyError> {
        let mut named = BTreeSet::new();
        for wanted in &file.workspace {
            let at = wanted.name.span().start;
            let name = wanted.name.get_ref().trim();
            if !named.insert(name.to_lowercase()) {
                self.problems.at(at, format!("workspace {name} stands twice in this file"));
                continue;
            }
            let found = workspaces::by_name_or_id(self.edit, self.actor.account(), name).await?;
            let is_default = found.as_ref().is_some_and(|it| it.is_default);
            if is_default || name.eq_ignore_ascii_case(DEFAULT_WORKSPACE) {
                let message = "the default workspace has the account's limits and every model, and cannot be edited";
                self.problems.at(at, message);
                continue;
            }
            let row = match found {
                Some(row) => row,
                None => match self.new_workspace(name).await? {
                    Ok(row) => row,
                    Err(message) => {
                        self.problems.at(at, message);
                        continue;
                    }
                },
            };
            self.grants(&row, wanted, models).await?;
        }
        Ok(())
    }

    /// The row, written; or why there can be none.
    async fn new_workspace(&mut self, name: &str) -> Result<Result<WorkspaceRow, String>, ApplyError> {
        let row = match workspaces::checked(self.edit, self.actor.account(), name).await {
            Ok(row) => WorkspaceRow { created_at: self.edit.now_ms, ..row },
            Err(ControlError::Invalid(fields)) => {
                return Ok(Err(fields.into_iter().map(|it| it.message).collect::<Vec<_>>().join("; ")));
            }
            Err(error) => return Err(error.into()),
        };
        workspaces::insert(self.edit, &row).await?;
        self.plan.add('+', format!("workspace {}", row.name), Vec::new());
        self.edit.note("create", Object::Workspace, &row.name, None, Some(&row.name));
        Ok(Ok(row))
    }

    async fn grants(
        &mut self,
        row: &WorkspaceRow,
        wanted: &file::Workspace,
        models: &BTreeMap<String, ModelRow>,
    ) -> Result<(), ApplyError> {
        let now_ms = self.edit.now_ms;
        let before = self.edit.workspace_limits(&row.account_id, &row.id).await?;
        let mut limits: Vec<LimitRow> = Vec::with_capacity(wanted.models.len());
        for grant in &wanted.models {
            let (at, code) = (grant.code.span().start, grant.code.get_ref());
            let Some(model) = models.get(code) else {
                self.problems.at(at, format!("there is no model {code}"));
                continue;
            };
            if limits.iter().any(|it| it.model_code == *code) {
                self.problems.at(at, format!("model {code} stands twice in workspace {}", row.name));
                continue;
            }
            let stored = workspaces::stored(&before, code);
            let rpm = self.own_limit(grant.rpm.as_ref(), |given| workspaces::own_rpm(given, model, stored));
            let tpm = self.own_limit(grant.tpm.as_ref(), |given| workspaces::own_tpm(given, model, stored, now_ms));
            limits.push(LimitRow {
                workspace_id: row.id.clone(),
                account_id: row.account_id.clone(),
                model_code: code.clone(),
                rpm,
                tpm,
            });
        }
        if self.problems.any() {
            return Ok(());
        }
        limits.sort_by(|a, b| a.model_code.cmp(&b.model_code));
        if before == limits {
            return Ok(());
        }
        self.tell_grants(row, &before, &limits);
        self.edit.touch_workspace(&row.account_id, &row.id, row.revision).await?;
        workspaces::replace(self.edit, row, &before, &limits).await?;
        let (old, new) = (workspaces::audited(&before), workspaces::audited(&limits));
        self.edit.note("set", Object::Limits, &row.name, Some(&old), Some(&new));
        Ok(())
    }

    fn tell_grants(&mut self, row: &WorkspaceRow, before: &[LimitRow], after: &[LimitRow]) {
        let values = |it: &LimitRow| -> Values {
            vec![("rpm", it.rpm.map(|it| it.to_string())), ("tpm", it.tpm.map(|it| it.to_string()))]
        };
        let what = |code: &str| format!("grant {}/{code}", row.name);
        for limit in after {
            match before.iter().find(|it| it.model_code == limit.model_code) {
                None => self.plan.add('+', what(&limit.model_code), all(&values(limit))),
                Some(old) if old == limit => {}
                Some(old) => {
                    self.plan.add('~', what(&limit.model_code), differences(&values(old), &values(limit)));
                }
            }
        }
        for gone in before.iter().filter(|it| after.iter().all(|kept| kept.model_code != it.model_code)) {
            self.plan.add('-', what(&gone.model_code), Vec::new());
        }
    }

    /// A limit that an account must have: from 1 to the highest possible.
    fn account_limit(&mut self, given: &Spanned<i64>) -> Option<i64> {
        let limit = match number(*given.get_ref()) {
            Ok(0) => Err(LimitError::Zero),
            Ok(_) => Ok(*given.get_ref()),
            Err(error) => Err(error),
        };
        self.problems.take(given.span().start, limit)
    }

    fn timeout(&mut self, given: &Spanned<i64>) -> Option<i64> {
        let seconds = TimeoutSeconds::new(*given.get_ref());
        self.problems.take(given.span().start, seconds).map(|it| it.get().into())
    }

    /// A workspace's own limit: from 0 to the account's.
    fn own_limit(
        &mut self,
        given: Option<&Spanned<i64>>,
        check: impl FnOnce(Option<u64>) -> Result<Option<i64>, LimitError>,
    ) -> Option<i64> {
        let given = given?;
        let limit = number(*given.get_ref()).and_then(|it| check(Some(it)));
        self.problems.take(given.span().start, limit).flatten()
    }
}

fn number(given: i64) -> Result<u64, LimitError> {
    match u64::try_from(given) {
        Err(_) => Err(LimitError::Negative(given.to_string())),
        Ok(number) if number > HIGHEST_LIMIT => Err(LimitError::TooLarge(given.to_string())),
        Ok(number) => Ok(number),
    }
}
