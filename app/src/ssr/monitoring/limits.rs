//! The limits that figures are shown against: the account's, or what is in force for a workspace.

use crate::ssr::rate_limit::unsigned;

/// Limits of one model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
}

impl From<control::Limits> for Limits {
    fn from(it: control::Limits) -> Self {
        Self { rpm: it.rpm.map(unsigned), tpm: it.tpm.map(unsigned) }
    }
}
