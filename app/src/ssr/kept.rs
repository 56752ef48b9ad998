//! Forms that came when they could not be answered: they wait in the page that is sent instead, never in the session.

use super::{ConsoleState, router::server_function};
use crate::{
    components::page::LostForm,
    outcome::{Outcome, Typed},
    paths,
};
use axum::{
    Form,
    body::{Body, Bytes},
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use serde::{Deserialize, de::DeserializeOwned};

/// The longest form that is kept.
const LARGEST: usize = 512 * 1024;

/// Where a form that was kept is sent on.
pub(super) const RESUME: &str = "/resume";

/// A kept form, as the page sends it on.
#[derive(Deserialize)]
struct Resumed {
    resume: String,
    fields: String,
    #[serde(default)]
    next: String,
}

/// Reads the fields of a form.
async fn read<T: DeserializeOwned>(body: Bytes) -> Option<T> {
    // The framework's own reader takes only whole requests.
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, form);
    Form::<T>::from_request(request, &()).await.ok().map(|Form(it)| it)
}

/// What was typed into the form that a browser sent: its name is one of its fields.
pub(super) async fn typed(body: Bytes) -> Typed {
    let fields: Vec<(String, String)> = read(body).await.unwrap_or_default();
    let form = fields.iter().find(|it| it.0 == "form").map(|it| it.1.clone()).unwrap_or_default();
    // The entries of a list are sent as `grant[]` and are all called `grant`.
    let one = |(name, value): (String, String)| match name.strip_suffix("[]") {
        Some(list) => (list.to_owned(), value),
        None => (name, value),
    };
    Typed::new(form, fields.into_iter().filter(|it| it.0 != "form").map(one))
}

/// What was typed into `form` and came with another one of the same page, `fields` as it would have sent them. That other
/// form brought a revision `from` one `to` the next, so what was typed on top of the one goes on from the other.
pub async fn beside(form: &str, fields: &str, from: i64, to: i64) -> Option<Typed> {
    let mut typed = typed(Bytes::from(fields.to_owned())).await;
    form.clone_into(&mut typed.form);
    for (name, value) in &mut typed.fields {
        if name == "revision" && *value == from.to_string() {
            *value = to.to_string();
        }
    }
    (!fields.is_empty()).then_some(typed)
}

/// The form that `request` brought, unless it is too long; one that was kept before is found inside.
pub(super) async fn lost(path: &str, body: Body) -> Option<LostForm> {
    let fields = axum::body::to_bytes(body, 4 * LARGEST).await.ok()?;
    if brings(path) {
        let kept: Resumed = read(fields).await?;
        return Some(LostForm { action: kept.resume, fields: kept.fields, next: kept.next });
    }
    let fields = String::from_utf8(fields.into()).ok().filter(|it| it.len() <= LARGEST)?;
    Some(LostForm { action: path.to_owned(), fields, next: String::new() })
}

/// Has the browser send its form on to where a kept form is taken from it.
pub fn resume() -> Outcome {
    send_on(RESUME);
    Outcome::go("", paths::MONITORING)
}

/// Has the browser send its form once more, to `target`: this redirect alone repeats the body.
pub fn send_on(target: &str) {
    let target = paths::local(target).unwrap_or(paths::MONITORING);
    if let Ok(value) = HeaderValue::from_str(target) {
        let options = expect_context::<ResponseOptions>();
        options.set_status(StatusCode::TEMPORARY_REDIRECT);
        options.insert_header(header::LOCATION, value);
    }
}

/// Whether what is sent to `path` may bring along a form that was kept before.
pub(super) fn brings(path: &str) -> bool {
    [RESUME, paths::SIGN_IN, "/api/sign-in"].contains(&path)
}

/// Sends a form on to where it was going before its session ended.
pub(super) async fn send(State(state): State<ConsoleState>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 4 * LARGEST).await.unwrap_or_default();
    let form: Option<Resumed> = read(body).await;
    let target = form.as_ref().and_then(|it| paths::local(&it.resume)).filter(|it| it.starts_with("/api/"));
    let (Some(form), Some(uri)) = (&form, target.and_then(|it| it.parse().ok())) else {
        return Redirect::to(paths::MONITORING).into_response();
    };
    parts.uri = uri;
    parts.headers.remove(header::CONTENT_LENGTH);
    came_from(&mut parts.headers, &form.next);
    server_function(State(state), Request::from_parts(parts, Body::from(form.fields.clone()))).await
}

/// The page the form was typed on, not the one that kept it.
fn came_from(headers: &mut HeaderMap, page: &str) {
    if let Some(page) = paths::local(page).and_then(|it| HeaderValue::from_str(it).ok()) {
        headers.insert(header::REFERER, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_typed_is_read_without_its_secrets() {
        let body = "form=provider&name=a+b&credential=sk-secret&grant%5B%5D=x&grant%5B%5D=y";
        let typed = typed(Bytes::from_static(body.as_bytes())).await;
        assert_eq!(typed.form, "provider");
        let pairs: Vec<_> = typed.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["name=a b", "credential=", "grant=x", "grant=y"]);
    }
}
