//! The process is killed again and again under load while its wall clock steps; the provider's own record then shows that
//! no sliding minute and no sliding second went over, in any scope, and the journal tells the same.

mod load;
mod record;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::ceil60;
use testkit::{Provider, ProviderSettings, chance::Chance};

use crate::installation::Installation;
use load::{Load, Wish};
use record::{Call, MINUTE, Record, SECOND, may_be_lost_at, windows};

const FREE_TPM: u64 = 1_000_000_000;
const FREE_RPM: u64 = 1_000_000;

/// A model, what its account and its workspace `search` may use, and who calls it.
struct Cell {
    model: String,
    account: Limits,
    search: Limits,
    callers: u64,
    prompt: u64,
    maximum: (u64, u64),
    takes_ms: (u64, u64),
    /// When its callers begin: not all cells should be full, or empty, at once.
    after_s: u64,
}

#[derive(Clone, Copy)]
struct Limits {
    rpm: u64,
    tpm: u64,
}

/// Sixty cells of two requests a second whose minute is full after half of it, and stays so until its calls leave it: what a
/// kill makes the limiter forget in any of them is too much at once. One that a second binds, and whose last tenth before
/// a kill holds ten calls. Four that their tokens bind, with answers that outlast their second and often the process.
fn cells() -> Vec<Cell> {
    let small = (0..60).map(|n| Cell {
        model: format!("small-{n}"),
        account: Limits { rpm: 61 + n / 2, tpm: FREE_TPM },
        search: Limits { rpm: 20, tpm: FREE_TPM },
        callers: 2,
        prompt: 1,
        maximum: (1, 5),
        takes_ms: (0, 20),
        after_s: n / 4,
    });
    let fast = Cell {
        model: "fast".to_owned(),
        account: Limits { rpm: 6_000, tpm: FREE_TPM },
        search: Limits { rpm: 3_000, tpm: FREE_TPM },
        callers: 4,
        prompt: 1,
        maximum: (1, 5),
        takes_ms: (0, 0),
        after_s: 0,
    };
    let tokens = (0..4).map(|n| Cell {
        model: format!("tokens-{n}"),
        account: Limits { rpm: FREE_RPM, tpm: 12_000 },
        search: Limits { rpm: FREE_RPM, tpm: 6_000 },
        callers: 6,
        prompt: 20,
        maximum: (40, 400),
        takes_ms: (1_050, 2_000),
        after_s: 4 * n,
    });
    small.chain([fast]).chain(tokens).collect()
}

