//! Settings › Account: periods and maxima of the account, and the viewer's own sign-in.

use super::hint;
use crate::{
    api::account::{AccountView, EVERYWHERE, PASSWORD, SETTINGS, account},
    components::{
        frame::PageHead,
        page::{Viewer, refused, use_page},
    },
    format::whole,
    read::content,
    ui::{ActForm, Field, Revision, Submit},
};
use domain::{Action, counts::highest};
use leptos::prelude::*;

/// The page.
#[component]
pub(crate) fn Account() -> impl IntoView {
    view! {
        <PageHead title="Account"/>
        {content(account(), |view| view! { <Settings view=view/> })}
        <Own/>
    }
}

#[component]
fn Settings(view: AccountView) -> impl IntoView {
    let why = refused(Action::Configure);
    let disabled = why.is_some();
    let hint = hint(SETTINGS);
    let number = move |name: &'static str, label: &'static str, value: u64, most: u64, words: &'static str| {
        let value = whole(value);
        view! {
            <Field name=name label=label inputmode="numeric" value=value.clone() required=true disabled=disabled checked=format!("count:{most}") hint=hint(words, &value)/>
        }
    };
    let reason = why.clone().map(|it| view! { <p class="notice">{format!("Read only: {it}.")}</p> });
    view! {
        <section class="panel padded stack" aria-labelledby="settings">
            <h2 id="settings">{format!("Settings of {}", view.name)}</h2>
            {reason}
            <ActForm name=SETTINGS action="/api/account/set" class="stack">
                <Revision of=view.revision/>
                <h3>"Temporary increases"</h3>
                <div class="pairs">
                    {number("increase_validity_days", "Valid for, in days", view.increase_validity_days, highest::DAYS, "Then the default limit returns. Running increases keep the end they were given.")}
                    {number("inactivity_days", "Withdrawn when unused for, in days", view.inactivity_days, highest::DAYS, "Unused: no 60 seconds above the default limit. Told two days ahead. Holds for running increases too.")}
                </div>
                <h3>"Maxima"</h3>
                <div class="pairs">
                    {number("max_workspaces", "Workspaces", view.max_workspaces, highest::WORKSPACES, "The default one counts. What is there already stays.")}
                    {number("max_keys", "API keys of a workspace", view.max_keys, highest::KEYS, "Revoked and expired ones do not count.")}
                    {number("max_name_length", "Characters of a workspace's name", view.max_name_length, highest::NAME_LENGTH, "Names that are longer already stay.")}
                </div>
                <div class="actions"><Submit label="Save Changes" refused=why/></div>
            </ActForm>
        </section>
    }
}

/// What everybody may change: the own password, and where one is signed in.
#[component]
fn Own() -> impl IntoView {
    use_page().viewer.map(|viewer| view! { <OwnSignIn viewer=viewer/> })
}

#[component]
fn OwnSignIn(viewer: Viewer) -> impl IntoView {
    let place = match &viewer.workspace {
        Some(workspace) => format!("{} of {workspace}", viewer.standing.role.as_str()),
        None => format!("{} of the whole account", viewer.standing.role.as_str()),
    };
    view! {
        <section class="panel padded stack" aria-labelledby="own">
            <h2 id="own">"Your sign-in"</h2>
            <p>{viewer.email}", "{place}</p>
            <ActForm name=PASSWORD action="/api/account/password" class="stack">
                <h3>"Change password"</h3>
                <div class="pairs">
                    <Field name="current" label="Present password" kind="password" autocomplete="current-password" required=true/>
                    <Field name="password" label="New password" kind="password" autocomplete="new-password" hint="At least 8 characters. You stay signed in here, and nowhere else." required=true/>
                </div>
                <div class="actions"><Submit label="Change password"/></div>
            </ActForm>
            <ActForm name=EVERYWHERE action="/api/sign-out/everywhere" class="stack ruled">
                <div class="row apart">
                    <div>
                        <h3>"Sign out everywhere"</h3>
                        <p class="soft">"Ends your sessions on every device, this one included."</p>
                    </div>
                    <Submit label="Sign out everywhere" class="danger"/>
                </div>
            </ActForm>
        </section>
    }
}
