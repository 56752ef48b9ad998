//! Sign-in.

use crate::{
    api::door,
    components::{frame::PageHead, page::use_page},
    ui::{Field, Icon, PlainForm},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Asks who is there. A form that came when its session had ended is kept in this page, and sent on afterwards.
#[component]
pub(crate) fn SignIn() -> impl IntoView {
    let next = use_query_map().with_untracked(|query| query.get("next")).unwrap_or_default();
    let kept = use_page().lost.map(|it| (it.action, it.fields));
    let (title, words) = match kept {
        Some(_) => (
            "Sign in to go on",
            "Your session has ended. Nothing was stored yet; what you typed is kept, and stored as soon as you sign in.",
        ),
        None => ("Sign in", ""),
    };
    view! {
        <p class="brand"><Icon name="sluice"/>"Sluice"</p>
        <PageHead title=title/>
        {(!words.is_empty()).then(|| view! { <p class="notice near" role="status">{words}</p> })}
        <PlainForm name=door::SIGN_IN action="/api/sign-in" class="stack">
            <input type="hidden" name="next" value=next/>
            {kept.map(|(action, fields)| view! {
                <input type="hidden" name="resume" value=action/>
                <input type="hidden" name="fields" value=fields/>
            })}
            <Field name="email" label="E-mail address" kind="email" autocomplete="username" required=true autofocus=true/>
            <Field name="password" label="Password" kind="password" autocomplete="current-password" required=true/>
            <button type="submit" class="button">"Sign in"</button>
        </PlainForm>
    }
}
