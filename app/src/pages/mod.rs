//! One file for each page. Pages arrange; they do not compute.

pub(crate) mod help;
pub(crate) mod invitation;
pub(crate) mod monitoring;
pub(crate) mod not_found;
pub(crate) mod rate_limit;
pub(crate) mod refusal;
pub(crate) mod refusals;
pub(crate) mod set_up;
pub(crate) mod settings;
pub(crate) mod sign_in;
