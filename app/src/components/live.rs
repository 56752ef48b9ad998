//! What tells that figures are live, and holds them still: one connection a page, kept by `browser::live`.

use crate::paths;
use leptos::prelude::*;

/// The state of the connection, and its Pause button. Without script there is none, and nothing of this is seen.
#[component]
pub fn LiveBar(
    /// Path and query of the page, so that the figures are those of its range and filters.
    page: String,
    /// The models whose drawings the page shows, a line each.
    #[prop(optional)]
    drawn: String,
    /// Which rows the page shows, so that it is told of others.
    rows: String,
    /// Whether the page has no rows yet, so that the first one brings a new page.
    #[prop(optional)]
    empty: bool,
) -> impl IntoView {
    let events = paths::with_query(paths::LIVE, &[("page", &page), ("drawn", &drawn), ("rows", &rows)]);
    let sign_in = paths::with_query(paths::SIGN_IN, &[("next", &page)]);
    view! {
        <span class="livebar needs-script" data-events=events data-empty=empty.then_some("")>
            <a href="" hidden data-more="">"New rows: show"</a>
            <a href=sign_in hidden data-sign-in="">"You are signed out: sign in"</a>
            <small data-state="">"live"</small>
            <button type="button" class="button quiet small" aria-pressed="false" data-pause="">"Pause"</button>
        </span>
    }
}
