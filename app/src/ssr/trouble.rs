//! What is answered while the database is not: the same words for pages, forms and functions, and nothing that needs a row.

use super::assets;
use crate::{error::ApiError, format, paths};
use axum::{
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

/// The policy of the page: its style, and nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `error` as a page to whoever reads pages, as an error of a function to everybody else.
pub(super) fn answer(request: &Request, error: &ApiError, stale_since: Option<i64>) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let accepts = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let function = request.uri().path().starts_with("/api/");
    let retry = (header::RETRY_AFTER, HeaderValue::from_static("5"));
    if function && !accepts.contains("text/html") {
        return (status, [retry], axum::Json(error)).into_response();
    }
    // A form that a browser sent by itself goes back to its page; the page itself is read again.
    let again = if request.method() == Method::GET { request.uri().path() } else { paths::MONITORING };
    let since = stale_since.map_or_else(String::new, |ms| {
        format!(
            "<p>Figures are stale since <time datetime=\"{}\">{} UTC</time>.</p>",
            format::iso(ms),
            format::minute_text(ms)
        )
    });
    let style = assets::pages().map_or_else(String::new, |it| {
        format!("<link rel=\"stylesheet\" href=\"{}\">", html_escape::encode_double_quoted_attribute(&it.style))
    });
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>The database does not answer · Sluice</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{style}</head><body>\
         <div class=\"frame alone\"><main id=\"main\"><h1>The database does not answer</h1><p>{}</p>{since}\
         <p><a href=\"{}\">Try again</a></p></main></div></body></html>",
        html_escape::encode_text(&error.to_string()),
        html_escape::encode_double_quoted_attribute(again),
    );
    (status, [retry, (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))], Html(page)).into_response()
}
