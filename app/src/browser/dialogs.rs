//! Dialogs: those that the address opened become modal, and closing one takes it out of the address.

use wasm_bindgen::JsCast;
use web_sys::{Document, Event, HtmlDialogElement};

/// The server can only show a dialog beside the page; as a modal it holds the focus and dims the rest.
pub(super) fn make_modal(document: &Document) {
    let Some(root) = document.document_element() else { return };
    for dialog in super::all(&root, "dialog[open]") {
        let _ = dialog.remove_attribute("open");
        if let Ok(dialog) = dialog.dyn_into::<HtmlDialogElement>() {
            let _ = dialog.show_modal();
        }
    }
}

/// A closed dialog is no part of the address any more.
pub(super) fn closed(event: &Event) {
    let Some(back) = super::target(event).and_then(|it| it.get_attribute("data-back")) else { return };
    if let Some(history) = super::window().and_then(|it| it.history().ok()) {
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&back));
    }
}
