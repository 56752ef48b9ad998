//! Pages that belong together, as links.

use leptos::prelude::*;

/// A row of links, one of which is this page.
#[component]
pub fn Tabs(
    /// What they are about, for screen readers.
    label: &'static str,
    /// Address and words of each.
    tabs: Vec<(String, &'static str)>,
    /// Which of them is this page.
    current: usize,
) -> impl IntoView {
    let links: Vec<_> = tabs
        .into_iter()
        .enumerate()
        .map(|(i, (href, words))| view! { <a href=href aria-current=(i == current).then_some("page")>{words}</a> })
        .collect();
    view! { <nav class="tabs" aria-label=label>{links}</nav> }
}
