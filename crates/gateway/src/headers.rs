//! The headers that Sluice writes.

pub(crate) mod policy;
