//! The simulation's contract: what it reads, what it writes to the byte, and what it refuses.

use std::fmt::Write as _;

use limiter::{
    Surge,
    simulate::{SimulateError, run, run_with},
};

fn simulate(limits: &str, trace: &str) -> Result<Vec<String>, (SimulateError, Vec<String>)> {
    simulate_expecting(limits, trace, None)
}

fn simulate_expecting(
    limits: &str,
    trace: &str,
    expected_output: Option<u64>,
) -> Result<Vec<String>, (SimulateError, Vec<String>)> {
    let mut out = Vec::new();
    let ended = run(limits, trace.as_bytes(), &mut out, expected_output);
    let lines = String::from_utf8(out).expect("UTF-8").lines().map(str::to_owned).collect();
    match ended {
        Ok(()) => Ok(lines),
        Err(error) => Err((error, lines)),
    }
}

const LIMITS: &str = r#"{"account":{"rpm":60,"tpm":60000},"workspaces":{"w1":{"rpm":1,"tpm":20000},"w2":null}}"#;

#[test]
fn each_call_is_answered_by_one_line_in_the_stated_form() {
    let trace = r#"
        {"t_us":1000,"event":"call","id":"a","workspace":"w1","prompt_tokens":12,"max_tokens":64,"n":1}
        {"t_us":9000,"event":"settle","id":"a","total_tokens":40}
        {"t_us":1001000,"event":"call","id":"b","workspace":"w1","prompt_tokens":12,"max_tokens":64}
        {"t_us":1001000,"event":"call","id":"c","workspace":"w2","prompt_tokens":12,"max_tokens":64,"n":2}
        {"t_us":1001000,"event":"call","id":"d","prompt_tokens":12,"max_tokens":null}
        {"t_us":1001000,"event":"call","id":"e","prompt_tokens":60001,"max_tokens":1}
        {"t_us":1001000,"event":"call","id":"f","workspace":"w1","prompt_tokens":20001,"max_tokens":1}
    "#;
    assert_eq!(
        simulate(LIMITS, trace).unwrap(),
        [
            r#"{"id":"a","admitted":true,"reserved":{"account":76,"workspace":76}}"#,
            r#"{"id":"b","admitted":false,"cause":"requests","scope":"workspace","window_s":60,"retry_after_us":59000000,"permanent":false}"#,
            r#"{"id":"c","admitted":true,"reserved":{"account":140,"workspace":140}}"#,
            r#"{"id":"d","admitted":false,"cause":"requests","scope":"account","window_s":1,"retry_after_us":1000000,"permanent":false}"#,
            r#"{"id":"e","admitted":false,"cause":"tokens","scope":"account","window_s":60,"retry_after_us":null,"permanent":true}"#,
            r#"{"id":"f","admitted":false,"cause":"tokens","scope":"workspace","window_s":60,"retry_after_us":null,"permanent":true}"#,
        ]
    );
}

