//! Every interleaving of threads at one cell, tried one after the other on the real locks: built with `--cfg loom` alone
//! (`end2end/test.sh` does). The order of steps on a cell, without threads, is the matter of `interleavings.rs`.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::collections::BTreeMap;

use domain::{AccountId, Limits, ModelCode, Rpm, Tpm, WorkspaceId};
use limiter::{
    BucketCharge, CellHandle, CellLimits, Clock, Decision, Demand, Keeping, Ledger, Micros, Settlement, Surge,
    WorkspaceSlot, verify,
};
use loom::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Loom's own reference count does not coerce to `dyn Clock`; no order depends on the counts themselves.
use std::sync::Arc;

const START: u64 = 200_000_000;
const MINUTE: u64 = 60_000_000;
const SLOT: WorkspaceSlot = WorkspaceSlot(0);

/// A clock whose readings are steps of their own.
struct Clockwork(AtomicU64);

impl Clock for Clockwork {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    clock: Arc<Clockwork>,
    ledger: Ledger,
}

fn world(keeping: Keeping) -> Arc<World> {
    let clock = Arc::new(Clockwork(AtomicU64::new(START)));
    let ledger = Ledger::keeping(clock.clone(), Surge::default(), keeping);
    assert_eq!(ledger.workspace(&WorkspaceId::new("w")), SLOT);
    Arc::new(World { clock, ledger })
}

impl World {
    fn cell(&self) -> Arc<CellHandle> {
        self.ledger.cell(&AccountId::new("a"), &ModelCode::parse("m").unwrap())
    }

    fn used(&self) -> [u64; 2] {
        let it = self.cell().live().account;
        [it.requests_minute, it.tokens_minute]
    }
}

fn limits(rpm: u64, tpm: u64) -> CellLimits {
    let account = Limits { rpm: Rpm::new(rpm), tpm: Tpm::new(tpm) };
    CellLimits { account, default_output: 9, ..CellLimits::default() }
}

fn of(prompt: u64, max_output: u64) -> Demand {
    Demand { token_ids: prompt, max_output: Some(max_output), ..Demand::default() }
}

fn ended(total: u64) -> Settlement {
    Settlement::Exact { prompt: None, total, ended_well: true }
}

/// Two calls hold all the room; one ends, the other is hung up, and a third asks meanwhile.
#[test]
fn permits_settle_and_drop_while_a_call_is_admitted() {
    loom::model(|| {
        let world = world(Keeping::default());
        let limits = limits(6000, 6000);
        let threads = [true, false].map(|settles| {
            let Decision::Admitted(mut permit, _) = world.cell().admit(SLOT, &limits, of(1, 2999)) else {
                panic!("it fits")
            };
            thread::spawn(move || {
                permit.counted(20);
                if settles { permit.settle(ended(30)) } else { drop(permit) }
            })
        });
        let third = match world.cell().admit(SLOT, &limits, of(1, 2399)) {
            Decision::Admitted(permit, standing) => {
                let left = standing.tokens.unwrap().remaining;
                assert!(
                    [570, 579, 3549].contains(&left),
                    "{left} tokens are left beside one that holds and one that ended"
                );
                permit.settle(ended(5));
                true
            }
            Decision::Denied(denial, _) => {
                assert_eq!((denial.named.used, denial.named.limit), (6000, 6000), "while both hold");
                false
            }
            Decision::Undecided => panic!("undecided"),
        };
        threads.into_iter().for_each(|it| it.join().unwrap());
        let expected = if third { [3, 30 + 21 + 5] } else { [2, 30 + 21] };
        assert_eq!(world.used(), expected);
    });
}

/// Two threads admit and end calls of their own.
#[test]
fn calls_come_and_go_on_two_threads() {
    loom::model(|| {
        let world = world(Keeping::default());
        let threads = [true, false].map(|settles| {
            let cell = world.cell();
            thread::spawn(move || {
                let Decision::Admitted(mut permit, _) = cell.admit(SLOT, &limits(6000, 6000), of(1, 9)) else {
                    panic!("it fits")
                };
                permit.counted(20);
                if settles { permit.settle(ended(30)) } else { drop(permit) }
            })
        });
        let [requests, tokens] = world.used();
        assert!(requests <= 2 && tokens <= 30 + 30, "{requests} requests, {tokens} tokens");
        threads.into_iter().for_each(|it| it.join().unwrap());
        assert_eq!(world.used(), [2, 30 + 21]);
    });
}

