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
    Many(Box<Many<T>>),
}

#[derive(Clone, Debug)]
pub(crate) struct Many<T> {
    /// In order; all but the last are full.
    blocks: VecDeque<Vec<T>>,
    /// How many entries of the first block have left.
    left: usize,
    len: usize,
    /// The block that was left last, for the next that is needed: a queue of a steady length allocates nothing.
    spare: Vec<T>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self::One(VecDeque::new())
    }
}

impl<T: Copy> Blocks<T> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(ring) => ring.len(),
            Self::Many(many) => many.len,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
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
            Self::Many(many) => {
                let place = many.left + index;
                many.blocks.get(place / BLOCK)?.get(place % BLOCK)
            }
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match self {
            Self::One(ring) => ring.get_mut(index),
            Self::Many(many) => {
                let place = many.left + index;
                many.blocks.get_mut(place / BLOCK)?.get_mut(place % BLOCK)
            }
        }
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        match self {
            Self::One(ring) => ring.pop_front(),
            Self::Many(many) => many.pop_front(),
        }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, value: T) {
        match self {
            Self::One(ring) if ring.len() < ring.capacity() && ring.len() < BLOCK => ring.push_back(value),
            Self::Many(many) => many.push_back(value),
            Self::One(_) => {
                self.make_room();
                self.push_back(value);
            }
        }
    }

    /// Makes room where one ring has none.
    #[cold]
    fn make_room(&mut self) {
        let Self::One(ring) = self else { return };
        if ring.len() < BLOCK {
            // By an eighth where a ring would double: a minute of calls should cost what its entries cost.
            ring.reserve_exact((ring.len() / 8).max(2).min(BLOCK - ring.len()));
            return;
        }
        let (len, full) = (ring.len(), Vec::from(std::mem::take(ring)));
        *self = Self::Many(Box::new(Many { blocks: VecDeque::from([full]), left: 0, len, spare: Vec::new() }));
    }

    /// Gives back the room that more entries than these needed; what four times `least` need stays.
    pub(crate) fn shrink(&mut self, least: usize) {
        if let Self::Many(many) = self
            && many.blocks.len() <= 1
        {
            let mut ring = VecDeque::from(many.blocks.pop_front().unwrap_or_default());
            ring.drain(..many.left);
            *self = Self::One(ring);
        }
        if let Self::One(ring) = self
            && ring.capacity() > 4 * ring.len().max(least)
        {
            ring.shrink_to(2 * ring.len());
        }
    }
}

impl<T: Copy> Many<T> {
    #[inline]
    fn pop_front(&mut self) -> Option<T> {
        let value = *self.blocks.front()?.get(self.left)?;
        self.left += 1;
        self.len -= 1;
        if self.left == BLOCK {
            self.leave_block();
        }
        Some(value)
    }

    #[cold]
    fn leave_block(&mut self) {
        self.spare = self.blocks.pop_front().unwrap_or_default();
        self.spare.clear();
        self.left = 0;
    }

    #[inline]
    fn push_back(&mut self, value: T) {
        if self.blocks.back().is_none_or(|it| it.len() >= BLOCK) {
            self.begin_block();
        }
        if let Some(last) = self.blocks.back_mut() {
            last.push(value);
            self.len += 1;
        }
    }

    #[cold]
    fn begin_block(&mut self) {
        let mut next = std::mem::take(&mut self.spare);
        next.reserve_exact(BLOCK);
        self.blocks.push_back(next);
    }
}

impl<T: Copy> Index<usize> for Blocks<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        self.get(index).expect("an index below the length")
    }
}

impl<T: Copy> IndexMut<usize> for Blocks<T> {
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
