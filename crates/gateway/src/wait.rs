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

/// Every queue of the process. Calls that find none pay for one load.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    waiting: AtomicUsize,
    // By the address of the cell, which the queue keeps alive.
    queues: Mutex<HashMap<usize, Arc<Queue>>>,
}

struct Queue {
    cell: Arc<CellHandle>,
    waiters: Mutex<Vec<Waiter>>,
    changed: Notify,
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
    pub(crate) limits: CellLimits,
    pub(crate) limits_now: Arc<dyn Fn() -> Option<CellLimits> + Send + Sync>,
}

impl Waiting {
    fn now(&self) -> limiter::Waiting {
        let limits = (self.limits_now)().unwrap_or(self.limits);
        limiter::Waiting { slot: self.slot, limits, demand: self.demand }
    }
}

struct Waiter {
    request: Waiting,
    answer: oneshot::Sender<Decision<Permit>>,
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
            Some(queue) => queue.decide(limiter::Waiting { slot, limits: *limits, demand }),
        }
    }

    /// Decides a call that waits for at most `patience`.
    pub(crate) async fn wait(&self, cell: &Arc<CellHandle>, request: Waiting, patience: Duration) -> Decision<Permit> {
        let patience_us = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
        let deadline = Instant::now() + patience;
        let (answer, mut answered) = oneshot::channel();
        let place = {
            let mut queues = self.queues.lock();
            let queue = queues.entry(address(cell)).or_insert_with(|| Queue::new(cell));
            let decision = queue.decide(request.now());
            let place = Place { queues: self, queue: Arc::clone(queue) };
            self.waiting.fetch_add(1, Ordering::AcqRel);
            match decision {
                Decision::Denied(denial, _) if denial.retry_after_us.is_some_and(|it| it <= patience_us) => {
                    place.queue.waiters.lock().push(Waiter { request: request.clone(), answer });
                    place
                }
                decided => {
                    drop(queues);
                    return decided;
                }
            }
        };
        loop {
            let next = place.queue.advance();
            let now = Instant::now();
            if now >= deadline && answered.try_recv().is_err() {
                break;
            }
            let next = next.map_or(deadline, |us| now + Duration::from_micros(us)).min(deadline);
            tokio::select! {
                biased;
                Ok(decision) = &mut answered => return decision,
                () = place.queue.changed.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
        // The last decision, and its reason.
        answered.close();
        match answered.try_recv() {
            Ok(decision) => decision,
            Err(_) => place.queue.decide(request.now()),
        }
    }

    /// Tells those who wait for `cell` that it may have room.
    pub(crate) fn changed(&self, cell: &Arc<CellHandle>) {
        if self.waiting.load(Ordering::Acquire) > 0
            && let Some(queue) = self.find(cell)
        {
            queue.changed.notify_one();
        }
    }

    fn find(&self, cell: &Arc<CellHandle>) -> Option<Arc<Queue>> {
        self.queues.lock().get(&address(cell)).cloned()
    }
}

fn address(cell: &Arc<CellHandle>) -> usize {
    Arc::as_ptr(cell) as usize
}

/// A call's place in a queue, left when it is dropped.
struct Place<'a> {
    queues: &'a Queues,
    queue: Arc<Queue>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.queues.queues.lock();
        let mut waiters = self.queue.waiters.lock();
        waiters.retain(|it| !it.answer.is_closed());
        self.queues.waiting.fetch_sub(1, Ordering::AcqRel);
        if waiters.is_empty() {
            queues.remove(&address(&self.queue.cell));
        } else {
            self.queue.changed.notify_one();
        }
    }
}

impl Queue {
    fn new(cell: &Arc<CellHandle>) -> Arc<Self> {
        Arc::new(Self { cell: Arc::clone(cell), waiters: Mutex::default(), changed: Notify::new() })
    }

    /// Decides a call behind all that wait. A denial says when it would be admitted, those ahead included.
    fn decide(&self, call: limiter::Waiting) -> Decision<Permit> {
        let mut waiters = self.waiters.lock();
        admit_in_order(&self.cell, &mut waiters);
        let limiter::Waiting { slot, limits, demand } = call;
        if waiters.is_empty() {
            return self.cell.admit(slot, &limits, demand);
        }
        let queue: Vec<limiter::Waiting> = waiters.iter().map(|it| it.request.now()).chain([call]).collect();
        match self.cell.forecast(&queue) {
            Forecast { held_by: None, .. } => self.cell.admit(slot, &limits, demand),
            Forecast { held_by: Some((denial, standing)), after_us } => {
                Decision::Denied(Denial { retry_after_us: after_us, ..denial }, standing)
            }
        }
    }

    /// Admits whom there is room for; the microseconds until there may be more.
    fn advance(&self) -> Option<u64> {
        admit_in_order(&self.cell, &mut self.waiters.lock())
    }
}

fn admit_in_order(cell: &Arc<CellHandle>, waiters: &mut Vec<Waiter>) -> Option<u64> {
    let (mut next, mut held, mut at) = (None::<u64>, Vec::new(), 0);
    while let Some(waiter) = waiters.get(at) {
        let limiter::Waiting { slot, limits, demand } = waiter.request.now();
        if waiter.answer.is_closed() {
            waiters.remove(at);
            continue;
        }
        if held.contains(&slot) {
            at += 1;
            continue;
        }
        let decision = cell.admit(slot, &limits, demand);
        let Decision::Denied(denial, _) = &decision else {
            answer(waiters.remove(at), decision);
            continue;
        };
        let Some(us) = denial.retry_after_us else {
            answer(waiters.remove(at), decision);
            continue;
        };
        let of_account = || denial.violations().filter(|it| it.scope == Scope::Account);
        let until = of_account().filter_map(|it| it.retry_after_us).max().unwrap_or(us).min(us);
        next = Some(next.map_or(until, |it| it.min(until)));
        if of_account().next().is_some() {
            break;
        }
        held.push(slot);
        at += 1;
    }
    next
}

fn answer(waiter: Waiter, decision: Decision<Permit>) {
    if let Err(Decision::Admitted(permit, _)) = waiter.answer.send(decision) {
        // It left in this very moment; it asked nobody for a token.
        permit.settle(limiter::Settlement::Nothing);
    }
}
