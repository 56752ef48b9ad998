//! Time-outs of seconds, told by the listener's tick. The runtime's own timers are exact to the millisecond, for which
//! every call would read clocks and move through a wheel that all connections share; these are late by up to two ticks,
//! never early, and cost a number written down.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use parking_lot::Mutex;

/// Counts ticks, and wakes those whose time has come.
#[derive(Debug)]
pub(crate) struct Ticks {
    count: AtomicU64,
    slots: Mutex<Slots>,
    /// What the server library is told the time by.
    start: Instant,
}

#[derive(Debug, Default)]
struct Slots {
    all: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    /// The tick that wakes; [`NEVER`] where nobody waits.
    due: u64,
    waker: Option<Waker>,
}

const NEVER: u64 = u64::MAX;

impl Ticks {
    /// How often [`Ticks::tick`] is to be called.
    pub(crate) const EVERY: Duration = Duration::from_millis(100);

    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { count: AtomicU64::new(0), slots: Mutex::default(), start: Instant::now() })
    }

    /// Ticks so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Lets time pass, and says how many ticks have.
    pub(crate) fn tick(&self) -> u64 {
        let now = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        // Woken outside the lock: a waker is free to drop what takes it.
        let due: Vec<Waker> = {
            let mut slots = self.slots.lock();
            let due = slots.all.iter_mut().filter(|it| it.due <= now);
            due.filter_map(|it| {
                it.due = NEVER;
                it.waker.take()
            })
            .collect()
        };
        due.into_iter().for_each(Waker::wake);
        now
    }

    /// The tick by which `length` has passed for certain, begun at any moment since the last tick.
    fn after(&self, length: Duration) -> u64 {
        let ticks = length.as_nanos().div_ceil(Self::EVERY.as_nanos());
        u64::try_from(ticks).unwrap_or(NEVER).saturating_add(self.count() + 1)
    }
}

/// A time-out that is armed as often as its owner waits.
#[derive(Debug)]
pub(crate) struct Deadline {
    ticks: Arc<Ticks>,
    length: Duration,
    due: u64,
    /// Taken when it is waited for; kept until the end.
    slot: Option<usize>,
}

impl Deadline {
    /// Armed for `length` from now.
    pub(crate) fn after(ticks: &Arc<Ticks>, length: Duration) -> Self {
        Self { due: ticks.after(length), ticks: Arc::clone(ticks), length, slot: None }
    }

    /// What it was last armed for.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// Arms it for `length` from now.
    pub(crate) fn arm(&mut self, length: Duration) {
        self.length = length;
        self.due = self.ticks.after(length);
    }

    /// Ready when the time is over.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.ticks.count() >= self.due {
            return Poll::Ready(());
        }
        let slots = &mut *self.ticks.slots.lock();
        let index = *self.slot.get_or_insert_with(|| {
            slots.free.pop().unwrap_or_else(|| {
                slots.all.push(Slot { due: NEVER, waker: None });
                slots.all.len() - 1
            })
        });
        let slot = &mut slots.all[index];
        slot.due = self.due;
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// What `future` comes to, or `None` if the time is over first.
    pub(crate) async fn within<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(index) = self.slot {
            let waker = {
                let slots = &mut *self.ticks.slots.lock();
                slots.free.push(index);
                let slot = &mut slots.all[index];
                slot.due = NEVER;
                slot.waker.take()
            };
            drop(waker);
        }
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().poll(cx)
    }
}

impl Sleep for Deadline {}

/// The same for the server library.
#[derive(Clone, Debug)]
pub(crate) struct ByTicks(pub(crate) Arc<Ticks>);

impl Timer for ByTicks {
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline::after(&self.0, length))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    /// The instant of the last tick: what is counted from it is counted in ticks again.
    fn now(&self) -> Instant {
        let ticks = u32::try_from(self.0.count()).unwrap_or(u32::MAX);
        self.0.start + Ticks::EVERY * ticks
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, task::Wake};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn woken() -> (Arc<Woken>, Waker) {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        (woken, waker)
    }

    fn is_over(deadline: &mut Deadline, waker: &Waker) -> bool {
        deadline.poll(&Context::from_waker(waker)).is_ready()
    }

    #[test]
    fn the_time_is_never_over_early_and_wakes_once() {
        let ticks = Ticks::new();
        ticks.tick();
        let (woken, waker) = woken();
        let mut deadline = Deadline::after(&ticks, Ticks::EVERY * 2);
        for _ in 0..2 {
            assert!(!is_over(&mut deadline, &waker));
            ticks.tick();
        }
        assert!(!is_over(&mut deadline, &waker), "it may have begun just before the first of these ticks");
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        ticks.tick();
        ticks.tick();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(is_over(&mut deadline, &waker));
    }

    #[test]
    fn it_can_be_armed_again_before_and_after_its_time() {
        let ticks = Ticks::new();
        let (woken, waker) = woken();
        let mut deadline = Deadline::after(&ticks, Duration::from_millis(1));
        assert!(!is_over(&mut deadline, &waker));
        deadline.arm(Ticks::EVERY * 3);
        assert!(!is_over(&mut deadline, &waker));
        for _ in 0..3 {
            ticks.tick();
        }
        assert!(!is_over(&mut deadline, &waker));
        ticks.tick();
        assert!(is_over(&mut deadline, &waker));
        deadline.arm(Duration::ZERO);
        assert!(!is_over(&mut deadline, &waker));
        ticks.tick();
        assert!(is_over(&mut deadline, &waker));
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_nobody_waits_for_any_more_wakes_nobody_and_gives_its_place_away() {
        let ticks = Ticks::new();
        let (woken, waker) = woken();
        for _ in 0..5 {
            let mut deadline = Deadline::after(&ticks, Duration::ZERO);
            assert!(!is_over(&mut deadline, &waker));
        }
        assert_eq!(ticks.slots.lock().all.len(), 1);
        ticks.tick();
        assert_eq!((woken.0.load(Ordering::Relaxed), Arc::strong_count(&woken)), (0, 2));
    }

    #[test]
    fn the_longest_time_never_ends() {
        let ticks = Ticks::new();
        assert_eq!(ticks.after(Duration::MAX), NEVER);
    }

    #[test]
    fn the_server_library_counts_in_ticks_too() {
        let ticks = Ticks::new();
        for _ in 0..7 {
            ticks.tick();
        }
        let timer = ByTicks(Arc::clone(&ticks));
        let mut sleep = timer.sleep_until(timer.now() + Ticks::EVERY);
        let (_, waker) = woken();
        let mut poll = || sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        assert!(!poll());
        ticks.tick();
        assert!(!poll());
        ticks.tick();
        assert!(poll());
    }
}
