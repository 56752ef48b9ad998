//! Lets the console read the ledger and the last seconds: use of this moment, one account at a time.

use std::sync::Arc;

use app::ssr::{LastSeconds, LiveCell, LiveFigures, LiveUse};
use domain::{AccountId, ModelCode, WorkspaceId};
use limiter::{Ledger, Use};

use crate::seconds::Seconds;

/// The ledger and what the flush counted by the second, as the console sees them.
pub struct LivePort {
    /// Use of this moment.
    pub ledger: Arc<Ledger>,
    /// Use of the last ten minutes.
    pub seconds: Arc<Seconds>,
}

impl LiveUse for LivePort {
    fn live(&self, account: &AccountId) -> Vec<LiveCell> {
        let cells = self.ledger.cells();
        let mine = cells.iter().filter(|cell| cell.key().account == *account);
        let view = mine.map(|cell| {
            let live = cell.live();
            let workspaces = live.workspaces.iter();
            LiveCell {
                model: cell.key().model.clone(),
                account: figures(live.account),
                workspaces: workspaces
                    .filter_map(|(slot, it)| Some((self.ledger.workspace_id(*slot)?, figures(*it))))
                    .collect(),
            }
        });
        view.filter(|it| it.account.requests_minute > 0 || it.account.tokens_minute > 0).collect()
    }

    fn seconds(&self, account: &AccountId, model: &ModelCode, workspace: Option<&WorkspaceId>) -> LastSeconds {
        self.seconds.of(account, model, workspace)
    }
}

fn figures(it: Use) -> LiveFigures {
    LiveFigures {
        requests_minute: it.requests_minute,
        tokens_minute: it.tokens_minute,
        requests_second: it.requests_second,
        tokens_second: it.tokens_second,
    }
}
