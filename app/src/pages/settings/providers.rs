//! Settings › Providers: where models are called, and with which credential.

use super::{Create, List, asked, gone, hint, row_link};
use crate::{
    api::providers::{FORM, ProviderView, TEST, providers},
    components::{
        frame::PageHead,
        page::{failed, flash_for, refused},
    },
    format::NOTHING,
    paths,
    read::content,
    ui::{ActForm, Dialog, Empty, Field, Form, Revision, Submit},
};
use domain::Action;
use leptos::prelude::*;

const COLUMNS: [(&str, bool); 4] = [("Provider", false), ("Base URLs", false), ("Credential", false), ("", false)];

/// The page.
#[component]
pub(crate) fn Providers() -> impl IntoView {
    view! {
        <PageHead title="Providers"><Create label="New provider" refused=refused(Action::Configure)/></PageHead>
        <p class="soft">"Where models are called. Credentials are encrypted, and never shown again."</p>
        {content(providers(), |rows| view! { <Content rows=rows/> })}
    }
}

#[component]
fn Content(rows: Vec<ProviderView>) -> impl IntoView {
    let allowed = refused(Action::Configure).is_none();
    let edited = asked("edit").and_then(|id| rows.iter().find(|it| it.id == id).cloned()).filter(|_| allowed);
    let tested = flash_for(TEST).map(|flash| view! { <Tested told=flash.typed.fields rows=rows.clone()/> });
    let list = if rows.is_empty() {
        view! { <Empty title="There is no provider yet"><p>"A provider is needed before a model can be added."</p></Empty> }.into_any()
    } else {
        let rows = rows.into_iter().map(|it| row(it, allowed)).collect();
        view! { <List label="Providers" columns=&COLUMNS rows=rows/> }.into_any()
    };
    let (id, title, open) = match &edited {
        Some(_) => ("edit-dialog", "Edit provider", true),
        None => ("create-dialog", "New provider", asked("create").is_some() || failed(FORM)),
    };
    let gone = gone(&["edit"], edited.is_some(), "That provider is gone, or is not yours to change.");
    view! {
        {tested}
        {gone}
        {list}
        <Dialog id=id title=title open=open back=paths::PROVIDERS><ProviderForm provider=edited/></Dialog>
    }
}

fn row(it: ProviderView, allowed: bool) -> AnyView {
    let urls: Vec<_> =
        [("OpenAI", it.openai_base_url), ("DashScope", it.dashscope_base_url), ("Anthropic", it.anthropic_base_url)]
            .into_iter()
            .filter(|(_, url)| !url.is_empty())
            .map(|(dialect, url)| view! { <div><small>{dialect}</small>" "<code>{url}</code></div> })
            .collect();
    let address = paths::with_query(paths::PROVIDERS, &[("edit", &it.id)]);
    let actions = allowed.then(|| {
        let import = paths::with_query(paths::IMPORT, &[("provider", &it.id)]);
        let (id, of) = (it.id.clone(), format!(" {}", it.name));
        view! {
            <div class="row-actions">
                <ActForm name=format!("{TEST}-{id}") action="/api/providers/test" class="inline">
                    <input type="hidden" name="id" value=id/>
                    <button type="submit" class="button quiet small">"Test"<span class="unseen">{of}</span></button>
                </ActForm>
                {row_link(import, "Import models", &it.name)}
                {row_link(address, "Edit", &it.name)}
            </div>
        }
    });
    view! {
        <tr>
            <th scope="row" class="model">{it.name}</th>
            <td>{urls}</td>
            <td>{if it.has_credential { "stored" } else { NOTHING }}</td>
            <td class="number">{actions}</td>
        </tr>
    }
    .into_any()
}

/// What a test found, address by address.
#[component]
fn Tested(told: Vec<(String, String)>, rows: Vec<ProviderView>) -> impl IntoView {
    let mut told = told.into_iter();
    let id = told.next().map(|it| it.1).unwrap_or_default();
    let name = rows.into_iter().find(|it| it.id == id).map(|it| it.name).unwrap_or_default();
    let (mut items, mut all_fine) = (Vec::new(), true);
    while let (Some((_, dialect)), Some((_, url)), Some((word, words))) = (told.next(), told.next(), told.next()) {
        let fine = word == "fine";
        all_fine &= fine;
        let badge = if fine { "badge good" } else { "badge bad" };
        items.push(view! {
            <li>
                <span class=badge>{if fine { "works" } else { "failed" }}</span>" "
                <strong>{dialect}</strong>" "{words}<br/><small><code>{url}</code></small>
            </li>
        });
    }
    view! {
        <section class="notice stack" class:bad=!all_fine aria-labelledby="tested">
            <h2 id="tested">{format!("Test of {name}")}</h2>
            <ul class="plain stack">{items}</ul>
        </section>
    }
}

/// Makes a provider, or changes the one given.
#[component]
fn ProviderForm(provider: Option<ProviderView>) -> impl IntoView {
    let new = provider.is_none();
    let it = provider.unwrap_or_default();
    let hint = hint(FORM);
    let credential_hint =
        if it.has_credential { "Empty keeps the stored one." } else { "Sent with every call to this provider." };
    view! {
        <ActForm name=FORM action="/api/providers/set" class="stack">
            {(!new).then(|| view! { <input type="hidden" name="id" value=it.id.clone()/><Revision of=it.revision/> })}
            <Field name="name" label="Name" value=it.name.clone() required=true autofocus=new hint=hint("As files and error messages call it.", &it.name)/>
            <Field name="openai_base_url" label="OpenAI-compatible base URL" kind="url" value=it.openai_base_url.clone() hint=hint("Ends in /v1.", &it.openai_base_url)/>
            <Field name="dashscope_base_url" label="DashScope base URL" kind="url" value=it.dashscope_base_url.clone() hint=hint("Ends in /api/v1.", &it.dashscope_base_url)/>
            <Field name="anthropic_base_url" label="Anthropic base URL" kind="url" value=it.anthropic_base_url.clone() hint=hint("Without /v1.", &it.anthropic_base_url)/>
            <Field name="credential" label="Credential" kind="password" autocomplete="new-password" hint=credential_hint/>
            {it.has_credential.then(|| view! { <Forget/> })}
            <div class="actions">
                <a class="button quiet" href=paths::PROVIDERS data-close="">"Cancel"</a>
                <Submit label=if new { "Create provider" } else { "Save Changes" } refused=refused(Action::Configure)/>
            </div>
        </ActForm>
    }
}

#[component]
fn Forget() -> impl IntoView {
    let ticked = expect_context::<Form>().ticked("forget_credential").unwrap_or(false);
    view! {
        <label class="check"><input type="checkbox" name="forget_credential" checked=ticked/>"Remove the stored credential"</label>
    }
}
