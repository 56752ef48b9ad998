//! Settings › API keys: what there is, a new one, rotating and revoking.

use super::{Confirm, Create, List, asked, gone, row_link, secret::NewKey};
use crate::{
    api::keys::{CREATE, EDIT, KeyView, KeysView, REVOKE, ROTATE, keys},
    components::{
        frame::PageHead,
        page::{failed, refused, use_page},
    },
    format::{NOTHING, iso},
    paths,
    read::content,
    ui::{ActForm, Choice, Dialog, Empty, Field, Moment, Select, Submit},
};
use domain::{Action, WorkspaceId};
use leptos::prelude::*;

/// The state of a key that works.
const ACTIVE: &str = "active";
/// The state of a key that calls nothing because its workspace does not.
const ARCHIVED: &str = "workspace archived";

const COLUMNS: [(&str, bool); 9] = [
    ("Name", false),
    ("Key", false),
    ("Workspace", false),
    ("State", false),
    ("Error dialect", false),
    ("Created", false),
    ("Last used", false),
    ("Expires", false),
    ("", false),
];

/// The page.
#[component]
pub(crate) fn Keys() -> impl IntoView {
    view! {
        <PageHead title="API keys"><Create label="New key" refused=may_not_create()/></PageHead>
        <p class="soft">"A key belongs to one workspace and calls models within its limits. Only its first characters are kept in the clear."</p>
        {content(keys(), |view| view! { <Content view=view/> })}
    }
}

/// Why the viewer may not make keys: a workspace admin may, in the own workspace.
fn may_not_create() -> Option<String> {
    let own = use_page().viewer.and_then(|it| it.standing.workspace).unwrap_or_else(|| WorkspaceId::new(""));
    refused(Action::ManageKeys(&own))
}

#[component]
fn Content(view: KeysView) -> impl IntoView {
    let made = use_page().once.map(|secret| view! { <NewKey secret=secret model=view.example_model/> });
    let found = |param| asked(param).and_then(|id| view.keys.iter().find(|it| it.id == id && it.editable));
    let rotate = found("rotate").filter(|it| it.state == ACTIVE).map(|key| {
        let words = format!("A new key takes the place of {} ({}…), with its workspace, expiry and error dialect. The old one is refused at once.", key.name, key.prefix);
        view! { <Confirm title="Rotate this key?" name=ROTATE action="/api/keys/rotate" id=key.id.clone() label="Rotate key" words=words back=paths::KEYS/> }
    });
    let revoke = found("revoke").map(|key| {
        let words = format!("Calls with {} ({}…) are refused at once. This cannot be undone.", key.name, key.prefix);
        view! { <Confirm title="Revoke this key?" name=REVOKE action="/api/keys/revoke" id=key.id.clone() label="Revoke key" words=words back=paths::KEYS/> }
    });
    let edit = found("edit").filter(|it| it.state != ARCHIVED).cloned().map(|key| {
        view! { <Dialog id="edit-dialog" title="Edit key" open=true back=paths::KEYS><EditForm key=key/></Dialog> }
    });
    let list = if view.keys.is_empty() {
        view! { <Empty title="There is no key yet"><p>"A client needs one to make its first call."</p></Empty> }
            .into_any()
    } else {
        let rows = view.keys.iter().map(row).collect();
        view! { <List label="API keys" columns=&COLUMNS rows=rows/> }.into_any()
    };
    let opened = edit.is_some() || rotate.is_some() || revoke.is_some();
    let gone = gone(
        &["edit", "rotate", "revoke"],
        opened,
        "That key cannot be changed: it was revoked, is not active any more, or is not yours to change.",
    );
    view! {
        {made}
        {gone}
        {list}
        <Dialog id="create-dialog" title="New key" open=asked("create").is_some() || failed(CREATE) back=paths::KEYS><CreateForm workspaces=view.workspaces/></Dialog>
        {edit}
        {rotate}
        {revoke}
    }
}

fn row(it: &KeyView) -> AnyView {
    let moment = |ms: Option<i64>, never: &'static str| match ms {
        Some(ms) => view! { <Moment ms=ms/> }.into_any(),
        None => never.into_any(),
    };
    let badge = match it.state.as_str() {
        ACTIVE => "badge good",
        "expired" => "badge near",
        _ => "badge",
    };
    let actions = it.editable.then(|| {
        let address = |param| paths::with_query(paths::KEYS, &[(param, it.id.as_str())]);
        let rotate = (it.state == ACTIVE).then(|| row_link(address("rotate"), "Rotate", &it.name));
        let edit = (it.state != ARCHIVED).then(|| row_link(address("edit"), "Edit", &it.name));
        view! { <div class="row-actions">{edit}{rotate}{row_link(address("revoke"), "Revoke", &it.name)}</div> }
    });
    view! {
        <tr>
            <th scope="row" class="model">{it.name.clone()}</th>
            <td class="nowrap"><code>{format!("{}…", it.prefix)}</code></td>
            <td>{it.workspace.clone()}</td>
            <td><span class=badge>{it.state.clone()}</span></td>
            <td>{it.error_dialect.clone()}</td>
            <td class="nowrap" title=format!("by {}", it.created_by)><Moment ms=it.created_ms/></td>
            <td class="nowrap">{moment(it.last_used_ms, "never")}</td>
            <td class="nowrap">{moment(it.expires_ms, NOTHING)}</td>
            <td class="number">{actions}</td>
        </tr>
    }
    .into_any()
}

#[component]
fn CreateForm(workspaces: Vec<Choice>) -> impl IntoView {
    view! {
        <ActForm name=CREATE action="/api/keys/create" class="stack">
            <Field name="name" label="Name" autofocus=true hint="What it is for, such as the service that will use it."/>
            <Select name="workspace" label="Workspace" choices=workspaces/>
            <Terms/>
            <div class="actions">
                <a class="button quiet" href=paths::KEYS data-close="">"Cancel"</a>
                <Submit label="Create key" refused=may_not_create()/>
            </div>
        </ActForm>
    }
}

#[component]
fn EditForm(key: KeyView) -> impl IntoView {
    let expires = key.expires_ms.map(iso).unwrap_or_default();
    let day = expires.split('T').next().unwrap_or_default().to_owned();
    view! {
        <ActForm name=EDIT action="/api/keys/edit" class="stack">
            <p><code>{format!("{}…", key.prefix)}</code>" "<span class="soft">{format!("of {}", key.workspace)}</span></p>
            <input type="hidden" name="id" value=key.id/>
            <Field name="name" label="Name" value=key.name required=true/>
            <Terms expires=day error_dialect=key.error_dialect/>
            <div class="actions">
                <a class="button quiet" href=paths::KEYS data-close="">"Cancel"</a>
                <Submit label="Save Changes"/>
            </div>
        </ActForm>
    }
}

/// Until when a key works, and in whose words it is refused.
#[component]
fn Terms(#[prop(optional)] expires: String, #[prop(optional)] error_dialect: String) -> impl IntoView {
    let dialects = vec![
        Choice::new("dashscope", "dashscope: the provider's own codes"),
        Choice::new("openai", "openai: OpenAI's codes"),
    ];
    view! {
        <Field name="expires" label="Expires" kind="date" value=expires hint="The last day it works, in UTC. Empty for never."/>
        <Select name="error_dialect" label="Error dialect" choices=dialects value=error_dialect hint="Whose error codes a refusal carries on the OpenAI-compatible addresses."/>
    }
}
