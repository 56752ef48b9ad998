//! Lets the console read the ledger: use of this moment, one account at a time.

use std::sync::Arc;

use app::ssr::{LiveCell, LiveFigures, LiveUse};
use domain::AccountId;
use limiter::{Ledger, Use};

/// The ledger as the console sees it.
pub struct LivePort(pub Arc<Ledger>);

impl LiveUse for LivePort {
    fn live(&self, account: &AccountId) -> Vec<LiveCell> {
        let cells = self.0.cells();
        let mine = cells.iter().filter(|cell| cell.key().account == *account);
        let view = mine.map(|cell| {
            let live = cell.live();
            let workspaces = live.workspaces.iter();
            LiveCell {
                model: cell.key().model.clone(),
                account: figures(live.account),
                workspaces: workspaces
                    .filter_map(|(slot, it)| Some((self.0.workspace_id(*slot)?, figures(*it))))
                    .collect(),
            }
        });
        view.filter(|it| it.account.requests_minute > 0 || it.account.tokens_minute > 0).collect()
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
