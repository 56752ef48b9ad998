//! The keyboard map. Off while typing.

use crate::paths;
use std::cell::Cell;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlDialogElement, HtmlElement, KeyboardEvent};

/// For so long a letter after `g` belongs to it, in milliseconds.
const TOGETHER_MS: f64 = 1_500.0;

thread_local! {
    /// When `g` was pressed, if it was pressed last.
    static GOING: Cell<f64> = const { Cell::new(f64::NEG_INFINITY) };
}

/// `?` help, `/` search, `t` time range, `g` and a letter to go somewhere.
pub(super) fn pressed(event: &Event) {
    let Some(event) = event.dyn_ref::<KeyboardEvent>() else { return };
    let typing = super::target(event)
        .is_some_and(|it| it.matches("input, select, textarea, [contenteditable], dialog *").unwrap_or(false));
    if typing || event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let key = event.key();
    let now = event.time_stamp();
    let going = now - GOING.replace(if key == "g" { now } else { f64::NEG_INFINITY }) < TOGETHER_MS;
    if going && key != "g" {
        let place = match key.as_str() {
            "m" => paths::MONITORING,
            "r" => paths::RATE_LIMIT,
            "w" => paths::WORKSPACES,
            "k" => paths::KEYS,
            _ => return,
        };
        if let Some(window) = super::window() {
            let _ = window.location().assign(place);
        }
        return;
    }
    match key.as_str() {
        "?" => {
            if let Some(dialog) = find("shortcuts").and_then(|it| it.dyn_into::<HtmlDialogElement>().ok()) {
                let _ = dialog.show_modal();
            }
        }
        "/" => focus(event, &["[type=search]", ".filters select"]),
        "t" => focus(event, &[".segments a"]),
        _ => {}
    }
}

fn find(id: &str) -> Option<web_sys::Element> {
    super::document()?.get_element_by_id(id)
}

/// The first element of the first selector that has any.
fn focus(event: &KeyboardEvent, selectors: &[&str]) {
    let Some(document) = super::document() else { return };
    let found = selectors.iter().find_map(|it| document.query_selector(it).ok().flatten());
    if let Some(element) = found.and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
        event.prevent_default();
        let _ = element.focus();
    }
}
