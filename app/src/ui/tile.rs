//! One figure that matters, with its change.

use super::Number;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What a tile shows; written on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TileView {
    /// What it is.
    pub label: String,
    /// The figure, shortened.
    pub value: String,
    /// The figure in full.
    pub exact: String,
    /// How it changed against the range before.
    pub change: String,
    /// Whether that is bad news.
    pub worse: bool,
}

/// A figure with how it changed.
#[component]
pub fn Tile(
    /// What it shows.
    view: TileView,
    /// The key under which live events change it.
    #[prop(into)]
    live: String,
) -> impl IntoView {
    view! {
        <div class="tile">
            <dt>{view.label}</dt>
            <dd>
                <strong><Number text=view.value exact=view.exact live=format!("{live}/value")/></strong>
                <em class:worse=view.worse data-live=format!("{live}/change")>{view.change}</em>
            </dd>
        </div>
    }
}
