//! The limits that figures are shown against: the account's, or what is in force for a workspace.

use crate::{
    error::ApiError,
    ssr::{Caller, ConsoleState, failure, rate_limit::unsigned},
};
use control::{monitoring::ModelRows, workspaces::EditorModel};
use std::collections::HashMap;

/// Limits of one model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
}

/// Those of the account.
pub(super) async fn of_account(state: &ConsoleState, caller: &Caller) -> Result<HashMap<String, Limits>, ApiError> {
    let now_ms = state.control.now_ms();
    let models = control::models::list(&state.control, &caller.actor).await.map_err(failure)?;
    let limit = |rpm: i64, tpm: Option<i64>| Limits { rpm: Some(unsigned(rpm)), tpm: tpm.map(unsigned) };
    Ok(models.into_iter().map(|it| (it.code.clone(), limit(it.rpm, it.effective_tpm(now_ms)))).collect())
}

/// What is in force for one workspace; the account's limits for one that was archived since.
pub(super) async fn of_workspace(
    state: &ConsoleState,
    caller: &Caller,
    id: &str,
    mut limits: HashMap<String, Limits>,
) -> HashMap<String, Limits> {
    if let Ok(editor) = control::workspaces::editor(&state.control, &caller.actor, id).await {
        for model in editor.models {
            let limit = lower(&model);
            limits.insert(model.code, limit);
        }
    }
    limits
}

/// The lower of a workspace's own limits and the account's.
fn lower(model: &EditorModel) -> Limits {
    let lower = |own: Option<i64>, account: Option<i64>| own.into_iter().chain(account).min().map(unsigned);
    // Without an account limit of tokens there is none at all.
    let tpm = model.account_tpm.and_then(|account| lower(model.tpm, Some(account)));
    Limits { rpm: lower(model.rpm, Some(model.account_rpm)), tpm }
}

/// What is in force for each of the workspaces in `rows`, by model and workspace.
pub(super) async fn of_rows(
    state: &ConsoleState,
    caller: &Caller,
    rows: &[ModelRows],
) -> HashMap<(String, String), Limits> {
    let mut found = HashMap::new();
    let mut ids: Vec<&str> = rows.iter().flat_map(|it| &it.rows).map(|it| it.workspace_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        // A workspace that was archived since has rows, but no editor.
        let Ok(editor) = control::workspaces::editor(&state.control, &caller.actor, id).await else { continue };
        for model in editor.models {
            let limit = lower(&model);
            found.insert((model.code, id.to_owned()), limit);
        }
    }
    found
}
