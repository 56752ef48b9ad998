//! Instants: the server writes UTC, the browser rewrites them in the reader's zone.

use crate::format;
use leptos::prelude::*;

/// `2026-11-22 11:42`.
#[component]
pub fn Moment(
    /// Milliseconds since the epoch.
    ms: i64,
) -> impl IntoView {
    view! { <time datetime=format::iso(ms) data-local="minute">{format::minute_text(ms)}</time> }
}

/// `2026-11-22 11:42:07.123`: which of many things in a second.
#[component]
pub fn Instant(
    /// Milliseconds since the epoch.
    ms: i64,
) -> impl IntoView {
    let thousandths = format!(".{:03}", ms.rem_euclid(1_000));
    view! { <time datetime=format::iso(ms) data-local="second">{format::second_text(ms)}</time>{thousandths} }
}

/// The name of the zone that times are shown in.
#[component]
pub fn Zone(
    /// The instant whose offset counts.
    ms: i64,
) -> impl IntoView {
    view! { <span data-zone=ms.to_string()>"UTC"</span> }
}
