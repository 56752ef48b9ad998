//! The frame around every page: where one is, who one is, and the way elsewhere.

use super::page::{Viewer, message, use_page};
use crate::{
    paths,
    ui::{Dialog, Icon, Moment, PlainForm},
};
use domain::Action;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;

const SETTINGS: [(&str, &str, &str); 7] = [
    (paths::WORKSPACES, "Workspaces", "workspaces"),
    (paths::MODELS, "Models", "models"),
    (paths::PROVIDERS, "Providers", "providers"),
    (paths::KEYS, "API keys", "keys"),
    (paths::MEMBERS, "Members", "members"),
    (paths::AUDIT, "Audit log", "audit"),
    (paths::ACCOUNT, "Account", "account"),
];

const SHORTCUTS: [(&str, &str); 7] = [
    ("?", "This list"),
    ("/", "Search or filter"),
    ("t", "Time range"),
    ("g m", "Monitoring"),
    ("g r", "Rate Limit"),
    ("g w", "Workspaces"),
    ("Esc", "Close a dialog or menu"),
];

/// Navigation, the account's name and the page; alone the page when nobody is signed in.
#[component]
pub fn Frame(children: Children) -> impl IntoView {
    let page = use_page();
    let framed = page.viewer.is_some();
    let toast = message().map(|it| {
        view! {
            <p class="toast" class:bad=it.bad data-by-form=it.by_form.then_some("")>
                <span>{it.text}</span>
                <button type="button" class="bare needs-script" data-dismiss="" aria-label="Dismiss"><Icon name="close"/></button>
            </p>
        }
    });
    let stale = page.stale_since.filter(|_| framed).map(|ms| {
        view! {
            <p class="notice near" role="status">
                "Figures are stale since "<Moment ms=ms/>": the database does not take new ones. Calls go on and are added when it does."
            </p>
        }
    });
    view! {
        <a class="skip" href="#main">"Skip to main content"</a>
        <div class="frame" class:alone=!framed>
            {page.viewer.map(|viewer| view! { <TopBar viewer=viewer/><Navigation/> })}
            <main id="main" tabindex="-1">{stale}{children()}</main>
        </div>
        <div class="toasts" role="status">{toast}</div>
        {framed.then(|| view! { <Shortcuts/> })}
    }
}

#[component]
fn TopBar(viewer: Viewer) -> impl IntoView {
    let place = match &viewer.workspace {
        Some(workspace) => format!("{} › {workspace}", viewer.account),
        None => viewer.account.clone(),
    };
    view! {
        <header class="top">
            <button type="button" class="bare menu" popovertarget="navigation" aria-label="Menu"><Icon name="menu"/></button>
            <a class="brand" href=paths::MONITORING><Icon name="sluice"/>"Sluice"</a>
            <span class="place"><span class="unseen">"Account "</span>{place}</span>
            <a class="who" href=paths::ACCOUNT title=viewer.standing.role.as_str()>{viewer.email}</a>
            <form method="post" action="/theme" class="inline" data-theme-switch="">
                // Which of the two is shown the style sheet decides: it knows the system's theme, where none was chosen.
                <button type="submit" name="theme" value="dark" class="bare to-dark" aria-label="Switch to dark" title="Dark"><Icon name="theme"/></button>
                <button type="submit" name="theme" value="light" class="bare to-light" aria-label="Switch to light" title="Light"><Icon name="theme"/></button>
            </form>
            <PlainForm name="sign-out" action="/api/sign-out" class="inline">
                <button type="submit" class="bare">"Sign out"</button>
            </PlainForm>
        </header>
    }
}

#[component]
fn Navigation() -> impl IntoView {
    let path = use_location().pathname.get_untracked();
    let current = |href: &str| (path == href || path.starts_with(&format!("{href}/"))).then_some("page");
    let may_read_audit = super::page::refused(Action::ReadAudit).is_none();
    let settings: Vec<_> = SETTINGS
        .iter()
        .filter(|(href, ..)| *href != paths::AUDIT || may_read_audit)
        .map(|(href, words, icon)| view! { <li><a href=*href aria-current=current(href)><Icon name=icon/>{*words}</a></li> })
        .collect();
    view! {
        <nav id="navigation" class="side" aria-label="Main" popover="auto">
            <ul>
                <li><a href=paths::MONITORING aria-current=current(paths::MONITORING)><Icon name="monitoring"/>"Monitoring"</a></li>
            </ul>
            <h2>"Settings"</h2>
            <ul>{settings}</ul>
            <ul class="last">
                <li><a href=paths::HELP aria-current=current(paths::HELP)><Icon name="help"/>"How limits work"</a></li>
                <li class="needs-script"><button type="button" command="show-modal" commandfor="shortcuts"><kbd>"?"</kbd>"Keyboard"</button></li>
            </ul>
        </nav>
    }
}

#[component]
fn Shortcuts() -> impl IntoView {
    let rows: Vec<_> =
        SHORTCUTS.iter().map(|(key, words)| view! { <dt><kbd>{*key}</kbd></dt><dd>{*words}</dd> }).collect();
    view! {
        <Dialog id="shortcuts" title="Keyboard" open=false back="">
            <div class="body"><dl class="facts">{rows}</dl></div>
        </Dialog>
    }
}

/// The one `<h1>` of a page, what stands beside it, and the title of the window.
#[component]
pub fn PageHead(
    /// The heading.
    #[prop(into)]
    title: String,
    /// What stands beside the heading.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <Title text=title.clone()/>
        <header class="head">
            <h1>{title}</h1>
            {children.map(|children| children())}
        </header>
    }
}
