//! Calls that wait instead of being refused. On a clock that runs: what is awaited takes a second or two.

use std::time::Duration;

use domain::ModelCode;
use gateway::{Contents, Outcome};
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncWriteExt;

use crate::support::*;

type Call = Request<Full<bytes::Bytes>>;

fn wishing(mut request: Call, seconds: &str) -> Call {
    request.headers_mut().insert("x-dashscope-wait-timeout", seconds.parse().unwrap());
    request
}

fn tagged(mut request: Call, tag: &str) -> Call {
    request.headers_mut().insert("x-tag", tag.parse().unwrap());
    request
}

/// One request a second for the account.
fn slow(contents: &mut Contents) {
    contents.models[1].limits = limits(60, 1_000_000);
}

fn max() -> Call {
    post(CHAT, DEFAULT, plain().replace("qwen-plus", "qwen-max"))
}

async fn until_waiting(house: &House, count: usize) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while house.gateway.waiting() != count {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{} calls wait, not {count}", house.gateway.waiting()));
}

fn waited(reply: &Reply) -> u64 {
    reply.header("x-sluice-waited-ms").parse().unwrap()
}

#[tokio::test]
async fn first_come_first_served() {
    let house = House::running(slow).await;
    assert_eq!(house.call(max()).await.status, 200);
    let (first, second, late) = tokio::join!(
        house.call(tagged(wishing(max(), "5"), "first")),
        async {
            until_waiting(&house, 1).await;
            house.call(tagged(wishing(max(), "5"), "second")).await
        },
        async {
            until_waiting(&house, 2).await;
            // Those ahead are counted in: its turn would come after three seconds.
            let late = house.call(wishing(max(), "1")).await;
            let none = house.call(max()).await;
            assert_eq!((none.status, none.header("x-sluice-waited-ms")), (429, ""));
            late
        },
    );
    assert_eq!((first.status, second.status, late.status), (200, 200, 429));
    assert!(waited(&first) <= waited(&second) && waited(&second) > 0, "{} {}", waited(&first), waited(&second));
    assert!(waited(&late) < 1000, "refused at once: {}", waited(&late));
    let after: u64 = late.header("retry-after-ms").parse().unwrap();
    assert!((1000..=3000).contains(&after), "{after}");
    let tags: Vec<_> =
        house.provider.log().received().iter().filter_map(|it| it.headers.get("x-tag").cloned()).collect();
    assert_eq!(tags, ["first", "second"]);
    assert_eq!((house.gateway.waiting(), house.used("qwen-max").0), (0, 3));
}

#[tokio::test]
async fn a_hang_up_leaves_the_queue_and_nothing_is_charged() {
    let house = House::running(slow).await;
    assert_eq!(house.call(max()).await.status, 200);
    house.calls(1).await;
    tokio::select! {
        _ = house.send(wishing(max(), "60")) => panic!("it waits for its second"),
        () = until_waiting(&house, 1) => {}
    }
    until_waiting(&house, 0).await;
    let left = house.calls(1).await.remove(0);
    assert_eq!((left.outcome, left.tokens.total), (Outcome::HangUp, 0));
    assert_eq!(house.used("qwen-max").0, 1);
    assert_eq!(house.call(wishing(max(), "5")).await.status, 200);
    assert_eq!(house.used("qwen-max").0, 2);
}

