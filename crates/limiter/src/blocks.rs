//! A queue that is read anywhere, corrected anywhere and grows without being copied as a whole. A minute of a busy model
//! is a million entries: to move them at once would hold up every call of that model for tens of milliseconds.

use std::{
    collections::VecDeque,
    ops::{Index, IndexMut},
};

/// Entries in one block. What a queue moves at most when it grows.
const BLOCK: usize = 1024;

/// A first-in, first-out queue.
#[derive(Clone, Debug)]
pub(crate) enum Blocks<T> {
    /// Up to [`BLOCK`] entries.
    One(VecDeque<T>),
    Many(Box<Rings<T>>),
}

#[derive(Clone, Debug)]
pub(crate) struct Rings<T> {
    /// In order, none empty, and all of [`BLOCK`] entries but the first.
    earlier: VecDeque<VecDeque<T>>,
    /// Entries in all of them.
    before: usize,
    last: VecDeque<T>,
    /// The ring that was emptied last, for the next that is needed: a queue of a steady length allocates nothing.
    spare: VecDeque<T>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self::One(VecDeque::new())
    }
}

impl<T> Blocks<T> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(ring) => ring.len(),
            Self::Many(rings) => rings.before + rings.last.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.get(0)
    }

    pub(crate) fn back(&self) -> Option<&T> {
        self.len().checked_sub(1).and_then(|it| self.get(it))
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        match self {
            Self::One(ring) => ring.get(index),
            Self::Many(rings) => rings.get(index),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match self {
            Self::One(ring) => ring.get_mut(index),
            Self::Many(rings) => rings.get_mut(index),
        }
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        match self {
            Self::One(ring) => ring.pop_front(),
            Self::Many(rings) => rings.pop_front(),
        }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, value: T) {
        let ring = match self {
            Self::One(ring) => ring,
            Self::Many(rings) => &mut rings.last,
        };
        if ring.len() < BLOCK.min(ring.capacity()) {
            return ring.push_back(value);
        }
        self.make_room().push_back(value);
    }

    /// A ring with room, at the end.
    #[cold]
    fn make_room(&mut self) -> &mut VecDeque<T> {
        if let Self::One(ring) = self
            && ring.len() >= BLOCK
        {
            let (earlier, last, spare) = (VecDeque::new(), std::mem::take(ring), VecDeque::new());
            *self = Self::Many(Box::new(Rings { earlier, before: 0, last, spare }));
        }
        match self {
            Self::One(ring) => {
                // By an eighth where a ring would double: a minute of calls should cost what its entries cost.
                ring.reserve_exact((ring.len() / 8).max(2).min(BLOCK - ring.len()));
                ring
            }
            Self::Many(rings) => {
                rings.make_room();
                &mut rings.last
            }
        }
    }

    /// Gives back the room that more entries than these needed; what four times `least` need stays.
    pub(crate) fn shrink(&mut self, least: usize) {
        if let Self::Many(rings) = self
            && rings.earlier.is_empty()
        {
            *self = Self::One(std::mem::take(&mut rings.last));
        }
        if let Self::One(ring) = self
            && ring.capacity() > 4 * ring.len().max(least)
        {
            ring.shrink_to(2 * ring.len());
        }
    }
}

impl<T> Rings<T> {
    /// The ring of an entry that is not in the last one, and its place there.
    #[inline]
    fn place(&self, index: usize) -> (usize, usize) {
        match index.checked_sub(self.earlier[0].len()) {
            None => (0, index),
            Some(index) => (1 + index / BLOCK, index % BLOCK),
        }
    }

    #[inline]
    fn get(&self, index: usize) -> Option<&T> {
        if let Some(index) = index.checked_sub(self.before) {
            return self.last.get(index);
        }
        let (ring, index) = self.place(index);
        self.earlier[ring].get(index)
    }

    #[inline]
    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if let Some(index) = index.checked_sub(self.before) {
            return self.last.get_mut(index);
        }
        let (ring, index) = self.place(index);
        self.earlier[ring].get_mut(index)
    }

    fn pop_front(&mut self) -> Option<T> {
        let Some(ring) = self.earlier.front_mut() else { return self.last.pop_front() };
        let value = ring.pop_front();
        self.before -= 1;
        if ring.is_empty() {
            self.spare = self.earlier.pop_front().unwrap_or_default();
        }
        value
    }

    /// Begins another ring when the last one has all that it may have. A copy has no room but what its entries take.
    fn make_room(&mut self) {
        if self.last.len() >= BLOCK {
            let next = std::mem::take(&mut self.spare);
            self.before += self.last.len();
            self.earlier.push_back(std::mem::replace(&mut self.last, next));
        }
        self.last.reserve_exact(BLOCK - self.last.len());
    }
}

impl<T> Index<usize> for Blocks<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        self.get(index).expect("an index below the length")
    }
}

impl<T> IndexMut<usize> for Blocks<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.get_mut(index).expect("an index below the length")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Pop(usize),
        Correct(usize),
        Shrink,
        Copy,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..3 * BLOCK).prop_map(Step::Push),
            (1..3 * BLOCK).prop_map(Step::Pop),
            (0..8 * BLOCK).prop_map(Step::Correct),
            Just(Step::Shrink),
            Just(Step::Copy),
        ]
    }

    proptest! {
        #[test]
        fn is_what_a_ring_is(steps in proptest::collection::vec(step(), 1..40)) {
            let (mut blocks, mut ring, mut next) = (Blocks::default(), VecDeque::new(), 0_u64);
            for step in steps {
                match step {
                    Step::Push(count) => for _ in 0..count {
                        next += 1;
                        blocks.push_back(next);
                        ring.push_back(next);
                    },
                    Step::Pop(count) => for _ in 0..count {
                        prop_assert_eq!(blocks.pop_front(), ring.pop_front());
                    },
                    Step::Correct(index) => {
                        next += 1;
                        let there = (blocks.get_mut(index), ring.get_mut(index));
                        prop_assert_eq!(there.0.is_some(), there.1.is_some());
                        there.0.into_iter().chain(there.1).for_each(|it| *it = next);
                    },
                    Step::Shrink => blocks.shrink(4),
                    Step::Copy => blocks = blocks.clone(),
                }
                prop_assert_eq!((blocks.len(), blocks.is_empty()), (ring.len(), ring.is_empty()));
                prop_assert_eq!((blocks.front(), blocks.back()), (ring.front(), ring.back()));
                prop_assert!((0..=ring.len()).all(|it| blocks.get(it) == ring.get(it)));
            }
        }
    }

    /// However long it is, no entry is moved for one that joins, but for those of the block that it joins.
    #[test]
    fn grows_without_being_moved() {
        let mut blocks = Blocks::default();
        (0..2 * BLOCK).for_each(|it| blocks.push_back(it));
        let first: *const usize = &blocks[0];
        (0..500 * BLOCK).for_each(|it| blocks.push_back(it));
        assert_eq!(first, &raw const blocks[0]);
    }
}
