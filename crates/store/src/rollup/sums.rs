//! Sums over a range, by workspace and model: read from rows that each hold all pairs of one minute, hour or day.

use domain::TimeRange;

use super::{
    Figures, Lane,
    cover::{cover, ends},
    pairs::Pair,
    parts::{Entry, Totals},
};
use crate::{Conn, Result};

statements! {
    // The row without a body says how many pairs there are.
    SUMS = concat!(
        of_pieces!("select at_ms, body from call_sum where account_id = $1 and lane = $2",
            "$3" "$4", "$5" "$6", "$7" "$8", "$9" "$10", "$11" "$12"),
        " union all select count(*), null from series where account_id = $1 and lane = $2 and workspace_id <> ''"
    );
}

/// What one workspace did with one model in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The workspace.
    pub workspace_id: String,
    /// The model; empty in the lane of stopped calls.
    pub model_code: String,
    /// When the range's first call was admitted or refused.
    pub first_at_ms: i64,
    /// What was counted.
    pub figures: Figures,
}

impl Conn {
    /// What each workspace did with each model in `range`; an empty `workspace` or `model` means any.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn sums(
        &mut self,
        account: &str,
        lane: Lane,
        workspace: &str,
        model: &str,
        range: TimeRange,
        now_ms: i64,
    ) -> Result<Vec<Sum>> {
        let [a, b, c, d, e] = ends(&cover(range, now_ms));
        let of_lane = lane.as_str();
        let rows = all!(
            self,
            (i64, Option<Vec<u8>>),
            SUMS,
            account,
            of_lane,
            a.0,
            a.1,
            b.0,
            b.1,
            c.0,
            c.1,
            d.0,
            d.1,
            e.0,
            e.1
        )?;
        let count = rows.iter().find(|it| it.1.is_none()).map_or(0, |it| it.0);
        let every = self.pairs_counted(account, lane, count).await?;
        let of = |asked: &str, it: &str| asked.is_empty() || asked == it;
        let pairs: Vec<&Pair> =
            every.iter().filter(|it| of(workspace, &it.workspace_id) && of(model, &it.model_code)).collect();
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let mut totals = Totals::of(pairs.iter().map(|it| it.number).collect());
        for (at_ms, body) in &rows {
            if let Some(body) = body {
                totals.add(*at_ms, body)?;
            }
        }
        let sums = pairs.into_iter().zip(totals.into_entries()).filter_map(|(pair, total)| {
            let Entry { first_at_ms, figures } = total?;
            let Pair { workspace_id, model_code, .. } = pair.clone();
            Some(Sum { workspace_id, model_code, first_at_ms, figures })
        });
        let mut sums: Vec<Sum> = sums.collect();
        sums.sort_by(|a, b| (&a.workspace_id, &a.model_code).cmp(&(&b.workspace_id, &b.model_code)));
        Ok(sums)
    }
}
