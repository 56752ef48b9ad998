//! What travels from the server to a live page: what changed since the last event, by the keys that elements carry.

use serde::{Deserialize, Serialize};

/// What changed since the last event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Key and new text.
    pub texts: Vec<(String, String)>,
    /// Key and filled part, 0 to 100.
    pub bars: Vec<(String, u64)>,
    /// Key and markup, made by the server, in which every text was escaped.
    pub drawings: Vec<(String, String)>,
    /// Whether rows came or went, which only a new page shows.
    pub rows_changed: bool,
}
