//! The whole process: real program, real file, real HTTP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod console;
mod databases;
#[allow(dead_code, reason = "tests of the store use the rest of it")]
#[path = "../../crates/store/tests/contract/engine.rs"]
mod engine;
mod increases;
mod installation;
mod kept;
mod killed;
mod lanes;
mod simulate;
mod trouble;

use installation::Installation;

const EMAIL: &str = "owner@example.org";
const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn calls_are_limited_recorded_and_reported() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 600\ntpm = 100000", "rpm = 2");
    let key = sluice.key("search");
    assert!(key.starts_with("sk-") && !key.contains(char::is_whitespace), "{key:?}");
    sluice.serve();

    let first = sluice.chat(&key).await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(first.headers["x-ratelimit-remaining-requests"], "1");
    // RPM 2 is one call in any second.
    let second = sluice.chat(&key).await;
    assert_eq!(second.status, 429, "{}", second.body);
    assert_eq!(
        (&second.headers["x-sluice-cause"], &second.headers["x-sluice-window"]),
        (&"requests".parse().unwrap(), &"1".parse().unwrap())
    );
    assert_eq!(sluice.chat("sk-unknown").await.status, 401);

    let report = sluice.report(2).await;
    assert_eq!(report["summary"]["failures"], 1);
    let row = &report["rows"][0];
    assert_eq!((&row["model"], &row["workspace"]), (&"m".into(), &"search".into()));
    assert_eq!(row["failure_rate"], 0.5);
    sluice.terminate();
}

#[tokio::test]
async fn an_edit_in_the_console_holds_for_the_calls_that_follow() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 6000\ntpm = 10000000", "rpm = 6000");
    sluice.owner(EMAIL, PASSWORD);
    let key = sluice.key("search");
    sluice.serve();
    assert_eq!(sluice.chat(&key).await.status, 200);

    let cookie = sign_in(&sluice).await;
    let list = sluice.get(&format!("http://{}/api/workspaces", sluice.console), &cookie).await;
    let list: serde_json::Value = serde_json::from_str(&list.body).unwrap();
    let search = list["workspaces"].as_array().unwrap().iter().find(|it| it["name"] == "search").unwrap();
    let (id, revision) = (search["id"].as_str().unwrap(), &search["revision"]);

    let above = format!("id={id}&revision={revision}&grant[0]=m&rpm[m]=6001&tpm[m]=");
    let refused = sluice.form("/api/workspaces/limits/set", &cookie, &above).await;
    assert!(refused.body.contains("6001 is above the account limit of 6000 requests per minute"), "{}", refused.body);

    let lower = format!("id={id}&revision={revision}&grant[0]=m&rpm[m]=0&tpm[m]=");
    let stored = sluice.form("/api/workspaces/limits/set", &cookie, &lower).await;
    assert!(stored.body.contains("Done"), "{}", stored.body);
    // Until the edit arrives calls are admitted, or refused by limits that hold all the time.
    while !sluice.chat(&key).await.body.contains("Workspace search may use 0 requests in 60 s for model m") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_killed_process_grants_no_second_quota() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 60000\ntpm = 10000000", "rpm = 180");
    let key = sluice.key("search");
    sluice.serve();
    let mut admitted = 0;
    while sluice.chat(&key).await.status == 200 {
        admitted += 1;
    }
    assert_eq!(admitted, 3, "RPM 180 is three calls in any second");
    sluice.report(4).await;
    sluice.kill();
    sluice.serve();
    let answer = sluice.chat(&key).await;
    let told = |name: &str| answer.headers[name].to_str().unwrap().parse::<u64>().unwrap();
    let used = told("x-ratelimit-limit-requests") - told("x-ratelimit-remaining-requests");
    // Three calls, and the blackout's second of three for what a flush might have missed.
    assert!(used >= 6, "{used} requests are charged after the restart: {answer:?}");
    let admitted = u64::from(answer.status == 200);
    sluice.report(5).await;

    // The blackout is kept like any charge, once: after another kill there is it and a second one.
    sluice.kill();
    sluice.serve();
    let answer = sluice.chat(&key).await;
    let told = |name: &str| answer.headers[name].to_str().unwrap().parse::<u64>().unwrap();
    let used = told("x-ratelimit-limit-requests") - told("x-ratelimit-remaining-requests");
    let admitted = 3 + admitted + u64::from(answer.status == 200);
    assert_eq!(used, admitted + 3 + 3, "{answer:?}");
}

