//! Makes a rendered page a document that validators accept; what browsers read stays the same.

use axum::{
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse,
};

const END: &str = "</body></html>";

/// The framework ends with scripts behind `</html>`, where no element may stand, and marks places with `<!>`, which is
/// read as an empty comment but is none.
pub(super) async fn whole(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let body = match std::str::from_utf8(&bytes).ok().and_then(|html| html.rsplit_once(END)) {
        Some((page, scripts)) => {
            let mut written = with_comments(page);
            written.push_str(scripts);
            written.push_str(END);
            Body::from(written)
        }
        None => Body::from(bytes),
    };
    Response::from_parts(parts, body)
}

/// Writes `<!>` as `<!---->`. It stands for itself nowhere: in texts and values of attributes `<` is `&lt;`.
fn with_comments(html: &str) -> String {
    let mut written = String::with_capacity(html.len() + html.len() / 16);
    let mut from = 0;
    for (at, _) in html.match_indices('<') {
        if html[at..].starts_with("<!>") {
            written.push_str(&html[from..at]);
            written.push_str("<!---->");
            from = at + "<!>".len();
        }
    }
    written.push_str(&html[from..]);
    written
}

#[cfg(test)]
mod tests {
    use super::with_comments;

    #[test]
    fn only_markup_is_rewritten() {
        assert_eq!(with_comments("<p>a<!><b>c</b><!></p>"), "<p>a<!----><b>c</b><!----></p>");
        assert_eq!(with_comments("<i data-x=\"a&lt;!>b\">it's</i><!>"), "<i data-x=\"a&lt;!>b\">it's</i><!---->");
        assert_eq!(with_comments("<!DOCTYPE html><p>"), "<!DOCTYPE html><p>");
    }
}
