//! The limits that hold at this moment, for figures that are shown against them.

use std::sync::Arc;

use domain::Action;

use crate::{Actor, Control, Result, configuration::Configuration};

/// Limits of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in 60 s; `None` for a model that there is no more.
    pub rpm: Option<i64>,
    /// Tokens in 60 s; `None` also when metered in calls.
    pub tpm: Option<i64>,
}

/// The limits of all models and workspaces of an account.
#[derive(Clone, Debug)]
pub struct InForce {
    configuration: Arc<Configuration>,
    now_ms: i64,
}

/// The limits that hold now.
///
/// # Errors
/// When the store cannot answer.
pub async fn in_force(control: &Control, actor: &Actor) -> Result<InForce> {
    actor.authorise(Action::View)?;
    let mut conn = control.store().read().await?;
    let configuration = control.configuration(&mut conn, actor.account()).await?;
    Ok(InForce { configuration, now_ms: control.now_ms() })
}

impl InForce {
    /// Every model's code, in order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.configuration.models.iter().map(|it| it.code.as_str())
    }

    /// The account's limits of a model, a temporary increase included.
    pub fn account(&self, model: &str) -> Limits {
        let found = self.configuration.model(model);
        Limits { rpm: found.map(|it| it.rpm), tpm: found.and_then(|it| it.effective_tpm(self.now_ms)) }
    }

    /// The lower of a workspace's own limits, if it has any, and the account's.
    pub fn workspace(&self, workspace: &str, model: &str) -> Limits {
        let account = self.account(model);
        let Some(own) = self.configuration.grant(workspace, model) else { return account };
        let lower = |own: Option<i64>, account: i64| own.map_or(account, |own| own.min(account));
        // Without an account limit of tokens there is none at all.
        Limits { rpm: account.rpm.map(|it| lower(own.rpm, it)), tpm: account.tpm.map(|it| lower(own.tpm, it)) }
    }
}
