//! Temporary increases in the running product: each change holds for the calls that follow.

use serde_json::Value;

use crate::{EMAIL, PASSWORD, installation::Installation, sign_in};

async fn limit(sluice: &Installation, key: &str) -> String {
    let answer = sluice.chat(key).await;
    answer.headers["x-ratelimit-limit-tokens"].to_str().unwrap().to_owned()
}

async fn until(sluice: &Installation, key: &str, expected: &str) {
    while limit(sluice, key).await != expected {
        tokio::task::yield_now().await;
    }
}

async fn ask(sluice: &Installation, cookie: &str, tpm: &str) -> String {
    sluice.form("/api/increases/create", cookie, &format!("model=m&tpm={tpm}")).await.body
}

/// State and TPM of the history, the newest first, and the running increase's id.
async fn history(sluice: &Installation, cookie: &str) -> (Vec<String>, Option<String>) {
    let view = sluice.get(&format!("http://{}/api/rate-limit", sluice.console), cookie).await;
    let view: Value = serde_json::from_str(&view.body).unwrap_or_else(|_| panic!("{view:?}"));
    let rows = view["history"].as_array().unwrap().iter();
    let told = rows.map(|it| format!("{} {}", it["tpm"], it["state"].as_str().unwrap())).collect();
    (told, view["models"][0]["increase"]["id"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn an_increase_holds_in_the_running_server_and_so_does_its_end() {
    let mut sluice = Installation::new().await;
    sluice.apply("rpm = 60000\ntpm = 100000\ntpm_upper_limit = 500000", "rpm = 60000");
    sluice.owner(EMAIL, PASSWORD);
    let key = sluice.key("search");
    sluice.own_wall_clock();
    sluice.serve();
    let cookie = sign_in(&sluice).await;
    assert_eq!(limit(&sluice, &key).await, "100000");

    let refused = ask(&sluice, &cookie, "500001").await;
    assert!(refused.contains("500001 is above the upper limit of 500000"), "{refused}");
    let asked = ask(&sluice, &cookie, "300000").await;
    assert!(asked.contains("Done"), "{asked}");
    until(&sluice, &key, "300000").await;
    assert!(ask(&sluice, &cookie, "300000").await.contains("Done"), "asking for the same renews it");
    assert!(ask(&sluice, &cookie, "400000").await.contains("Done"));
    until(&sluice, &key, "400000").await;
    let (rows, running) = history(&sluice, &cookie).await;
    assert_eq!(rows, ["400000 active", "300000 replaced", "300000 replaced"]);

    sluice.form("/api/increases/end", &cookie, &format!("id={}", running.unwrap())).await;
    until(&sluice, &key, "100000").await;
    assert_eq!(history(&sluice, &cookie).await.0[0], "400000 ended by hand");

    // Thirty days are its time, seven without use its patience.
    assert!(ask(&sluice, &cookie, "200000").await.contains("Done"));
    until(&sluice, &key, "200000").await;
    sluice.step_clock("+8d");
    until(&sluice, &key, "100000").await;
    assert_eq!(history(&sluice, &cookie).await.0[0], "200000 downsized");

    assert!(ask(&sluice, &cookie, "500000").await.contains("Done"));
    until(&sluice, &key, "500000").await;
    sluice.step_clock("+39d");
    until(&sluice, &key, "100000").await;
    let cookie = sign_in(&sluice).await;
    assert_eq!(history(&sluice, &cookie).await.0[0], "500000 expired");
}
