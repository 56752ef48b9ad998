//! Forwarded bytes compared with sent bytes, over generated bodies of every dialect: what the two splices put in is
//! known from how a body was written, and nothing else may differ.

use proptest::{prelude::*, test_runner::Config};
use serde_json::json;

use crate::support::*;

/// One body, as the members of its object in their order.
#[derive(Clone, Debug)]
struct Body {
    route: Route,
    members: Vec<(&'static str, String)>,
    /// What stands between any two tokens.
    space: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Route {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Native,
    Messages,
}

const SENT: &str = "\"fast\"";
/// The name that the provider has for it, as the splice writes it.
const FORWARDED: &str = r#""qwen-flash-\"2026\"""#;

impl Route {
    fn path(self) -> &'static str {
        match self {
            Self::Chat => CHAT,
            Self::Completions => "/compatible-mode/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Native => "/api/v1/services/aigc/text-generation/generation",
            Self::Messages => "/v1/messages",
        }
    }

    /// Where its text stands.
    fn text(self, text: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Chat => vec![("messages", format!(r#"[{{"role":"user","content":{text}}}]"#))],
            Self::Completions => vec![("prompt", format!("[{text} , {text}]"))],
            Self::Embeddings | Self::Responses => vec![("input", text.to_owned())],
            Self::Native => vec![("input", format!(r#"{{"prompt":{text}}}"#)), ("parameters", "{\"seed\":1e0}".into())],
            Self::Messages => vec![
                ("messages", format!(r#"[{{"role":"user","content":{text}}}]"#)),
                ("max_tokens", "64".into()),
                ("system", text.to_owned()),
            ],
        }
    }

    fn asks_for_counts(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }
}

impl Body {
    fn written(&self) -> String {
        self.write(|_, value| value.to_owned(), "")
    }

    fn write(&self, value: impl Fn(&str, &str) -> String, last: &str) -> String {
        let space = self.space;
        let member = |(key, it): &(&str, String)| format!("{space}\"{key}\"{space}:{space}{}", value(key, it));
        let members: Vec<String> = self.members.iter().map(member).collect();
        format!("{space}{{{}{space}{last}}}{space}", members.join(&format!("{space},")))
    }

    /// What the provider is to get.
    fn forwarded(&self) -> String {
        let has = |wanted: &str| self.members.iter().any(|(key, _)| *key == wanted);
        let streams = self.route.asks_for_counts() && has("stream");
        let value = |key: &str, it: &str| match (key, it) {
            ("model", SENT) => FORWARDED.to_owned(),
            ("stream_options", "null") if streams => r#"{"include_usage":true}"#.into(),
            ("stream_options", "{ }") if streams => r#"{"include_usage":true }"#.into(),
            ("stream_options", r#"{ "x":1}"#) if streams => r#"{"include_usage":true, "x":1}"#.into(),
            ("stream_options", _) if streams => it.replace("false", "true").replace("null", "true"),
            _ => it.to_owned(),
        };
        let asked = if streams && !has("stream_options") { r#","stream_options":{"include_usage":true}"# } else { "" };
        self.write(value, asked)
    }
}

fn bodies() -> impl Strategy<Value = Body> {
    let route = prop::sample::select(vec![
        Route::Chat,
        Route::Chat,
        Route::Completions,
        Route::Embeddings,
        Route::Responses,
        Route::Native,
        Route::Messages,
    ]);
    let text =
        (prop_oneof![any::<String>(), Just("中文 😀 \"\\/".to_owned())], any::<bool>()).prop_map(|(text, escape)| {
            let text = json!(text).to_string();
            let unit = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|it| format!("\\u{it:04X}")).collect();
            text.chars().map(|c| if escape && !c.is_ascii() { unit(c) } else { c.to_string() }).collect::<String>()
        });
    let model = prop::sample::select(vec!["\"qwen-plus\"", SENT, "\"qwen\\u002dplus\""]);
    let options = prop::sample::select(vec![
        "null",
        "{ }",
        r#"{ "x":1}"#,
        r#"{"include_usage":false}"#,
        r#"{"x":1,"include_usage": null}"#,
        r#"{"include_usage":true}"#,
    ]);
    // Written in ways that no writer of JSON would choose.
    let odd =
        prop::sample::select(vec!["1E5", "-0.0", "0.10", "\"\\/\\u0041\"", "[ ]", r#"{"":[null,{"a":{}}]}"#, "1e400"]);
    let space = prop::sample::select(vec!["", " ", "\n\t", "\r\n  "]);
    (route, text, model, prop::option::of(options), odd, space, any::<bool>()).prop_flat_map(
        |(route, text, model, options, odd, space, stream)| {
            let mut members = route.text(&text);
            members.push(("model", model.to_owned()));
            members.push(("temperature", odd.to_owned()));
            members.push(("x", odd.to_owned()));
            if stream {
                members.push(("stream", "true".to_owned()));
            }
            members.extend(options.map(|it| ("stream_options", it.to_owned())));
            Just(members).prop_shuffle().prop_map(move |members| Body { route, members, space })
        },
    )
}

#[test]
fn every_other_byte_arrives_as_it_was_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let house = runtime.block_on(House::new());
    let mut runner =
        proptest::test_runner::TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    runner
        .run(&bodies(), |body| {
            house.clock.advance(1_000_000);
            house.provider.log().clear();
            let reply = runtime.block_on(house.call(post(body.route.path(), DEFAULT, body.written())));
            prop_assert_eq!(reply.status, 200, "{}", reply.text());
            let forwarded = house.provider.log().received()[0].body.clone();
            prop_assert_eq!(std::str::from_utf8(&forwarded).unwrap(), body.forwarded());
            Ok(())
        })
        .unwrap();
}
