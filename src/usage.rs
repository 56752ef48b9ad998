//! Carries the ledger's charges over a restart: written with every flush, given back at start. After an unclean stop a
//! second's worth of every limit is charged on top, for what the last flush missed.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use control::snapshot::SnapshotRows;
use domain::{AccountId, ModelCode, WorkspaceId};
use limiter::{BucketCharge, Clock as _, Ledger, Micros, ScopeCharge};
use store::{
    Store,
    usage::{Heartbeat, UsageFlush, UsageRow},
};

use crate::{
    clock::{SystemClock, boot},
    command::Outcome,
    config::Durability,
    seconds::{Seconds, Whose},
    sync::limits,
};

/// Without charges, a sign of life is given so often. The second that a blackout covers begins with it, and what is left
/// of that is the time that the next flush may take.
const IDLE_BEAT_US: u64 = 400_000;

/// Buckets are of no use after a minute; twice that leaves room for late settlements.
const KEPT_US: u64 = 120_000_000;

/// How often old buckets are deleted.
const FORGET_EVERY_US: u64 = 5_000_000;

/// A blackout makes good for what is charged up to so long after the last sign of life that was kept.
const COVERED_US: u64 = 1_000_000;

/// Buckets are stamped with their end; so much earlier lies the middle of what they count.
const HALF_BUCKET_MS: i64 = 50;

/// Collects charges between flushes.
pub struct Usage {
    ledger: Arc<Ledger>,
    seconds: Arc<Seconds>,
    node: String,
    boot: String,
    strict: bool,
    changes: BTreeMap<(u64, AccountId, ModelCode, WorkspaceId), UsageRow>,
    last_beat: Micros,
    last_forgotten: Micros,
    /// The stamp of what was held back for an unclean stop.
    blackout: Option<Micros>,
}

impl Usage {
    /// Charges of `ledger`, kept under the name `node`, and told to `seconds` on their way. Under [`Durability::Strict`] the
    /// ledger admits no call that a crash could make it forget.
    pub fn new(ledger: Arc<Ledger>, seconds: Arc<Seconds>, node: String, durability: Durability) -> Self {
        let (strict, never) = (durability == Durability::Strict, Micros(0));
        let changes = BTreeMap::new();
        Self {
            ledger,
            seconds,
            node,
            boot: boot(),
            strict,
            changes,
            last_beat: never,
            last_forgotten: never,
            blackout: None,
        }
    }

    /// After an unclean stop: charges with this stamp are no calls, and are shown to nobody.
    #[must_use]
    pub fn after(self, blackout: Option<Micros>) -> Self {
        Self { blackout, ..self }
    }

    /// What is to be written now, if anything. Handed out until [`Self::written`] says that it was.
    pub fn flush(&mut self, now_ms: i64, last: bool) -> Option<UsageFlush> {
        // Read before draining: every charge up to this instant is in this flush.
        let now = SystemClock.now();
        self.drain(now, now_ms);
        let idle = self.changes.is_empty() && now.since(self.last_beat) < IDLE_BEAT_US;
        if idle && !last {
            return None;
        }
        let forget = now.since(self.last_forgotten) >= FORGET_EVERY_US;
        Some(UsageFlush {
            node: self.node.clone(),
            beat: Heartbeat { boot: self.boot.clone(), at_us: signed(now.0), at_ms: now_ms, clean: last },
            changes: self.changes.values().cloned().collect(),
            forget_before_us: forget.then(|| signed(now.0.saturating_sub(KEPT_US))),
        })
    }

