//! How requests reach pages, server functions, live figures and files.

use super::{
    Caller, ConsoleState,
    answer::{FLASH, NativeForm, ONCE, leave_in},
    assets, audit, document, identity, kept, live, monitoring, shell, trouble,
};
use crate::{
    components::page::{LostForm, PageContext},
    error::ApiError,
    outcome::{Flash, Outcome},
    paths,
};
use axum::{
    Form, Router,
    body::{Body, Bytes},
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use control::MEMBER_KEY;
use leptos::prelude::provide_context;
use tower_sessions::Session;

/// The console. Around it the process lays sessions (inner), the layers against forged requests, and security headers.
pub fn router(state: ConsoleState) -> Router {
    // Walking the routes once also hands the framework its executor.
    leptos_axum::generate_route_list(crate::App);
    Router::new()
        .route("/", get(|| async { Redirect::to(paths::MONITORING) }))
        .route("/api/{*function}", any(server_function))
        .route(paths::LIVE, get(live::stream))
        .route(paths::MONITORING_CSV, get(monitoring::csv))
        .route(paths::AUDIT_CSV, get(audit::csv))
        .route(paths::FIND_REFUSAL, get(find_refusal))
        .route("/theme", post(theme))
        .route(kept::RESUME, post(kept::send))
        .route(paths::SIGN_IN, get(page).post(ask_again))
        .fallback(page)
        .layer(from_fn_with_state(state.clone(), identify))
        .layer(from_fn(files))
        .with_state(state)
}

/// Files come first: they need no session.
async fn files(request: Request, next: Next) -> Response {
    let mut response = match assets::find(request.method(), request.uri().path(), request.headers()) {
        Some(response) => response,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(shell::NOTHING_LOADS));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Finds out who asks, once for each request.
async fn identify(State(state): State<ConsoleState>, mut request: Request, next: Next) -> Response {
    if let Some(session) = request.extensions().get::<Session>().cloned() {
        match identity::find(&state, &session, request_id(&request)).await {
            Ok(Some(caller)) => drop(request.extensions_mut().insert(caller)),
            Ok(None) => {}
            Err(error) => return trouble::answer(request, &error, state.figures.stale_since()).await,
        }
    }
    next.run(request).await
}

fn request_id(request: &Request) -> Option<String> {
    request.headers().get("x-request-id").and_then(|it| it.to_str().ok()).map(str::to_owned)
}

async fn page(State(state): State<ConsoleState>, mut request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let caller = request.extensions().get::<Caller>().cloned();
    if let Some(elsewhere) = elsewhere(&state, caller.is_some(), request.uri().clone()).await {
        return Redirect::to(&elsewhere).into_response();
    }
    let theme = theme_of(request.headers());
    let once = cookie(request.headers(), ONCE).map(str::to_owned);
    let flash = match request.extensions().get::<Session>() {
        Some(session) => {
            if caller.is_some()
                && let Err(error) = identity::renew(session, state.control.now_ms()).await
            {
                tracing::warn!(%error, "a session was not made to last longer");
            }
            take_flash(session).await
        }
        None => None,
    };
    let state = state.for_a_page();
    let shown_once = once.is_some();
    let context = PageContext {
        viewer: caller.map(|it| it.viewer),
        theme,
        flash,
        once,
        gateway_url: state.settings.gateway_url.clone(),
        stale_since: state.figures.stale_since(),
        lost: request.extensions_mut().remove::<LostForm>(),
    };
    // The router of the pages sees paths as people type them.
    if let Some(path) = request.uri().path().strip_suffix('/').filter(|it| !it.is_empty()) {
        let query = request.uri().query().map(|it| format!("?{it}")).unwrap_or_default();
        if let Ok(path) = PathAndQuery::try_from(format!("{path}{query}")) {
            *request.uri_mut() = path.into();
        }
    }
    let provide = move || {
        provide_context(state.clone());
        provide_context(context.clone());
    };
    let pages = assets::pages();
    let render = leptos_axum::render_app_async_with_context(provide, move || shell::shell(pages.clone(), theme));
    let mut response = document::whole(render(request).await).await;
    if shown_once {
        let gone = HeaderValue::from_static("once=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}

/// What a form left for this page. A session without it is not touched, since every touch is a write; a stranger's is for
/// that alone, and ends with it.
async fn take_flash(session: &Session) -> Option<Flash> {
    session.get_value(FLASH).await.ok()??;
    let flash = session.remove(FLASH).await.ok().flatten();
    if let Ok(None) = session.get_value(MEMBER_KEY).await {
        session.flush().await.ok()?;
    }
    flash
}

/// Where a request for a page is sent instead: to sign-in, to first-run set-up, or past both.
async fn elsewhere(state: &ConsoleState, signed_in: bool, uri: Uri) -> Option<String> {
    let path = uri.path();
    let at_the_door = path == paths::SIGN_IN || path == paths::SET_UP;
    if signed_in {
        return at_the_door.then(|| paths::MONITORING.to_owned());
    }
    match (identity::is_set_up(state).await, path) {
        (false, paths::SET_UP) => None,
        (false, _) => Some(paths::SET_UP.to_owned()),
        (true, paths::SIGN_IN | paths::INVITATION) => None,
        (true, paths::SET_UP) => Some(paths::SIGN_IN.to_owned()),
        (true, _) => {
            let wanted = uri.path_and_query().map_or("", PathAndQuery::as_str);
            let wanted = if wanted == paths::MONITORING { "" } else { wanted };
            Some(paths::with_query(paths::SIGN_IN, &[("next", wanted)]))
        }
    }
}

/// What somebody who is not signed in may call: the way in.
const FOR_NOBODY: [&str; 3] = ["/api/sign-in", "/api/set-up", "/api/invitations/accept"];

/// Whether `path` is a way in, which works without a session.
pub(super) fn is_a_way_in(path: &str) -> bool {
    FOR_NOBODY.contains(&path)
}

/// Runs a server function. A form that a browser sent by itself is answered by a redirect in every case.
pub(super) async fn server_function(State(state): State<ConsoleState>, mut request: Request) -> Response {
    let wants_html = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|it| it.to_str().ok())
        .is_some_and(|it| it.contains("text/html"));
    let native = wants_html && request.method() == Method::POST;
    let from = came_from(request.headers());
    let session = request.extensions().get::<Session>().cloned();
    if native {
        request.extensions_mut().insert(NativeForm);
    }
    // Redirects are made here and in `answer`: the framework's own would put errors into the address.
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let state_of_page = state.clone();
    let provide = move || provide_context(state.clone());
    // Each function asks who calls, too; asked here as well, nobody learns even which arguments it takes.
    let closed = request.extensions().get::<Caller>().is_none() && !FOR_NOBODY.contains(&request.uri().path());
    if closed && native && !request.uri().path().starts_with("/api/sign-") {
        return ask_to_sign_in(state_of_page, request, &from).await;
    }
    let id = request_id(&request);
    let path = request.uri().path().to_owned();
    let (request, sent) = if native { copied(request).await } else { (request, Bytes::new()) };
    let response = if closed {
        (StatusCode::UNAUTHORIZED, axum::Json(ApiError::SignedOut)).into_response()
    } else {
        with_status(leptos_axum::handle_server_fns_with_context(provide, request).await.into_response(), id).await
    };
    if !native || response.status().is_redirection() {
        return response;
    }
    let error = match response.status() {
        StatusCode::UNAUTHORIZED => {
            return Redirect::to(&paths::with_query(paths::SIGN_IN, &[("next", &from)])).into_response();
        }
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => error_in(response).await,
        status if status.is_success() => return Redirect::to(&from).into_response(),
        _ => error_in(response).await,
    };
    let waiting = if kept::brings(&path) { kept::lost(kept::RESUME, Body::from(sent.clone())).await } else { None };
    if let Some(session) = session {
        let flash = Flash::new(kept::typed(sent).await, Outcome::wrong("", error));
        if let Err(error) = leave_in(&session, flash).await {
            tracing::error!(%error, "a form's error could not be kept in the session");
        }
    }
    match waiting {
        // This redirect alone repeats the body, and with it the form that waits.
        Some(lost) => Redirect::temporary(&paths::with_query(paths::SIGN_IN, &[("next", &lost.next)])).into_response(),
        None => Redirect::to(&from).into_response(),
    }
}

/// A session that ended while a form was filled in loses nothing: the answer asks for the password and holds the form.
async fn ask_to_sign_in(state: ConsoleState, request: Request, from: &str) -> Response {
    let sign_in = paths::with_query(paths::SIGN_IN, &[("next", from)]);
    let (mut parts, body) = request.into_parts();
    let (Some(lost), Ok(uri)) = (kept::lost(parts.uri.path(), body).await, Uri::try_from(&sign_in)) else {
        return Redirect::to(&sign_in).into_response();
    };
    parts.extensions.insert(lost);
    (parts.method, parts.uri) = (Method::GET, uri);
    page(State(state), Request::from_parts(parts, Body::empty())).await
}

/// A kept form comes back when the password was wrong: the page that asks for it again holds the form again.
async fn ask_again(State(state): State<ConsoleState>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(lost) = kept::lost(kept::RESUME, body).await {
        parts.extensions.insert(lost);
    }
    parts.method = Method::GET;
    page(State(state), Request::from_parts(parts, Body::empty())).await
}

/// The request, and what it brought: once it is answered with an error, what was typed is still to be shown again.
async fn copied(request: Request) -> (Request, Bytes) {
    let (parts, body) = request.into_parts();
    // The layers around the console limit what comes.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    (Request::from_parts(parts, Body::from(body.clone())), body)
}

/// The page of the console that a form was sent from.
pub(super) fn came_from(headers: &HeaderMap) -> String {
    let from = headers.get(header::REFERER).and_then(|it| it.to_str().ok()).map(local_part);
    // A page that was the answer to a form has that form's address, where there is no page.
    let page = from.as_deref().and_then(paths::local).filter(|it| !it.starts_with("/api/"));
    page.unwrap_or(paths::MONITORING).to_owned()
}

/// Arguments that cannot be read are the caller's mistake; the framework calls every error its own. What failed outside
/// the function gets the request's id here.
async fn with_status(response: Response<Body>, request_id: Option<String>) -> Response<Body> {
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR {
        return response;
    }
    let error = match error_in(response).await {
        ApiError::Failed(id) if id.is_empty() => ApiError::Failed(request_id.unwrap_or_default()),
        error => error,
    };
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(error)).into_response()
}

async fn error_in(response: Response<Body>) -> ApiError {
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or(ApiError::Malformed)
}

/// The path and query of an absolute address.
fn local_part(address: &str) -> String {
    let after_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    after_scheme.find('/').map_or_else(String::new, |at| after_scheme[at..].to_owned())
}

#[derive(serde::Deserialize)]
struct Wanted {
    #[serde(default)]
    id: String,
}

/// People paste what they have: an id, a log line, or the whole answer.
async fn find_refusal(Query(Wanted { id }): Query<Wanted>) -> Redirect {
    Redirect::to(&match id_within(&id) {
        Some(id) => paths::refusal(id),
        None if id.trim().is_empty() => paths::REFUSALS.to_owned(),
        None => paths::refusal(id.trim().get(..64).unwrap_or(id.trim())),
    })
}

/// The first thing in a text that looks like an id: 36 hexadecimal digits and hyphens in a row.
fn id_within(text: &str) -> Option<&str> {
    let mut words = text.split(|it: char| !it.is_ascii_hexdigit() && it != '-');
    words.find(|it| it.len() == 36 && it.bytes().filter(|it| *it == b'-').count() == 4)
}

#[derive(serde::Deserialize)]
struct ThemeForm {
    theme: String,
}

/// The theme switch without script.
async fn theme(headers: HeaderMap, Form(form): Form<ThemeForm>) -> Response {
    let theme = if form.theme == "dark" { "dark" } else { "light" };
    let from = headers.get(header::REFERER).and_then(|it| it.to_str().ok()).map(local_part).unwrap_or_default();
    let cookie = format!("theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax");
    ([(header::SET_COOKIE, cookie)], Redirect::to(paths::local(&from).unwrap_or(paths::MONITORING))).into_response()
}

fn theme_of(headers: &HeaderMap) -> &'static str {
    match cookie(headers, "theme") {
        Some("dark") => "dark",
        Some("light") => "light",
        _ => "",
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs =
        headers.get_all(header::COOKIE).into_iter().filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(it, value)| *it == name && !value.is_empty())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_what_people_paste() {
        let id = "0192f0c1-7a00-7000-8000-0123456789ab";
        for text in [
            id,
            &format!("  {id}\n"),
            &format!(r#"{{"error":{{}},"request_id":"{id}"}}"#),
            &format!("x-request-id: {id};"),
        ] {
            assert_eq!(id_within(text), Some(id));
        }
        assert_eq!(id_within("no id, only deadbeef-and-words"), None);
    }

    #[test]
    fn a_referer_is_reduced_to_what_may_be_redirected_to() {
        assert_eq!(local_part("http://127.0.0.1:3000/settings?x=1"), "/settings?x=1");
        assert_eq!(local_part("http://127.0.0.1:3000"), "");
        assert_eq!(paths::local(&local_part("http://a//evil.example")), None);
    }
}
