//! Brings the console to life in the browser, over the page that the server rendered. Knows nothing else.

/// Starts the islands' runtime and what the browser adds; called once by the script in the page's head, which then
/// hands each island its place.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
    app::browser::start();
}