    /// `flush` is durable.
    pub fn written(&mut self, flush: &UsageFlush) {
        // More may have been charged while it was on its way.
        for row in &flush.changes {
            let key = (
                unsigned(row.end_us),
                AccountId::new(&row.account_id),
                ModelCode::parse(&row.model_code),
                WorkspaceId::new(&row.workspace_id),
            );
            let (end, account, Ok(model), workspace) = key else { continue };
            if let Entry::Occupied(mut left) = self.changes.entry((end, account, model, workspace)) {
                left.get_mut().add(&row.negated());
                if left.get().is_nothing() {
                    left.remove();
                }
            }
        }
        self.last_beat = Micros(unsigned(flush.beat.at_us));
        if self.strict {
            self.ledger.admit_until(self.last_beat.plus(COVERED_US));
        }
        if flush.forget_before_us.is_some() {
            self.last_forgotten = self.last_beat;
        }
    }

    /// How long ago the last sign of life was given that is kept.
    pub fn lag(&self) -> Duration {
        Duration::from_micros(SystemClock.now().since(self.last_beat))
    }

    /// What becomes of calls while the store lags.
    pub fn meanwhile(&self) -> &'static str {
        if self.strict {
            "calls are refused until it does"
        } else {
            "a crash now could grant more than the limits until a minute has passed"
        }
    }

    fn drain(&mut self, now: Micros, now_ms: i64) {
        let (ledger, seconds, changes, blackout) = (&self.ledger, &self.seconds, &mut self.changes, self.blackout);
        ledger.drain(|cell, charge| {
            let Some(workspace) = ledger.workspace_id(charge.slot) else { return };
            if Some(charge.end) != blackout {
                let at_ms = seconds.wall_ms(charge.end.0, now.0, now_ms) - HALF_BUCKET_MS;
                let whose = Whose { account: &cell.account, model: &cell.model, workspace: &workspace };
                seconds.charge(whose, at_ms, charge.account.requests, charge.account.tokens);
            }
            let key = (charge.end.0, cell.account.clone(), cell.model.clone(), workspace);
            let row = changes.entry(key).or_insert_with_key(|(end, account, model, workspace)| UsageRow {
                end_us: signed(*end),
                account_id: account.as_str().to_owned(),
                model_code: model.as_str().to_owned(),
                workspace_id: workspace.as_str().to_owned(),
                requests: 0,
                tokens: 0,
                workspace_requests: 0,
                workspace_tokens: 0,
            });
            row.requests = sum(row.requests, charge.account.requests);
            row.tokens = sum(row.tokens, charge.account.tokens);
            row.workspace_requests = sum(row.workspace_requests, charge.workspace.requests);
            row.workspace_tokens = sum(row.workspace_tokens, charge.workspace.tokens);
        });
        // While the store cannot be written, what could no longer be given back is dropped.
        let oldest = SystemClock.now().0.saturating_sub(KEPT_US);
        while changes.first_key_value().is_some_and(|((end, ..), _)| *end < oldest) {
            changes.pop_first();
        }
    }
}

