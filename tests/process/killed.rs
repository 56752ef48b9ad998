//! The process is killed again and again under load; the provider's own record then shows that no sliding minute and no
//! sliding second went over, in any scope.

use std::{collections::HashMap, sync::Arc, time::Duration};

use testkit::provider::Received;
use tokio::{sync::watch, task::JoinSet};

use crate::installation::Installation;

/// Two a second, ninety in a minute: both windows bind.
const ACCOUNT_RPM: u64 = 90;
/// One a second, fifty in a minute.
const SEARCH_RPM: u64 = 50;

const CALLERS: usize = 6;
const MINUTE_US: u64 = 60_000_000;
const SECOND_US: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_goes_over_however_often_the_process_is_killed() {
    let kills: u64 = std::env::var("KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(5);
    let mut sluice = Installation::new().await;
    sluice.apply(&format!("rpm = {ACCOUNT_RPM}\ntpm = 10000000"), &format!("rpm = {SEARCH_RPM}"));
    let keys = [("search", sluice.key("search")), ("default", sluice.key("default"))];
    sluice.stamp_admissions();
    sluice.serve();

    let (stop, stopping) = watch::channel(false);
    let target = Arc::new(sluice.target());
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        let (workspace, key) = keys[n % keys.len()].clone();
        let (target, stopping) = (Arc::clone(&target), stopping.clone());
        callers.spawn(async move {
            while !*stopping.borrow() {
                // As hostile as can be while the machine has other work: back at the very instant that was promised,
                // and at once when nobody answers.
                let wait = match target.chat_as(&key, workspace).await {
                    Ok(answer) => answer.headers.get("retry-after-ms").and_then(|it| it.to_str().ok()?.parse().ok()),
                    Err(_) => Some(5),
                };
                tokio::time::sleep(Duration::from_millis(wait.unwrap_or(0))).await;
            }
        });
    }
    // Pauses of 3 to 30 s, or shorter ones for many kills, in an order that looks like chance and is the same each time.
    let (least, spread) = if kills > 20 { (200, 2_800) } else { (3_000, 27_000) };
    let mut chance = testkit::chance::Chance::new(20_261_122);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(least + chance.below(spread))).await;
        sluice.kill();
        sluice.serve();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    stop.send_replace(true);
    while callers.join_next().await.is_some() {}

    let received = sluice.provider.log().received();
    let highest = check(&received);
    println!("{kills} kills, {} admissions, highest use of each limit: {highest:?}", received.len());
    assert!(received.len() as u64 > ACCOUNT_RPM, "the load must come to the limits: {} calls", received.len());
    let proof = sluice.done(&["verify"]);
    assert!(proof.contains(", 0 over a limit"), "{proof}");
}

/// Whether a call counts in a scope.
type Belongs = fn(&Received) -> bool;

/// Looks at the window that ends with each admission, in each scope, by going through all of them.
fn check(received: &[Received]) -> HashMap<(&'static str, u64), String> {
    let mut highest = HashMap::new();
    let scopes: [(&str, u64, Belongs); 2] =
        [("account", ACCOUNT_RPM, |_| true), ("search", SEARCH_RPM, |it| is_of(it, "search"))];
    for (scope, rpm, belongs) in scopes {
        let mut instants: Vec<u64> = received.iter().filter(|it| belongs(it)).map(admitted_at).collect();
        instants.sort_unstable();
        for (window, limit) in [(MINUTE_US, rpm), (SECOND_US, domain::ceil60(rpm))] {
            let used = instants
                .iter()
                .map(|end| instants.iter().filter(|at| **at <= *end && **at + window > *end).count() as u64)
                .max()
                .unwrap_or(0);
            assert!(used <= limit, "{used} of {limit} in {window} µs of {scope}");
            highest.insert((scope, window / SECOND_US), format!("{used} of {limit}"));
        }
    }
    highest
}

fn admitted_at(call: &Received) -> u64 {
    let stamp = call.headers.get("x-sluice-admitted-us").expect("admissions are stamped for this test");
    stamp.to_str().ok().and_then(|it| it.parse().ok()).expect("a stamp is a number of microseconds")
}

fn is_of(call: &Received, workspace: &str) -> bool {
    String::from_utf8_lossy(&call.body).contains(&format!("\"user\":\"{workspace}\""))
}
