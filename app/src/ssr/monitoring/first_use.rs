//! How far an account is that never had a call.

use crate::{
    api::monitoring::FirstUseView,
    error::ApiError,
    ssr::{Caller, ConsoleState, failure},
};
use control::monitoring;

/// The way to the first call; `None` once there was one that the caller may know of.
pub(super) async fn of(state: &ConsoleState, caller: &Caller, now_ms: i64) -> Result<Option<FirstUseView>, ApiError> {
    let (control, actor) = (&state.control, &caller.actor);
    if monitoring::ever_called(control, actor).await.map_err(failure)? {
        return Ok(None);
    }
    let models = control::models::list(control, actor).await.map_err(failure)?;
    let keys = control::keys::list(control, actor, None).await.map_err(failure)?;
    let works = |it: &&control::keys::KeyView| it.revoked_at.is_none() && it.expires_at.is_none_or(|at| at > now_ms);
    // Who may not see providers counts those that models name.
    let providers = match control::providers::list(control, actor).await {
        Ok(providers) => providers.len(),
        Err(_) => usize::from(!models.is_empty()),
    };
    let own = actor.standing.workspace.as_ref().filter(|_| !actor.standing.sees_all());
    let (workspace, model) = match own {
        Some(id) => {
            let granted = control::workspaces::editor(control, actor, id.as_str()).await.map_err(failure)?;
            (id.as_str().to_owned(), granted.models.into_iter().find(|it| it.granted).map(|it| it.code))
        }
        None => {
            let all = control::workspaces::list(control, actor).await.map_err(failure)?;
            let default = all.into_iter().find(|it| it.is_default).map(|it| it.id).unwrap_or_default();
            (default, models.first().map(|it| it.code.clone()))
        }
    };
    Ok(Some(FirstUseView {
        providers,
        models: models.len(),
        keys: keys.iter().filter(works).count(),
        model,
        workspace,
    }))
}
