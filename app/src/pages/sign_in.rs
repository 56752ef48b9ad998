//! Sign-in.

use crate::{
    api::door,
    components::frame::PageHead,
    ui::{Field, Icon, PlainForm},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Asks who is there.
#[component]
pub(crate) fn SignIn() -> impl IntoView {
    let next = use_query_map().with_untracked(|query| query.get("next")).unwrap_or_default();
    view! {
        <p class="brand"><Icon name="sluice"/>"Sluice"</p>
        <PageHead title="Sign in"/>
        <PlainForm name=door::SIGN_IN action="/api/sign-in" class="stack">
            <input type="hidden" name="next" value=next/>
            <Field name="email" label="E-mail address" kind="email" autocomplete="username" required=true autofocus=true/>
            <Field name="password" label="Password" kind="password" autocomplete="current-password" required=true/>
            <button type="submit" class="button">"Sign in"</button>
        </PlainForm>
    }
}
