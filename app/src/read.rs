//! Reads a page's content before the page is sent.

use crate::{components::frame::PageHead, error::ApiError, ui::Failure};
use leptos::prelude::*;
use std::future::Future;

/// The same for a page whose heading is part of what is read: a page without it gets one that says so.
pub fn page<T, F, S, V>(reading: F, show: S) -> impl IntoView
where
    T: Send + 'static,
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
    S: FnOnce(T) -> V + Send + 'static,
    V: IntoView + 'static,
{
    let read = Suspend::new(async move {
        match reading.await {
            Ok(it) => show(it).into_any(),
            Err(error) => {
                let title = if error == ApiError::NotFound { "Page not found" } else { "This page cannot be shown" };
                view! { <PageHead title=title/><Failure error=error/> }.into_any()
            }
        }
    });
    view! { <Suspense>{read}</Suspense> }
}

/// Shows what `reading` brings, or why it failed.
pub fn content<T, F, S, V>(reading: F, show: S) -> impl IntoView
where
    T: Send + 'static,
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
    S: FnOnce(T) -> V + Send + 'static,
    V: IntoView + 'static,
{
    let read = Suspend::new(async move {
        match reading.await {
            Ok(it) => show(it).into_any(),
            Err(error) => view! { <Failure error=error/> }.into_any(),
        }
    });
    view! { <Suspense>{read}</Suspense> }
}
