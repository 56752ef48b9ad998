//! Live figures: one connection a page, texts, bars and drawings that change in place, nothing that moves.

use super::{all, charts, document, times, window};
use crate::{live::Patch, ui};
use leptos::task::spawn_local;
use std::cell::{Cell, RefCell};
use wasm_bindgen::{JsCast, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, Event, EventSource, MessageEvent};

thread_local! {
    static SOURCE: RefCell<Option<EventSource>> = const { RefCell::new(None) };
    static PAUSED: Cell<bool> = const { Cell::new(false) };
    /// Seconds since the last event; below 0 before the first.
    static AGE: Cell<i32> = const { Cell::new(-1) };
    /// Attempts since the server refused to go on.
    static REFUSED: Cell<u32> = const { Cell::new(0) };
    /// The pause until the server is asked again.
    static TIMER: Cell<Option<i32>> = const { Cell::new(None) };
    /// Drawings that came in the middle of a drag, by key.
    static WAITING: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// After so many seconds without an event the figures are called old.
const STALE_S: i32 = 5;

fn bar() -> Option<Element> {
    document()?.query_selector("[data-events]").ok().flatten()
}

/// The longest time until a server that answered with an error is asked again.
const LONGEST_PAUSE_MS: i32 = 60_000;

/// Listens, if the page is one that changes.
pub(super) fn start() {
    let Some(window) = window().filter(|_| bar().is_some()) else { return };
    let tick = Closure::<dyn FnMut()>::new(|| {
        if AGE.get() >= 0 && !PAUSED.get() {
            AGE.set(AGE.get() + 1);
            say();
        }
    });
    let _ = window.set_interval_with_callback_and_timeout_and_arguments_0(tick.as_ref().unchecked_ref(), 1_000);
    tick.forget();
    connect();
}

fn may_connect() -> bool {
    let hidden = document().is_some_and(|it| it.hidden());
    !PAUSED.get() && !hidden && SOURCE.with_borrow(Option::is_none)
}

fn connect() {
    let Some(address) = bar().and_then(|it| it.get_attribute("data-events")) else { return };
    if !may_connect() {
        return;
    }
    forget_timer();
    let Ok(source) = EventSource::new(&address) else { return };
    let listen = Closure::<dyn FnMut(MessageEvent)>::new(|event: MessageEvent| {
        let patch = event.data().as_string().and_then(|it| serde_json::from_str::<Patch>(&it).ok());
        if let Some(patch) = patch.filter(|_| !PAUSED.get()) {
            AGE.set(0);
            if REFUSED.take() > 0 {
                ask_to_sign_in(false);
            }
            apply(&patch);
            say();
        }
    });
    source.set_onmessage(Some(listen.as_ref().unchecked_ref()));
    listen.forget();
    let fail = Closure::<dyn FnMut()>::new(refused);
    source.set_onerror(Some(fail.as_ref().unchecked_ref()));
    fail.forget();
    SOURCE.set(Some(source));
}

/// A connection that broke comes back by itself. One that the server answered with an error stays closed: a database that
/// does not answer, a proxy, a session that has ended.
fn refused() {
    if SOURCE.with_borrow(|it| it.as_ref().is_some_and(|it| it.ready_state() == EventSource::CLOSED)) {
        disconnect();
        wait();
    }
}

/// Asks again after a pause that grows.
fn wait() {
    let attempts = REFUSED.get();
    REFUSED.set(attempts + 1);
    say();
    let pause = (1_000 << attempts.min(6)).min(LONGEST_PAUSE_MS);
    let again = Closure::once_into_js(|| spawn_local(try_again()));
    if let Some(window) = window() {
        forget_timer();
        TIMER.set(window.set_timeout_with_callback_and_timeout_and_arguments_0(again.unchecked_ref(), pause).ok());
    }
}

/// There is one pause at a time, whoever asks meanwhile.
fn forget_timer() {
    if let (Some(timer), Some(window)) = (TIMER.take(), window()) {
        window.clear_timeout_with_handle(timer);
    }
}

/// Asks for what `EventSource` does not tell: whether the server would answer, or somebody has to sign in first.
async fn try_again() {
    let request = web_sys::RequestInit::new();
    request.set_method("HEAD");
    let address = bar().and_then(|it| it.get_attribute("data-events"));
    let (Some(address), Some(window)) = (address.filter(|_| may_connect()), window()) else { return };
    let answer = JsFuture::from(window.fetch_with_str_and_init(&address, &request)).await;
    match answer.ok().and_then(|it| it.dyn_into::<web_sys::Response>().ok()).map(|it| it.status()) {
        Some(200) => connect(),
        Some(401) => ask_to_sign_in(true),
        _ => wait(),
    }
}

fn ask_to_sign_in(asked: bool) {
    if let Some(link) = bar().and_then(|it| it.query_selector("[data-sign-in]").ok().flatten()) {
        let _ = link.toggle_attribute_with_force("hidden", !asked);
    }
}

fn disconnect() {
    if let Some(source) = SOURCE.take() {
        source.close();
    }
}

/// A hidden page asks for nothing; the first event after its return holds everything it missed.
pub(super) fn seen(_: &Event) {
    if document().is_some_and(|it| it.hidden()) { disconnect() } else { connect() }
}

/// Holds the figures still, or lets them go on.
pub(super) fn pause() {
    PAUSED.set(!PAUSED.get());
    if PAUSED.get() {
        disconnect();
    } else {
        connect();
    }
    say();
}

/// Says how old the figures are.
fn say() {
    let Some(bar) = bar() else { return };
    let find = |selector: &str| bar.query_selector(selector).ok().flatten();
    let age = AGE.get();
    let words = match (PAUSED.get(), age) {
        (true, _) => "paused".to_owned(),
        (false, ..0) if REFUSED.get() > 0 => "not connected".to_owned(),
        (false, ..0) => "live".to_owned(),
        (false, age) => format!("{}updated {} s ago", if age > STALE_S { "" } else { "live · " }, age.max(1)),
    };
    if let Some(state) = find("[data-state]") {
        state.set_text_content(Some(&words));
        let _ = state.set_attribute("class", if age > STALE_S && !PAUSED.get() { "stale" } else { "" });
    }
    if let Some(button) = find("[data-pause]") {
        let _ = button.set_attribute("aria-pressed", if PAUSED.get() { "true" } else { "false" });
        button.set_text_content(Some(if PAUSED.get() { "Resume" } else { "Pause" }));
    }
}

/// Puts new drawings in the place of former ones. While something is dragged over one, they wait.
fn exchange(drawings: &[(String, String)]) {
    let waiting = WAITING.with_borrow_mut(|waiting| {
        waiting.retain(|(key, _)| drawings.iter().all(|(it, _)| it != key));
        waiting.extend_from_slice(drawings);
        if charts::is_dragged() { Vec::new() } else { std::mem::take(waiting) }
    });
    let root = document().and_then(|it| it.document_element()).filter(|_| !waiting.is_empty());
    let Some(root) = root else { return };
    for element in all(&root, "[data-drawing]") {
        let key = element.get_attribute("data-drawing");
        let Some((_, markup)) = waiting.iter().find(|(it, _)| Some(it) == key.as_ref()) else { continue };
        element.set_inner_html(markup);
        times::show_local(&element);
    }
    charts::redraw();
}

/// What came while something was dragged.
pub(super) fn catch_up() {
    exchange(&[]);
}

/// Writes what changed into the page. Focus, scrolling and the order of rows stay; rows that came or went are told.
fn apply(patch: &Patch) {
    let Some(root) = document().and_then(|it| it.document_element()) else { return };
    let text = |key: Option<String>| {
        let key = key?;
        patch.texts.iter().find(|(it, _)| *it == key).map(|(_, text)| text.as_str())
    };
    for element in all(&root, "[data-live]") {
        let key = element.get_attribute("data-live");
        if let Some(text) = text(key.clone()) {
            element.set_text_content(Some(text));
        } else if let Some((_, width)) = patch.bars.iter().find(|(it, _)| Some(it) == key.as_ref()) {
            let _ = element.set_attribute("class", ui::meter_class(*width));
            if let Some(fill) = element.last_element_child() {
                let _ = fill.set_attribute("width", &width.to_string());
            }
        }
    }
    for element in all(&root, "[data-title]") {
        if let Some(text) = text(element.get_attribute("data-title")) {
            let _ = element.set_attribute("title", text);
        }
    }
    exchange(&patch.drawings);
    if patch.rows_changed
        && let Some(bar) = bar()
    {
        if bar.has_attribute("data-empty") {
            let _ = window().map(|it| it.location().reload());
        } else if let Some(link) = bar.query_selector("[data-more]").ok().flatten() {
            let _ = link.remove_attribute("hidden");
        }
    }
}
