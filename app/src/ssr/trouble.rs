//! What is answered while the database is not: the same words for pages, forms and functions, and nothing that needs a row.

use super::{
    assets, kept,
    router::{came_from, is_a_way_in},
};
use crate::{components::page::LostForm, error::ApiError, format};
use axum::{
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

/// The policy of the page: its style, and sending a form once more.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// `error` as a page to whoever reads pages, as an error of a function to everybody else.
pub(super) async fn answer(request: Request, error: &ApiError, stale_since: Option<i64>) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let accepts = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let function = request.uri().path().starts_with("/api/");
    let retry = (header::RETRY_AFTER, HeaderValue::from_static("5"));
    if function && !accepts.contains("text/html") {
        return (status, [retry], axum::Json(error)).into_response();
    }
    let since = stale_since.map_or_else(String::new, |ms| {
        format!(
            "<p>Figures are stale since <time datetime=\"{}\">{} UTC</time>.</p>",
            format::iso(ms),
            format::minute_text(ms)
        )
    });
    let style = assets::pages()
        .map_or_else(String::new, |it| format!("<link rel=\"stylesheet\" href=\"{}\">", attribute(&it.style)));
    let again = again(request).await;
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>The database does not answer · Sluice</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{style}</head><body>\
         <div class=\"frame alone\"><main id=\"main\"><h1>The database does not answer</h1><p>{}</p>{since}{again}</main></div>\
         </body></html>",
        html_escape::encode_text(&error.to_string()),
    );
    (status, [retry, (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))], Html(page)).into_response()
}

fn attribute(text: &str) -> std::borrow::Cow<'_, str> {
    html_escape::encode_double_quoted_attribute(text)
}

/// The way on: a page is read again; a form that a browser sent by itself waits here with everything that was typed.
async fn again(request: Request) -> String {
    let link = |to: &str, words: &str| format!("<p><a href=\"{}\">{words}</a></p>", attribute(to));
    if request.method() == Method::GET {
        return link(request.uri().path_and_query().map_or("", |it| it.as_str()), "Try again");
    }
    let from = came_from(request.headers());
    let path = request.uri().path().to_owned();
    let keeps = kept::brings(&path) || (path.starts_with("/api/") && !is_a_way_in(&path));
    let lost = if keeps { kept::lost(&path, request.into_body()).await } else { None };
    let Some(LostForm { action, fields, next }) = lost else { return link(&from, "Try again") };
    let from = if next.is_empty() { from } else { next };
    let hidden =
        |name: &str, value: &str| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", attribute(value));
    format!(
        "<p>What you typed is kept on this page.</p><form method=\"post\" action=\"{}\">{}{}{}\
         <button type=\"submit\" class=\"button\">Send it again</button></form>{}",
        kept::RESUME,
        hidden("resume", &action),
        hidden("fields", &fields),
        hidden("next", &from),
        link(&from, "Back without it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;
    use axum::body::{Body, to_bytes};

    async fn page(method: Method, path: &str, body: &str) -> String {
        let request = http::Request::builder().method(method).uri(path).header(header::ACCEPT, "text/html");
        let request = request
            .header(header::REFERER, "http://sluice.test/settings/models?edit=a")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = answer(request, &ApiError::Unavailable("the-id".to_owned()), None).await;
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        String::from_utf8(body.into()).expect("text")
    }

    #[tokio::test]
    async fn a_form_waits_in_the_page() {
        let body = "code=a&rpm=%226%22";
        let first = page(Method::POST, "/api/models/set", body).await;
        let sent = format!("resume=%2Fapi%2Fmodels%2Fset&fields={}&next=%2Fsettings%2Fkeys", paths::encode(body));
        let second = page(Method::POST, "/resume", &sent).await;
        for page in [&first, &second] {
            assert!(page.contains("action=\"/resume\"") && page.contains("the-id"), "{page}");
            assert!(page.contains("name=\"resume\" value=\"/api/models/set\""), "{page}");
            assert!(page.contains("name=\"fields\" value=\"code=a&amp;rpm=%226%22\""), "{page}");
        }
        assert!(first.contains("name=\"next\" value=\"/settings/models?edit=a\""), "{first}");
        assert!(second.contains("name=\"next\" value=\"/settings/keys\""), "{second}");
    }

    #[tokio::test]
    async fn a_page_is_read_again_and_a_password_is_not_kept() {
        let read = page(Method::GET, "/monitoring?range=1h&x=1", "").await;
        assert!(read.contains("href=\"/monitoring?range=1h&amp;x=1\""), "{read}");
        let sign_in = page(Method::POST, "/api/sign-in", "password=secret").await;
        assert!(!sign_in.contains("secret"), "{sign_in}");
        let kept = "email=a&password=secret&next=%2Fsettings%2Fkeys&resume=%2Fapi%2Fmodels%2Fset&fields=code%3Da";
        for path in ["/api/sign-in", "/sign-in"] {
            let page = page(Method::POST, path, kept).await;
            assert!(page.contains("name=\"fields\" value=\"code=a\"") && page.contains("/settings/keys"), "{page}");
            assert!(!page.contains("secret"), "{page}");
        }
    }
}
