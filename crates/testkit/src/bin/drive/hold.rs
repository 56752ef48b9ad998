//! As many streams at once as asked for, which go on until whoever started this has seen enough.

use std::{
    io::{self, Read},
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Order,
    lanes::{Lanes, News},
};

/// Between two connections, so that no queue of them overflows.
const BETWEEN: Duration = Duration::from_micros(400);
/// How long the streams may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// Begins the streams and reads them until the standard input ends, which ends the process. Prints a line of JSON when each
/// has begun or failed, or has had its time, and one at the end with how many were going on then.
pub(crate) fn hold(order: &Order) -> io::Result<()> {
    let alive = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&alive);
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        println!(r#"{{"alive":{}}}"#, counted.load(Ordering::Relaxed));
        exit(0);
    });

    let mut lanes = Lanes::new(order.address, order.request())?;
    lanes.every(BETWEEN, BETWEEN)?;
    let give_up = Instant::now() + BETWEEN * u32::try_from(order.connections).unwrap_or(u32::MAX) + PATIENCE;
    let (mut begun, mut opened, mut told, mut news) = (vec![false; order.connections], 0, false, Vec::new());
    let (mut held, mut failed) = (0, 0);
    loop {
        lanes.wait(&mut news)?;
        for it in news.drain(..) {
            match it {
                News::Alarm if opened < order.connections => {
                    let lane = lanes.add();
                    failed += usize::from(lanes.send(lane).is_err());
                    opened += 1;
                }
                News::Alarm => {}
                // Too late to be held: it was told as failed.
                News::Begun(..) if told => {}
                News::Begun(lane, _) => {
                    begun[lane] = true;
                    held += 1;
                    alive.fetch_add(1, Ordering::Relaxed);
                }
                News::Whole(lane, _) | News::Failed(lane) if begun[lane] => {
                    alive.fetch_sub(1, Ordering::Relaxed);
                }
                News::Whole(..) | News::Failed(_) => failed += 1,
            }
        }
        if !told && (held + failed == order.connections || Instant::now() > give_up) {
            told = true;
            println!(r#"{{"held":{held},"failed":{}}}"#, order.connections - held);
            lanes.every(Duration::ZERO, Duration::ZERO)?;
        }
    }
}
