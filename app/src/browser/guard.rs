//! Asks before a page is left on which something typed is not stored: what carries `data-unsaved` says so, and a field
//! that holds something else than its `data-stored`.

use super::all;
use std::cell::Cell;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlInputElement};

thread_local! {
    /// Whether the page is being left because something was stored, or to show a conflict.
    static LEAVING: Cell<bool> = const { Cell::new(false) };
}

/// The next departure is meant.
pub(super) fn let_go() {
    LEAVING.set(true);
}

/// Whether something in `part` of the page is typed and not stored.
pub(super) fn is_unsaved(part: &Element) -> bool {
    let differs = |it: &Element| {
        let typed = it.dyn_ref::<HtmlInputElement>().map(HtmlInputElement::value);
        typed.is_some() && typed != it.get_attribute("data-stored")
    };
    part.query_selector("[data-unsaved]").ok().flatten().is_some() || all(part, "[data-stored]").iter().any(differs)
}

/// Has the browser ask.
#[allow(clippy::needless_pass_by_value, reason = "a listener gets its event by value")]
pub(super) fn ask(event: &Event) {
    let unsaved = super::document().and_then(|it| it.document_element()).is_some_and(|it| is_unsaved(&it));
    if unsaved && !LEAVING.get() {
        event.prevent_default();
        if let Some(event) = event.dyn_ref::<web_sys::BeforeUnloadEvent>() {
            event.set_return_value("unsaved");
        }
    }
}
