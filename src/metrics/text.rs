//! The counters as text. Labels are names that somebody configured; of what has no name any more, its id.

use std::{collections::HashMap, fmt::Write as _, sync::PoisonError, sync::atomic::Ordering};

use control::Control;
use domain::ModelCode;

use super::{BOUNDS_US, Counts, LANES, OUTCOMES, Scrape};

/// The names of accounts and workspaces.
#[derive(Debug, Default)]
pub(super) struct Names {
    accounts: HashMap<String, String>,
    /// Name and account of each workspace.
    workspaces: HashMap<String, (String, String)>,
}

impl Names {
    /// Reads them; without a store there are ids alone, and the rest of the answer stays true.
    pub(super) async fn read(control: &Control) -> Self {
        let mut names = Self::default();
        let Ok(mut rows) = control.store().read().await else { return names };
        for it in rows.accounts().await.unwrap_or_default() {
            names.accounts.insert(it.id, it.name);
        }
        for it in rows.all_workspaces().await.unwrap_or_default() {
            names.workspaces.insert(it.id.clone(), (it.command_name().to_owned(), it.account_id));
        }
        names
    }

    fn account<'a>(&'a self, id: &'a str) -> &'a str {
        self.accounts.get(id).map_or(id, String::as_str)
    }

    /// Account and workspace.
    fn workspace<'a>(&'a self, id: &'a str) -> (&'a str, &'a str) {
        self.workspaces.get(id).map_or(("", id), |(name, account)| (self.account(account), name))
    }
}

/// Text in the making.
struct Page(String);

impl Page {
    fn about(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if i == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.about(name, kind, help);
        self.line(name, &[], value);
    }
}

/// What may not stand in a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// One line of counters: account, workspace, model, lane.
type Row<'a> = (&'a str, &'a str, &'a str, &'static str, &'a Counts);

pub(super) fn write(of: &Scrape, names: &Names) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.about("sluice_build_info", "gauge", "The version that runs.");
    page.line("sluice_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let calls = of.metrics.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (workspace, models) in &calls {
        let (account, workspace) = names.workspace(workspace.as_str());
        for (model, lanes) in models {
            let named = LANES.iter().zip(lanes).map(|(lane, it)| (account, workspace, model.as_str(), *lane, it));
            rows.extend(named.filter(|it| it.4.outcomes.iter().any(|count| *count > 0)));
        }
    }
    rows.sort_by_key(|it| (it.0, it.1, it.2, it.3));
    counters(&mut page, &rows);
    durations(&mut page, &rows);
    process(&mut page, of);
    in_use(&mut page, of, names);
    page.0
}

