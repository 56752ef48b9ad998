//! Monitoring › Refusals: what limits refused, the newest first; each leads to the page that explains it.

use crate::{
    api::refusals::{RefusalsView, RowView, refusals},
    components::{frame::PageHead, tabs::MonitoringTabs},
    format::whole,
    paths,
    read::content,
    ui::{Choice, Empty, Instant, Moment},
};
use domain::{Cause, Scope};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// What the address asks for, by the names of the filters.
#[derive(Clone, Default)]
struct Asked {
    workspace: String,
    model: String,
    cause: String,
    scope: String,
}

impl Asked {
    fn address(&self, before: &str) -> String {
        let Self { workspace, model, cause, scope } = self;
        let pairs = [("workspace", workspace), ("model", model), ("cause", cause), ("scope", scope)];
        let mut pairs = pairs.map(|(name, value)| (name, value.as_str())).to_vec();
        pairs.push(("before", before));
        paths::with_query(paths::REFUSALS, &pairs)
    }

    fn is_all(&self) -> bool {
        [&self.workspace, &self.model, &self.cause, &self.scope].into_iter().all(String::is_empty)
    }
}

/// The page.
#[component]
pub(crate) fn Refusals() -> impl IntoView {
    let get = |name: &str| use_query_map().with_untracked(|query| query.get(name)).unwrap_or_default();
    let asked = Asked { workspace: get("workspace"), model: get("model"), cause: get("cause"), scope: get("scope") };
    let it = asked.clone();
    let before = get("before");
    let first = before.is_empty();
    view! {
        <PageHead title="Refusals"><Find/></PageHead>
        <MonitoringTabs current=paths::REFUSALS/>
        {content(refusals(it.workspace, it.model, it.cause, it.scope, before), move |view| view! { <Content view=view asked=asked first=first/> })}
    }
}

#[component]
fn Content(view: RefusalsView, mut asked: Asked, first: bool) -> impl IntoView {
    // A workspace's name is understood as well; the list goes by the id.
    asked.workspace.clone_from(&view.workspace);
    let next = view.next.as_ref().map(|before| {
        let words = if view.stopped_looking { "Look further back" } else { "Earlier refusals" };
        view! { <a class="button quiet" href=asked.address(before)>{words}</a> }
    });
    let newest = (!first).then(|| view! { <a class="button quiet" href=asked.address("")>"Newest"</a> });
    let list = if view.rows.is_empty() {
        view! { <Nothing asked=asked.clone() stopped=view.stopped_looking first=first/> }.into_any()
    } else {
        view! { <Table rows=view.rows several=!view.workspaces.is_empty()/> }.into_any()
    };
    let left_out = (view.left_out > 0).then(|| {
        view! {
            <p class="notice near">
                {format!("{} refused or failed calls came so quickly that the log had no room for them. ", whole(view.left_out))}
                "They are counted in Monitoring and have no page here."
            </p>
        }
    });
    view! {
        <Filters asked=asked workspaces=view.workspaces models=view.models/>
        {left_out}
        {list}
        <p class="row">
            {next}{newest}
            {view.begins_ms.map(|ms| view! { <span class="soft">"The log begins at "<Moment ms=ms/>"."</span> })}
        </p>
    }
}

#[component]
fn Filters(asked: Asked, workspaces: Vec<Choice>, models: Vec<Choice>) -> impl IntoView {
    let causes = [(Cause::Requests, "Requests"), (Cause::Tokens, "Tokens"), (Cause::Surge, "Surge")];
    let causes = causes.map(|(it, words)| Choice::new(it.as_str(), words)).to_vec();
    let scopes = [(Scope::Account, "The account's"), (Scope::Workspace, "A workspace's")];
    let scopes = scopes.map(|(it, words)| Choice::new(it.as_str(), words)).to_vec();
    let workspaces = (!workspaces.is_empty())
        .then(|| select("workspace", "Workspace", "All workspaces", workspaces, &asked.workspace));
    view! {
        <form class="filters" method="get" action=paths::REFUSALS>
            {workspaces}
            {select("model", "Model", "All models", models, &asked.model)}
            {select("cause", "What ran out", "Anything", causes, &asked.cause)}
            {select("scope", "Whose limit", "Anyone's", scopes, &asked.scope)}
            <button type="submit" class="button quiet without-script">"Filter"</button>
        </form>
    }
}

