//! Every order in which a few threads can reach one cell. Each operation is one step under the cell's lock, so the
//! merges of their sequences are all the interleavings there are. With real locks: `loom.rs` in every order, `threads.rs` raced.

mod common;

use common::{MINUTE, SECOND, World, limits};
use limiter::{Decision, Permit, Settlement};

#[derive(Clone, Copy, Debug)]
enum Operation {
    Admit,
    Counted(u64),
    Settle(u64),
    Drop,
    /// The limits that this thread's next decisions read: a new snapshot.
    Swap(u64),
    /// Time passes for everybody.
    Pass(u64),
}
use Operation::{Admit, Counted, Drop, Pass, Settle, Swap};

/// What one thread holds.
#[derive(Default)]
struct Thread {
    permit: Option<Permit>,
    /// Prompt and what was counted, while the call runs.
    counted: u64,
}

/// Runs the threads' operations in the order `turns`, checking what must hold after each.
fn follow(threads: &[&[Operation]], turns: &[usize]) {
    let mut world = World::new(limits(3, 100), limits(None, None));
    let mut held: Vec<Thread> = threads.iter().map(|_| Thread::default()).collect();
    let mut next = vec![0; threads.len()];
    let mut settled = Vec::new();
    for &thread in turns {
        let operation = threads[thread][next[thread]];
        next[thread] += 1;
        let it = &mut held[thread];
        match operation {
            Admit => {
                let limit = world.account.tpm.map_or(0, domain::Tpm::get);
                if let Decision::Admitted(permit, _) = world.decide(1, 29) {
                    assert!(world.used()[1] <= limit && world.used()[0] <= 3, "{turns:?}");
                    (it.permit, it.counted) = (Some(permit), 1);
                }
            }
            Counted(output) => {
                if let Some(permit) = &mut it.permit {
                    permit.counted(output);
                    it.counted = it.counted.max(1 + output);
                }
            }
            Settle(total) => {
                if let Some(permit) = it.permit.take() {
                    settled.push((permit.admitted_at(), total));
                    permit.settle(Settlement::Exact { prompt: None, total, ended_well: true });
                }
            }
            Drop => {
                if let Some(permit) = it.permit.take() {
                    settled.push((permit.admitted_at(), it.counted));
                    drop(permit);
                }
            }
            Swap(tpm) => world.account = limits(3, tpm),
            Pass(us) => world.clock.advance(us),
        }
        let running = held.iter().filter_map(|it| it.permit.as_ref().map(|_| it.counted.max(30)));
        let expected: u64 = settled.iter().map(|it| it.1).chain(running).sum();
        assert_eq!(world.used()[1], expected, "after {operation:?} of {thread} in {turns:?}");
    }
    drop(held);
    world.clock.advance(MINUTE);
    assert_eq!(world.used(), [0; 4], "{turns:?}");
}

/// Every merge of sequences of these lengths, as the order of turns.
fn merges(left: &mut Vec<usize>, turns: &mut Vec<usize>, each: &mut impl FnMut(&[usize])) {
    if left.iter().all(|it| *it == 0) {
        return each(turns);
    }
    for thread in 0..left.len() {
        if left[thread] > 0 {
            left[thread] -= 1;
            turns.push(thread);
            merges(left, turns, each);
            turns.pop();
            left[thread] += 1;
        }
    }
}

fn check_all(threads: &[&[Operation]], expected: u64) {
    let mut orders = 0;
    let mut left = threads.iter().map(|it| it.len()).collect();
    merges(&mut left, &mut Vec::new(), &mut |turns| {
        follow(threads, turns);
        orders += 1;
    });
    assert_eq!(orders, expected);
}

#[test]
fn permits_settle_and_drop_in_every_order() {
    check_all(&[&[Admit, Counted(40), Settle(20)], &[Admit, Counted(10), Drop], &[Admit, Settle(90)]], 560);
}

#[test]
fn snapshots_swap_between_any_two_steps() {
    check_all(
        &[&[Swap(40), Pass(SECOND), Swap(200)], &[Admit, Settle(35), Admit, Drop], &[Admit, Counted(60), Drop]],
        4200,
    );
}

#[test]
fn four_calls_race_for_the_room_of_three() {
    check_all(&[&[Admit, Settle(1)], &[Admit, Drop], &[Admit, Settle(50)], &[Admit, Counted(99), Drop]], 7560);
}
