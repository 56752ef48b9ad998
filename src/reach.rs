//! The console's own requests to providers: tests, and lists of models. Calls of clients go another way.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use control::{
    Secret,
    reach::{Answer, Reach},
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes, header::HeaderValue};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Longer than a provider takes, shorter than a page may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest list of models that is read.
const LARGEST: usize = 4 * 1024 * 1024;

/// Sends requests to providers.
pub struct ProviderReach(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl ProviderReach {
    /// A client that trusts the certificates that browsers trust.
    pub fn new() -> Self {
        let https =
            hyper_rustls::HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        // A connection each: a test must not find one that was open already.
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https))
    }

    async fn ask(&self, url: &str, headers: &[(&'static str, Secret<String>)]) -> Result<Answer, String> {
        let began = Instant::now();
        let mut request = Request::get(url).header("accept", "application/json");
        for (name, value) in headers {
            let mut value =
                HeaderValue::from_str(value.expose()).map_err(|_| "the credential fits into no header".to_owned())?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let request = request.body(Empty::new()).map_err(|_| format!("{url} is no address"))?;
        let answer = self.0.request(request).await.map_err(|error| format!("no answer: {}", innermost(&error)))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {}", innermost(&*error)))?.to_bytes().to_vec();
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Answer { status, body, took_ms })
    }
}

#[async_trait::async_trait]
impl Reach for ProviderReach {
    async fn get(&self, url: &str, headers: &[(&'static str, Secret<String>)]) -> Result<Answer, String> {
        let answer = tokio::time::timeout(PATIENCE, self.ask(url, headers)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }
}

/// What people can act on stands at the end of the chain: `Connection refused (os error 111)`.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{Behaviour, Provider, ProviderSettings};

    async fn get(url: &str) -> Result<Answer, String> {
        let credential = ("authorization", Secret::new("Bearer sk-provider".to_owned()));
        ProviderReach::new().get(url, &[credential]).await
    }

    #[tokio::test]
    async fn a_provider_is_asked_with_its_credential() {
        let settings = ProviderSettings { credential: Some("sk-provider".to_owned()), ..ProviderSettings::instant() };
        let provider = Provider::start(settings).await.unwrap();
        let answer = get(&format!("http://{}/v1/models", provider.addr)).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(String::from_utf8(answer.body).unwrap().contains("\"data\""));
        let without = ProviderReach::new().get(&format!("http://{}/v1/models", provider.addr), &[]).await.unwrap();
        assert_eq!(without.status, 401);
    }

    #[tokio::test]
    async fn no_answer_is_told_in_a_line() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = get(&format!("http://{nobody}/v1/models")).await.unwrap_err();
        assert!(error.contains("refused") && !error.contains('\n'), "{error}");
        let provider = Provider::start(ProviderSettings::instant()).await.unwrap();
        provider.always(Behaviour { close: true, ..Behaviour::default() });
        let error = get(&format!("{}/models", provider.openai_base_url())).await.unwrap_err();
        assert!(error.starts_with("no answer: ") && !error.contains('\n'), "{error}");
    }
}
