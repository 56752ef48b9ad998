//! The increase dialog: its figures follow the model that is chosen, its tokens a second the number that is typed.

use crate::format::{NOTHING, whole};
use domain::{ceil60, parse_limit};
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlInputElement, HtmlSelectElement};

/// Another model: each fact is written on its entry.
pub(super) fn chosen(event: &Event) {
    let Some(select) = super::target(event).filter(|it| it.has_attribute("data-facts")) else { return };
    let Some(form) = select.closest("form").ok().flatten() else { return };
    let value = select.dyn_into::<HtmlSelectElement>().map(|it| it.value()).unwrap_or_default();
    let entries = super::all(&form, "option");
    let Some(entry) = entries.into_iter().find(|it| it.get_attribute("value").as_ref() == Some(&value)) else { return };
    for fact in super::all(&form, "[data-fact]") {
        let name = fact.get_attribute("data-fact").unwrap_or_default();
        fact.set_text_content(entry.get_attribute(&format!("data-{name}")).as_deref());
    }
    per_second(&form, &entry.get_attribute("data-current").unwrap_or_default());
}

/// A number of tokens a minute.
pub(super) fn typed(event: &Event) {
    let Some(input) = super::target(event).and_then(|it| it.dyn_into::<HtmlInputElement>().ok()) else { return };
    if let Some(form) = input.closest("form:has([data-per-second])").ok().flatten() {
        per_second(&form, &input.value());
    }
}

fn per_second(form: &Element, text: &str) {
    let Some(place) = form.query_selector("[data-per-second]").ok().flatten() else { return };
    let number = parse_limit(text).ok().flatten();
    place.set_text_content(Some(&number.map_or_else(|| NOTHING.to_owned(), |it| whole(ceil60(it)))));
}
