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

/// One limit that a refused call would have broken, at the instant of the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenLimit {
    /// What ran out.
    pub cause: Cause,
    /// Whose limit it is.
    pub scope: Scope,
    /// Over which time it counts.
    pub window: Window,
    /// The limit in force; for a surge its threshold.
    pub limit: u64,
    /// What was charged in the window.
    pub used: u64,
    /// 1 request, or the tokens that were checked.
    pub needed: u64,
    /// Microseconds until this limit alone would have held, nothing else happening; `None`: never.
    pub retry_after_us: Option<u64>,
}

/// Why a call was refused: every limit it would have broken, the named one first, and when all of them would have held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Never empty.
    pub limits: Vec<BrokenLimit>,
    /// Microseconds until all of them would have held together; `None`: never.
    pub retry_after_us: Option<u64>,
}

/// The sentence for people in every 429: which limit, how much of it was used, and when to come back. `retry_after_us`
/// is when all limits hold together.
pub fn sentence(named: &BrokenLimit, retry_after_us: Option<u64>, workspace: &str, model: &str) -> String {
    let BrokenLimit { cause, scope, window, limit, used, needed, .. } = *named;
    let subject = match scope {
        Scope::Account => "The account".to_owned(),
        Scope::Workspace => format!("Workspace {workspace}"),
    };
    let what = if cause == Cause::Tokens { "tokens" } else { "requests" };
    let window = window.seconds();
    let Some(retry_after_us) = retry_after_us else {
        if limit == 0 {
            return format!("{subject} may use 0 {what} in {window} s for model {model}; no call is admitted.");
        }
        let subject = match scope {
            Scope::Account => "the account".to_owned(),
            Scope::Workspace => format!("workspace {workspace}"),
        };
        return format!(
            "This call needs at least {needed} {what} and {subject} may use {limit} in {window} s for model {model}; it \
             can never be admitted under this limit."
        );
    };
    let after = match cause {
        Cause::Requests => String::new(),
        Cause::Tokens => format!(", and this call needs {needed}"),
        Cause::Surge => ", its surge threshold".to_owned(),
    };
    let ms = retry_after_us.div_ceil(1000);
    let (seconds, thousandths) = (ms / 1000, ms % 1000);
    format!(
        "{subject} has used {used} of {limit} {what} in {window} s for model {model}{after}; retry in \
         {seconds}.{thousandths:03} s."
    )
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