/// From the id in somebody's error message to its page.
#[component]
fn Find() -> impl IntoView {
    view! {
        <form class="find" method="get" action=paths::FIND_REFUSAL>
            <label class="unseen" for="refusal-id">"Request id"</label>
            <input id="refusal-id" type="search" name="id" required placeholder="x-request-id of a 429" autocomplete="off"/>
            <button type="submit" class="button quiet">"Explain"</button>
        </form>
    }
}

fn select(name: &'static str, label: &'static str, all: &'static str, choices: Vec<Choice>, chosen: &str) -> AnyView {
    let id = format!("refusals-{name}");
    // A model that was deleted since is still what the list is kept to.
    let unknown = !chosen.is_empty() && !choices.iter().any(|it| it.value == chosen);
    let unknown = unknown.then(|| view! { <option value=chosen.to_owned() selected=true>{chosen.to_owned()}</option> });
    let options: Vec<_> = choices
        .into_iter()
        .map(|it| {
            let selected = it.value == chosen;
            view! { <option value=it.value selected=selected>{it.label}</option> }
        })
        .collect();
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select id=id name=name data-send=""><option value="">{all}</option>{unknown}{options}</select>
        </div>
    }
    .into_any()
}

#[component]
fn Table(rows: Vec<RowView>, several: bool) -> impl IntoView {
    let rows: Vec<_> = rows.into_iter().map(|it| row(it, several)).collect();
    view! {
        <div class="panel scroll" tabindex="0" role="group" aria-label="Refusals">
            <table class="refusals pinned">
                <thead>
                    <tr>
                        <th scope="col">"When"</th>
                        <th scope="col">"Model"</th>
                        {several.then(|| view! { <th scope="col">"Workspace"</th> })}
                        <th scope="col">"Key"</th>
                        <th scope="col">"Limit"</th>
                        <th scope="col" class="number">"Used"</th>
                        <th scope="col" class="number">"Needed"</th>
                        <th scope="col" class="number">"Passes after"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(it: RowView, several: bool) -> AnyView {
    let of = format!(": why {} was refused", it.id);
    view! {
        <tr>
            <th scope="row"><a href=paths::refusal(&it.id)><Instant ms=it.at_ms/><span class="unseen">{of}</span></a></th>
            <td class="model">{it.model}{it.fell_back.then(|| view! { " "<span class="badge">"fell back"</span> })}</td>
            {several.then(|| view! { <td>{it.workspace}</td> })}
            <td>{it.key}</td>
            <td class="nowrap">{it.limit}</td>
            <td class="number">{it.used}</td>
            <td class="number">{it.needed}</td>
            <td class="number">{it.passes_after}</td>
        </tr>
    }
    .into_any()
}

#[component]
fn Nothing(asked: Asked, stopped: bool, first: bool) -> impl IntoView {
    if stopped {
        return view! { <Empty title="No match so far"><p>"Many refusals were looked through. Earlier ones may match."</p></Empty> }.into_any();
    }
    if !asked.is_all() {
        return view! { <Empty title="No refusal matches"><a href=paths::REFUSALS>"Clear the filters"</a></Empty> }
            .into_any();
    }
    let title = if first { "Nothing was refused" } else { "No earlier refusals" };
    view! {
        <Empty title=title>
            <p>"A call that a limit refuses appears here within two seconds, with what the limit was used for."</p>
        </Empty>
    }
    .into_any()
}
