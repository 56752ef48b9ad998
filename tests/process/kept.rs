//! What is charged and learned is kept, and what becomes of calls while it cannot be.

use serde_json::Value;
use store::Store;

use crate::installation::{Answer, Installation};

const UNWRITTEN: &str = "Model is unavailable, please try again later. The use of the limits cannot be written, and \
                         without that no call is admitted.";

fn number(answer: &Answer, header: &str) -> u64 {
    let told = answer.headers.get(header).unwrap_or_else(|| panic!("no {header}: {answer:?}"));
    told.to_str().unwrap().parse().unwrap()
}

/// One model that speaks every dialect and has room for whatever comes.
fn roomy(sluice: &mut Installation) -> String {
    sluice.apply("rpm = 60000000\ntpm = 1000000000000", "rpm = 60000000");
    let file = std::fs::read_to_string(sluice.folder().join("models.toml")).unwrap();
    let (native, anthropic) = (sluice.provider.dashscope_base_url(), sluice.provider.anthropic_base_url());
    let further = format!("dashscope_base_url = \"{native}\"\nanthropic_base_url = \"{anthropic}\"\n[[model]]");
    sluice.write("models.toml", &file.replace("[[model]]", &further));
    sluice.done(&["apply", "models.toml"]);
    sluice.set("SLUICE_SURGE_FLOOR", "1000000");
    sluice.key("search")
}

/// The database as another program opens it.
async fn other_program(sluice: &Installation) -> Store {
    let path = sluice.folder().join("data/sluice.db");
    Store::open(&format!("sqlite://{}", path.display())).await.unwrap()
}

#[tokio::test]
async fn strict_durability_refuses_calls_whose_charge_cannot_be_kept() {
    let mut sluice = Installation::new().await;
    let key = roomy(&mut sluice);
    sluice.set("SLUICE_DURABILITY", "strict");
    sluice.serve();
    let mut admitted = 0;
    let store = other_program(&sluice).await;
    let lock = store.begin().await.unwrap();
    let refused = loop {
        let answer = sluice.chat(&key).await;
        if answer.status != 200 {
            break answer;
        }
        admitted += 1;
    };
    assert!(admitted > 0, "for a second, the blackout after a crash would make good for what is lost");
    let check = |answer: &Answer, body: &str| {
        let told = |name: &str| answer.headers[name].to_str().unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.body, body.replace("RID", told("x-request-id")).replace("TEXT", UNWRITTEN));
        assert_eq!(
            ["x-should-retry", "retry-after-ms", "retry-after", "x-sluice-origin"].map(told),
            ["true", "1000", "1", "gateway"]
        );
        assert!(!answer.headers.contains_key("x-ratelimit-limit-requests"), "no limit was looked at: {answer:?}");
    };
    let openai = r#"{"error":{"message":"TEXT","type":"server_error","param":null,"code":"model_unavailable"},"request_id":"RID"}"#;
    check(&refused, openai);
    let native = r#"{"code":"ModelUnavailable","message":"TEXT","request_id":"RID"}"#;
    let question = r#"{"model":"m","input":{"messages":[{"role":"user","content":"Who are you?"}]}}"#;
    check(&sluice.call("/api/v1/services/aigc/text-generation/generation", &key, question).await, native);
    let anthropic = r#"{"type":"error","error":{"type":"api_error","message":"TEXT"},"request_id":"RID"}"#;
    let question = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Who are you?"}]}"#;
    check(&sluice.call("/v1/messages", &key, question).await, anthropic);
    while !sluice.log().contains("does not keep the use of limits: calls are refused until it does") {
        tokio::task::yield_now().await;
    }

    drop(lock);
    while sluice.chat(&key).await.status != 200 {
        tokio::task::yield_now().await;
    }
    admitted += 1;
    sluice.terminate();
    let proof = sluice.done(&["verify"]);
    assert!(proof.contains(&format!("\n{admitted} admissions checked, 0 over a limit")), "{admitted}: {proof}");
}

#[tokio::test]
async fn by_default_calls_go_on_while_the_store_lags_and_an_alarm_is_raised() {
    let mut sluice = Installation::new().await;
    let key = roomy(&mut sluice);
    sluice.serve();
    let store = other_program(&sluice).await;
    let lock = store.begin().await.unwrap();
    let alarm = "does not keep the use of limits: a crash now could grant more than the limits";
    while !sluice.log().contains(alarm) {
        assert_eq!(sluice.chat(&key).await.status, 200);
    }
    assert_eq!(sluice.chat(&key).await.status, 200);
    drop(lock);
    while !sluice.log().contains("the store keeps the use of limits again") {
        tokio::task::yield_now().await;
    }
    assert_eq!(sluice.log().matches(alarm).count(), 1, "{}", sluice.log());
}

#[tokio::test]
async fn charges_are_found_again_whatever_address_the_gateway_listens_on() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 60000\ntpm = 10000000", "rpm = 100");
    let key = sluice.key("search");
    sluice.serve();
    assert_eq!(number(&sluice.chat(&key).await, "x-ratelimit-remaining-requests"), 99);
    sluice.terminate();
    sluice.move_gateway();
    sluice.serve();
    assert_eq!(number(&sluice.chat(&key).await, "x-ratelimit-remaining-requests"), 98);
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_was_learned() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 60000\ntpm = 100000000", "rpm = 60000");
    let key = sluice.key("search");
    sluice.serve();
    let mut used = 0;
    // What a call without a maximum holds, beside what those before it used.
    let ask = async |sluice: &Installation, used: &mut u64| {
        let question = r#"{"model":"m","messages":[{"role":"user","content":"Who are you?"}]}"#;
        let answer = sluice.call("/v1/chat/completions", &key, question).await;
        let limit = number(&answer, "x-ratelimit-limit-tokens");
        let held = limit - number(&answer, "x-ratelimit-remaining-tokens") - *used;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        *used += body["usage"]["total_tokens"].as_u64().unwrap();
        held
    };
    let first = ask(&sluice, &mut used).await;
    assert!(first > 1024, "{first} tokens for a prompt and the output that the model began with");
    for stop in [Installation::terminate, Installation::terminate] {
        stop(&mut sluice);
        sluice.serve();
        let held = ask(&sluice, &mut used).await;
        assert!(held < first - 50, "{held} of {first} tokens: a sixteenth of the way towards a short answer");
    }
}
