//! The lock and the counter that threads share: the usual ones, or those of loom where every interleaving is tried.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicU64;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub(crate) use patient::Mutex;

#[cfg(loom)]
pub(crate) use every_order::Mutex;

#[cfg(not(loom))]
mod patient {
    use parking_lot::MutexGuard;

    /// How many pauses of the processor a thread makes before it tries a taken lock again, doubled each time: ten to thirty
    /// microseconds in all, by processor, against some 0.1 for which a decision holds it.
    const PAUSES: [u32; 5] = [16, 32, 64, 128, 256];

    /// `parking_lot`'s lock, waited for with growing pauses before its thread sleeps: what a cell keeps then stays in one
    /// core's cache for several decisions. For a holder that lost its core one waits asleep.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        #[inline]
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.try_lock().unwrap_or_else(|| self.wait())
        }

        #[cold]
        fn wait(&self) -> MutexGuard<'_, T> {
            for pauses in PAUSES {
                (0..pauses).for_each(|_| std::hint::spin_loop());
                if let Some(guard) = self.0.try_lock() {
                    return guard;
                }
            }
            self.0.lock()
        }
    }
}

#[cfg(loom)]
mod every_order {
    /// Loom's lock with the words of parking_lot's.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics while it holds a lock")
        }
    }
}
