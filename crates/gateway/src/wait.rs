//! Calls that wait for their admission: one queue for each cell, first come, first served. Nobody overtakes a call that
//! waits for the account; one that waits only for its own workspace holds up only calls of that workspace. Nothing is
//! charged while a call waits, and a call that is dropped has left.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::Scope;
use limiter::{CellHandle, CellLimits, Decision, Demand, Denial, Forecast, Permit, WorkspaceSlot};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// How often limits and keys are looked at again, which may be edited while calls wait.
const EDITS: Duration = Duration::from_millis(500);

/// The longest wait that a refusal tells (LIMITS 17): behind a queue the true one may be longer.
const TOLD_US: u64 = 60_000_000;

/// Every queue of the process. Calls that find none pay for one load.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    waiting: AtomicUsize,
    // By the address of the cell, which the queue keeps alive.
    queues: Mutex<HashMap<usize, Arc<Queue>>>,
}

struct Queue {
    cell: Arc<CellHandle>,
    /// Calls that have a place here or are about to take one; only changed under the lock of all queues.
    places: AtomicUsize,
    waiters: Mutex<Vec<Waiter>>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiters", &self.waiters.lock().len()).finish_non_exhaustive()
    }
}

/// What a call asks its cell for. Its limits are read anew for each decision: they may be edited while it waits.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub(crate) slot: WorkspaceSlot,
    pub(crate) demand: Demand,
    /// The limits in force; `None` once the call may not be made any more.
    pub(crate) limits_now: Arc<dyn Fn() -> Option<CellLimits> + Send + Sync>,
}

impl Waiting {
    fn now(&self) -> Option<limiter::Waiting> {
        Some(limiter::Waiting { slot: self.slot, limits: (self.limits_now)()?, demand: self.demand })
    }
}

/// What a call that waited has come to; `None` if meanwhile its key or its model was taken from it.
pub(crate) type Waited = Option<Decision<Permit>>;

struct Waiter {
    request: Waiting,
    answer: oneshot::Sender<Waited>,
    /// Wakes its call, which looks after the queue while it is the first.
    turn: Arc<Notify>,
}

impl Queues {
    /// Calls in all queues.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Decides a call that does not wait.
    pub(crate) fn admit(
        &self,
        cell: &Arc<CellHandle>,
        slot: WorkspaceSlot,
        limits: &CellLimits,
        demand: Demand,
    ) -> Decision<Permit> {
        match if self.waiting.load(Ordering::Acquire) == 0 { None } else { self.find(cell) } {
            None => cell.admit(slot, limits, demand),
            Some(queue) => {
                told(queue.decide(&mut queue.waiters.lock(), limiter::Waiting { slot, limits: *limits, demand }))
            }
        }
    }

    /// Decides a call that waits for at most `patience`.
    pub(crate) async fn wait(&self, cell: &Arc<CellHandle>, request: Waiting, patience: Duration) -> Waited {
        let patience_us = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
        let deadline = Instant::now() + patience;
        let place = Place::take(self, cell);
        let queue = &place.queue;
        let turn = Arc::new(Notify::new());
        let mut answered = {
            let mut waiters = queue.waiters.lock();
            let call = request.now()?;
            match queue.decide(&mut waiters, call) {
                Decision::Denied(denial, _) if denial.retry_after_us.is_some_and(|it| it <= patience_us) => {
                    let (answer, answered) = oneshot::channel();
                    waiters.push(Waiter { request: request.clone(), answer, turn: Arc::clone(&turn) });
                    // It may have its turn before the time that the first sleeps for.
                    wake_first(&waiters);
                    answered
                }
                decided => return Some(told(decided)),
            }
        };
        loop {
            let next = queue.advance(&turn);
            let now = Instant::now();
            if now >= deadline {
                // An answer that is there by now is taken below.
                break;
            }
            // The others sleep until their turn comes, or their patience ends.
            let next = next.map_or(deadline, |us| now + Duration::from_micros(us).min(EDITS)).min(deadline);
            tokio::select! {
                biased;
                Ok(waited) = &mut answered => return waited,
                () = turn.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
        // The last decision, and its reason.
        answered.close();
        match answered.try_recv() {
            Ok(waited) => waited,
            Err(_) => request.now().map(|call| told(queue.decide(&mut queue.waiters.lock(), call))),
        }
    }

    /// Tells those who wait for `cell` that it may have room.
    pub(crate) fn changed(&self, cell: &Arc<CellHandle>) {
        if self.waiting.load(Ordering::Acquire) > 0
            && let Some(queue) = self.find(cell)
        {
            wake_first(&queue.waiters.lock());
        }
    }

    fn find(&self, cell: &Arc<CellHandle>) -> Option<Arc<Queue>> {
        self.queues.lock().get(&address(cell)).cloned()
    }
}

fn address(cell: &Arc<CellHandle>) -> usize {
    Arc::as_ptr(cell) as usize
}

fn wake_first(waiters: &[Waiter]) {
    if let Some(first) = waiters.first() {
        first.turn.notify_one();
    }
}

/// A decision as its call is told it.
fn told(decision: Decision<Permit>) -> Decision<Permit> {
    match decision {
        Decision::Denied(denial, standing) => {
            let retry_after_us = denial.retry_after_us.map(|it| it.min(TOLD_US.max(longest(&denial))));
            Decision::Denied(Denial { retry_after_us, ..denial }, standing)
        }
        decided => decided,
    }
}

/// What the call would wait if it were alone.
fn longest(denial: &Denial) -> u64 {
    denial.violations().filter_map(|it| it.retry_after_us).max().unwrap_or_default()
}

/// A call's place in a queue, left when it is dropped.
struct Place<'a> {
    queues: &'a Queues,
    queue: Arc<Queue>,
}

impl<'a> Place<'a> {
    fn take(queues: &'a Queues, cell: &Arc<CellHandle>) -> Self {
        let mut all = queues.queues.lock();
        let queue = Arc::clone(all.entry(address(cell)).or_insert_with(|| Queue::new(cell)));
        queue.places.fetch_add(1, Ordering::Relaxed);
        queues.waiting.fetch_add(1, Ordering::AcqRel);
        Self { queues, queue }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        {
            let mut waiters = self.queue.waiters.lock();
            waiters.retain(|it| !it.answer.is_closed());
            wake_first(&waiters);
        }
        let mut all = self.queues.queues.lock();
        self.queues.waiting.fetch_sub(1, Ordering::AcqRel);
        if self.queue.places.fetch_sub(1, Ordering::Relaxed) == 1 {
            all.remove(&address(&self.queue.cell));
        }
    }
}

impl Queue {
    fn new(cell: &Arc<CellHandle>) -> Arc<Self> {
        Arc::new(Self { cell: Arc::clone(cell), places: AtomicUsize::new(0), waiters: Mutex::default() })
    }

