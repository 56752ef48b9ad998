//! What filters offer: the workspaces that the caller sees, and the chosen one also when it was archived.

use super::{Caller, ConsoleState, failure};
use crate::{error::ApiError, ui::Choice};

/// The workspaces to filter by. What is chosen has its name also after it was put away: its figures stay.
pub(super) async fn workspaces(state: &ConsoleState, caller: &Caller, chosen: &str) -> Result<Vec<Choice>, ApiError> {
    let (control, actor) = (&state.control, &caller.actor);
    let present = control::workspaces::list(control, actor).await.map_err(failure)?;
    let mut choices: Vec<_> = present.into_iter().map(|it| Choice::new(it.id, it.name)).collect();
    if !chosen.is_empty() && choices.iter().all(|it| it.value != chosen) {
        let archived = control::workspaces::archived(control, actor).await.map_err(failure)?;
        let found = archived.into_iter().find(|it| it.id == chosen);
        choices.extend(found.map(|it| Choice::new(it.id, format!("{} (archived)", it.name))));
    }
    Ok(choices)
}
