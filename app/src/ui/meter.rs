//! How much of a limit is used: a bar beside the numbers, which say the same.

use leptos::prelude::*;

/// Width of the drawing in its own units.
const WIDTH: u64 = 100;

/// `used` of `limit` as a bar; amber from 80 %, red from 95 %.
#[component]
pub fn Meter(
    /// What is used.
    used: u64,
    /// Of how much; `None` draws an empty track.
    limit: Option<u64>,
    /// The key under which live events change it.
    #[prop(optional, into)]
    live: String,
    /// Whether a full bar is no cause for alarm: a share, not a use.
    #[prop(optional)]
    calm: bool,
) -> impl IntoView {
    let width = filled(used, limit);
    let class = if calm { "meter" } else { class(width) };
    // The bar is drawn with attributes: the content security policy blocks styles in the markup.
    view! {
        <svg class=class viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" data-live=(!live.is_empty()).then_some(live)>
            <rect class="track" width="100" height="6"></rect>
            <rect class="fill" width=width.to_string() height="6"></rect>
        </svg>
    }
}

/// The classes of a bar that is filled so far.
pub fn class(width: u64) -> &'static str {
    match width {
        95.. => "meter full",
        80..=94 => "meter near",
        _ => "meter",
    }
}

/// The filled part of [`WIDTH`]; anything above 0 is visible, and only a full bar looks full.
pub fn filled(used: u64, limit: Option<u64>) -> u64 {
    match limit {
        None => 0,
        Some(0) => WIDTH,
        Some(_) if used == 0 => 0,
        Some(limit) => (used.saturating_mul(WIDTH) / limit).clamp(2, WIDTH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_bar_looks_full() {
        assert_eq!(filled(0, Some(600)), 0);
        assert_eq!(filled(1, Some(1_000_000)), 2);
        assert_eq!(filled(599, Some(600)), 99);
        assert_eq!(filled(600, Some(600)), 100);
        assert_eq!(filled(900, Some(600)), 100);
        assert_eq!(filled(5, None), 0);
        assert_eq!(filled(0, Some(0)), 100);
    }
}
