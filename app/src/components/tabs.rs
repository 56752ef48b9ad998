//! The pages of Monitoring as tabs.

use crate::{paths, ui::Tabs};
use leptos::prelude::*;

const PAGES: [(&str, &str); 3] =
    [(paths::MONITORING, "Monitoring"), (paths::RATE_LIMIT, "Rate Limit"), (paths::REFUSALS, "Refusals")];

/// The tabs, with this page's own marked.
#[component]
pub fn MonitoringTabs(
    /// This page's address.
    current: &'static str,
) -> impl IntoView {
    let tabs = PAGES.iter().map(|(href, words)| ((*href).to_owned(), *words)).collect();
    let at = PAGES.iter().position(|(href, _)| *href == current).unwrap_or(0);
    view! { <Tabs label="Monitoring" current=at tabs=tabs/> }
}
