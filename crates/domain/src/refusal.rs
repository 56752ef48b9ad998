//! What a refusal is made of: which limit, whose, over which window.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),* }

        impl $name {
            /// Every value, in the order in which ties are broken.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word on the wire and in tables.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Reads [`Self::as_str`].
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What ran out.
    Cause {
        /// RPM or RPS.
        Requests = "requests",
        /// TPM or TPS.
        Tokens = "tokens",
        /// The request rate rose too quickly.
        Surge = "surge",
    }
}

words! {
    /// Whose limit it was.
    Scope {
        /// Shared by every workspace and key of the account.
        Account = "account",
        /// The caller's workspace.
        Workspace = "workspace",
    }
}

words! {
    /// Over which time it is counted.
    Window {
        /// The sliding 60 s.
        Minute = "60",
        /// The sliding second.
        Second = "1",
    }
}

words! {
    /// Whose error codes a key's OpenAI-compatible 429s carry.
    ErrorDialect {
        /// The provider's own, unless the key says otherwise.
        DashScope = "dashscope",
        /// OpenAI's, for clients that read `insufficient_quota` as final.
        OpenAi = "openai",
    }
}

impl ErrorDialect {
    /// What a key has unless it was made with another.
    pub const DEFAULT: Self = Self::DashScope;
}

impl Window {
    /// Its length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Second => 1,
        }
    }

    /// Its length in microseconds.
    pub const fn micros(self) -> u64 {
        self.seconds() * 1_000_000
    }
}
