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
    let body = match std::str::from_utf8(&bytes).ok().and_then(|html| html.split_once(END)) {
        Some((page, scripts)) => Body::from(format!("{}{scripts}{END}", with_comments(page))),
        None => Body::from(bytes),
    };
    Response::from_parts(parts, body)
}

/// Writes `<!>` as `<!---->` wherever it is markup and not part of an attribute's value.
fn with_comments(html: &str) -> String {
    let mut written = String::with_capacity(html.len() + html.len() / 16);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        written.push_str(before);
        if let Some(after) = tag.strip_prefix("<!>") {
            written.push_str("<!---->");
            rest = after;
            continue;
        }
        let (tag, after) = tag.split_at(end_of_tag(tag));
        written.push_str(tag);
        rest = after;
    }
    written.push_str(rest);
    written
}

/// The length of a tag, `>` included; a `>` inside quotes does not end it.
fn end_of_tag(tag: &str) -> usize {
    let mut quote = None;
    for (i, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return i + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    tag.len()
}

#[cfg(test)]
mod tests {
    use super::with_comments;

    #[test]
    fn only_markup_is_rewritten() {
        assert_eq!(with_comments("<p>a<!><b>c</b><!></p>"), "<p>a<!----><b>c</b><!----></p>");
        assert_eq!(with_comments("<i data-x=\"a<!>b\">it's</i><!>"), "<i data-x=\"a<!>b\">it's</i><!---->");
        assert_eq!(with_comments("<!DOCTYPE html><p>"), "<!DOCTYPE html><p>");
    }
}
