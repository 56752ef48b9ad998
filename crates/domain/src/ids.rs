//! Identities of stored things: opaque text, one type for each so that they cannot be confused.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta] $name:ident),* $(,)?) => { $(
        #[$doc]
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes an identity as it was stored; it is opaque and not checked.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The text that is stored and shown.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )* };
}

id! {
    /// One customer of the installation; nothing of one account is visible in another.
    AccountId,
    /// A team's share of an account.
    WorkspaceId,
    /// Where models are called: base URLs and a credential.
    ProviderId,
    /// An API key; never its secret.
    KeyId,
    /// A person who signs in.
    MemberId,
    /// One temporary increase.
    IncreaseId,
}
