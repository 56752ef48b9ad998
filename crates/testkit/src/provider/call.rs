//! One call at the provider: chooses the answer, makes it suffer what was asked for, writes its head.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::{
    Behaviour, Ending, Speed,
    answer::{Answer, FIRST_CREATED, id_of},
    body::{AnswerBody, BreakOff, Event},
    cut,
    log::Running,
    request::{Asked, Route},
    server::Shared,
    shelf,
    wire::{
        Dialect, anthropic,
        native::{self, Layout},
        openai::{self, Shape},
        responses,
    },
};

/// One call and where it came from.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) number: u64,
    pub(crate) route: Route,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) path: &'a str,
}

/// A body before it is sent.
enum Content {
    Whole(StatusCode, Bytes),
    Events(Vec<Event>),
}

impl Call<'_> {
    pub(crate) async fn answer(
        &self,
        body: &[u8],
        behaviour: &Behaviour,
        running: Option<Running>,
    ) -> Result<Response<AnswerBody>, BreakOff> {
        let (content, first_byte, gap) = self.content(body, behaviour);
        if !first_byte.is_zero() {
            tokio::time::sleep(first_byte).await;
        }
        if behaviour.close {
            if let Some(running) = running {
                running.end(Ending::Broken);
            }
            return Err(BreakOff);
        }
        let (status, kind, body) = match content {
            Content::Whole(status, bytes) if behaviour.break_after.is_some() => {
                (status, "application/json", cut::whole(&bytes, behaviour, running))
            }
            Content::Whole(status, bytes) => (status, "application/json", AnswerBody::whole(bytes, running)),
            Content::Events(events) => {
                let (events, end) = cut::events(events, behaviour, self.dialect(), &id_of(self.number));
                (StatusCode::OK, "text/event-stream;charset=UTF-8", AnswerBody::events(events, gap, end, running))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        self.write_headers(response.headers_mut(), kind, behaviour);
        Ok(response)
    }

    /// The answer, the wait before its first byte, and the pause between its events.
    fn content(&self, body: &[u8], behaviour: &Behaviour) -> (Content, Duration, Duration) {
        let delay = behaviour.delay.unwrap_or_default();
        let fixed = |status: u16, bytes: Bytes| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (Content::Whole(status, bytes), delay, Duration::ZERO)
        };
        let id = id_of(self.number);
        if let Some(status) = behaviour.status.or(self.refused()) {
            let bytes = behaviour.body.clone().unwrap_or_else(|| self.dialect().error(status, &id));
            return fixed(status, bytes.into());
        }
        if behaviour.redirect {
            return fixed(302, Bytes::new());
        }
        if behaviour.garbage {
            return fixed(200, Bytes::from_static(b"<html><body>upstream says hello</body></html>"));
        }
        if let Some(text) = &behaviour.body {
            return fixed(200, Bytes::from(text.clone()));
        }
        match self.route {
            Route::Models => return fixed(200, openai::models().into()),
            Route::Task => return fixed(200, native::task(self.number, self.path).into()),
            Route::Shelf => {
                let (status, bytes) = self.shelf(body);
                return fixed(status, bytes);
            }
            Route::Unknown => return fixed(404, self.dialect().error(404, &id).into()),
            Route::Generation { .. } | Route::NativeEmbedding if self.has("x-dashscope-async", "enable") => {
                return fixed(200, native::task_accepted(self.number).into());
            }
            _ => {}
        }
        let Ok(asked) = Asked::read(self.headers, body) else {
            return fixed(400, self.dialect().error(400, &id).into());
        };
        let answer = Answer::plan(&self.shared.settings, self.number, &asked, behaviour);
        let content = self.write(&answer, &asked);
        // Vectors are computed in one go: they take no time for tokens.
        let first_byte = match (self.route, self.shared.settings.speed) {
            (Route::Embedding | Route::NativeEmbedding, Speed::Real) => {
                behaviour.delay.unwrap_or(Duration::from_millis(90))
            }
            _ => answer.first_byte,
        };
        (content, first_byte, answer.gap)
    }

    fn shelf(&self, body: &[u8]) -> shelf::Reply {
        let start = self.path.find("/v1/").map_or(0, |it| it + 4);
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let now = FIRST_CREATED + self.number;
        let request = shelf::Request { method: self.method, path: &self.path[start..], content_type, body, now };
        let run = |body: &[u8]| match Asked::read(&HeaderMap::new(), body) {
            Ok(asked) => {
                let answer = Answer::plan(&self.shared.settings, self.number, &asked, &Behaviour::default());
                (200, openai::whole(&answer, Shape::Chat))
            }
            Err(_) => (400, Dialect::OpenAi.error(400, &id_of(self.number))),
        };
        self.shared.shelf.lock().answer(&request, run)
    }

    fn write(&self, answer: &Answer, asked: &Asked<'_>) -> Content {
        let whole = |text: String| Content::Whole(StatusCode::OK, text.into());
        match (self.route, asked.stream) {
            (Route::Completion, true) => Content::Events(openai::events(answer, Shape::Text, asked.include_usage)),
            (Route::Completion, false) => whole(openai::whole(answer, Shape::Text)),
            (Route::Embedding, _) => whole(openai::embeddings(answer, asked)),
            (Route::NativeEmbedding, _) => whole(native::embeddings(answer, asked)),
            (Route::Response, true) => Content::Events(responses::events(answer)),
            (Route::Response, false) => whole(responses::whole(answer)),
            (Route::Message, true) => Content::Events(anthropic::events(answer)),
            (Route::Message, false) => whole(anthropic::whole(answer)),
            (Route::Generation { multimodal }, true) => {
                Content::Events(native::events(answer, Layout::of(multimodal, asked), asked.incremental))
            }
            (Route::Generation { multimodal }, false) => whole(native::whole(answer, Layout::of(multimodal, asked))),
            (_, true) => Content::Events(openai::events(answer, Shape::Chat, asked.include_usage)),
            (_, false) => whole(openai::whole(answer, Shape::Chat)),
        }
    }

    fn write_headers(&self, headers: &mut HeaderMap, kind: &'static str, behaviour: &Behaviour) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let id = HeaderValue::from_str(&id_of(self.number)).expect("an id is hexadecimal");
        let name = if self.route == Route::Message { "request-id" } else { "x-request-id" };
        headers.insert(name, id);
        if behaviour.garbage {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        }
        if behaviour.redirect {
            headers.insert(header::LOCATION, HeaderValue::from_static("https://example.invalid/elsewhere"));
        }
        for (name, value) in &behaviour.headers {
            headers.append(name, value.clone());
        }
    }

    fn refused(&self) -> Option<u16> {
        let wanted = self.shared.settings.credential.as_deref()?;
        let given = |name: &str| self.headers.get(name).and_then(|it| it.to_str().ok());
        let bearer = given("authorization").and_then(|it| it.strip_prefix("Bearer "));
        let taken = bearer == Some(wanted) || given("x-api-key") == Some(wanted);
        (!taken).then_some(401)
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.headers.get(name).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    }

    fn dialect(&self) -> Dialect {
        match self.route {
            Route::Generation { .. } | Route::NativeEmbedding | Route::Task => Dialect::Native,
            Route::Message => Dialect::Anthropic,
            Route::Response => Dialect::Responses,
            _ if self.path.starts_with("/api/v1/") => Dialect::Native,
            _ => Dialect::OpenAi,
        }
    }
}
