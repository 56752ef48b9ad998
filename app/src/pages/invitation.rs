//! Accepting an invitation: the new member chooses a password.

use crate::{
    api::members::ACCEPT,
    components::frame::PageHead,
    ui::{Field, Icon, PlainForm},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Asks for a password; the link holds the rest.
#[component]
pub(crate) fn Invitation() -> impl IntoView {
    let token = use_query_map().with_untracked(|query| query.get("token")).unwrap_or_default();
    view! {
        <p class="brand"><Icon name="sluice"/>"Sluice"</p>
        <PageHead title="Accept your invitation"/>
        <p class="soft">"Choose a password. You sign in with it and the address that was invited."</p>
        <PlainForm name=ACCEPT action="/api/invitations/accept" class="stack">
            <input type="hidden" name="token" value=token/>
            <Field name="password" label="Password" kind="password" autocomplete="new-password" hint="At least 8 characters." required=true autofocus=true/>
            <button type="submit" class="button">"Accept"</button>
        </PlainForm>
    }
}
