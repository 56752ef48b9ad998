//! A shortened number, and the same in full for who points at it or has it read out.

use leptos::prelude::*;

/// `12.3k`, with 12,345 in its title and for screen readers.
#[component]
pub fn Number(
    /// The number, shortened.
    #[prop(into)]
    text: String,
    /// In full; empty when that is the same.
    #[prop(optional, into)]
    exact: String,
    /// The key under which live events change it; under `…/exact` they change the one in full.
    #[prop(optional, into)]
    live: String,
) -> impl IntoView {
    let key = (!live.is_empty()).then(|| live.clone());
    let exact_key = key.as_ref().map(|key| format!("{key}/exact"));
    let title_key = exact_key.clone();
    let exact = if exact.is_empty() { text.clone() } else { exact };
    if exact == text && key.is_none() {
        return view! { <span>{text}</span> }.into_any();
    }
    let title = (exact != text).then(|| exact.clone());
    view! {
        <span title=title data-title=title_key><span aria-hidden="true" data-live=key>{text}</span><span class="unseen" data-live=exact_key>{exact}</span></span>
    }
    .into_any()
}
