//! A browser that runs no script, in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

use super::{Console, PASSWORD};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// A browser that runs no script: follows redirects and keeps cookies.
pub struct Browser {
    router: Router,
    pub cookies: Vec<(String, String)>,
    /// The page that is shown: forms tell which it was.
    at: String,
}

/// Where a request ended, and what was there.
pub struct Page {
    pub address: String,
    pub text: String,
}

impl Page {
    pub fn expect(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "{part} is not on {}:\n{}", self.address, self.text);
        }
    }

    pub fn expect_none(&self, parts: &[&str]) {
        for part in parts {
            assert!(!self.text.contains(part), "{part} is on {}", self.address);
        }
    }

    /// The value of the first hidden field of this name.
    pub fn hidden(&self, name: &str) -> String {
        let field = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.text.split_once(&field).unwrap_or_else(|| panic!("{name} is not on {}", self.address));
        rest.split('"').next().unwrap_or_default().replace("&quot;", "\"").replace("&amp;", "&")
    }
}

impl Browser {
    pub fn of_nobody(console: &Console) -> Self {
        Self { router: console.router.clone(), cookies: Vec::new(), at: String::new() }
    }

    pub async fn signed_in(console: &Console, email: &str) -> Self {
        let mut browser = Self::of_nobody(console);
        let page = browser.post("/api/sign-in", &[("email", email), ("password", PASSWORD)]).await;
        assert_eq!(page.address, "/monitoring", "{email} signs in");
        browser
    }

    pub async fn get(&mut self, address: &str) -> Page {
        self.request(Method::GET, address, String::new()).await
    }

    pub async fn post(&mut self, action: &str, fields: &[(&str, &str)]) -> Page {
        let encode = app::paths::encode;
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.request(Method::POST, action, body.join("&")).await
    }

    pub async fn request(&mut self, method: Method, address: &str, body: String) -> Page {
        let (mut method, mut address, mut body) = (method, address.to_owned(), body);
        for _ in 0..4 {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = Request::builder()
                .method(&method)
                .uri(&address)
                .header(header::ACCEPT, "text/html")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::HOST, "sluice.test")
                .header(header::REFERER, format!("http://sluice.test{}", self.at))
                .header(header::COOKIE, cookies.join("; "));
            let sent = std::mem::take(&mut body);
            let request = request.body(Body::from(sent.clone())).unwrap();
            let response = self.router.clone().oneshot(request).await.unwrap();
            for cookie in response.headers().get_all(header::SET_COOKIE) {
                let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
                self.cookies.retain(|(it, _)| it != name);
                let value = rest.split(';').next().unwrap_or_default();
                if !value.is_empty() {
                    self.cookies.push((name.to_owned(), value.to_owned()));
                }
            }
            match response.headers().get(header::LOCATION) {
                // The one redirect that repeats method and body.
                Some(location) if response.status() == StatusCode::TEMPORARY_REDIRECT => {
                    address = location.to_str().unwrap().to_owned();
                    body.clone_from(&sent);
                }
                Some(location) => (method, address) = (Method::GET, location.to_str().unwrap().to_owned()),
                None => {
                    self.at.clone_from(&address);
                    let text = response.into_body().collect().await.unwrap().to_bytes();
                    return Page { address, text: String::from_utf8_lossy(&text).into_owned() };
                }
            }
        }
        panic!("{address} redirects for ever");
    }
}
