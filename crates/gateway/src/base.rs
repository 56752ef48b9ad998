//! A provider's base URL and credential, prepared so that a call only joins paths.

use http::{HeaderValue, Uri, uri::Authority};

/// What the gateway authenticates with at a provider; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl Credential {
    /// Takes the secret as the provider gave it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Why a base URL was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Not `http://…` or `https://…` with a host.
    #[error("{0} is not an http or https address")]
    Address(String),
    /// It has a query string, or characters that cannot stand in a path.
    #[error("{0} cannot be joined with a path")]
    Path(String),
    /// The credential cannot stand in a header.
    #[error("the credential has characters that cannot stand in a header")]
    Credential,
}

/// One base URL with the credential header that goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) origin: Origin,
    /// Without a trailing slash; empty at the root.
    pub(crate) path: String,
    pub(crate) host: HeaderValue,
    /// The complete value of `authorization` or `x-api-key`.
    pub(crate) credential: Option<HeaderValue>,
}

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    pub(crate) authority: Authority,
}

impl Origin {
    /// Whether it is the same, written the same: one written in other letters has connections of its own.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.tls == other.tls && self.authority.as_str() == other.authority.as_str()
    }
}

impl Base {
    /// With `authorization: Bearer …`, as OpenAI-compatible and native endpoints take it.
    pub(crate) fn bearer(url: &str, credential: Option<&Credential>) -> Result<Self, BaseError> {
        Self::parse(url, credential.map(|it| format!("Bearer {}", it.0)))
    }

    /// With the bare secret for `x-api-key`, as Anthropic endpoints take it.
    pub(crate) fn api_key(url: &str, credential: Option<&Credential>) -> Result<Self, BaseError> {
        Self::parse(url, credential.map(|it| it.0.clone()))
    }

    fn parse(url: &str, credential: Option<String>) -> Result<Self, BaseError> {
        let address = || BaseError::Address(url.to_owned());
        let uri: Uri = url.trim().parse().map_err(|_| address())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(address()),
        };
        let authority = uri.authority().ok_or_else(address)?.clone();
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(address());
        }
        if uri.query().is_some() {
            return Err(BaseError::Path(url.to_owned()));
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| address())?;
        let credential = credential
            .map(|it| {
                let mut value = HeaderValue::from_str(it.trim()).map_err(|_| BaseError::Credential)?;
                value.set_sensitive(true);
                Ok(value)
            })
            .transpose()?;
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { origin: Origin { tls, authority }, path, host, credential })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_loses_its_trailing_slash_and_keeps_its_path() {
        let base =
            Base::bearer("https://example.com:8443/compatible-mode/v1/", Some(&Credential::new("sk-x"))).unwrap();
        assert_eq!(base.path, "/compatible-mode/v1");
        assert_eq!(base.host, "example.com:8443");
        assert!(base.origin.tls);
        let credential = base.credential.as_ref().unwrap();
        assert_eq!(credential, "Bearer sk-x");
        assert!(credential.is_sensitive());
        let root = Base::api_key("http://127.0.0.1:1", None).unwrap();
        assert_eq!(root.path, "");
    }

    #[test]
    fn what_is_no_base_url() {
        for url in
            ["", "example.com", "ftp://example.com/v1", "http://", "http://u:p@example.com/v1", "http://a/v1?x=1"]
        {
            assert!(Base::bearer(url, None).is_err(), "{url}");
        }
        assert!(Base::bearer("http://a", Some(&Credential::new("line\nbreak"))).is_err());
        assert_eq!(format!("{:?}", Credential::new("sk-secret")), "Credential(…)");
    }
}
