//! As many streams at once as asked for, which go on until whoever started this has seen enough.

use std::{
    io::{self, Read},
    time::Duration,
};

use crate::{
    Order,
    lanes::{Lanes, News},
};

/// Between two connections, so that no queue of them overflows.
const BETWEEN: Duration = Duration::from_micros(400);

/// Begins the streams, prints one line of JSON when each has begun or failed, and reads them until the standard input
/// ends, which ends the process.
pub(crate) fn hold(order: &Order) -> io::Result<()> {
    let mut lanes = Lanes::new(order.address, order.request())?;
    lanes.every(BETWEEN, BETWEEN)?;
    let (mut opened, mut held, mut failed, mut news) = (0, 0, 0, Vec::new());
    loop {
        lanes.wait(&mut news)?;
        for it in news.drain(..) {
            match it {
                News::Alarm if opened < order.connections => {
                    let lane = lanes.open()?;
                    lanes.send(lane)?;
                    opened += 1;
                }
                News::Begun(..) => held += 1,
                News::Failed(_) if held + failed < order.connections => failed += 1,
                _ => continue,
            }
            if held + failed == order.connections {
                println!(r#"{{"held":{held},"failed":{failed}}}"#);
                lanes.every(Duration::ZERO, Duration::ZERO)?;
                std::thread::spawn(|| {
                    let _ = io::stdin().read_to_end(&mut Vec::new());
                    std::process::exit(0);
                });
            }
        }
    }
}
