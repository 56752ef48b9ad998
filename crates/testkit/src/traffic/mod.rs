//! Steady small traffic of real HTTP calls, for a gateway to have something to show. Open loop: calls come when they
//! come, whether or not the ones before were answered. Takes no part in deciding anything.

mod call;
mod habit;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::task::JoinSet;

pub use habit::{Habit, habits};

use crate::chance::Chance;
use call::Caller;

/// Who calls, and where.
#[derive(Clone, Debug)]
pub struct TrafficSettings {
    /// The gateway's address.
    pub gateway: SocketAddr,
    /// Workspace and API key; each workspace has its own [`habits`].
    pub keys: Vec<(String, String)>,
    /// Chooses when and what.
    pub seed: u64,
}

/// Calls until `shutdown` is done; calls that run then are given up.
pub async fn run(settings: TrafficSettings, shutdown: impl Future<Output = ()>) {
    let caller = Arc::new(Caller::new(settings.gateway));
    let mut sources = JoinSet::new();
    let mut chance = Chance::new(settings.seed);
    for (workspace, key) in settings.keys {
        for habit in habits(&workspace) {
            sources.spawn(source(Arc::clone(&caller), key.clone(), habit, Chance::new(chance.bits())));
        }
    }
    shutdown.await;
    sources.shutdown().await;
}

/// The calls of one habit, one after the other in time and beside each other in flight.
async fn source(caller: Arc<Caller>, key: String, habit: &'static Habit, mut chance: Chance) {
    let key: Arc<str> = key.into();
    let mut calls = JoinSet::new();
    loop {
        let mean_s = 60.0 / (habit.occasions_a_minute * mood(seconds_of_day(), habit));
        tokio::time::sleep(Duration::from_secs_f64(chance.gap(mean_s).min(900.0))).await;
        while calls.try_join_next().is_some() {}
        for _ in 0..habit.calls_at_once {
            let (caller, key, chance) = (Arc::clone(&caller), Arc::clone(&key), Chance::new(chance.bits()));
            calls.spawn(async move { caller.call(&key, habit, chance).await });
        }
    }
}

/// Seconds since midnight, UTC.
fn seconds_of_day() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs_f64() % 86_400.0
}

/// How busy people are: a slow wave over the day with its height at 14 h UTC, and one of minutes that shows in an hour's chart.
fn mood(second_of_day: f64, habit: &Habit) -> f64 {
    let turn = std::f64::consts::TAU;
    let day = ((second_of_day / 86_400.0 - 14.0 / 24.0) * turn).cos();
    let minutes = (second_of_day / habit.wave_s * turn).sin();
    1.0 + 0.4 * day + 0.25 * minutes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_ever_stops_or_runs_wild() {
        for habit in habits("search") {
            for second in 0..86_400 {
                let mood = mood(f64::from(second), habit);
                assert!((0.3..1.7).contains(&mood), "{mood} at {second}");
            }
        }
    }
}
