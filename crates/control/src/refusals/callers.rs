//! Who used a limit inside the window of a refusal, as far as the call log holds it.

use std::collections::BTreeMap;

use domain::{Cause, Scope, Window};
use store::{Conn, refusal::CallerRow};

use super::{MINUTE_MS, Names, Refusal, unsigned};
use crate::{Actor, Result};

/// Rows of each kind that are looked at: the newest of the window. More calls than that in a minute are told by a part;
/// reading one costs about 2 µs, and a page has 30 ms.
const LOOKED_AT: i64 = 5_000;

/// Callers that are named; the rest is one sum.
const NAMED: usize = 8;

/// The use of one limit inside a window, by caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    /// Keys that the actor may see, the heaviest first, as many as are named.
    pub named: Vec<CallerUse>,
    /// The lighter keys that the actor may see together; `None` if all are named.
    pub lighter: Option<CallerUse>,
    /// Whom the actor may not see, together; `None` if that is nobody.
    pub others: Option<CallerUse>,
    /// The sum of all of them: requests or tokens, as the limit counts.
    pub told: u64,
    /// Calls of the window's minutes, of any model, that the log had no room for or that were not looked at.
    pub left_out: u64,
}

/// What one key, or several together, did inside the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerUse {
    /// The workspace; empty for several.
    pub workspace_id: String,
    /// Its name.
    pub workspace: String,
    /// The key; empty for several.
    pub key_id: String,
    /// Its name; empty if nobody knows it any more.
    pub key: String,
    /// Requests or tokens, as the limit counts.
    pub used: u64,
    /// Calls that a limit let through.
    pub admitted: u64,
    /// Calls that a limit refused.
    pub refused: u64,
}

pub(super) async fn read(conn: &mut Conn, actor: &Actor, names: &Names, refusal: &Refusal) -> Result<Callers> {
    let named = refusal.named();
    let window_ms = i64::try_from(named.window.seconds() * 1_000).unwrap_or(MINUTE_MS);
    let (after_ms, to_ms) = (refusal.at_ms - window_ms, refusal.at_ms);
    let rows = conn.callers(actor.account(), (after_ms, to_ms), LOOKED_AT).await?;
    let looked_at: i64 = rows.iter().map(|it| it.calls).sum();
    let of_workspace = if named.scope == Scope::Workspace { refusal.workspace_id.as_str() } else { "" };
    let minutes = (after_ms.div_euclid(MINUTE_MS) * MINUTE_MS, to_ms);
    let gap = conn.gaps(actor.account(), minutes, of_workspace, false).await?;
    let relevant = rows.into_iter().filter(|it| it.model_code == refusal.model);
    let relevant = relevant.filter(|it| of_workspace.is_empty() || it.workspace_id == of_workspace);
    let mut callers = told(relevant, |it| used(it, named.cause, named.window), |it| actor.sees(it));
    for it in &mut callers.named {
        it.workspace = names.workspace(&it.workspace_id);
        it.key = names.key(&it.key_id);
    }
    callers.left_out = unsigned(gap) + u64::from(looked_at >= LOOKED_AT);
    Ok(callers)
}

/// A second counts prompts, a minute what calls were settled at.
fn used(row: &CallerRow, cause: Cause, window: Window) -> u64 {
    unsigned(match (cause, window) {
        (Cause::Requests | Cause::Surge, _) => row.admitted,
        (Cause::Tokens, Window::Minute) => row.tokens_total,
        (Cause::Tokens, Window::Second) => row.tokens_prompt,
    })
}

fn told(
    rows: impl Iterator<Item = CallerRow>,
    used: impl Fn(&CallerRow) -> u64,
    sees: impl Fn(&str) -> bool,
) -> Callers {
    let mut by_key: BTreeMap<(String, String), CallerUse> = BTreeMap::new();
    for row in rows {
        let of = if sees(&row.workspace_id) {
            (row.workspace_id.clone(), row.key_id.clone())
        } else {
            (String::new(), String::new())
        };
        let it = by_key.entry(of).or_default();
        it.used += used(&row);
        it.admitted += unsigned(row.admitted);
        it.refused += unsigned(row.refused);
    }
    let others = by_key.remove(&(String::new(), String::new()));
    let mut named: Vec<CallerUse> =
        by_key.into_iter().map(|((workspace_id, key_id), it)| CallerUse { workspace_id, key_id, ..it }).collect();
    named.sort_by(|a, b| (b.used, b.admitted, b.refused, &a.key_id).cmp(&(a.used, a.admitted, a.refused, &b.key_id)));
    let rest = named.split_off(named.len().min(NAMED));
    let lighter = (!rest.is_empty()).then(|| rest.iter().fold(CallerUse::default(), CallerUse::with));
    let told = named.iter().chain(&lighter).chain(&others).map(|it| it.used).sum();
    Callers { named, lighter, others, told, left_out: 0 }
}

impl CallerUse {
    fn with(mut self, other: &Self) -> Self {
        self.used += other.used;
        self.admitted += other.admitted;
        self.refused += other.refused;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workspace: &str, key: &str, admitted: i64) -> CallerRow {
        CallerRow {
            model_code: "m".to_owned(),
            workspace_id: workspace.to_owned(),
            key_id: key.to_owned(),
            calls: admitted + 1,
            admitted,
            refused: 1,
            tokens_prompt: admitted,
            tokens_total: admitted * 10,
        }
    }

    #[test]
    fn who_may_not_be_seen_is_one_sum() {
        let rows = [row("w1", "a", 3), row("w2", "b", 5), row("w1", "c", 7), row("w3", "d", 1), row("w1", "a", 2)];
        let callers = told(rows.into_iter(), |it| unsigned(it.tokens_total), |it| it == "w1");
        let named: Vec<_> = callers.named.iter().map(|it| (it.key_id.as_str(), it.used, it.admitted)).collect();
        assert_eq!(named, [("c", 70, 7), ("a", 50, 5)]);
        let others = callers.others.unwrap();
        assert_eq!((others.used, others.refused, others.workspace_id.as_str()), (60, 2, ""));
        assert_eq!(callers.told, 180);
    }

    #[test]
    fn the_lightest_are_one_sum() {
        let rows = (0..12).map(|i| row("w1", &format!("k{i:02}"), i));
        let callers = told(rows, |it| unsigned(it.admitted), |_| true);
        assert_eq!((callers.named.len(), callers.named[0].used), (NAMED, 11));
        assert_eq!(callers.lighter.map(|it| it.used), Some(1 + 2 + 3));
        assert_eq!((callers.others, callers.told), (None, 66));
    }

    #[test]
    fn the_own_lightest_are_not_counted_among_others() {
        let own = (0..9).map(|i| row("w1", &format!("k{i}"), i + 1));
        let callers = told(own.chain([row("w2", "z", 100)]), |it| unsigned(it.admitted), |it| it == "w1");
        assert_eq!(callers.lighter.map(|it| it.used), Some(1));
        assert_eq!(callers.others.map(|it| it.used), Some(100));
        assert_eq!(callers.told, 45 + 100);
    }
}
