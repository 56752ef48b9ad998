//! Buffers for what cells keep until the process takes it, lent to the cells that have something to keep. Of thousands
//! of cells few are called in any tenth of a second: a buffer in each would cost more than its charges do.

use crate::sync::Mutex;

/// What is lent.
pub(crate) trait Buffer: Default {
    fn is_empty(&self) -> bool;

    /// Gives back the room that a busier tick needed, down to what most cells need; the buffer is empty.
    fn release(&mut self);
}

/// The buffers of one kind that no cell has at the moment.
#[derive(Debug, Default)]
pub(crate) struct Spares<T>(Mutex<Inner<T>>);

#[derive(Debug, Default)]
struct Inner<T> {
    spare: Vec<Box<T>>,
    lent: usize,
    /// The most that were lent at once since the last sweep.
    most: usize,
}

impl<T: Buffer> Spares<T> {
    /// An empty buffer.
    #[cold]
    pub(crate) fn lend(&self) -> Box<T> {
        let spare = {
            let mut inner = self.0.lock();
            inner.lent += 1;
            inner.most = inner.most.max(inner.lent);
            inner.spare.pop()
        };
        // Every cell may need the lock: no buffer is made, shrunk or dropped under it.
        spare.unwrap_or_default()
    }

    /// Takes back the buffer of a cell, if it has one and there is nothing in it.
    pub(crate) fn take_back(&self, place: &mut Option<Box<T>>) {
        let Some(mut buffer) = place.take_if(|it| it.is_empty()) else { return };
        buffer.release();
        let mut inner = self.0.lock();
        inner.lent -= 1;
        inner.spare.push(buffer);
    }

    /// Drops what was not needed since the last sweep.
    pub(crate) fn sweep(&self) {
        let unneeded = {
            let mut inner = self.0.lock();
            let needed = inner.most - inner.lent;
            inner.most = inner.lent;
            let kept = needed.min(inner.spare.len());
            let unneeded = inner.spare.split_off(kept);
            inner.spare.shrink_to(2 * needed);
            unneeded
        };
        drop(unneeded);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Number(u32);

    impl Buffer for Number {
        fn is_empty(&self) -> bool {
            self.0 != 7
        }

        fn release(&mut self) {
            self.0 += 1;
        }
    }

    fn spare(of: &Spares<Number>) -> usize {
        of.0.lock().spare.len()
    }

    #[test]
    fn as_many_stay_as_were_lent_at_once_between_two_sweeps() {
        let spares = Spares::<Number>::default();
        let mut cells = [const { None }; 5];
        cells.iter_mut().for_each(|it| *it = Some(spares.lend()));
        cells.iter_mut().for_each(|it| spares.take_back(it));
        assert_eq!(spare(&spares), 5);
        spares.sweep();
        assert_eq!(spare(&spares), 5, "they were all needed since the sweep before");
        for it in &mut cells[..2] {
            let lent = it.insert(spares.lend());
            assert_eq!(lent.0, 1, "none is made where there is one, and it was released");
            lent.0 = 7;
            spares.take_back(it);
            let kept = it.as_mut().expect("what is kept in it is not lost");
            kept.0 = 0;
        }
        spares.sweep();
        assert_eq!(spare(&spares), 0, "two were needed, and they are out");
        cells.iter_mut().for_each(|it| spares.take_back(it));
        spares.sweep();
        assert_eq!(spare(&spares), 2);
        spares.sweep();
        assert_eq!(spare(&spares), 0);
    }
}