/// Gives the ledger what this process's predecessor charged in the last minute: under its own name, or where there is none,
/// under that of the process that was the last to end. After an unclean stop, with the stamp of what is held back for it.
///
/// # Errors
/// When the store cannot answer.
pub async fn restore(
    store: &Store,
    ledger: &Ledger,
    rows: &SnapshotRows,
    node: &str,
    now_ms: i64,
) -> Outcome<Option<Micros>> {
    let own = store.read().await?.heartbeat(node).await?;
    let beat = match own {
        Some(beat) => Some(beat),
        None => adopt(store, node, now_ms).await?,
    };
    let Some(beat) = beat else { return Ok(None) };
    let kept = store.read().await?.usage(node).await?;
    let now = SystemClock.now();
    let same_clock = !beat.boot.is_empty() && beat.boot == boot() && unsigned(beat.at_us) <= now.0;
    // Another boot's clock: the wall clock tells how long ago the last sign of life was, and never that it is to come.
    let (last_us, ago_us) = (unsigned(beat.at_us), unsigned(now_ms.saturating_sub(beat.at_ms)).saturating_mul(1_000));
    let here = |at_us: i64| {
        let at = unsigned(at_us);
        if same_clock {
            Micros(at)
        } else {
            Micros(now.0.saturating_sub(ago_us).saturating_add(at).saturating_sub(last_us))
        }
    };
    for row in &kept {
        let Ok(model) = ModelCode::parse(&row.model_code) else { continue };
        ledger.cell(&AccountId::new(&row.account_id), &model).restore(BucketCharge {
            end: here(row.end_us),
            slot: ledger.workspace(&WorkspaceId::new(&row.workspace_id)),
            account: ScopeCharge { requests: row.requests, tokens: row.tokens },
            workspace: ScopeCharge { requests: row.workspace_requests, tokens: row.workspace_tokens },
        });
    }
    let blackout = (!beat.clean).then(|| here(beat.at_us).plus(COVERED_US));
    if let Some(at) = blackout {
        tracing::warn!("the last run did not stop cleanly; a second of every limit is held back for up to a minute");
        black_out(ledger, rows, at, now_ms);
    }
    if !same_clock {
        // The other boot's stamps would be taken for this one's by the next start.
        let beat = Heartbeat { boot: boot(), at_us: signed(here(beat.at_us).0), ..beat };
        let changes = kept.into_iter().map(|row| UsageRow { end_us: signed(here(row.end_us).0), ..row }).collect();
        let mut tx = store.begin().await?;
        tx.forget_usage(node).await?;
        tx.flush_usage(&UsageFlush { node: node.to_owned(), beat, changes, forget_before_us: None }).await?;
        tx.commit().await?;
    }
    Ok(blackout)
}

/// A move to another database, machine or address changes the name; the last minute's use moves with it.
async fn adopt(store: &Store, node: &str, now_ms: i64) -> Outcome<Option<Heartbeat>> {
    let mut tx = store.begin().await?;
    let adopted = tx.adopt_usage(node, now_ms).await?;
    tx.commit().await?;
    if let Some((former, _)) = &adopted {
        tracing::info!(former, node, "the use of limits is taken over from the process that ended last");
    }
    Ok(adopted.map(|it| it.1))
}

fn black_out(ledger: &Ledger, rows: &SnapshotRows, at: Micros, now_ms: i64) {
    let mut own: HashMap<(&str, &str), Vec<_>> = HashMap::new();
    for grant in rows.grants.values().flatten() {
        let slot = ledger.workspace(&WorkspaceId::new(&grant.workspace_id));
        own.entry((&grant.account_id, &grant.model_code)).or_default().push((slot, limits(grant.rpm, grant.tpm)));
    }
    for model in &rows.models {
        let Ok(code) = ModelCode::parse(&model.code) else { continue };
        let mut workspaces = own.remove(&(model.account_id.as_str(), model.code.as_str())).unwrap_or_default();
        if workspaces.is_empty() {
            // The account's part is kept under one of its own, whichever.
            let any = rows.workspaces.iter().find(|it| it.account_id == model.account_id);
            workspaces.extend(any.map(|it| (ledger.workspace(&WorkspaceId::new(&it.id)), limits(None, None))));
        }
        let account = limits(Some(model.rpm), model.effective_tpm(now_ms));
        ledger.cell(&AccountId::new(&model.account_id), &code).black_out(at, account, &workspaces);
    }
}

/// A thousand times the highest limit: the database adds such sums up without an overflow.
const LARGEST: i64 = 1_000_000_000_000_000;

