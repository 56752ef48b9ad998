//! A button that copies a text.

use leptos::prelude::*;

/// Copies `text`. Without script it is not there: the text itself is.
#[component]
pub fn CopyButton(
    /// What is copied.
    #[prop(into)]
    text: String,
    /// What it is, for screen readers.
    #[prop(into)]
    label: String,
) -> impl IntoView {
    view! { <button type="button" class="copy needs-script" data-copy=text aria-label=format!("Copy {label}")>"Copy"</button> }
}