#[test]
fn a_missing_workspace_and_null_mean_no_limit_of_its_own() {
    let limits = r#"{"account":{"rpm":null,"tpm":100},"workspaces":null}"#;
    let trace = r#"{"t_us":0,"event":"call","id":"a","workspace":"any","prompt_tokens":1,"max_tokens":4294967295,"n":4294967295}
                   {"t_us":0,"event":"call","id":"b","workspace":null,"prompt_tokens":1,"max_tokens":7,"n":null}"#;
    let lines = simulate(limits, trace).unwrap();
    assert_eq!(lines[0], r#"{"id":"a","admitted":true,"reserved":{"account":100,"workspace":18446744065119617026}}"#);
    assert!(lines[1].contains(r#""cause":"tokens","scope":"account","window_s":60,"retry_after_us":60000000"#));
}

#[test]
fn nothing_passes_a_limit_of_0() {
    let trace = r#"{"t_us":0,"event":"call","id":"a","prompt_tokens":0,"max_tokens":0}"#;
    let refused = |limits, cause| {
        let told =
            format!(r#""cause":"{cause}","scope":"account","window_s":60,"retry_after_us":null,"permanent":true}}"#);
        assert!(simulate(limits, trace).expect("well formed")[0].ends_with(&told));
    };
    refused(r#"{"account":{"rpm":5,"tpm":0}}"#, "tokens");
    refused(r#"{"account":{"rpm":0,"tpm":5}}"#, "requests");
}

#[test]
fn a_call_that_began_with_nothing_is_waited_for_once_it_has_used_something() {
    let trace = r#"{"t_us":0,"event":"call","id":"a","prompt_tokens":0,"max_tokens":0}
        {"t_us":1000,"event":"call","id":"b","prompt_tokens":10,"max_tokens":0}
        {"t_us":2000,"event":"settle","id":"a","total_tokens":50}
        {"t_us":30000000,"event":"call","id":"c","prompt_tokens":1,"max_tokens":0}"#;
    let lines = simulate(r#"{"account":{"rpm":null,"tpm":60}}"#, trace).expect("well formed");
    assert!(lines[2].contains(r#""retry_after_us":30000000"#), "{}", lines[2]);
}

#[test]
fn the_default_workspace_is_the_one_left_out() {
    let limits = r#"{"account":{"rpm":2,"tpm":null},"workspaces":{"default":{"rpm":null,"tpm":null}}}"#;
    let trace = r#"{"t_us":0,"event":"call","id":"a","prompt_tokens":1,"max_tokens":0}
                   {"t_us":1000000,"event":"call","id":"b","workspace":"default","prompt_tokens":1,"max_tokens":0}"#;
    assert!(simulate(limits, trace).unwrap().iter().all(|it| it.contains(r#""admitted":true"#)));
    let limited = r#"{"account":{"rpm":2,"tpm":null},"workspaces":{"default":{"rpm":1,"tpm":null}}}"#;
    assert!(simulate(limited, trace).unwrap_err().0.message.contains("default workspace"));
}

#[test]
fn a_limits_event_replaces_all_limits_and_no_use() {
    let trace = r#"{"t_us":0,"event":"call","id":"a","workspace":"w1","prompt_tokens":1,"max_tokens":0}
        {"t_us":2000000,"event":"limits","limits":{"account":{"rpm":3,"tpm":100},"workspaces":{}}}
        {"t_us":2000000,"event":"call","id":"b","workspace":"w1","prompt_tokens":1,"max_tokens":0}
        {"t_us":4000000,"event":"call","id":"c","workspace":"w1","prompt_tokens":1,"max_tokens":0}
        {"t_us":6000000,"event":"call","id":"d","workspace":"w1","prompt_tokens":1,"max_tokens":0}"#;
    let lines = simulate(LIMITS, trace).unwrap();
    assert!(lines[..3].iter().all(|it| it.contains(r#""admitted":true"#)));
    assert!(lines[3].ends_with(
        r#""cause":"requests","scope":"account","window_s":60,"retry_after_us":54000000,"permanent":false}"#
    ));
}

#[test]
fn the_output_of_calls_without_a_maximum_is_learned_or_fixed() {
    let trace = r#"{"t_us":0,"event":"call","id":"a","prompt_tokens":10,"max_tokens":null}
        {"t_us":1,"event":"settle","id":"a","total_tokens":2010}
        {"t_us":2,"event":"call","id":"b","prompt_tokens":10,"max_tokens":null}
        {"t_us":3,"event":"settle","id":"b","total_tokens":10}
        {"t_us":4,"event":"settle","id":"b","total_tokens":9999}
        {"t_us":4,"event":"settle","id":"unknown","total_tokens":9999}
        {"t_us":5,"event":"call","id":"c","prompt_tokens":10,"max_tokens":null}"#;
    let limits = r#"{"account":{"rpm":null,"tpm":null}}"#;
    let reserved = |expected_output| -> Vec<String> {
        let lines = simulate_expecting(limits, trace, expected_output).unwrap();
        lines.iter().map(|it| it.split("account\":").nth(1).unwrap().split(',').next().unwrap().to_owned()).collect()
    };
    assert_eq!(reserved(None), ["1034", "2010", "1885"]);
    assert_eq!(reserved(Some(5)), ["15", "15", "15"]);
}

#[test]
fn a_malformed_line_ends_the_run_with_its_number() {
    let good = r#"{"t_us":5,"event":"call","id":"a","prompt_tokens":1,"max_tokens":0}"#;
    for bad in [
        "nonsense",
        "[]",
        r#"[6,"settle","a",null,null,null,null,1,null]"#,
        "{}",
        r#"{"t_us":5}"#,
        r#"{"t_us":4,"event":"settle","id":"a","total_tokens":1}"#, // earlier
        r#"{"t_us":-5,"event":"settle","id":"a","total_tokens":1}"#,
        r#"{"t_us":6.5,"event":"settle","id":"a","total_tokens":1}"#,
        r#"{"t_us":"6","event":"settle","id":"a","total_tokens":1}"#,
        r#"{"t_us":9223372036854775808,"event":"settle","id":"a","total_tokens":1}"#,
        r#"{"t_us":6,"event":"settle","id":"a"}"#,
        r#"{"t_us":6,"event":"settle","total_tokens":1}"#,
        r#"{"t_us":6,"event":"settle","id":"a","total_tokens":-1}"#,
        r#"{"t_us":6,"event":"stop","id":"a"}"#,
        r#"{"t_us":6,"event":"limits"}"#,
        r#"{"t_us":6,"event":"limits","limits":{"workspaces":{}}}"#,
        r#"{"t_us":6,"event":"limits","limits":{"account":{"rpm":-1,"tpm":null}}}"#,
        r#"{"t_us":6,"event":"limits","limits":{"account":{"rmp":1,"tpm":null}}}"#,
        r#"{"t_us":6,"event":"limits","limits":{"account":{"rpm":1000000000001,"tpm":null}}}"#,
        r#"{"t_us":6,"event":"call","id":"a","prompt_tokens":1,"max_tokens":0}"#, // twice
        r#"{"t_us":6,"event":"call","prompt_tokens":1,"max_tokens":0}"#,
        r#"{"t_us":6,"event":"call","id":"b","max_tokens":0}"#,
        r#"{"t_us":6,"event":"call","id":"b","prompt_tokens":1,"max_tokens":4294967296}"#,
        r#"{"t_us":6,"event":"call","id":"b","prompt_tokens":1,"max_tokens":-1}"#,
        r#"{"t_us":6,"event":"call","id":"b","prompt_tokens":1,"max_tokens":"64"}"#,
        r#"{"t_us":6,"event":"call","id":"b","prompt_tokens":1,"max_tokens":64.0}"#,
        r#"{"t_us":6,"event":"call","id":"b","prompt_tokens":1,"max_tokens":0,"n":-1}"#,
        r#"{"t_us":6,"event":"call","id":7,"prompt_tokens":1,"max_tokens":0}"#,
        r#"{"t_us":6,"event":"call","id":"b","prompt_tokens":1,"max_tokens":0"#,
        r#"{"t_us":6,"t_us":7,"event":"call","id":"b","prompt_tokens":1,"max_tokens":0}"#,
    ] {
        let trace = format!("{good}\n{bad}\n{good}\n");
        let (error, lines) = simulate(LIMITS, &trace).expect_err(bad);
        assert_eq!(error.line, Some(2), "{bad}");
        assert!(error.to_string().starts_with("line 2: "), "{error}");
        assert_eq!(lines.len(), 1, "what was decided before is written");
    }
    let unknown =
        r#"{"t_us":6,"event":"call","id":"b","prompt_tokens":1,"max_tokens":0,"note":"an export's own column"}"#;
    assert_eq!(simulate(LIMITS, &format!("{good}\n\n{unknown}")).unwrap().len(), 2);
}

#[test]
fn an_id_stays_used_when_its_call_has_ended() {
    let trace = r#"{"t_us":0,"event":"call","id":"a","prompt_tokens":1,"max_tokens":0}
        {"t_us":1,"event":"settle","id":"a","total_tokens":1}
        {"t_us":2,"event":"call","id":"a","prompt_tokens":1,"max_tokens":0}"#;
    assert_eq!(simulate(LIMITS, trace).expect_err("used twice").0.line, Some(3));
}

#[test]
fn malformed_limits_have_no_line() {
    for limits in ["", "{}", "[]", r#"{"account":{"rpm":"5"}}"#, r#"{"account":{"rpm":5},"w1":{}}"#] {
        let (error, lines) = simulate(limits, "").expect_err(limits);
        assert_eq!((error.line, lines.len()), (None, 0));
        assert!(error.to_string().contains("limits"), "{error}");
    }
}

#[test]
fn a_surge_is_said_to_be_one() {
    let limits = r#"{"account":{"rpm":6000,"tpm":null}}"#;
    let mut trace = String::new();
    for call in 0..51 {
        writeln!(trace, r#"{{"t_us":0,"event":"call","id":"{call}","prompt_tokens":1,"max_tokens":1}}"#).unwrap();
    }
    let lines = simulate(limits, &trace).unwrap();
    assert!(lines[..50].iter().all(|it| it.contains("true")));
    assert_eq!(
        lines[50],
        r#"{"id":"50","admitted":false,"cause":"surge","scope":"account","window_s":1,"retry_after_us":1000000,"permanent":false}"#
    );
}

#[test]
fn other_surge_numbers_are_those_of_the_decisions() {
    let trace: Vec<String> = (0..51)
        .map(|call| format!(r#"{{"t_us":0,"event":"call","id":"{call}","prompt_tokens":1,"max_tokens":1}}"#))
        .collect();
    let refused = |surge| {
        let mut out = Vec::new();
        run_with(surge, r#"{"account":{"rpm":6000,"tpm":null}}"#, trace.join("\n").as_bytes(), &mut out, None).unwrap();
        String::from_utf8(out).unwrap().matches("surge").count()
    };
    let usual = Surge::default();
    assert_eq!(refused(usual), 1);
    assert_eq!(refused(Surge { least: 51, ..usual }), 0);
    assert_eq!(refused(Surge { share_percent: 49, ..usual }), 2);
}
