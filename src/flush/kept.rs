//! What the store keeps of what cells learned: written when it changed, so that it survives a restart.

use std::collections::HashMap;

use limiter::{CellKey, Learned, Ledger};
use parking_lot::Mutex;
use store::Store;

use super::signed;

/// What the store has: each model's factor in millionths, and its output.
#[derive(Debug, Default)]
pub struct Kept(Mutex<HashMap<CellKey, (i64, Option<i64>)>>);

impl Kept {
    /// What the cells of `ledger` have just been given from the store.
    pub fn of(ledger: &Ledger) -> Self {
        let kept = Self::default();
        kept.note(kept.changed(ledger));
        kept
    }

    /// What was learned since.
    fn changed(&self, ledger: &Ledger) -> Vec<(CellKey, (i64, Option<i64>))> {
        let kept = self.0.lock();
        let cells = ledger.cells();
        let learned = cells.iter().filter_map(|cell| {
            let Learned { ratio, output } = cell.learned();
            #[expect(clippy::cast_possible_truncation, reason = "the ratio lies within 0.5 and 4")]
            let learned = ((ratio * 1e6).round() as i64, output.map(signed));
            // Nothing was ever learned of a model that is as it began.
            let known = kept.get(cell.key()).copied().unwrap_or((1_000_000, None));
            (learned != known).then(|| (cell.key().clone(), learned))
        });
        let mut learned: Vec<_> = learned.collect();
        // In one order on every process that shares the store: otherwise two would wait for each other's rows.
        learned.sort_by(|(a, _), (b, _)| (&a.account, &a.model).cmp(&(&b.account, &b.model)));
        learned
    }

    fn note(&self, changed: Vec<(CellKey, (i64, Option<i64>))>) {
        self.0.lock().extend(changed);
    }

    /// What was learned of each model's prompts and answers survives a restart.
    pub(super) async fn keep(&self, store: &Store, ledger: &Ledger, now_ms: i64) {
        let changed = self.changed(ledger);
        if changed.is_empty() {
            return;
        }
        let outcome = async {
            let mut tx = store.begin().await?;
            for (key, (factor_ppm, output)) in &changed {
                tx.set_learned(key.account.as_str(), key.model.as_str(), *factor_ppm, *output, now_ms).await?;
            }
            tx.commit().await
        };
        match outcome.await {
            Ok(()) => self.note(changed),
            Err(error) => tracing::warn!(%error, "what was learned of the models is not stored"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::{AccountId, ModelCode};
    use limiter::{ManualClock, Surge};

    use super::*;

    fn cell(ledger: &Ledger, model: &str) -> Arc<limiter::CellHandle> {
        ledger.cell(&AccountId::new("a"), &ModelCode::parse(model).expect("a name"))
    }

    #[test]
    fn only_what_was_learned_since_is_written() {
        let ledger = Ledger::new(Arc::new(ManualClock::default()), Surge::default());
        let cells = ["restored", "untouched", "factor-alone"].map(|it| cell(&ledger, it));
        cells[0].set_learned(Learned { ratio: 1.25, output: Some(70) });
        let kept = Kept::of(&ledger);
        assert_eq!(kept.changed(&ledger), [], "the store has this already");

        cells[2].set_learned(Learned { ratio: 0.9, output: None });
        let changed = kept.changed(&ledger);
        assert_eq!(changed, [(cells[2].key().clone(), (900_000, None))]);
        kept.note(changed);
        assert_eq!(kept.changed(&ledger), []);
        cells[0].set_learned(Learned { ratio: 1.25, output: Some(69) });
        assert_eq!(kept.changed(&ledger), [(cells[0].key().clone(), (1_250_000, Some(69)))]);
    }

    #[test]
    fn what_was_learned_is_written_in_one_order_everywhere() {
        let ledger = Ledger::new(Arc::new(ManualClock::default()), Surge::default());
        for model in 0..40 {
            cell(&ledger, &format!("m{model:02}")).set_learned(Learned { ratio: 1.5, output: None });
        }
        let changed = Kept::default().changed(&ledger);
        let models: Vec<_> = changed.iter().map(|(key, _)| key.model.as_str()).collect();
        assert_eq!(models.len(), 40);
        assert!(models.is_sorted(), "{models:?}");
    }
}
