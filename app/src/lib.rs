//! The console: pages that the server renders whole, and islands that the browser brings to life.
//!
//! Navigation is the browser's own. Only islands and `browser` are code in the browser; everything else is markup by the
//! time it gets there, so a page costs the browser nothing.
//!
//! # How a page is made
//! 1. Its address goes into [`paths`], its route into [`App`] with `ssr=SsrMode::Async`.
//! 2. `api/<resource>.rs` holds its view structs and its server functions. Each has a named `endpoint`, calls
//!    `ssr::caller()` first, makes one `control::…` call, and returns a view or an [`outcome::Outcome`]. What reads is
//!    `input = GetUrl`; what changes is a POST that turns `control`'s answer into an outcome with `ssr::outcome(…)` and
//!    ends with `ssr::answer(form, typed, back, outcome)`: script gets the value, a form sent without script is
//!    redirected to `back` with everything that was typed.
//! 3. `pages/<page>.rs` is `<PageHead/>` and [`read::content`] of the reading server function. `pages/rate_limit.rs` is
//!    the one to copy.
//! 4. A form is [`ui::ActForm`] with [`ui::Field`]s and [`ui::Select`]s of the same names as the server function's
//!    arguments. With script it stays on the page until it is stored. `checked="limit"` looks while typing.
//! 5. State that only the browser has (a picker, a preview) is an `#[island]` with props that serialize; keep it small,
//!    its code is what the reader downloads. Everything in it also works as a plain form.
//! 6. No `style=` (the content security policy blocks it), no `<textarea>` (the server does not escape its content),
//!    every `<table>` has a `<tbody>` and lies in `<div class="scroll" tabindex="0" role="group" aria-labelledby=…>`,
//!    times are [`ui::Moment`], and a control that is not allowed is disabled with `page::refused(action)` as its reason.
#![recursion_limit = "256"]
#![allow(clippy::needless_pass_by_value, reason = "a component owns its properties")]
#![allow(unreachable_pub, reason = "a component makes a public struct of its properties")]

pub mod api;
pub mod browser;
pub mod components;
pub mod draft;
pub mod error;
pub mod format;
pub mod live;
pub mod outcome;
mod pages;
pub mod paths;
pub mod read;
#[cfg(feature = "ssr")]
pub mod ssr;
pub mod ui;

use components::frame::Frame;
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Route, Router, Routes},
    path,
};

/// Everything inside `<body>`.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Title formatter=|text: String| format::window_title(&text)/>
        <Router>
            <Frame>
                <Routes fallback=pages::not_found::NotFound>
                    <Route path=path!("/monitoring") view=pages::monitoring::Monitoring ssr=SsrMode::Async/>
                    <Route path=path!("/monitoring/rate-limit") view=pages::rate_limit::RateLimit ssr=SsrMode::Async/>
                    <Route path=path!("/monitoring/refusals") view=pages::refusals::Refusals ssr=SsrMode::Async/>
                    <Route path=path!("/monitoring/refusals/:id") view=pages::refusal::Refusal ssr=SsrMode::Async/>
                    <Route path=path!("/settings/workspaces") view=pages::settings::workspaces::Workspaces ssr=SsrMode::Async/>
                    <Route path=path!("/settings/workspaces/:id") view=pages::settings::workspace::Workspace ssr=SsrMode::Async/>
                    <Route path=path!("/settings/keys") view=pages::settings::keys::Keys ssr=SsrMode::Async/>
                    <Route path=path!("/settings/providers") view=pages::settings::providers::Providers ssr=SsrMode::Async/>
                    <Route path=path!("/settings/members") view=pages::settings::members::Members ssr=SsrMode::Async/>
                    <Route path=path!("/settings/audit") view=pages::settings::audit::Audit ssr=SsrMode::Async/>
                    <Route path=path!("/settings/models/import") view=pages::settings::import::Import ssr=SsrMode::Async/>
                    <Route path=path!("/settings/account") view=pages::settings::account::Account ssr=SsrMode::Async/>
                    <Route path=path!("/settings/models") view=pages::settings::models::Models ssr=SsrMode::Async/>
                    <Route path=path!("/invitation") view=pages::invitation::Invitation ssr=SsrMode::Async/>
                    <Route path=path!("/help/rate-limits") view=pages::help::Help ssr=SsrMode::Async/>
                    <Route path=path!("/sign-in") view=pages::sign_in::SignIn ssr=SsrMode::Async/>
                    <Route path=path!("/set-up") view=pages::set_up::SetUp ssr=SsrMode::Async/>
                </Routes>
            </Frame>
        </Router>
    }
}