#[tokio::test]
async fn nobody_overtakes_a_call_that_waits_for_the_account_and_freed_room_is_given_at_once() {
    let house = House::running(|contents| contents.models[1].limits = limits(60_000, 6000)).await;
    let body = |most: u64| format!(r#"{{"model":"qwen-max","messages":[],"max_tokens":{most},"stream":true}}"#);
    let asking = |most: u64| post(CHAT, DEFAULT, body(most));
    let mut holding = tokio::net::TcpStream::connect(house.addr).await.unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {DEFAULT}\r\n");
    let rest = format!("x-stand-in: silence-after=1\r\ncontent-length: {}\r\n\r\n{}", body(5000).len(), body(5000));
    holding.write_all((head + &rest).as_bytes()).await.unwrap();
    house.provider.log().wait_until(|it| it.len() == 1).await;
    let (large, ()) = tokio::join!(house.call(wishing(asking(3000), "100")), async {
        until_waiting(&house, 1).await;
        let small = house.call(asking(10)).await;
        assert_eq!((small.status, small.header("x-sluice-cause")), (429, "tokens"), "{}", small.text());
        let body: serde_json::Value = serde_json::from_str(small.text()).unwrap();
        let details = body.pointer("/error/details").unwrap();
        assert_eq!(details.as_array().unwrap().len(), 1, "{details}");
        for (name, value) in [("/0/limit", 6000), ("/0/used", 5001), ("/0/needed", 11)] {
            assert_eq!(
                details.pointer(name).unwrap(),
                value,
                "its own numbers, not those of the call ahead: {details}"
            );
        }
        let after: u64 = small.header("retry-after-ms").parse().unwrap();
        assert!((1..=60_000).contains(&after), "{after}");
        // Its client goes, and what it held is free.
        drop(holding);
    });
    assert_eq!(large.status, 200);
    assert!(waited(&large) < 30_000, "not only when the first call's minute is over");
}

#[tokio::test]
async fn a_key_that_is_revoked_meanwhile_admits_nobody() {
    let house = House::running(slow).await;
    assert_eq!(house.call(max()).await.status, 200);
    let (waits, ()) = tokio::join!(house.call(wishing(max(), "100")), async {
        until_waiting(&house, 1).await;
        let mut contents = house.contents();
        slow(&mut contents);
        contents.keys.retain(|it| it.digest != gateway::KeyDigest::of(DEFAULT.as_bytes()));
        house.set(contents);
    });
    assert_eq!((waits.status, house.used("qwen-max").0), (401, 1));
    assert_eq!(house.provider.log().received().len(), 1);
}

#[tokio::test]
async fn an_admission_at_the_end_of_the_patience_is_one() {
    let house = House::running(slow).await;
    for _ in 0..4 {
        assert!(house.call(max()).await.status < 500);
        // Its second begins within the millisecond in which its patience ends.
        let reply = house.call(wishing(max(), "1")).await;
        assert!(matches!(reply.status, 200 | 429), "{}", reply.text());
        let call = house.calls(2).await.pop().unwrap();
        assert_eq!(call.outcome == Outcome::Ok, reply.status == 200, "{:?}", call.outcome);
    }
}

#[tokio::test]
async fn a_limit_that_is_raised_meanwhile_ends_the_wait() {
    let house = House::running(|contents| contents.models[1].limits = limits(1, 1_000_000)).await;
    assert_eq!(house.call(max()).await.status, 200);
    let (waits, ()) = tokio::join!(house.call(wishing(max(), "100")), async {
        until_waiting(&house, 1).await;
        let mut contents = house.contents();
        contents.models[1].limits = limits(60_000, 1_000_000);
        house.set(contents);
    });
    assert_eq!(waits.status, 200);
    assert!(waited(&waits) < 30_000, "not only when the first call's minute is over");
}

#[tokio::test]
async fn a_call_that_waits_for_its_own_workspace_holds_up_no_other() {
    let house = House::running(|_| {}).await;
    for _ in 0..2 {
        assert_eq!(house.chat(SEARCH, plain()).await.status, 200);
    }
    let (waits, other) = tokio::join!(house.call(wishing(post(CHAT, SEARCH, plain()), "10")), async {
        until_waiting(&house, 1).await;
        let other = house.chat(DEFAULT, plain()).await;
        assert_eq!(house.gateway.waiting(), 1);
        other
    });
    assert_eq!((waits.status, other.status), (200, 200));
}

#[tokio::test]
async fn a_wait_that_cannot_help_is_refused_at_once() {
    let house = House::new().await;
    let long =
        format!(r#"{{"model":"qwen-plus","messages":[{{"role":"user","content":"{}"}}]}}"#, "a".repeat(1_000_000));
    let reply = house.call(wishing(post(CHAT, SEARCH, long), "100")).await;
    assert_eq!((reply.status, reply.header("x-should-retry"), reply.header("x-sluice-waited-ms")), (429, "false", "0"));
    for _ in 0..2 {
        assert_eq!(house.chat(SEARCH, plain()).await.status, 200);
    }
    let zero = house.call(wishing(post(CHAT, SEARCH, plain()), "0")).await;
    assert_eq!((zero.status, zero.header("x-sluice-waited-ms")), (429, ""));
    assert_eq!(house.gateway.waiting(), 0);
}

#[tokio::test]
async fn a_call_waits_first_and_then_falls_back() {
    let house = House::running(|contents| {
        contents.models[0].backup = Some(ModelCode::parse("fast").unwrap());
        contents.models[0].limits = limits(1, 1_000_000);
    })
    .await;
    assert_eq!(house.chat(SEARCH, plain()).await.status, 200);
    let mut request = wishing(post(CHAT, SEARCH, plain()), "5");
    request.headers_mut().insert("x-sluice-fallback", "on".parse().unwrap());
    let reply = house.call(request).await;
    assert_eq!((reply.status, reply.header("x-sluice-fallback")), (200, "requests"));
    assert_ne!(reply.header("x-sluice-waited-ms"), "");
}

#[tokio::test]
async fn seconds_left_are_passed_on_to_a_provider_with_a_queue() {
    let house = House::new().await;
    for (asked, passed) in [("30", "30"), ("500", "120"), ("99999999999999999999999", "120")] {
        house.clock.advance(1_000_000);
        let reply = house.call(wishing(post(CHAT, SEARCH, plain()), asked)).await;
        assert_eq!((reply.status, reply.header("x-sluice-waited-ms")), (200, "0"));
        assert_eq!(house.provider.log().received().pop().unwrap().headers["x-dashscope-wait-timeout"], passed);
    }
    let mut contents = house.contents();
    contents.providers[0].dashscope_base_url = None;
    house.set(contents);
    house.clock.advance(1_000_000);
    let reply = house.send(wishing(post(CHAT, SEARCH, plain()), "30")).await;
    assert_eq!(reply.status(), 200);
    reply.into_body().collect().await.unwrap();
    assert_eq!(house.provider.log().received().pop().unwrap().headers.get("x-dashscope-wait-timeout"), None);
}

#[tokio::test]
async fn a_call_whose_charge_cannot_be_kept_is_undecided_whether_it_waits_or_not() {
    let house = House::running(slow).await;
    assert_eq!(house.call(max()).await.status, 200);
    // One in a second: the next would wait, if it could be admitted at all.
    let waiting = async {
        let reply = house.call(wishing(max(), "5")).await;
        assert_eq!(reply.status, 503, "it was admitted, or refused by a limit that nobody looked at");
        assert_eq!(reply.header("retry-after-ms"), "1000");
        reply
    };
    let stopped = async {
        until_waiting(&house, 1).await;
        house.ledger.admit_until(limiter::Micros(0));
    };
    let (waited, ()) = tokio::join!(waiting, stopped);
    assert!(waited.text().contains("The use of the limits cannot be written"), "{}", waited.text());
    let reply = house.call(wishing(max(), "5")).await;
    assert_eq!((reply.status, house.gateway.waiting()), (503, 0));
    let outcomes: Vec<_> = house.calls(3).await.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes.iter().filter(|it| **it == Outcome::Undecided).count(), 2, "{outcomes:?}");
}
