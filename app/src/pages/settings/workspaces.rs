//! Settings › Workspaces: who has a share of the account, and a new one.

use super::{Create, List, asked, row_link};
use crate::{
    api::workspaces::{CREATE, WorkspaceView, workspaces},
    components::{frame::PageHead, page::refused},
    format::whole,
    paths,
    read::content,
    ui::{ActForm, CopyButton, Dialog, Field, Moment, Submit},
};
use domain::Action;
use leptos::prelude::*;

const COLUMNS: [(&str, bool); 6] =
    [("Workspace", false), ("Id", false), ("Models", true), ("API keys", true), ("Created", false), ("", false)];

/// The page.
#[component]
pub(crate) fn Workspaces() -> impl IntoView {
    view! {
        <PageHead title="Workspaces"><Create label="New workspace" refused=refused(Action::Configure)/></PageHead>
        <p class="soft">"A workspace is a team's share of the account: which models it may call, and within which limits."</p>
        {content(workspaces(), |rows| {
            let rows = rows.into_iter().map(row).collect();
            view! { <List label="Workspaces" columns=&COLUMNS rows=rows/> }
        })}
        <Dialog id="create-dialog" title="New workspace" open=asked("create").is_some() back=paths::WORKSPACES>
            <ActForm name=CREATE action="/api/workspaces/create" class="stack">
                <Field name="name" label="Name" required=true checked="workspace-name" hint="Models are granted after it is made."/>
                <div class="actions">
                    <a class="button quiet" href=paths::WORKSPACES data-close="">"Cancel"</a>
                    <Submit label="Create workspace" refused=refused(Action::Configure)/>
                </div>
            </ActForm>
        </Dialog>
    }
}

fn row(it: WorkspaceView) -> AnyView {
    let address = paths::workspace(&it.id);
    let badge = it.is_default.then(|| view! { " "<span class="badge">"default"</span> });
    view! {
        <tr>
            <th scope="row" class="model"><a href=address.clone()>{it.name.clone()}</a>{badge}</th>
            <td class="nowrap"><code class="id">{it.id.clone()}</code>" "<CopyButton text=it.id label=format!("the id of {}", it.name)/></td>
            <td class="number">{if it.is_default { "all".to_owned() } else { whole(it.models) }}</td>
            <td class="number">{whole(it.keys)}</td>
            <td class="nowrap"><Moment ms=it.created_ms/></td>
            <td class="number">{row_link(address, "Edit", &it.name)}</td>
        </tr>
    }
    .into_any()
}