fn sum(a: i64, b: i64) -> i64 {
    a.saturating_add(b).clamp(-LARGEST, LARGEST)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use control::WallClock as _;
    use limiter::{CellLimits, Decision, Demand, LiveUse, Micros, Surge, Use, WorkspaceSlot};
    use store::{model::ModelRow, workspace::LimitRow};

    use super::*;

    const NODE: &str = "this";
    /// Where another boot's clock stood: far ahead of this one's.
    const THERE_US: i64 = 5_000_000_000_000_000;

    fn row(end_us: i64, requests: i64) -> UsageRow {
        UsageRow {
            end_us,
            account_id: "a".to_owned(),
            model_code: "m".to_owned(),
            workspace_id: "w".to_owned(),
            requests,
            tokens: 10 * requests,
            workspace_requests: requests,
            workspace_tokens: 10 * requests,
        }
    }

    async fn empty(folder: &tempfile::TempDir) -> Store {
        let store = Store::open(&format!("sqlite://{}/sluice.db", folder.path().display())).await.expect("it opens");
        store.migrate().await.expect("it can be written");
        store
    }

    async fn left_behind(store: &Store, beat: Heartbeat, changes: Vec<UsageRow>) {
        let flush = UsageFlush { node: NODE.to_owned(), beat, changes, forget_before_us: None };
        let mut tx = store.begin().await.expect("it can be written");
        tx.flush_usage(&flush).await.expect("it can be written");
        tx.commit().await.expect("it can be written");
    }

    /// What is charged to the model after a start, and the stamp of what is held back.
    async fn start(store: &Store, models: Vec<ModelRow>, grants: Vec<LimitRow>) -> (LiveUse, Option<Micros>) {
        let ledger = Ledger::flushed(Arc::new(SystemClock), Surge::default());
        let (revision, next_change_ms) = (0, None);
        let (providers, workspaces, keys) = Default::default();
        let grants = BTreeMap::from([("w".to_owned(), grants)]);
        let rows = SnapshotRows { revision, next_change_ms, providers, models, workspaces, grants, keys };
        let now_ms = control::SystemWallClock.now_ms();
        let blackout = restore(store, &ledger, &rows, NODE, now_ms).await.expect("it can be read");
        let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").expect("a name"));
        (cell.live(), blackout)
    }

    fn limited(rpm: i64, tpm: i64) -> ModelRow {
        ModelRow {
            account_id: "a".to_owned(),
            code: "m".to_owned(),
            provider_id: "p".to_owned(),
            provider_name: "provider".to_owned(),
            upstream: "m".to_owned(),
            metering: "tokens".to_owned(),
            rpm,
            tpm: Some(tpm),
            tpm_upper_limit: None,
            backup: None,
            fallback: false,
            default_output_tokens: 1024,
            first_byte_timeout_s: None,
            stream_silence_s: None,
            created_at: 0,
            revision: 0,
            increase_id: None,
            increase_tpm: None,
            increase_valid_until: None,
            learned_factor_ppm: None,
            learned_output_tokens: None,
        }
    }

    const MINUTE_US: i64 = 60_000_000;

    struct World {
        usage: Usage,
        cell: Arc<limiter::CellHandle>,
        seconds: Arc<Seconds>,
    }

    impl World {
        fn new(durability: Durability, blackout: Option<Micros>) -> Self {
            let ledger = Arc::new(Ledger::flushed(Arc::new(SystemClock), Surge::default()));
            assert_eq!(ledger.workspace(&WorkspaceId::new("w")), WorkspaceSlot(0));
            let cell = ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").expect("a name"));
            let seconds = Arc::new(Seconds::new(0));
            let usage = Usage::new(ledger, Arc::clone(&seconds), NODE.to_owned(), durability).after(blackout);
            Self { usage, cell, seconds }
        }

        fn call(&self) -> Decision {
            self.cell.admit(WorkspaceSlot(0), &CellLimits::default(), Demand::default())
        }
    }

    #[test]
    fn what_was_written_is_not_written_again_and_what_a_start_gives_back_is_not_deleted() {
        let mut world = World::new(Durability::Relaxed, None);
        let _open = world.call();
        let usage = &mut world.usage;
        let flush = usage.flush(0, false).expect("there is a charge");
        assert_eq!(flush.changes.iter().map(|it| (it.requests, it.workspace_requests)).collect::<Vec<_>>(), [(1, 1)]);
        assert!(flush.changes.iter().all(|it| it.tokens > 0 && it.tokens == it.workspace_tokens));
        assert!(flush.forget_before_us.is_some_and(|it| it <= (flush.beat.at_us - MINUTE_US).max(0)));
        assert_eq!(usage.flush(0, false).map(|it| it.changes.len()), Some(1), "nobody has said that it was written");
        usage.written(&flush);
        assert_eq!(usage.flush(0, true).map(|it| it.changes.len()), Some(0));
    }

    #[test]
    fn under_strict_durability_nothing_is_admitted_that_a_crash_could_forget() {
        for (durability, admits) in [(Durability::Relaxed, true), (Durability::Strict, false)] {
            let mut world = World::new(durability, None);
            let mut flush = world.usage.flush(0, false).expect("a sign of life");
            flush.beat.at_us -= 2_000_000;
            world.usage.written(&flush);
            assert_eq!(matches!(world.call(), Decision::Admitted(..)), admits, "{durability:?}");
        }
    }

    #[test]
    fn what_is_held_back_is_kept_and_shown_to_nobody() {
        let at = SystemClock.now();
        let mut world = World::new(Durability::Relaxed, Some(at));
        world.cell.black_out(at, limits(Some(600), Some(6_000)), &[]);
        let flush = world.usage.flush(0, false).expect("there is a charge");
        assert_eq!(flush.changes.iter().map(|it| (it.requests, it.tokens)).collect::<Vec<_>>(), [(10, 100)]);
        let key = world.cell.key();
        assert_eq!(world.seconds.of(&key.account, &key.model, None).seconds, []);
    }

    #[tokio::test]
    async fn after_an_unclean_stop_a_second_of_every_limit_is_held_back_from_a_second_after_the_last_sign_of_life() {
        for clean in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let store = empty(&folder).await;
            let (at_us, at_ms) = (signed(SystemClock.now().0) - 5_000_000, control::SystemWallClock.now_ms() - 5_000);
            left_behind(&store, Heartbeat { boot: boot(), at_us, at_ms, clean }, Vec::new()).await;
            let own = LimitRow {
                workspace_id: "w".to_owned(),
                account_id: "a".to_owned(),
                model_code: "m".to_owned(),
                rpm: Some(120),
                tpm: Some(1_200),
            };
            let (live, blackout) = start(&store, vec![limited(600, 6_000)], vec![own]).await;
            let use_of = |it: Use| (it.requests_minute, it.tokens_minute);
            let workspaces: Vec<_> = live.workspaces.iter().map(|it| use_of(it.1)).collect();
            let found = (use_of(live.account), workspaces, blackout);
            let expected = if clean {
                ((0, 0), vec![], None)
            } else {
                ((10, 100), vec![(2, 20)], Some(Micros(unsigned(at_us + 1_000_000))))
            };
            assert_eq!(found, expected, "clean: {clean}");
        }
    }

    #[tokio::test]
    async fn charges_from_before_a_reboot_are_placed_by_the_wall_clock_and_found_by_every_start_after_it() {
        // Ten seconds ago, and at a time that is still to come because the wall clock was set back.
        for (ago_ms, expected) in [(10_000, 3), (-3_600_000, 7)] {
            let folder = tempfile::tempdir().expect("a folder");
            let store = empty(&folder).await;
            let at_ms = control::SystemWallClock.now_ms() - ago_ms;
            let beat = Heartbeat { boot: "another".to_owned(), at_us: THERE_US, at_ms, clean: true };
            let changes = vec![row(THERE_US - 2_000_000, 3), row(THERE_US - 55_000_000, 4)];
            left_behind(&store, beat, changes).await;
            for number in 1..=3 {
                let (live, _) = start(&store, Vec::new(), Vec::new()).await;
                assert_eq!(live.account.requests_minute, expected, "start {number}, {ago_ms} ms later");
            }
            let beat = store.read().await.expect("it can be read").heartbeat(NODE).await.expect("it can be read");
            let beat = beat.expect("it was written");
            assert_eq!((beat.boot, beat.clean), (boot(), true));
            assert!(Micros(unsigned(beat.at_us)) <= SystemClock.now(), "no sign of life is to come");
        }
    }
}