/// The minute passes while a call outgrows its reservation and ends: its excess is owed once, by whoever comes first.
#[test]
fn a_call_outlives_its_minute_while_it_is_raised_and_settled() {
    loom::model(|| {
        let world = world(Keeping::default());
        let Decision::Admitted(mut permit, _) = world.cell().admit(SLOT, &limits(6000, 100), of(1, 9)) else {
            panic!("the cell is empty")
        };
        let clock = world.clock.clone();
        let time = thread::spawn(move || clock.0.store(START + MINUTE, Ordering::SeqCst));
        permit.counted(29);
        permit.settle(ended(45));
        time.join().unwrap();
        let [requests, tokens] = world.used();
        assert_eq!(requests, 0, "the call itself has left");
        assert!(
            [0, 15, 35].contains(&tokens),
            "{tokens}: what was charged within the minute has left, the rest is owed"
        );
    });
}

#[test]
fn two_threads_never_share_the_last_request() {
    loom::model(|| {
        let world = world(Keeping::default());
        let threads = [0, 1].map(|_| {
            let cell = world.cell();
            thread::spawn(move || match cell.admit(SLOT, &limits(1, 1000), of(1, 1)) {
                Decision::Admitted(permit, _) => {
                    permit.settle(ended(7));
                    1
                }
                _ => 0,
            })
        });
        let admitted: u64 = threads.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(admitted, 1);
        assert_eq!(world.used(), [1, 7]);
    });
}

/// A decision reads one snapshot, the old or the new, and never a mixture; once the swap is done, only the new.
#[test]
fn a_snapshot_is_swapped_between_decisions() {
    loom::model(|| {
        let world = world(Keeping::default());
        // Stands for the gateway's snapshot: a pointer that is loaded once for each call.
        let snapshot = Arc::new(Mutex::new(Arc::new(limits(6000, 6000))));
        let ask = |cell: &Arc<CellHandle>, limits: &CellLimits| {
            let tpm = limits.account.tpm.unwrap();
            match cell.admit(SLOT, limits, of(1, 2999)) {
                Decision::Admitted(permit, standing) => {
                    let tokens = standing.tokens.unwrap();
                    assert_eq!(tokens.limit, tpm.get());
                    assert_eq!((tokens.limit - tokens.remaining) % 3000, 0, "{tokens:?}");
                    Some(permit)
                }
                Decision::Denied(denial, _) => {
                    assert!([tpm.get(), tpm.per_second()].contains(&denial.named.limit), "{denial:?}");
                    assert!(denial.named.used + 3000 > denial.named.limit, "{denial:?}");
                    None
                }
                Decision::Undecided => panic!("undecided"),
            }
        };
        let threads = [0, 1].map(|_| {
            let (cell, snapshot) = (world.cell(), snapshot.clone());
            thread::spawn(move || {
                let limits = snapshot.lock().unwrap().clone();
                ask(&cell, &limits)
            })
        });
        *snapshot.lock().unwrap() = Arc::new(limits(6000, 3000));
        let lowered = snapshot.lock().unwrap().clone();
        let late = ask(&world.cell(), &lowered);
        let early: Vec<_> = threads.into_iter().filter_map(|it| it.join().unwrap()).collect();
        let admitted = early.len() as u64 + u64::from(late.is_some());
        assert!((1..=2).contains(&admitted), "{admitted}: the lowered limit has room for one, the old for two");
        assert_eq!(world.used(), [admitted, admitted * 3000]);
    });
}

