//! Buttons that change what is already on the page.

use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlDialogElement};

/// Closes dialogs, folds rows, copies texts, dismisses messages.
pub(super) fn click(event: &Event) {
    let Some(target) = super::target(event) else { return };
    let near = |selector: &str| target.closest(selector).ok().flatten();
    if let Some(link) = near("[data-close]") {
        if let Some(dialog) =
            link.closest("dialog").ok().flatten().and_then(|it| it.dyn_into::<HtmlDialogElement>().ok())
        {
            event.prevent_default();
            dialog.close();
        }
    } else if let Some(button) = near("[data-fold]") {
        fold(&button);
    } else if let Some(button) = near("[data-fold-all]") {
        fold_all(&button);
    } else if let Some(button) = near("[data-series]") {
        super::charts::isolate(&button);
    } else if near("[data-pause]").is_some() {
        super::live::pause();
    } else if let Some(button) = near("[data-copy]") {
        copy(&button);
    } else if let Some(button) = near("[data-pick]") {
        super::narrow::pick(&button);
    } else if near("[data-dismiss]").is_some()
        && let Some(message) = near(".toast")
    {
        message.remove();
    }
}

/// A model's rows are one `<tbody>`: its parts are hidden or shown.
fn fold(button: &Element) {
    let open = button.get_attribute("aria-expanded").as_deref() == Some("true");
    let _ = button.set_attribute("aria-expanded", if open { "false" } else { "true" });
    let Some(group) = button.closest("tbody").ok().flatten() else { return };
    for row in super::all(&group, "tr.part") {
        let _ = row.toggle_attribute_with_force("hidden", open);
    }
}

/// Every model's rows; whatever was folded alone before.
fn fold_all(button: &Element) {
    let open = button.get_attribute("aria-expanded").as_deref() == Some("true");
    let word = if open { "true" } else { "false" };
    if let Some(panel) = button.closest("section").ok().flatten() {
        for fold_button in super::all(&panel, &format!("[data-fold][aria-expanded={word}]")) {
            fold(&fold_button);
        }
    }
    let _ = button.set_attribute("aria-expanded", if open { "false" } else { "true" });
    button.set_text_content(Some(if open { "Unfold all" } else { "Fold all" }));
}

fn copy(button: &Element) {
    let (Some(text), Some(window)) = (button.get_attribute("data-copy"), super::window()) else { return };
    let _ = window.navigator().clipboard().write_text(&text);
    button.set_text_content(Some("Copied"));
}
