//! Asks before a page is left on which something typed is not stored: whatever carries `data-unsaved` says so.

use std::cell::Cell;
use wasm_bindgen::JsCast;
use web_sys::Event;

thread_local! {
    /// Whether the page is being left because something was stored, or to show a conflict.
    static LEAVING: Cell<bool> = const { Cell::new(false) };
}

/// The next departure is meant.
pub(super) fn let_go() {
    LEAVING.set(true);
}

/// Has the browser ask.
#[allow(clippy::needless_pass_by_value, reason = "a listener gets its event by value")]
pub(super) fn ask(event: &Event) {
    let unsaved = super::document().and_then(|it| it.query_selector("[data-unsaved]").ok().flatten());
    if unsaved.is_some() && !LEAVING.get() {
        event.prevent_default();
        if let Some(event) = event.dyn_ref::<web_sys::BeforeUnloadEvent>() {
            event.set_return_value("unsaved");
        }
    }
}
