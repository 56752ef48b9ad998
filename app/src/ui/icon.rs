//! Icons from the one sprite in `public/icons.svg`.

use leptos::prelude::*;

/// A decorative icon; the words beside it carry the meaning.
#[component]
pub fn Icon(
    /// The symbol's id in the sprite.
    name: &'static str,
) -> impl IntoView {
    view! { <svg class="icon" aria-hidden="true"><use href=format!("/icons.svg#{name}")></use></svg> }
}
