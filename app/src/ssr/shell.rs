//! The document around [`App`]: style, scripts with a nonce, and the policy that allows nothing else.

use super::assets::Pages;
use crate::App;
use axum::http::{HeaderValue, header};
use leptos::{nonce::use_nonce, prelude::*};
use leptos_axum::ResponseOptions;
use leptos_meta::MetaTags;

/// The policy of whatever is not a page.
pub(crate) const NOTHING_LOADS: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Loads the code and hands each island its place, parents before children, as the framework's own script does.
const START: &str = "((s,w)=>import(s).then(m=>m.default({module_or_path:w}).then(()=>{\
m.hydrate();const o=[],v=n=>{const t=n.tagName;if(t==='LEPTOS-ISLAND'){const f=m[n.dataset.component],c=o.at(-1);if(f){c&&c();f(n)}}\
const k=t==='LEPTOS-CHILDREN';k&&o.push(n.$$on_hydrate);for(const c of n.children)v(c);k&&o.pop()};v(document.body);\
document.documentElement.classList.add('alive')})))";

/// The whole document. `theme` is `light`, `dark` or empty.
pub(crate) fn shell(pages: Option<Pages>, theme: &'static str) -> impl IntoView {
    set_policy();
    let nonce = use_nonce();
    let scripts = pages.as_ref().map(|it| {
        let start = format!("{START}({:?},{:?})", it.script, it.wasm);
        view! {
            <link rel="modulepreload" href=it.script.clone()/>
            <link rel="preload" href=it.wasm.clone() r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/>
            <script type="module" nonce=nonce>{start}</script>
        }
    });
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=(!theme.is_empty()).then_some(theme)>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <meta name="description" content="Who may use how much of which language model, and what happened."/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                // Pages come whole; painted half read, what stands at the right would move once more.
                <link rel="expect" href="#whole" blocking="render"/>
                {pages.map(|it| view! { <link rel="stylesheet" href=it.style/> })}
                {scripts}
                <MetaTags/>
            </head>
            <body>
                <App/>
                <span id="whole" hidden></span>
            </body>
        </html>
    }
}

/// The nonce is made for each rendering, so the policy is set from here and not by a layer.
fn set_policy() {
    let (Some(options), Some(nonce)) = (use_context::<ResponseOptions>(), use_nonce()) else { return };
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(value) = HeaderValue::from_str(&policy) {
        options.insert_header(header::CONTENT_SECURITY_POLICY, value);
    }
}
