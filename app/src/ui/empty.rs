//! What stands where nothing stands: nothing yet, no match, not allowed, failed.

use crate::error::ApiError;
use leptos::prelude::*;

/// An empty state: what is missing, and what to do about it.
#[component]
pub fn Empty(
    /// What is missing, in a few words.
    #[prop(into)]
    title: String,
    /// What to do about it.
    children: Children,
) -> impl IntoView {
    view! { <div class="empty"><p class="empty-title">{title}</p>{children()}</div> }
}

/// Stands in for content that could not be read.
#[component]
pub fn Failure(
    /// Why.
    error: ApiError,
) -> impl IntoView {
    let action = match error {
        ApiError::SignedOut => {
            view! { <a class="button" href=crate::paths::SIGN_IN rel="external">"Sign in"</a> }.into_any()
        }
        ApiError::NotFound => view! { <a href=crate::paths::MONITORING>"Go to Monitoring"</a> }.into_any(),
        ApiError::Forbidden(_) => view! { <span>"Ask an owner or admin of this account."</span> }.into_any(),
        _ => view! { <a href="" rel="external">"Try again"</a> }.into_any(),
    };
    view! { <div class="empty" role="alert"><p class="empty-title">{error.to_string()}</p><p>{action}</p></div> }
}
