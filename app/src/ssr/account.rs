//! The account's settings as their page shows them.

use super::{Caller, ConsoleState, failure};
use crate::{api::account::AccountView, error::ApiError};

/// The settings of the caller's account.
pub(crate) async fn view(state: &ConsoleState, caller: &Caller) -> Result<AccountView, ApiError> {
    let row = control::accounts::settings(&state.control, &caller.actor).await.map_err(failure)?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(AccountView {
        name: row.name,
        increase_validity_days: count(row.increase_validity_days),
        inactivity_days: count(row.inactivity_days),
        max_workspaces: count(row.max_workspaces),
        max_keys: count(row.max_keys),
        max_name_length: count(row.max_name_length),
        revision: row.revision,
    })
}
