//! A search field that hides what does not match, and a button that chooses what is left. What is chosen stays chosen while
//! it is hidden.

use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlInputElement};

/// `data-narrow` holds the selector of what is searched; each has its words in `data-words`.
pub(super) fn typed(event: &Event) {
    let Some(input) = super::target(event) else { return };
    let (Some(selector), Some(input)) = (input.get_attribute("data-narrow"), input.dyn_ref::<HtmlInputElement>())
    else {
        return;
    };
    let wanted = input.value().trim().to_ascii_lowercase();
    let Some(root) = super::document().and_then(|it| it.document_element()) else { return };
    for entry in super::all(&root, &selector) {
        let words = entry.get_attribute("data-words").unwrap_or_default().to_ascii_lowercase();
        let _ = entry.toggle_attribute_with_force("hidden", !words.contains(&wanted));
    }
}

/// `data-pick` holds the selector of the list: every box in it that is shown and may be ticked is.
pub(super) fn pick(button: &Element) {
    let Some(root) = super::document().and_then(|it| it.document_element()) else { return };
    let list = button.get_attribute("data-pick").unwrap_or_default();
    for input in super::all(&root, &format!("{list} [data-words]:not([hidden]) input[type=checkbox]:enabled")) {
        if let Some(input) = input.dyn_ref::<HtmlInputElement>() {
            input.set_checked(true);
        }
    }
}
