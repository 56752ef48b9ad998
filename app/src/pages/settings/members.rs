//! Settings › Members: who may sign in, with which role.

use super::{Confirm, Create, List, asked, gone, row_link, row_refused};
use crate::{
    api::members::{INVITE, INVITE_AGAIN, MemberView, MembersView, REMOVE, ROLE, members},
    components::{
        frame::PageHead,
        page::{failed, refused, use_page},
    },
    format::NOTHING,
    paths,
    read::content,
    ui::{ActForm, Choice, CopyButton, Dialog, Field, Moment, Select, Submit},
};
use domain::{Action, Role};
use leptos::prelude::*;

const COLUMNS: [(&str, bool); 5] =
    [("Member", false), ("Role", false), ("Workspace", false), ("Last sign-in", false), ("", false)];

const LAST_OWNER: &str = "the last owner stays one; make someone else an owner first";

/// The page.
#[component]
pub(crate) fn Members() -> impl IntoView {
    view! {
        <PageHead title="Members"><Create label="Invite" refused=refused(Action::ManageMember(Role::Viewer))/></PageHead>
        <p class="soft">"Owners and admins act on the whole account. Workspace admins and viewers belong to one workspace."</p>
        {content(members(), |view| view! { <Content view=view/> })}
    }
}

#[component]
fn Content(view: MembersView) -> impl IntoView {
    let MembersView { members, roles, workspaces, invitation_url } = view;
    let made = use_page().once.map(|token| {
        let link = format!("{}{token}", invitation_url);
        view! {
            <section class="notice stack" aria-labelledby="new-link">
                <h2 id="new-link">"Invitation"</h2>
                <p>"Send this link to whom you invite. It works once, for 7 days, and is not shown again."</p>
                <p class="row"><code class="secret">{link.clone()}</code><CopyButton text=link label="the invitation link"/></p>
            </section>
        }
    });
    let found = |param| {
        let id = asked(param)?;
        members.iter().find(|it| it.id == id && it.editable && !it.last_owner).cloned()
    };
    let remove = found("remove").map(|member| {
        let words = format!("{} is signed out at once and cannot sign in again.", member.email);
        view! { <Confirm title="Remove this member?" name=REMOVE action="/api/members/remove" id=member.id label="Remove member" words=words back=paths::MEMBERS/> }
    });
    let role = found("role").map(|member| {
        let form = view! { <RoleForm member=member roles=roles.clone() workspaces=workspaces.clone()/> };
        view! { <Dialog id="role-dialog" title="Change role" open=true back=paths::MEMBERS>{form}</Dialog> }
    });
    let rows = members.iter().map(row).collect();
    let opened = role.is_some() || remove.is_some();
    let gone = gone(&["role", "remove"], opened, "That member is gone, is the last owner, or is not yours to change.");
    view! {
        {made}
        {gone}
        <List label="Members" columns=&COLUMNS rows=rows/>
        <Dialog id="create-dialog" title="Invite" open=asked("create").is_some() || failed(INVITE) back=paths::MEMBERS>
            <ActForm name=INVITE action="/api/members/invite" class="stack">
                <Field name="email" label="E-mail address" kind="email" required=true autofocus=true/>
                <RoleFields role=Role::Viewer.as_str().to_owned() workspace=String::new() roles=roles workspaces=workspaces/>
                <div class="actions">
                    <a class="button quiet" href=paths::MEMBERS data-close="">"Cancel"</a>
                    <Submit label="Make invitation"/>
                </div>
            </ActForm>
        </Dialog>
        {role}
        {remove}
    }
}

fn row(it: &MemberView) -> AnyView {
    let signed_in = match (it.invited_until_ms, it.last_sign_in_ms) {
        (Some(ms), _) => view! { <span class="badge near">"invited, until "<Moment ms=ms/></span> }.into_any(),
        (None, Some(ms)) => view! { <Moment ms=ms/> }.into_any(),
        (None, None) => NOTHING.into_any(),
    };
    let actions = it.editable.then(|| {
        let address = |param| paths::with_query(paths::MEMBERS, &[(param, it.id.as_str())]);
        let id = it.id.clone();
        let again = it.invited_until_ms.is_some().then(move || {
            view! {
                <ActForm name=format!("{INVITE_AGAIN}-{id}") action="/api/members/invite-again" class="inline">
                    <input type="hidden" name="id" value=id/>
                    <Submit label="New link" class="quiet small"/>
                </ActForm>
            }
        });
        // The last owner stays one, or nobody could administer the account any more.
        let change = |param: &'static str, words| {
            if it.last_owner { row_refused(words, LAST_OWNER) } else { row_link(address(param), words, &it.email) }
        };
        view! { <div class="row-actions">{again}{change("role", "Role")}{change("remove", "Remove")}</div> }
    });
    let workspace = if it.workspace.is_empty() { "all".to_owned() } else { it.workspace.clone() };
    view! {
        <tr>
            <th scope="row" class="model">{it.email.clone()}</th>
            <td>{it.role.clone()}</td>
            <td>{workspace}</td>
            <td class="nowrap">{signed_in}</td>
            <td class="number">{actions}</td>
        </tr>
    }
    .into_any()
}

#[component]
fn RoleForm(member: MemberView, roles: Vec<Choice>, workspaces: Vec<Choice>) -> impl IntoView {
    let workspace =
        workspaces.iter().find(|it| it.label == member.workspace).map(|it| it.value.clone()).unwrap_or_default();
    view! {
        <ActForm name=ROLE action="/api/members/role/set" class="stack">
            <p class="model">{member.email}</p>
            <input type="hidden" name="id" value=member.id/>
            <RoleFields role=member.role workspace=workspace roles=roles workspaces=workspaces/>
            <div class="actions">
                <a class="button quiet" href=paths::MEMBERS data-close="">"Cancel"</a>
                <Submit label="Save Changes"/>
            </div>
        </ActForm>
    }
}

#[component]
fn RoleFields(role: String, workspace: String, roles: Vec<Choice>, workspaces: Vec<Choice>) -> impl IntoView {
    let workspaces = std::iter::once(Choice::new("", "None: the whole account")).chain(workspaces).collect();
    view! {
        <Select name="role" label="Role" choices=roles value=role/>
        <Select name="workspace" label="Workspace" choices=workspaces value=workspace hint="For workspace admins and viewers. Members of the default workspace see all workspaces."/>
    }
}
