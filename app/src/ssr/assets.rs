//! Serves the browser part: from inside the program in a release build, from `target/site` otherwise.
//!
//! Names that carry a hash of their content may be kept for ever; the others are asked for again and mostly answered by
//! 304. Compressed copies were made by the build, so nothing is compressed here.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header},
};
use serde::Deserialize;
use std::{
    borrow::Cow,
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, OnceLock, RwLock},
    time::SystemTime,
};

mod embedded {
    //! `MANIFEST` and `FILES`, written by the build script; empty unless a folder was named to it.
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// What a page loads.
#[derive(Clone, Debug, Deserialize)]
pub struct Pages {
    /// The glue.
    pub script: String,
    /// The code.
    pub wasm: String,
    /// The style sheet.
    pub style: String,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(flatten)]
    pages: Pages,
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    r#type: String,
    etag: String,
    immutable: bool,
    encodings: Vec<String>,
}

struct Site {
    pages: Pages,
    files: HashMap<String, File>,
}

impl Site {
    fn parse(manifest: &str) -> Option<Self> {
        let manifest: Manifest = serde_json::from_str(manifest).ok()?;
        let files = manifest.files.into_iter().map(|it| (it.path.clone(), it)).collect();
        Some(Self { pages: manifest.pages, files })
    }
}

/// What a page loads; `None` when the browser part was never built: pages then work without script.
pub fn pages() -> Option<Pages> {
    site().map(|site| site.pages.clone())
}

/// Answers a request for a file; `None` when there is no such file.
pub fn find(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let site = site()?;
    let file = site.files.get(path)?;
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let (encoding, suffix) = encoding(file, headers);
    // Each encoding is a representation of its own and so has a tag of its own.
    let etag = format!("\"{}{suffix}\"", file.etag);
    let cache = if file.immutable { "public, max-age=31536000, immutable" } else { "public, max-age=600" };
    let mut response = Response::new(Body::empty());
    let answer = response.headers_mut();
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    answer.insert(header::ETAG, HeaderValue::from_str(&etag).ok()?);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|it| it.trim().trim_start_matches("W/") == etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Some(response);
    }
    let body = read(path, suffix)?;
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_str(&file.r#type).ok()?);
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(encoding) = encoding {
        answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if method == Method::GET {
        *response.body_mut() = match body {
            Cow::Borrowed(bytes) => Body::from(bytes),
            Cow::Owned(bytes) => Body::from(bytes),
        };
    }
    Some(response)
}

/// The best encoding that the client takes and the build made, and the suffix of its copy.
fn encoding(file: &File, headers: &HeaderMap) -> (Option<&'static str>, &'static str) {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let takes = |name: &str| {
        accepted.split(',').any(|it| {
            let (offered, weight) = it.split_once(';').unwrap_or((it, ""));
            let refused = matches!(weight.trim().trim_start_matches("q="), "0" | "0.0" | "0.00" | "0.000");
            offered.trim().eq_ignore_ascii_case(name) && !refused
        })
    };
    let made = |name: &str| file.encodings.iter().any(|it| it == name);
    for (name, suffix) in [("br", ".br"), ("gzip", ".gz")] {
        if takes(name) && made(name) {
            return (Some(name), suffix);
        }
    }
    (None, "")
}

fn read(path: &str, suffix: &str) -> Option<Cow<'static, [u8]>> {
    let name = format!("{}{suffix}", path.trim_start_matches('/'));
    if embedded::MANIFEST.is_empty() {
        return std::fs::read(folder().join(name)).ok().map(Cow::Owned);
    }
    embedded::FILES.iter().find(|(it, _)| *it == name).map(|(_, bytes)| Cow::Borrowed(*bytes))
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/site"))
}

fn site() -> Option<Arc<Site>> {
    static EMBEDDED: OnceLock<Option<Arc<Site>>> = OnceLock::new();
    if embedded::MANIFEST.is_empty() {
        return from_disk();
    }
    EMBEDDED.get_or_init(|| Site::parse(embedded::MANIFEST).map(Arc::new)).clone()
}

/// Reads the manifest again when a build has replaced it, so that a running server shows the latest style.
fn from_disk() -> Option<Arc<Site>> {
    static LAST: RwLock<Option<(SystemTime, Arc<Site>)>> = RwLock::new(None);
    let path = folder().join("manifest.json");
    let modified = std::fs::metadata(&path).and_then(|it| it.modified()).ok()?;
    if let Some((read_at, site)) = LAST.read().ok()?.as_ref()
        && *read_at == modified
    {
        return Some(Arc::clone(site));
    }
    let site = Arc::new(Site::parse(&std::fs::read_to_string(path).ok()?)?);
    *LAST.write().ok()? = Some((modified, Arc::clone(&site)));
    Some(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(encodings: &[&str]) -> File {
        File {
            path: "/a.css".into(),
            r#type: "text/css".into(),
            etag: "abc".into(),
            immutable: true,
            encodings: encodings.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    #[test]
    fn the_best_encoding_that_both_know_is_taken() {
        let chosen = |accepted: &str, made: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap());
            encoding(&file(made), &headers).0
        };
        assert_eq!(chosen("gzip, deflate, br", &["br", "gzip"]), Some("br"));
        assert_eq!(chosen("gzip, br;q=0", &["br", "gzip"]), Some("gzip"));
        assert_eq!(chosen("br", &["gzip"]), None);
        assert_eq!(chosen("", &["br", "gzip"]), None);
    }
}
