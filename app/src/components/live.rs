//! Live figures: one connection a page, texts and bars that change in place, nothing that moves.

use crate::{browser, paths, ui};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wasm_bindgen::{JsCast, closure::Closure};

/// What changed since the last event: the texts of elements by their `data-live` key, and how far bars are filled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Key and new text.
    pub texts: Vec<(String, String)>,
    /// Key and filled part, 0 to 100.
    pub bars: Vec<(String, u64)>,
    /// Whether rows came or went, which only a new page shows.
    pub rows_changed: bool,
}

/// Listens while the page is open; can be held still. `query` is the page's own address, so that the figures are those of
/// its range and filters.
#[island]
pub fn LiveBar(
    /// Path and query of the page.
    page: String,
    /// Whether the page has no rows yet, so that the first one brings a new page.
    empty: bool,
) -> impl IntoView {
    let paused = RwSignal::new(false);
    let seconds = RwSignal::new(None::<u32>);
    let changed = RwSignal::new(false);
    let address = StoredValue::new(paths::with_query(paths::LIVE, &[("page", &page)]));
    Effect::new(move |_| {
        if paused.get() {
            return;
        }
        let Ok(source) = address.with_value(|it| web_sys::EventSource::new(it)) else { return };
        let listen = Closure::<dyn FnMut(web_sys::MessageEvent)>::new(move |event: web_sys::MessageEvent| {
            let patch: Option<Patch> = event.data().as_string().and_then(|it| serde_json::from_str(&it).ok());
            let Some(patch) = patch else { return };
            seconds.set(Some(0));
            apply(&patch);
            if patch.rows_changed {
                changed.set(true);
                if empty && let Some(window) = web_sys::window() {
                    let _ = window.location().reload();
                }
            }
        });
        source.set_onmessage(Some(listen.as_ref().unchecked_ref()));
        let held = StoredValue::new_local(Some((source, listen)));
        on_cleanup(move || {
            if let Some((source, _)) = held.try_update_value(Option::take).flatten() {
                source.close();
            }
        });
    });
    Effect::new(move |_| {
        let _ =
            set_interval_with_handle(move || seconds.update(|it| *it = it.map(|it| it + 1)), Duration::from_secs(1));
    });
    let state = move || match (paused.get(), seconds.get()) {
        (true, _) => "paused".to_owned(),
        (false, None) => "live".to_owned(),
        (false, Some(0 | 1)) => "live · updated 1 s ago".to_owned(),
        (false, Some(seconds)) => format!("updated {seconds} s ago"),
    };
    view! {
        <span class="livebar needs-script">
            {move || changed.get().then(|| view! { <a href="">"New rows: show"</a> })}
            <small class="state" class:stale=move || seconds.get().is_some_and(|it| it > 5)>{state}</small>
            <button type="button" class="button quiet small" aria-pressed=move || paused.get().to_string()
                on:click=move |_| paused.update(|it| *it = !*it)>
                {move || if paused.get() { "Resume" } else { "Pause" }}
            </button>
        </span>
    }
}

/// Writes what changed into the page. A hidden tab is left alone: the next event after its return holds what it missed.
fn apply(patch: &Patch) {
    let Some(root) = browser::document().and_then(|it| it.document_element()) else { return };
    for element in browser::all(&root, "[data-live]") {
        let Some(key) = element.get_attribute("data-live") else { continue };
        if let Some((_, text)) = patch.texts.iter().find(|(it, _)| *it == key) {
            element.set_text_content(Some(text));
        } else if let Some((_, width)) = patch.bars.iter().find(|(it, _)| *it == key) {
            let _ = element.set_attribute("class", ui::meter_class(*width));
            if let Some(fill) = element.last_element_child() {
                let _ = fill.set_attribute("width", &width.to_string());
            }
        }
    }
}
