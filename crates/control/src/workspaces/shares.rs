//! One model across all workspaces: whose limit is how large, and whether they add up to more than the account has.

use domain::Action;
use store::{model::ModelRow, workspace::LimitRow};

use crate::{Actor, Control, ControlError, Result};

/// A model and who may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelShares {
    /// Its code.
    pub model: String,
    /// The account's requests in 60 s.
    pub rpm: i64,
    /// The account's tokens in 60 s at this moment; `None` when not metered in tokens.
    pub tpm: Option<i64>,
    /// The workspaces' own limits of requests together.
    pub sum_rpm: i64,
    /// The workspaces' own limits of tokens together.
    pub sum_tpm: i64,
    /// Workspaces that may call it, by name; the default one, which has no limits of its own, is not among them.
    pub shares: Vec<Share>,
}

impl ModelShares {
    /// Whether the workspaces' own limits together are more than the account's.
    pub fn overcommitted(&self) -> bool {
        self.sum_rpm > self.rpm || self.tpm.is_some_and(|it| self.sum_tpm > it)
    }
}

/// One workspace's share of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The workspace.
    pub workspace_id: String,
    /// Its name.
    pub workspace: String,
    /// Its own limit of requests in 60 s; `None` is the account's.
    pub rpm: Option<i64>,
    /// Its own limit of tokens in 60 s; `None` is the account's.
    pub tpm: Option<i64>,
}

/// Every model with the workspaces that may call it, by code.
///
/// # Errors
/// [`ControlError::Forbidden`] for who sees one workspace alone.
pub async fn shares(control: &Control, actor: &Actor) -> Result<Vec<ModelShares>> {
    actor.authorise(Action::View)?;
    if !actor.standing.sees_all() {
        return Err(ControlError::Forbidden("you see your own workspace alone; ask an owner or admin"));
    }
    let now_ms = control.now_ms();
    let mut conn = control.store().read().await?;
    let workspaces = conn.workspaces(actor.account()).await?;
    let limits = conn.account_limits(actor.account()).await?;
    let mut by_model = super::by_model(&limits);
    let name = |id: &str| workspaces.iter().find(|it| it.id == id).map(|it| it.name.clone());
    let of = |model: ModelRow| {
        let mine = by_model.remove(model.code.as_str()).unwrap_or_default();
        let sum = |of: fn(&LimitRow) -> Option<i64>| mine.iter().filter_map(|it| of(it)).fold(0, i64::saturating_add);
        ModelShares {
            rpm: model.rpm,
            tpm: model.effective_tpm(now_ms),
            sum_rpm: sum(|it| it.rpm),
            sum_tpm: sum(|it| it.tpm),
            shares: mine
                .iter()
                .filter_map(|it| {
                    Some(Share {
                        workspace: name(&it.workspace_id)?,
                        workspace_id: it.workspace_id.clone(),
                        rpm: it.rpm,
                        tpm: it.tpm,
                    })
                })
                .collect(),
            model: model.code,
        }
    };
    Ok(conn.models(actor.account()).await?.into_iter().map(of).collect())
}
