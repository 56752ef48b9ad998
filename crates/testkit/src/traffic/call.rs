//! One call: its body, the connection it goes out on, and how long somebody reads the answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;

use super::Habit;
use crate::chance::Chance;

/// What the stand-in provider may be asked for, now and then.
const TROUBLES: [&str; 4] = ["status=500", "status=503", "status=429; header=retry-after:3", "break-after=2"];

const QUESTIONS: [&str; 12] =
    ["please", "tell", "me", "how", "water", "finds", "its", "way", "through", "a", "narrow", "gate"];

/// A client of one gateway.
pub(crate) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Caller {
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, url: format!("http://{gateway}/v1/chat/completions") }
    }

    /// Calls once and reads the answer; whatever comes of it is seen in the gateway, not here.
    pub(crate) async fn call(&self, key: &str, habit: &Habit, mut chance: Chance) {
        let request = self.request(key, habit, &mut chance);
        // Somebody who gives up does so after a few events.
        let patience = if chance.unit() < habit.hang_ups { 1 + chance.below(6) } else { u64::MAX };
        match self.client.request(request).await {
            Ok(response) => {
                let mut body = response.into_body();
                let mut read = 0;
                while read < patience {
                    match body.frame().await {
                        Some(Ok(_)) => read += 1,
                        Some(Err(error)) => return tracing::debug!(model = habit.model, %error, "an answer broke off"),
                        None => return,
                    }
                }
            }
            Err(error) => tracing::debug!(model = habit.model, %error, "a call found no gateway"),
        }
    }

    fn request(&self, key: &str, habit: &Habit, chance: &mut Chance) -> Request<Full<Bytes>> {
        let (least, most) = habit.prompt_words;
        let words = least + chance.below(most - least + 1);
        let body = body(habit, words, chance.unit() < habit.streamed);
        let mut request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {key}"));
        if chance.unit() < habit.trouble {
            let which = usize::try_from(chance.below(TROUBLES.len() as u64)).expect("below 4");
            request = request.header("x-stand-in", TROUBLES[which]);
        }
        request.body(Full::new(body)).expect("a key is a header value")
    }
}

fn body(habit: &Habit, words: u64, stream: bool) -> Bytes {
    let mut question = String::new();
    for word in QUESTIONS.iter().cycle().take(usize::try_from(words).unwrap_or(0)) {
        question.push_str(word);
        question.push(' ');
    }
    let mut body = json!({
        "model": habit.model,
        "messages": [
            { "role": "system", "content": "You are a helpful assistant." },
            { "role": "user", "content": question.trim_end() },
        ],
    });
    if stream {
        body["stream"] = true.into();
    }
    if let Some(max_tokens) = habit.max_tokens {
        body["max_tokens"] = max_tokens.into();
    }
    body.to_string().into()
}
