//! A call that Sluice admitted and the provider refused: its 429 has a page as well.

use domain::Cause;
use store::{Conn, call_log::CallRow};

use super::{Backup, Names};
use crate::{Actor, Result};

/// One call that the provider answered with 429.
#[derive(Clone, Debug)]
pub struct ProviderRefusal {
    /// The `x-request-id` of the answer.
    pub id: String,
    /// When Sluice admitted it.
    pub at_ms: i64,
    /// The model it called.
    pub model: String,
    /// The workspace it counted for.
    pub workspace_id: String,
    /// That workspace's name.
    pub workspace: String,
    /// The name of the key it came with; empty if nobody knows it any more.
    pub key: String,
    /// Which of the provider's limits its answer named, where that was recognised.
    pub cause: Option<Cause>,
    /// Whether the model's backup took it.
    pub fell_back: bool,
    /// How often its client had tried before.
    pub retries: i64,
    /// What could take such calls now; `None` if the model is gone.
    pub backup: Option<Backup>,
}

/// The provider's 429 with this id, if the actor may see it.
pub(super) async fn find(
    conn: &mut Conn,
    actor: &Actor,
    names: &Names,
    id: &str,
    arrived_ms: i64,
) -> Result<Option<ProviderRefusal>> {
    let row = conn.refusal_of_provider(actor.account(), id, arrived_ms).await?;
    let Some(row) = row.filter(|it| actor.sees(&it.workspace_id)) else { return Ok(None) };
    let backup = match conn.model(actor.account(), &row.model_code).await? {
        Some(model) => {
            let limits = conn.workspace_limits(actor.account(), &row.workspace_id).await?;
            Some(Backup::of(conn, actor, model, &row.workspace_id, &limits).await?)
        }
        None => None,
    };
    let CallRow { id, at_ms, model_code, workspace_id, key_id, cause, fell_back, retries, .. } = row;
    Ok(Some(ProviderRefusal {
        workspace: names.workspace(&workspace_id),
        key: names.key(&key_id),
        cause: cause.as_deref().and_then(Cause::parse),
        model: model_code,
        id,
        at_ms,
        workspace_id,
        fell_back,
        retries,
        backup,
    }))
}
