//! Settings › Workspaces › Edit: name and id, *Model Permission*, and putting the workspace away.

use super::{Confirm, List, asked, row_link};
use crate::{
    api::workspaces::{ARCHIVE, EditorView, GrantView, LIMITS, RENAME, WorkspaceView, editor},
    components::{
        editor::{Permission, Picking},
        frame::PageHead,
        page::{flash_for, refused, typed_into},
    },
    draft::Draft,
    format::{NOTHING, whole},
    outcome::{Flash, Outcome, Typed},
    paths,
    read::page,
    ui::{ActForm, CopyButton, Field, Moment, Revision, Submit},
};
use domain::Action;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

const WHY_DEFAULT: &str = "The default workspace may call every model within the account's limits. These cannot be edited here; its name can.";
const MODELS: [(&str, bool); 4] = [("Model", false), ("Provider", false), ("Times / min", true), ("Token / min", true)];

/// The page.
#[component]
pub(crate) fn Workspace() -> impl IntoView {
    let id = use_params_map().with_untracked(|it| it.get("id").unwrap_or_default());
    page(editor(id), |view| view! { <Content view=view/> })
}

#[component]
fn Content(view: EditorView) -> impl IntoView {
    let EditorView { workspace, models } = view;
    let address = paths::workspace(&workspace.id);
    let may_archive = !workspace.is_default && refused(Action::Configure).is_none();
    let archive = (may_archive && asked("archive").is_some()).then(|| {
        let words = format!("The keys of {} stop at once and for good. Its figures stay in Monitoring.", workspace.name);
        view! {
            <Confirm title="Archive this workspace?" name=ARCHIVE action="/api/workspaces/archive" id=workspace.id.clone() revision=workspace.revision
                label="Archive workspace" words=words back=address.clone()/>
        }
    });
    let ask =
        may_archive.then(|| row_link(paths::with_query(&address, &[("archive", "1")]), "Archive", &workspace.name));
    let permission = if workspace.is_default {
        view! { <DefaultModels models=models/> }.into_any()
    } else {
        view! { <Edit workspace=workspace.clone() models=models/> }.into_any()
    };
    view! {
        <nav class="crumbs" aria-label="Where this is"><a href=paths::WORKSPACES>"Workspaces"</a></nav>
        <PageHead title=workspace.name.clone()>{ask}</PageHead>
        <BasicInfo workspace=workspace/>
        {permission}
        {archive}
    }
}

#[component]
fn BasicInfo(workspace: WorkspaceView) -> impl IntoView {
    let id = workspace.id.clone();
    view! {
        <section class="panel padded stack" aria-labelledby="basic">
            <h2 id="basic">"Basic info"</h2>
            <div class="basic">
                <ActForm name=RENAME action="/api/workspaces/rename" class="rename">
                    <input type="hidden" name="id" value=id.clone()/>
                    <Revision of=workspace.revision/>
                    <Field name="name" label="Name" value=workspace.name required=true guarded=true checked="workspace-name" disabled=refused(Action::Configure).is_some()/>
                    <Submit label="Rename" class="quiet" refused=refused(Action::Configure)/>
                </ActForm>
                <dl>
                    <div><dt>"Id"</dt><dd><code class="id">{workspace.id.clone()}</code>" "<CopyButton text=workspace.id label="the id"/></dd></div>
                    <div><dt>"Created"</dt><dd><Moment ms=workspace.created_ms/></dd></div>
                    <div><dt>"API keys"</dt><dd><a href=paths::KEYS>{whole(workspace.keys)}</a></dd></div>
                </dl>
            </div>
        </section>
    }
}

/// The default workspace: what it may use, and why nothing of it can be changed.
#[component]
fn DefaultModels(models: Vec<GrantView>) -> impl IntoView {
    let rows = models
        .into_iter()
        .map(|it| {
            let tpm = it.account_tpm.map_or_else(|| NOTHING.to_owned(), whole);
            view! {
                <tr><th scope="row" class="model">{it.model}</th><td>{it.provider}</td><td class="number">{whole(it.account_rpm)}</td><td class="number">{tpm}</td></tr>
            }
            .into_any()
        })
        .collect();
    view! {
        <section class="stack" aria-labelledby="permission">
            <h2 id="permission">"Model Permission"</h2>
            <p class="notice">{WHY_DEFAULT}</p>
            <List label="Models" columns=&MODELS rows=rows/>
        </section>
    }
}

/// The form around the editor.
#[component]
fn Edit(workspace: WorkspaceView, models: Vec<GrantView>) -> impl IntoView {
    let flash = flash_for(LIMITS).filter(Flash::failed);
    let typed = typed_into(LIMITS).filter(|it| !it.fields.is_empty());
    let first = typed.as_ref().map_or_else(|| Draft::stored(&models), |it| Draft::from_typed(&it.fields));
    let errors = flash.as_ref().map(|it| it.outcome.errors().to_vec()).unwrap_or_default();
    let conflict = flash.as_ref().is_some_and(|it| matches!(it.outcome, Outcome::Conflict(_)));
    let shown = match flash.as_ref().map(|it| &it.outcome) {
        Some(Outcome::Shown(markup)) => markup.clone(),
        _ => String::new(),
    };
    let picking = picking(typed.unwrap_or_default());
    let address = paths::workspace(&workspace.id);
    view! {
        <section class="panel padded" aria-labelledby="permission">
            <ActForm name=LIMITS action="/api/workspaces/limits/set" class="stack">
                <input type="hidden" name="id" value=workspace.id/>
                <Revision of=workspace.revision/>
                <Permission models=models first=first errors=errors picking=picking conflict=conflict shown=shown refused=refused(Action::Configure) address=address/>
            </ActForm>
        </section>
    }
}

fn picking(typed: Typed) -> Picking {
    let mut start = Picking { open: asked("picker").is_some(), ..Picking::default() };
    for (name, value) in typed.fields {
        match name.as_str() {
            "search" => start.search = value,
            "provider" => start.provider = value,
            "pick" => drop(start.picked.insert(value)),
            _ => {}
        }
    }
    start
}