    /// Decides a call behind all that wait. A denial says when it would be admitted, those ahead included.
    fn decide(&self, waiters: &mut Vec<Waiter>, call: limiter::Waiting) -> Decision<Permit> {
        let held = admit_in_order(&self.cell, waiters);
        let limiter::Waiting { slot, limits, demand } = call;
        if !held.holds(slot) {
            return self.cell.admit(slot, &limits, demand);
        }
        let queue: Vec<limiter::Waiting> = waiters.iter().filter_map(|it| it.request.now()).chain([call]).collect();
        match self.cell.forecast(&queue) {
            Forecast { held_by: None, .. } => self.cell.admit(slot, &limits, demand),
            Forecast { held_by: Some((denial, standing)), after_us } => {
                Decision::Denied(Denial { retry_after_us: after_us, ..denial }, standing)
            }
        }
    }

    /// Admits whom there is room for. For the first of the queue, whose `turn` it is, the microseconds until there may be
    /// more.
    fn advance(&self, turn: &Arc<Notify>) -> Option<u64> {
        let mut waiters = self.waiters.lock();
        let held = admit_in_order(&self.cell, &mut waiters);
        waiters.first().filter(|it| Arc::ptr_eq(&it.turn, turn)).and(held.next)
    }
}

/// What holds up a queue.
#[derive(Default)]
struct Held {
    /// Microseconds until it may go on.
    next: Option<u64>,
    /// Somebody waits for the account, and everybody behind with it.
    by_account: bool,
    /// Workspaces whose calls stand behind one of their own.
    slots: Vec<WorkspaceSlot>,
}

impl Held {
    fn holds(&self, slot: WorkspaceSlot) -> bool {
        self.by_account || self.slots.contains(&slot)
    }
}

fn admit_in_order(cell: &Arc<CellHandle>, waiters: &mut Vec<Waiter>) -> Held {
    let mut held = Held::default();
    let length = waiters.len();
    let mut left = Vec::new();
    for (at, waiter) in waiters.iter().enumerate() {
        if waiter.answer.is_closed() {
            left.push((at, None));
            continue;
        }
        if held.slots.contains(&waiter.request.slot) {
            continue;
        }
        let Some(limiter::Waiting { slot, limits, demand }) = waiter.request.now() else {
            left.push((at, Some(None)));
            continue;
        };
        let decision = cell.admit(slot, &limits, demand);
        let Decision::Denied(denial, _) = &decision else {
            left.push((at, Some(Some(decision))));
            continue;
        };
        let Some(us) = denial.retry_after_us else {
            left.push((at, Some(Some(decision))));
            continue;
        };
        let of_account = denial.violations().filter(|it| it.scope == Scope::Account);
        let of_account = of_account.max_by_key(|it| it.retry_after_us);
        let until = of_account.and_then(|it| it.retry_after_us).unwrap_or(us).min(us);
        held.next = Some(held.next.map_or(until, |it| it.min(until)));
        if of_account.is_some() {
            held.by_account = true;
            break;
        }
        held.slots.push(slot);
    }
    let gone: Vec<_> = left.into_iter().rev().map(|(at, waited)| (waiters.remove(at), waited)).collect();
    for (waiter, waited) in gone.into_iter().rev() {
        if let Some(waited) = waited {
            answer(waiter, waited);
        }
    }
    if waiters.len() < length {
        wake_first(waiters);
    }
    held
}

fn answer(waiter: Waiter, waited: Waited) {
    if let Err(Some(Decision::Admitted(permit, _))) = waiter.answer.send(waited) {
        // It left in this very moment; it asked nobody for a token.
        permit.settle(limiter::Settlement::Nothing);
    }
}