fn file(provider: &str, cells: &[Cell]) -> String {
    let mut file = format!("[[provider]]\nname = \"stand-in\"\nopenai_base_url = \"{provider}\"\n");
    let mut grants = Vec::new();
    for Cell { model, account, search, .. } in cells {
        file += &format!(
            "[[model]]\ncode = \"{model}\"\nprovider = \"stand-in\"\nrpm = {}\ntpm = {}\n",
            account.rpm, account.tpm
        );
        grants.push(format!("{{ code = \"{model}\", rpm = {}, tpm = {} }}", search.rpm, search.tpm));
    }
    file + &format!("[[workspace]]\nname = \"search\"\nmodels = [ {} ]\n", grants.join(", "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_goes_over_however_often_the_process_is_killed() {
    let kills: usize = std::env::var("KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(5);
    let mut sluice = Installation::new().await;
    let room = ProviderSettings { log_capacity: 1_000_000, ..ProviderSettings::instant() };
    sluice.provider = Provider::start(room).await.unwrap();
    let cells = cells();
    sluice.write("models.toml", &file(&sluice.provider.openai_base_url(), &cells));
    sluice.done(&["apply", "models.toml"]);
    let keys = [("search", sluice.key("search")), ("default", sluice.key("default"))];
    sluice.stamp_admissions();
    sluice.own_wall_clock();
    // A surge is another reason to refuse a call, and this is about the limits.
    sluice.set("SLUICE_SURGE_FLOOR", "1000000");
    // Nor about disks that lag more than the second that is held back: no call is admitted then.
    sluice.set("SLUICE_DURABILITY", "strict");
    sluice.serve();

    let mut load = Load::on(sluice.gateway);
    for cell in &cells {
        for n in 0..cell.callers {
            let (workspace, key) = &keys[usize::try_from(n).unwrap() % keys.len()];
            let Cell { model, prompt, maximum, takes_ms, .. } = cell;
            let (model, prompt, maximum, takes_ms) = (model.clone(), *prompt, *maximum, *takes_ms);
            load.call(key, Wish { model, workspace, prompt, maximum, takes_ms }, Duration::from_secs(cell.after_s));
        }
    }
    // Pauses in an order that looks like chance and is the same each time, shorter ones for many kills.
    let (least, spread) = if kills > 20 { (500, 6_000) } else { (6_000, 8_000) };
    let mut chance = Chance::new(20_261_122);
    let mut killed_at = Vec::new();
    for by in ["+1h", "-1h", "+0"].into_iter().cycle().take(kills) {
        tokio::time::sleep(Duration::from_millis((least + chance.below(spread)) / 2)).await;
        sluice.step_clock(by);
        stepped(&sluice, &keys[1].1, by).await;
        tokio::time::sleep(Duration::from_millis((least + chance.below(spread)) / 2)).await;
        killed_at.push(Instant::now());
        sluice.kill();
        sluice.serve();
    }
    // What a kill lost matters as long as the minute feels it: until most cells are full again.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let broken = load.end().await;
    let record = Record::of(&sluice.provider.log().received(), &killed_at);
    let mut highest = BTreeMap::new();
    for cell in &cells {
        for (scope, limits, workspace) in [("account", cell.account, None), ("search", cell.search, Some("search"))] {
            let calls = record.within(&cell.model, workspace);
            let named = format!("{} {scope}", cell.model);
            if limits.rpm < FREE_RPM {
                requests(&record, &calls, limits.rpm, &named, &mut highest);
            }
            if limits.tpm < FREE_TPM {
                tokens(&record, &calls, limits.tpm, &named, &mut highest);
            }
        }
    }
    let lost = record.calls.iter().filter(|it| record.may_be_lost(it)).count() as u64;
    println!("{kills} kills, {} calls received, {broken} broken off, at most {lost} lost", record.calls.len());
    let told = |what: &str| !what.starts_with("small-") || what.starts_with("small-0 ");
    for (what, (used, with_blackouts, limit)) in highest.iter().filter(|it| told(it.0)) {
        println!("{what}: {used} of {limit}, {with_blackouts} with what kills were made up for");
    }
    loaded(&highest, &cells);

    // The journal lacks what was admitted after it was last written, and has what was admitted and did not get through.
    let proof = sluice.done(&["verify"]);
    let checked = proof.lines().find_map(|it| it.strip_suffix(" admissions checked, 0 over a limit"));
    let checked: u64 = checked.unwrap_or_else(|| panic!("{proof}")).parse().unwrap();
    let received = record.calls.len() as u64;
    assert!((received - lost..=received + broken).contains(&checked), "{checked} journaled, {received} received");
}

/// The wall clock of the process is off by so much: the ids of its calls tell.
async fn stepped(sluice: &Installation, key: &str, by: &str) {
    let by_s: u64 = match by {
        "+1h" => 7_200,
        "-1h" => 0,
        _ => 3_600,
    };
    loop {
        let answer = sluice.call("/v1/chat/completions", key, r#"{"model":"none","messages":[]}"#).await;
        let id: uuid::Uuid = answer.headers["x-request-id"].to_str().unwrap().parse().unwrap();
        let (told, _) = id.get_timestamp().expect("ids begin with the time").to_unix();
        let here = u64::try_from(chrono::Utc::now().timestamp()).unwrap();
        if (told + 3_600).abs_diff(here + by_s) < 1_000 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The highest use of each limit: what was used, with what kills were made up for, and the limit.
type Highest = BTreeMap<String, (u64, u64, u64)>;

fn rise(highest: &mut Highest, what: String, used: u64, made_up: u64, limit: u64) {
    let it = highest.entry(what).or_insert((0, 0, limit));
    *it = (it.0.max(used), it.1.max(used + made_up), limit);
}

/// No window holds more requests than its limit, whether or not it spans a kill.
fn requests(record: &Record, calls: &[&Call], rpm: u64, named: &str, highest: &mut Highest) {
    for (length, limit) in [(MINUTE, rpm), (SECOND, ceil60(rpm))] {
        for window in windows(calls, length) {
            let (used, end) = (window.len() as u64, window[window.len() - 1].at);
            assert!(used <= limit, "{used} of {limit} requests in {length} µs until {end} of {named}");
            let made_up = if length == MINUTE { record.felt(length, end).count() as u64 * ceil60(rpm) } else { 0 };
            rise(highest, format!("{named}, requests in {} s", length / SECOND), used, made_up, limit);
        }
    }
}

/// No second holds more prompts than its limit: no answer came within its second, so each is charged as estimated. No
/// minute holds more tokens than its limit (every call is bounded, its provider keeps to the bound, and no prompt is
/// estimated too low), but for what the limits have forgotten of it: the calls admitted after the last flush before a kill,
/// as far as they used more than the second's worth that was charged in their place.
fn tokens(record: &Record, calls: &[&Call], tpm: u64, named: &str, highest: &mut Highest) {
    let per_second = ceil60(tpm);
    for window in windows(calls, SECOND) {
        let used: u64 = window.iter().map(|it| it.prompt).sum();
        assert!(used <= per_second, "{used} of {per_second} tokens in a second of {named}");
        rise(highest, format!("{named}, tokens in 1 s"), used, 0, per_second);
    }
    for window in windows(calls, MINUTE) {
        let (used, end) = (window.iter().map(|it| it.tokens).sum::<u64>(), window[window.len() - 1].at);
        let forgotten = |kill: u64| {
            let lost: u64 = window.iter().filter(|it| may_be_lost_at(kill, it)).map(|it| it.tokens).sum();
            lost.saturating_sub(per_second)
        };
        let allowed = tpm + record.felt(MINUTE, end).map(forgotten).sum::<u64>();
        assert!(used <= allowed, "{used} of {allowed} tokens ({tpm} a minute) until {end} of {named}");
        let made_up = record.felt(MINUTE, end).count() as u64 * per_second;
        rise(highest, format!("{named}, tokens in 60 s"), used, made_up, tpm);
    }
}

/// A load that comes to no limit would prove nothing.
fn loaded(highest: &Highest, cells: &[Cell]) {
    let comes_near = |what: String, percent: u64| {
        let &(_, used, limit) = highest.get(&what).unwrap_or_else(|| panic!("no call: {what}"));
        // A small limit may miss one call for the time that a start takes.
        let near = (used + 1) * 100 >= limit * percent;
        assert!(near, "the load must come to the limit: {used} of {limit}, {what}");
    };
    for cell in cells {
        for scope in ["account", "search"] {
            let of = |window: &str| format!("{} {scope}, {window}", cell.model);
            match cell.model.split('-').next() {
                Some("small") => comes_near(of("requests in 60 s"), 80),
                Some("tokens") => comes_near(of("tokens in 60 s"), 80),
                _ => comes_near(of("requests in 1 s"), 50),
            }
        }
    }
}
