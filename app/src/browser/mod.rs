//! What the browser adds to pages that the server rendered whole: it listens at the document and changes what is there.
//! Every page works without it. What has state of its own is an island; this is the rest.

mod charts;
mod clicks;
mod dialogs;
mod forms;
mod guard;
mod increase;
mod keys;
mod live;
mod narrow;
mod times;

use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Document, Element, Event, EventTarget, Window};

pub(crate) use forms::{outdate, show_errors};

/// Brings the page to life; called once, after the islands' runtime has started.
pub fn start() {
    let Some(document) = document() else { return };
    if let Some(root) = document.document_element() {
        times::show_local(&root);
    }
    charts::wake(&document);
    live::start();
    dialogs::make_modal(&document);
    listen(&document, "submit", false, forms::submit);
    listen(&document, "input", false, forms::look_while_typing);
    listen(&document, "input", false, narrow::typed);
    listen(&document, "focusout", false, forms::look_on_leaving);
    listen(&document, "change", false, forms::send_filters);
    listen(&document, "click", false, clicks::click);
    listen(&document, "close", true, dialogs::closed);
    listen(&document, "toggle", true, times::unfolded);
    listen(&document, "input", false, increase::typed);
    listen(&document, "change", false, increase::chosen);
    listen(&document, "change", false, times::picked);
    listen(&document, "pointermove", false, charts::moved);
    listen(&document, "pointerdown", false, charts::pressed);
    listen(&document, "pointerup", false, charts::released);
    listen(&document, "pointercancel", false, charts::left);
    listen(&document, "visibilitychange", false, live::seen);
    if let Some(window) = window() {
        listen(&window, "beforeunload", false, guard::ask);
    }
    listen(&document, "keydown", false, keys::pressed);
}

pub(crate) fn document() -> Option<Document> {
    web_sys::window()?.document()
}

fn window() -> Option<Window> {
    web_sys::window()
}

/// Listeners live as long as the page.
fn listen(target: &EventTarget, event: &str, capture: bool, handler: fn(&Event)) {
    let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| handler(&event));
    let _ = target.add_event_listener_with_callback_and_bool(event, closure.as_ref().unchecked_ref(), capture);
    closure.forget();
}

/// The element an event happened on.
fn target(event: &Event) -> Option<Element> {
    event.target()?.dyn_into().ok()
}

/// Every element that matches, in order.
pub(crate) fn all(root: &Element, selector: &str) -> Vec<Element> {
    let Ok(found) = root.query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|i| found.get(i)).filter_map(|it| it.dyn_into().ok()).collect()
}