fn counters(page: &mut Page, rows: &[Row<'_>]) {
    let mut each = |name: &str, help: &str, label: &str, values: &dyn Fn(&Counts) -> Vec<(&'static str, u64)>| {
        page.about(name, "counter", help);
        for (account, workspace, model, lane, counts) in rows {
            for (word, value) in values(counts).into_iter().filter(|it| it.1 > 0) {
                let labels = [
                    ("account", *account),
                    ("workspace", *workspace),
                    ("model", *model),
                    ("lane", *lane),
                    (label, word),
                ];
                page.line(name, &labels, value);
            }
        }
    };
    each(
        "sluice_calls_total",
        "Calls that reached the limiter or the batch lane, by how they ended.",
        "outcome",
        &|it| OUTCOMES.iter().zip(it.outcomes).map(|(word, count)| (*word, count)).collect(),
    );
    each("sluice_refusals_total", "Calls refused by a limit, by what ran out.", "cause", &|it| {
        ["requests", "tokens", "surge"].iter().zip(it.causes).map(|(word, count)| (*word, count)).collect()
    });
    each("sluice_tokens_total", "Tokens of calls, as they were charged.", "kind", &|it| {
        vec![("prompt", it.prompt), ("output", it.output)]
    });
    each("sluice_upstream_errors_total", "Calls that a provider failed, by how.", "kind", &|it| {
        OUTCOMES.iter().zip(it.outcomes).skip(3).take(5).map(|(word, count)| (*word, count)).collect()
    });
}

/// Latencies by model, of all workspaces together: a bucket for each of them would be a flood.
fn durations(page: &mut Page, rows: &[Row<'_>]) {
    const NAME: &str = "sluice_call_duration_seconds";
    page.about(NAME, "histogram", "From a call's head to the end of its answer, for calls answered to the end.");
    let mut models: Vec<(&str, &str, Counts)> = Vec::new();
    for (account, _, model, _, counts) in rows {
        let known = models.iter().position(|it| (it.0, it.1) == (*account, *model));
        let at = known.unwrap_or_else(|| {
            models.push((account, model, Counts::default()));
            models.len() - 1
        });
        let sum = &mut models[at].2;
        for (all, one) in sum.latency.iter_mut().zip(counts.latency) {
            *all += one;
        }
        sum.latency_sum_us = sum.latency_sum_us.saturating_add(counts.latency_sum_us);
    }
    models.retain(|it| it.2.latency.iter().any(|count| *count > 0));
    models.sort_by_key(|it| (it.0, it.1));
    for (account, model, counts) in models {
        let labels = [("account", account), ("model", model)];
        let mut below = 0;
        for (bucket, count) in counts.latency.iter().enumerate() {
            below += count;
            let bound = BOUNDS_US.get(bucket).map_or_else(|| "+Inf".to_owned(), |it| seconds(*it));
            page.line(&format!("{NAME}_bucket"), &[labels[0], labels[1], ("le", &bound)], below);
        }
        page.line(&format!("{NAME}_sum"), &labels, seconds(counts.latency_sum_us));
        page.line(&format!("{NAME}_count"), &labels, below);
    }
}

fn process(page: &mut Page, of: &Scrape) {
    page.single("sluice_calls_in_flight", "gauge", "Calls that are being answered.", of.gateway.running());
    page.single("sluice_calls_waiting", "gauge", "Calls that wait for their admission.", of.gateway.waiting());
    page.single(
        "sluice_unrecorded_calls_total",
        "counter",
        "Calls that ended when there was no room to record them.",
        of.records.lost(),
    );
    page.single(
        "sluice_unknown_callers_total",
        "counter",
        "Calls without a known key or route.",
        of.records.strangers(),
    );
    let flush = *of.metrics.flush.lock().unwrap_or_else(PoisonError::into_inner);
    page.single(
        "sluice_flush_lag_seconds",
        "gauge",
        "How long ago statistics and charges were last written.",
        flush.written_at.elapsed().as_secs_f64(),
    );
    page.single("sluice_flush_duration_seconds", "gauge", "How long the last write took.", flush.took.as_secs_f64());
    page.single(
        "sluice_store_errors_total",
        "counter",
        "Writes of statistics that the store did not take.",
        of.metrics.store_errors.load(Ordering::Relaxed),
    );
}

fn in_use(page: &mut Page, of: &Scrape, names: &Names) {
    let mut cells = of.ledger.cells();
    cells.sort_by_key(|it| (it.key().account.clone(), it.key().model.clone()));
    let uses: Vec<(String, ModelCode, limiter::Use)> = cells
        .iter()
        .map(|it| (names.account(it.key().account.as_str()).to_owned(), it.key().model.clone(), it.live().account))
        .collect();
    for (name, help, value) in [
        (
            "sluice_window_requests",
            "Requests charged in the last 60 s.",
            (|it| it.requests_minute) as fn(&limiter::Use) -> u64,
        ),
        ("sluice_window_tokens", "Tokens charged in the last 60 s.", |it| it.tokens_minute),
    ] {
        page.about(name, "gauge", help);
        for (account, model, of) in &uses {
            page.line(name, &[("account", account), ("model", model.as_str())], value(of));
        }
    }
}

fn seconds(us: u64) -> String {
    (us as f64 / 1e6).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_in_their_quotes() {
        let mut page = Page(String::new());
        page.line("x", &[("workspace", "a\"b\\c\nd"), ("model", "m")], 3);
        page.line("y", &[], 0.5);
        assert_eq!(page.0, "x{workspace=\"a\\\"b\\\\c\\nd\",model=\"m\"} 3\ny 0.5\n");
    }

    #[test]
    fn buckets_are_cumulated_over_workspaces() {
        let of = |latency_us: &[u64]| {
            let mut counts = Counts::default();
            for us in latency_us {
                counts.latency[BOUNDS_US.partition_point(|bound| bound < us)] += 1;
                counts.latency_sum_us += us;
            }
            counts
        };
        let (first, second) = (of(&[100_000, 100_001]), of(&[999_000_000]));
        let rows: Vec<Row<'_>> = vec![("a", "w1", "m", "limited", &first), ("a", "w2", "m", "limited", &second)];
        let mut page = Page(String::new());
        durations(&mut page, &rows);
        for line in [
            "sluice_call_duration_seconds_bucket{account=\"a\",model=\"m\",le=\"0.1\"} 1",
            "sluice_call_duration_seconds_bucket{account=\"a\",model=\"m\",le=\"0.25\"} 2",
            "sluice_call_duration_seconds_bucket{account=\"a\",model=\"m\",le=\"120\"} 2",
            "sluice_call_duration_seconds_bucket{account=\"a\",model=\"m\",le=\"+Inf\"} 3",
            "sluice_call_duration_seconds_sum{account=\"a\",model=\"m\"} 999.200001",
            "sluice_call_duration_seconds_count{account=\"a\",model=\"m\"} 3",
        ] {
            assert!(page.0.lines().any(|it| it == line), "{line}\n{}", page.0);
        }
    }
}
