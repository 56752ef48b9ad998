//! Dialogs: those that the address opened become modal, and closing one takes it out of the address.

use wasm_bindgen::JsCast;
use web_sys::{Document, Event, HtmlDialogElement, HtmlElement};

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

/// A closed dialog is no part of the address any more. The focus goes back to the link that opened it, as it does to a
/// button by itself.
pub(super) fn closed(event: &Event) {
    let Some(back) = super::target(event).and_then(|it| it.get_attribute("data-back")) else { return };
    let Some(window) = super::window() else { return };
    let location = window.location();
    let former = format!("{}{}", location.pathname().unwrap_or_default(), location.search().unwrap_or_default());
    if let Ok(history) = window.history() {
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&back));
    }
    let links = super::document().and_then(|it| it.document_element()).map(|it| super::all(&it, "main a[href]"));
    let opened = links.into_iter().flatten().find(|it| it.get_attribute("href").as_deref() == Some(&former));
    if let Some(link) = opened.and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
        let _ = link.focus();
    }
}
