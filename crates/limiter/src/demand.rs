//! What a call asks for, what it may have, and what it turned out to use.

use domain::Limits;

/// The limits one decision reads: an immutable part of the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellLimits {
    /// The account's effective limits, a temporary increase included; `None` is no such limit.
    pub account: Limits,
    /// The workspace's own limits; `None` is none of its own. Both `None` for the default workspace. What holds is the
    /// lower of these and the account's.
    pub workspace: Limits,
    /// The output expected of a call without a maximum until the cell has learned better.
    pub default_output: u64,
}

impl CellLimits {
    /// What holds in the workspace scope: the lower of its own and the account's, nothing where it has none of its own.
    pub fn effective_workspace(&self) -> Limits {
        let lower = self.workspace.lower(self.account);
        Limits { rpm: self.workspace.rpm.and(lower.rpm), tpm: self.workspace.tpm.and(lower.tpm) }
    }
}

/// What a request says about its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// ASCII bytes of its text, after unescaping.
    pub ascii_bytes: u64,
    /// All other bytes of its text, in UTF-8.
    pub other_bytes: u64,
    /// Token ids given as numbers: one token each, without the learned ratio.
    pub token_ids: u64,
    /// The maximum of output it states, already times `n` (saturating); `Some(0)` for embeddings, `None` if it states none.
    pub max_output: Option<u64>,
}

/// The tokens a call holds in each scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// In the account.
    pub account: u64,
    /// In the caller's workspace.
    pub workspace: u64,
}

/// How a call ended, as far as tokens go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The provider reported its usage.
    Exact {
        /// Prompt tokens, if reported apart: the ratio of bytes to tokens is learned from it.
        prompt: Option<u64>,
        /// All tokens, cached and reasoning ones as the provider counts them.
        total: u64,
        /// Whether the answer came to its own end: only then is its output learned from.
        ended_well: bool,
    },
    /// Nothing was reported; at least so many tokens of output were seen. Charged at the prompt estimate and the larger of
    /// this and what [`crate::Permit::counted`] was told.
    AtLeast {
        /// Tokens of output that passed.
        output: u64,
    },
    /// The provider failed before the first byte of its answer: no tokens; the request stays charged.
    Nothing,
}

/// What a cell has learned about its model; kept in the store, so that a restart forgets nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// Prompt tokens per estimated token, within 0.5 and 4.
    pub ratio: f64,
    /// Expected output tokens; `None` until a call ended well.
    pub output: Option<u64>,
}

impl Default for Learned {
    fn default() -> Self {
        Self { ratio: 1.0, output: None }
    }
}