#[tokio::test]
async fn a_step_of_the_wall_clock_changes_no_decision() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 60000\ntpm = 10000000", "rpm = 2");
    let key = sluice.key("search");
    sluice.own_wall_clock();
    sluice.serve();
    // RPM 2: the second call waits for the second to pass, the third for the minute.
    assert_eq!(sluice.chat(&key).await.status, 200);
    while sluice.chat(&key).await.status != 200 {
        tokio::task::yield_now().await;
    }
    let mut last_wait_ms = u64::MAX;
    for by in ["+1h", "-1h", "+24h", "+0"] {
        sluice.step_clock(by);
        let answer = sluice.chat(&key).await;
        assert_eq!(answer.status, 429, "{by}: {}", answer.body);
        let wait_ms: u64 = answer.headers["retry-after-ms"].to_str().unwrap().parse().unwrap();
        assert!(wait_ms <= 60_000 && wait_ms <= last_wait_ms, "{by}: {wait_ms} ms after {last_wait_ms} ms");
        last_wait_ms = wait_ms;
    }
    // The clock that was stepped is the one that stamps: the answers' dates followed it.
    sluice.step_clock("+48h");
    let date = |answer: &installation::Answer| answer.headers["date"].to_str().unwrap().to_owned();
    let (ahead, here) = (sluice.chat(&key).await, chrono::Utc::now().format("%d %b %Y").to_string());
    assert!(!date(&ahead).contains(&here), "{} is not two days ahead", date(&ahead));

    // Nor does it disorder or delete the journal, which goes by the clock that decides: two days ahead, everything in it
    // would be older than what is kept.
    let free = sluice.key("default");
    let mut admissions = 2;
    for by in ["+48h", "-48h", "+0"] {
        sluice.step_clock(by);
        while sluice.chat(&free).await.status != 200 {
            tokio::task::yield_now().await;
        }
        admissions += 1;
    }
    sluice.terminate();
    let proof = sluice.done(&["verify"]);
    assert!(proof.contains(&format!("\n{admissions} admissions checked, 0 over a limit")), "{proof}");
}

#[tokio::test]
async fn what_cannot_start_says_why_in_one_line() {
    let mut sluice = Installation::new().await;
    let fails = |sluice: &Installation, variable: &str, value: &str| {
        let output = sluice.command(&["serve"]).env(variable, value).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.trim_end().lines().count()), (Some(1), 1), "{variable}={value}: {told}");
        told
    };
    assert!(fails(&sluice, "SLUICE_CONSOLE_ADDR", "nowhere").contains("SLUICE_CONSOLE_ADDR"));
    assert!(fails(&sluice, "SLUICE_MAX_BODY_BYTES", "-1").contains("SLUICE_MAX_BODY_BYTES"));
    assert!(fails(&sluice, "SLUICE_DATABASE_URL", "mysql://x").contains("SLUICE_DATABASE_URL"));
    sluice.write("a-file", "");
    assert!(fails(&sluice, "SLUICE_DATABASE_URL", "sqlite://a-file/sluice.db").contains("a-file"));
    assert!(fails(&sluice, "SLUICE_SECRET_KEY_FILE", "a-file/secret.key").contains("a-file"));
    sluice.serve();
    let taken = sluice.gateway.to_string();
    assert!(fails(&sluice, "SLUICE_CONSOLE_ADDR", "127.0.0.1:0").contains(&taken));
}

#[tokio::test]
async fn applying_twice_changes_nothing_and_a_wrong_file_neither() {
    let sluice = Installation::new().await;
    sluice.apply("rpm = 600\ntpm = 100000", "rpm = 100");
    assert_eq!(sluice.done(&["apply", "models.toml"]), "nothing to do\n");
    let file = std::fs::read_to_string(sluice.folder().join("models.toml")).unwrap();
    sluice.write("wrong.toml", &file.replace("rpm = 100", "rpm = 700"));
    let output = sluice.run(&["apply", "wrong.toml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains("wrong.toml:") && told.contains("700 is above the account limit of 600 requests per minute"),
        "{told}"
    );
    assert_eq!(sluice.done(&["apply", "--dry-run", "models.toml"]), "nothing to do\n", "the wrong file left no trace");
}

#[tokio::test]
async fn the_file_in_the_readme_can_be_applied() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let file = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let sluice = Installation::new().await;
    sluice.write("models.toml", file);
    let unset = sluice.command(&["apply", "models.toml"]).env_remove("DASHSCOPE_API_KEY").output().unwrap();
    assert!(String::from_utf8_lossy(&unset.stderr).contains("DASHSCOPE_API_KEY"), "{unset:?}");
    let apply = |arguments: &[&str]| {
        let output = sluice.command(arguments).env("DASHSCOPE_API_KEY", "sk-of-the-provider").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = apply(&["apply", "models.toml", "--dry-run"]);
    assert!(plan.contains("+ model qwen-plus") && !plan.contains("sk-of-the-provider"), "{plan}");
    assert_eq!(apply(&["apply", "models.toml"]), plan, "a dry run changes nothing");
    assert_eq!(apply(&["apply", "models.toml"]), "nothing to do\n");
}

async fn sign_in(sluice: &Installation) -> String {
    let fields = format!("email={}&password={}", EMAIL.replace('@', "%40"), PASSWORD.replace(' ', "+"));
    let answer = sluice.form("/api/sign-in", "", &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}
