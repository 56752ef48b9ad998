//! `sluice simulate` as a program: adversarial traces, its two outputs and its status.

use crate::installation::Installation;

struct Run {
    status: Option<i32>,
    lines: Vec<String>,
    told: String,
}

async fn simulate(limits: &str, trace: &str, further: &[&str]) -> Run {
    let sluice = Installation::new().await;
    run(&sluice, limits, trace, further)
}

fn run(sluice: &Installation, limits: &str, trace: &str, further: &[&str]) -> Run {
    sluice.write("limits.json", limits);
    sluice.write("trace.jsonl", trace);
    let output = sluice.run(&[&["simulate", "--limits", "limits.json", "--trace", "trace.jsonl"], further].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let lines = text(output.stdout).lines().map(str::to_owned).collect();
    Run { status: output.status.code(), lines, told: text(output.stderr) }
}

/// A call in a short form: instant, id, workspace or `-`, prompt, maximum or `-`.
fn call(t_us: u64, id: &str, workspace: &str, prompt: u64, maximum: &str) -> String {
    let workspace = if workspace == "-" { String::new() } else { format!(r#","workspace":"{workspace}""#) };
    let maximum = maximum.replace('-', "null");
    format!(
        r#"{{"t_us":{t_us},"event":"call","id":"{id}"{workspace},"prompt_tokens":{prompt},"max_tokens":{maximum}}}"#
    )
}

fn settle(t_us: u64, id: &str, total: u64) -> String {
    format!(r#"{{"t_us":{t_us},"event":"settle","id":"{id}","total_tokens":{total}}}"#)
}

fn admitted(id: &str, account: u64, workspace: u64) -> String {
    format!(r#"{{"id":"{id}","admitted":true,"reserved":{{"account":{account},"workspace":{workspace}}}}}"#)
}

fn refused(id: &str, cause: &str, scope: &str, window_s: u64, retry_after_us: u64) -> String {
    format!(
        r#"{{"id":"{id}","admitted":false,"cause":"{cause}","scope":"{scope}","window_s":{window_s},"retry_after_us":{retry_after_us},"permanent":false}}"#
    )
}

fn never(id: &str, cause: &str, scope: &str) -> String {
    format!(
        r#"{{"id":"{id}","admitted":false,"cause":"{cause}","scope":"{scope}","window_s":60,"retry_after_us":null,"permanent":true}}"#
    )
}

async fn check(limits: &str, trace: &[String], expected: &[String]) {
    let run = simulate(limits, &trace.join("\n"), &[]).await;
    assert_eq!((run.status, run.told.as_str()), (Some(0), ""), "{:?}", run.lines);
    assert_eq!(run.lines, expected);
}

#[tokio::test]
async fn a_malformed_line_ends_it_with_status_1_and_its_number() {
    let sluice = Installation::new().await;
    let limits = r#"{"account":{"rpm":60,"tpm":1000}}"#;
    let good = call(1_000_000, "a", "w", 1, "1");
    for (bad, why) in [
        ("nonsense", ""),
        (r#"{"t_us":1000000,"event":"call","id":"a","prompt_tokens":1,"max_tokens":1}"#, "used twice"),
        (r#"{"t_us":999999,"event":"settle","id":"a","total_tokens":1}"#, "before"),
        (r#"{"t_us":1000000,"event":"call","id":"b","prompt_tokens":1,"max_tokens":4294967296}"#, "4294967296"),
        (r#"{"t_us":1000000,"event":"call","id":"b","prompt_tokens":1,"max_tokens":1,"n":1.5}"#, "1.5"),
        (r#"{"t_us":1000000,"event":"call","id":"b","max_tokens":1}"#, "prompt_tokens"),
        (r#"{"t_us":1000000,"event":"pause"}"#, "pause"),
        (r#"{"t_us":1000000,"event":"limits","limits":{"account":{"rpm":"60"}}}"#, "60"),
    ] {
        // Blank lines count.
        let run = run(&sluice, limits, &format!("{good}\n\n{bad}\n{}\n", call(9_000_000, "z", "w", 1, "1")), &[]);
        assert_eq!(run.status, Some(1), "{bad}");
        assert_eq!(run.lines, [admitted("a", 2, 2)], "{bad}");
        assert!(run.told.contains("line 3") && run.told.contains(why), "{bad}: {}", run.told);
        assert_eq!(run.told.trim_end().lines().count(), 1, "{}", run.told);
    }
    let missing = sluice.run(&["simulate", "--limits", "limits.json", "--trace", "nowhere.jsonl"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.jsonl"));
}

#[tokio::test]
async fn equal_instants_go_by_the_order_of_lines_and_windows_are_half_open() {
    check(
        r#"{"account":{"rpm":2,"tpm":null}}"#,
        &[
            call(0, "a", "-", 1, "0"),
            call(0, "b", "-", 1, "0"),
            call(999_999, "c", "-", 1, "0"),
            call(1_000_000, "d", "-", 1, "0"),
            call(1_000_000, "e", "-", 1, "0"),
            call(59_999_999, "f", "-", 1, "0"),
            call(60_000_000, "g", "-", 1, "0"),
        ],
        &[
            admitted("a", 1, 1),
            refused("b", "requests", "account", 1, 1_000_000),
            refused("c", "requests", "account", 1, 1),
            admitted("d", 1, 1),
            refused("e", "requests", "account", 60, 59_000_000),
            refused("f", "requests", "account", 60, 1),
            admitted("g", 1, 1),
        ],
    )
    .await;
}

#[tokio::test]
async fn settlements_late_twice_unknown_and_of_refused_calls() {
    check(
        r#"{"account":{"rpm":null,"tpm":100}}"#,
        &[
            call(0, "a", "-", 1, "59"),
            call(1_000_000, "b", "-", 2, "59"), // refused: 60 + 61
            settle(1_000_000, "b", 1_000_000),
            settle(1_000_000, "nobody", 1_000_000),
            settle(2_000_000, "a", 10),
            settle(2_000_001, "a", 1_000_000),
            call(3_000_000, "c", "-", 1, "89"),   // 10 + 90
            call(62_000_000, "d", "-", 1, "9"),   // 90 + 10
            settle(63_000_000, "c", 0),           // its minute has passed: no refund to another
            call(64_000_000, "e", "-", 1, "89"),  // 10 + 90
            settle(124_000_000, "d", 35),         // 25 more than it held, owed from now on
            call(124_000_001, "f", "-", 1, "75"), // 25 + 76
            call(184_000_000, "g", "-", 1, "75"),
        ],
        &[
            admitted("a", 60, 60),
            refused("b", "tokens", "account", 60, 59_000_000),
            admitted("c", 90, 90),
            admitted("d", 10, 10),
            admitted("e", 90, 90),
            refused("f", "tokens", "account", 60, 59_999_999),
            admitted("g", 76, 76),
        ],
    )
    .await;
}

#[tokio::test]
async fn limits_come_and_go_while_use_is_kept() {
    let limits = |tpm: &str, own: &str| {
        format!(
            r#"{{"t_us":30000000,"event":"limits","limits":{{"account":{{"rpm":null,"tpm":{tpm}}},"workspaces":{{"w":{own}}}}}}}"#
        )
    };
    check(
        r#"{"account":{"rpm":null,"tpm":null}}"#,
        &[
            call(0, "a", "w", 10, "490"),
            limits("400", "null"),
            call(30_000_000, "b", "w", 1, "0"),
            limits("1000", r#"{"rpm":null,"tpm":600}"#),
            call(30_000_000, "c", "w", 10, "90"),
            call(31_000_000, "d", "w", 1, "0"),
            call(31_000_000, "e", "elsewhere", 1, "0"),
            limits("null", "null").replace("30000000", "31000000"),
            call(31_000_000, "f", "w", 4_000_000_000, "4294967295"),
        ],
        &[
            admitted("a", 500, 500),
            refused("b", "tokens", "account", 60, 30_000_000),
            admitted("c", 100, 100),
            refused("d", "tokens", "workspace", 60, 29_000_000),
            admitted("e", 1, 1),
            admitted("f", 8_294_967_295, 8_294_967_295),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_can_never_be_is_refused_for_good_in_the_scope_that_forbids_it() {
    let limits = r#"{"account":{"rpm":600,"tpm":1000},"workspaces":{"small":{"rpm":null,"tpm":50},"closed":{"rpm":0,"tpm":0},"mute":{"rpm":5,"tpm":0}}}"#;
    check(
        limits,
        &[
            call(0, "a", "small", 51, "0"),
            call(0, "b", "small", 50, "1"), // bounded in the account alone; takes the workspace's room
            call(2_000_000, "c", "small", 1, "0"),
            call(2_000_000, "d", "-", 1_001, "-"),
            call(2_000_000, "e", "closed", 1, "0"),
            call(2_000_000, "f", "mute", 1, "0"),
            call(2_000_000, "g", "closed", 1_001, "0"),
            call(2_000_000, "h", "elsewhere", 18_446_744_073_709_551_615, "4294967295"),
            call(2_000_000, "i", "elsewhere", 1, "0"),
        ],
        &[
            never("a", "tokens", "workspace"),
            admitted("b", 51, 50),
            refused("c", "tokens", "workspace", 60, 58_000_000),
            never("d", "tokens", "account"),
            never("e", "requests", "workspace"),
            never("f", "tokens", "workspace"),
            never("g", "requests", "workspace"),
            never("h", "tokens", "account"),
            admitted("i", 1, 1),
        ],
    )
    .await;
}

#[tokio::test]
async fn maxima_of_0_times_and_unknown_fields() {
    let n = |n: &str| call(0, n, "-", 5, "7").replace('}', &format!(r#","n":{n},"note":{{"of":"an export"}}}}"#));
    check(
        r#"{"account":{"rpm":null,"tpm":null}}"#,
        &[n("3"), n("0"), n("null"), call(0, "0+", "-", 5, "0"), call(0, "none", "-", 5, "-")],
        &[
            admitted("3", 26, 26),
            admitted("0", 5, 5),
            admitted("null", 12, 12),
            admitted("0+", 5, 5),
            admitted("none", 1_029, 1_029),
        ],
    )
    .await;
    let trace = call(0, "a", "-", 5, "-");
    let fixed = simulate(r#"{"account":{"rpm":null,"tpm":null}}"#, &trace, &["--expected-output", "0"]).await;
    assert_eq!(fixed.lines, [admitted("a", 5, 5)]);
}

#[tokio::test]
async fn surge_numbers_are_those_of_the_installation() {
    let limits = r#"{"account":{"rpm":1200,"tpm":null}}"#;
    let trace: Vec<String> = (0..12).map(|it| call(0, &it.to_string(), "-", 1, "0")).collect();
    let mut sluice = Installation::new().await;
    let surges = |sluice: &Installation| {
        let lines = run(sluice, limits, &trace.join("\n"), &[]).lines;
        lines.iter().filter(|it| it.contains(r#""cause":"surge""#)).count()
    };
    assert_eq!(surges(&sluice), 2, "ten are half of the second's twenty");
    sluice.set("SLUICE_SURGE_FLOOR", "11");
    assert_eq!(surges(&sluice), 1);
    sluice.set("SLUICE_SURGE_SHARE_PERCENT", "60");
    assert_eq!(surges(&sluice), 0);
}
