//! What stands at an address where nothing is.

use crate::{components::frame::PageHead, paths, ui::Empty};
use leptos::prelude::*;

/// A 404 inside the frame.
#[component]
pub(crate) fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    crate::ssr::fail(crate::error::ApiError::NotFound);
    view! {
        <PageHead title="Page not found"/>
        <Empty title="There is nothing at this address">
            <p>"It may have been removed, or you may not be allowed to see it."</p>
            <a class="button" href=paths::MONITORING>"Go to Monitoring"</a>
        </Empty>
    }
}
