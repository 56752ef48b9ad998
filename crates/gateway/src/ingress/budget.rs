//! A bound for the memory of all bodies in flight.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held at the same time.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicUsize,
    most: AtomicUsize,
}

impl Budget {
    pub(super) const fn of(most: usize) -> Self {
        Self { held: AtomicUsize::new(0), most: AtomicUsize::new(most) }
    }

    /// Changes how much that is. What is held already stays.
    pub(super) fn limit(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    pub(super) const fn share(&'static self) -> Held {
        Held { budget: self, bytes: 0 }
    }
}

/// One call's share of a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: &'static Budget,
    bytes: usize,
}

impl Held {
    /// Raises the share to `bytes`; `false` if there is no room for that.
    pub(crate) fn raise(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if self.budget.held.fetch_add(more, Ordering::Relaxed).saturating_add(more)
            > self.budget.most.load(Ordering::Relaxed)
        {
            self.budget.held.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_all_of_it_is_held() {
        static BUDGET: Budget = Budget::of(100);
        let (mut one, mut other) = (BUDGET.share(), BUDGET.share());
        assert!(one.raise(40) && one.raise(60) && one.raise(60));
        assert!(!other.raise(41), "60 of 100 are taken");
        assert!(other.raise(40));
        assert!(!one.raise(61));
        drop(other);
        assert!(one.raise(100));
        BUDGET.limit(200);
        assert!(one.raise(200) && !one.raise(201));
        drop(one);
        assert_eq!(BUDGET.held.load(Ordering::Relaxed), 0);
    }
}
