//! Settings › Workspaces: who has a share of the account, and a new one.

use super::{Create, List, asked, row_link, shares::Shares};
use crate::{
    api::workspaces::{ArchivedView, CREATE, WorkspaceView, WorkspacesView, workspaces},
    components::{
        frame::PageHead,
        page::{failed, refused},
    },
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
        {content(workspaces(), |view| view! { <Content view=view/> })}
        <Dialog id="create-dialog" title="New workspace" open=asked("create").is_some() || failed(CREATE) back=paths::WORKSPACES>
            <ActForm name=CREATE action="/api/workspaces/create" class="stack">
                <Field name="name" label="Name" required=true autofocus=true checked="workspace-name" hint="Models are granted after it is made."/>
                <div class="actions">
                    <a class="button quiet" href=paths::WORKSPACES data-close="">"Cancel"</a>
                    <Submit label="Create workspace" refused=refused(Action::Configure)/>
                </div>
            </ActForm>
        </Dialog>
    }
}

#[component]
fn Content(view: WorkspacesView) -> impl IntoView {
    let rows = view.workspaces.into_iter().map(row).collect();
    let shares = (!view.shares.is_empty()).then(|| view! { <Shares models=view.shares/> });
    let archived = (!view.archived.is_empty()).then(|| view! { <Archived rows=view.archived/> });
    view! {
        <List label="Workspaces" columns=&COLUMNS rows=rows/>
        {shares}
        {archived}
    }
}

/// Workspaces that were put away: their keys are refused, their figures stay.
#[component]
fn Archived(rows: Vec<ArchivedView>) -> impl IntoView {
    let items: Vec<_> = rows
        .into_iter()
        .map(|it| {
            let figures = paths::with_query(paths::MONITORING, &[("range", "30d"), ("workspace", &it.id)]);
            let of = format!(" of {}", it.name);
            view! { <li><strong>{it.name}</strong>", put away "<Moment ms=it.archived_ms/>" · "<a href=figures>"Figures"<span class="unseen">{of}</span></a></li> }
        })
        .collect();
    view! {
        <section class="stack" aria-labelledby="archived">
            <h2 id="archived">"Archived"</h2>
            <p class="soft">"Their keys are refused; what they used stays in Monitoring."</p>
            <ul class="plain">{items}</ul>
        </section>
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
