//! First-run set-up: the first owner.

use crate::{
    api::door,
    components::frame::PageHead,
    ui::{Field, Icon, PlainForm},
};
use leptos::prelude::*;

/// Asks for the token from the terminal and for the first owner.
#[component]
pub(crate) fn SetUp() -> impl IntoView {
    view! {
        <p class="brand"><Icon name="sluice"/>"Sluice"</p>
        <PageHead title="Set up Sluice"/>
        <p class="soft">"This creates the first owner. The set-up token was printed on the server's terminal when it started."</p>
        <PlainForm name=door::SET_UP action="/api/set-up" class="stack">
            <Field name="token" label="Set-up token" required=true autofocus=true/>
            <Field name="email" label="E-mail address" kind="email" autocomplete="username" required=true/>
            <Field name="password" label="Password" kind="password" autocomplete="new-password" hint="At least 8 characters." required=true/>
            <button type="submit" class="button">"Create owner"</button>
        </PlainForm>
    }
}
