//! Which pairs of workspace and model have series, by number: hundreds of rows that every page of figures asks for, and that
//! only ever become more.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::Lane;
use crate::{Conn, Result};

statements! {
    COUNT_PAIRS = "select count(*) from series where account_id = $1 and lane = $2 and workspace_id <> ''";
    PAIRS = "select id, workspace_id, model_code
        from series
        where account_id = $1 and lane = $2 and workspace_id <> ''
        order by id";
}

/// Accounts and lanes whose pairs are remembered at most.
const KEPT: usize = 64;

/// What one workspace does with one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Of the series of both.
    pub(super) number: i64,
    pub(super) workspace_id: String,
    /// Empty in the lane of stopped calls.
    pub(super) model_code: String,
}

/// The pairs that were read last, by account and lane.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Mutex<Known>);

type Known = HashMap<(String, Lane), Arc<[Pair]>>;

impl Pairs {
    fn find(&self, account: &str, lane: Lane) -> Option<Arc<[Pair]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(account.to_owned(), lane)).cloned()
    }

    fn keep(&self, account: &str, lane: Lane, pairs: &Arc<[Pair]>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert((account.to_owned(), lane), Arc::clone(pairs));
    }
}

impl Conn {
    /// The workspaces of which anything was ever counted in `lane`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn counted_workspaces(&mut self, account: &str, lane: Lane) -> Result<BTreeSet<String>> {
        Ok(self.every_pair(account, lane).await?.iter().map(|it| it.workspace_id.clone()).collect())
    }

    /// Every pair of an account and lane, by number.
    async fn every_pair(&mut self, account: &str, lane: Lane) -> Result<Arc<[Pair]>> {
        let count = scalar!(self, i64, COUNT_PAIRS, account, lane.as_str())?;
        self.pairs_counted(account, lane, count).await
    }

    /// The same, where `count` of them were there a moment ago.
    pub(super) async fn pairs_counted(&mut self, account: &str, lane: Lane, count: i64) -> Result<Arc<[Pair]>> {
        // Numbers are not committed in their order: only as many as there are says that none is missing.
        let known = self.pairs().find(account, lane);
        if let Some(known) = known.filter(|it| i64::try_from(it.len()) == Ok(count)) {
            return Ok(known);
        }
        let pair = |(number, workspace_id, model_code)| Pair { number, workspace_id, model_code };
        let rows = all!(self, (i64, String, String), PAIRS, account, lane.as_str())?;
        let pairs: Arc<[Pair]> = rows.into_iter().map(pair).collect();
        self.pairs().keep(account, lane, &pairs);
        Ok(pairs)
    }
}
