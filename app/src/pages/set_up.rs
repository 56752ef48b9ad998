//! First-run set-up: the first owner.

use crate::{
    api::door,
    components::frame::PageHead,
    ui::{Field, Icon, PlainForm},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Asks for the token from the terminal and for the first owner.
#[component]
pub(crate) fn SetUp() -> impl IntoView {
    // The address that the terminal shows holds the token.
    let token = use_query_map().with_untracked(|query| query.get("token")).unwrap_or_default();
    view! {
        <p class="brand"><Icon name="sluice"/>"Sluice"</p>
        <PageHead title="Set up Sluice"/>
        <p class="soft">"This creates the first owner. The set-up token was printed on the server's terminal when it started."</p>
        <PlainForm name=door::SET_UP action="/api/set-up" class="stack">
            <Field name="token" label="Set-up token" value=token required=true autofocus=true/>
            <Field name="email" label="E-mail address" kind="email" autocomplete="username" required=true/>
            <Field name="password" label="Password" kind="password" autocomplete="new-password" hint="At least 8 characters." required=true/>
            <button type="submit" class="button">"Create owner"</button>
        </PlainForm>
    }
}
