//! The limits of one scope as one decision reads them, with those of the second worked out once.

use domain::{Limits, Rpm, Tpm};

/// No such limit. No limit that can be stored comes near it.
pub(crate) const NONE: u64 = u64::MAX;

/// What holds in one scope; [`NONE`] where nothing does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InForce {
    pub(crate) rpm: u64,
    pub(crate) rps: u64,
    pub(crate) tpm: u64,
    pub(crate) tps: u64,
}

impl From<Limits> for InForce {
    fn from(limits: Limits) -> Self {
        Self {
            rpm: limits.rpm.map_or(NONE, Rpm::get),
            rps: limits.rpm.map_or(NONE, Rpm::per_second),
            tpm: limits.tpm.map_or(NONE, Tpm::get),
            tps: limits.tpm.map_or(NONE, Tpm::per_second),
        }
    }
}
