//! The keyboard map. Off while typing.

use crate::paths;
use std::cell::Cell;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlDialogElement, HtmlElement, KeyboardEvent};

thread_local! {
    /// Whether `g` was pressed last.
    static GOING: Cell<bool> = const { Cell::new(false) };
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
    if GOING.replace(key == "g") {
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
        "/" => focus(event, "[type=search], .filters select"),
        "t" => focus(event, ".segments a"),
        _ => {}
    }
}

fn find(id: &str) -> Option<web_sys::Element> {
    super::document()?.get_element_by_id(id)
}

fn focus(event: &KeyboardEvent, selector: &str) {
    let found = super::document().and_then(|it| it.query_selector(selector).ok().flatten());
    if let Some(element) = found.and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
        event.prevent_default();
        let _ = element.focus();
    }
}