/// A flush that meets a settlement: whatever the store knows of, the journal knows of too, so that a crash at this very
/// moment leaves nothing to be taken for an excess.
#[test]
fn the_journal_is_never_behind_the_store() {
    loom::model(|| {
        let keeping = Keeping { charges: true, journal: true };
        let (mut stored, mut journal) = (BTreeMap::new(), Vec::new());
        let before = world(keeping);
        let limits = limits(6000, 1000);
        let Decision::Admitted(permit, _) = before.cell().admit(SLOT, &limits, of(1, 999)) else { panic!("it fits") };
        let settling = thread::spawn(move || permit.settle(ended(10)));
        before.ledger.drain(|_, it: BucketCharge| {
            stored.insert(it.end, it);
        });
        before.ledger.drain_journal(0, &mut journal);

        let after = world(keeping);
        after.clock.0.store(START + 1, Ordering::SeqCst);
        stored.values().for_each(|it| after.cell().restore(*it));
        // Takes all the room that the store left.
        let decision = after.cell().admit(SLOT, &limits, Demand { max_output: None, ..of(1, 0) });
        let late = after.cell().admit(SLOT, &limits, of(1, 900));
        after.ledger.drain_journal(0, &mut journal);
        let report = verify::run(&journal[..], None).unwrap();
        assert!(report.holds(), "{:?}", report.rows);
        drop((decision, late));
        settling.join().unwrap();
    });
}

/// A cell that nobody calls is dropped while somebody begins to: no charge is lost with it.
#[test]
fn a_sweep_meets_a_call() {
    loom::model(|| {
        let world = world(Keeping::default());
        drop(world.cell().admit(SLOT, &limits(60, 100), of(1, 9)));
        world.clock.0.store(START + 3 * MINUTE, Ordering::SeqCst);
        let sweeping = {
            let world = world.clone();
            thread::spawn(move || world.ledger.sweep())
        };
        let Decision::Admitted(permit, _) = world.cell().admit(SLOT, &limits(60, 100), of(1, 9)) else {
            panic!("what was charged has left")
        };
        sweeping.join().unwrap();
        assert!(Arc::ptr_eq(permit.cell(), &world.cell()), "its cell is still the one that others are checked against");
        assert_eq!(world.used(), [1, 10]);
        permit.settle(ended(4));
        assert_eq!(world.used(), [1, 4]);
    });
}

/// A cell's buffers are given back and dropped for want of calls while there is one again: it is kept, and once.
#[test]
fn a_buffer_is_given_back_while_it_is_needed() {
    loom::model(|| {
        let world = world(Keeping { charges: true, journal: true });
        let requests = |world: &World| {
            let mut sum = 0;
            world.ledger.drain(|_, it| sum += it.account.requests);
            sum
        };
        let first = world.cell().admit(SLOT, &limits(600, 1000), of(1, 9));
        assert_eq!(requests(&world), 1);
        world.ledger.drain_journal(0, &mut Vec::new());
        let sweeping = {
            let world = world.clone();
            thread::spawn(move || {
                let meanwhile = requests(&world);
                world.ledger.sweep();
                meanwhile
            })
        };
        let second = world.cell().admit(SLOT, &limits(600, 1000), of(1, 9));
        let (meanwhile, later) = (sweeping.join().unwrap(), requests(&world));
        assert_eq!(meanwhile + later, 1);
        let mut journal = Vec::new();
        world.ledger.drain_journal(0, &mut journal);
        assert_eq!(verify::run(&journal[..], None).unwrap().admissions, 1);
        drop((first, second));
    });
}

/// Whether calls may be admitted is read inside the lock, with the clock: none is admitted after the instant that holds.
#[test]
fn no_call_is_admitted_later_than_its_charge_can_be_kept() {
    loom::model(|| {
        let world = world(Keeping::default());
        world.ledger.admit_until(Micros(START));
        let other = world.clone();
        let flush = thread::spawn(move || {
            other.clock.0.store(START + 5, Ordering::SeqCst);
            other.ledger.admit_until(Micros(START + 7));
        });
        match world.cell().admit(SLOT, &limits(60, 100), of(1, 9)) {
            Decision::Admitted(permit, _) => assert!(permit.admitted_at() <= Micros(START + 7)),
            Decision::Undecided => assert_eq!(world.used(), [0, 0]),
            Decision::Denied(denial, _) => panic!("{denial:?}"),
        }
        flush.join().unwrap();
        world.clock.0.store(START + 8, Ordering::SeqCst);
        assert!(matches!(world.cell().admit(SLOT, &limits(60, 100), of(1, 9)), Decision::Undecided));
    });
}
