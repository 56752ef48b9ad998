//! What every page knows before it asks for anything: who looks at it, and what the last form answered.

use crate::outcome::{Flash, Outcome, Typed};
use domain::{Action, Role, Standing};
use leptos::prelude::*;

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The e-mail address.
    pub email: String,
    /// The account's name.
    pub account: String,
    /// The workspace a workspace admin or viewer belongs to.
    pub workspace: Option<String>,
    /// What decides who may do what.
    pub standing: Standing,
}

impl Viewer {
    /// Why this viewer may not do `action`; `None` when it is allowed.
    pub fn refused(&self, action: Action<'_>) -> Option<String> {
        (!self.standing.may(action)).then(|| match self.standing.role {
            Role::WorkspaceAdmin => {
                "a workspace admin manages the keys of the own workspace; ask an owner or admin".to_owned()
            }
            _ => "a viewer only reads; ask an owner or admin".to_owned(),
        })
    }
}

/// What the server knows of a request before the page is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageContext {
    /// Who is signed in.
    pub viewer: Option<Viewer>,
    /// `light`, `dark`, or empty for the system's choice.
    pub theme: &'static str,
    /// What the form before a redirect answered.
    pub flash: Option<Flash>,
    /// A secret that this answer alone shows.
    pub once: Option<String>,
    /// Where model clients point their base URL.
    pub gateway_url: String,
    /// Since when calls are missing from the figures, in milliseconds of the epoch; `None` while none are.
    pub stale_since: Option<i64>,
    /// The form that came when its session had ended; it is sent again after signing in.
    pub lost: Option<LostForm>,
}

/// A form that was sent without a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostForm {
    /// The address it was sent to.
    pub action: String,
    /// Its fields, as they were sent.
    pub fields: String,
    /// The page it was typed on, if that came along; empty otherwise.
    pub next: String,
}

/// The context of this request; an empty one where there is no request.
pub fn use_page() -> PageContext {
    use_context::<PageContext>().unwrap_or_default()
}

/// Why who looks at the page may not do `action`; `None` when it is allowed.
pub fn refused(action: Action<'_>) -> Option<String> {
    match use_page().viewer {
        Some(viewer) => viewer.refused(action),
        None => Some("sign in first".to_owned()),
    }
}

/// What the form of this name answered before the page was loaded.
pub fn flash_for(form: &str) -> Option<Flash> {
    use_page().flash.filter(|flash| flash.typed.form == form)
}

/// What was typed into the form of this name before the page was loaded, whether it was sent or another form beside it.
pub fn typed_into(form: &str) -> Option<Typed> {
    let flash = use_page().flash?;
    std::iter::once(flash.typed).chain(flash.beside).find(|typed| typed.form == form)
}

/// Whether the form of this name came and nothing was stored.
pub fn failed(form: &str) -> bool {
    flash_for(form).is_some_and(|flash| flash.failed())
}

/// Something said in passing.
pub(crate) struct Message {
    /// What is said.
    pub(crate) text: String,
    /// Whether it is why nothing was stored.
    pub(crate) bad: bool,
    /// Whether it is said by its form as well, if that is on the page.
    pub(crate) by_form: bool,
}

/// What is said in passing: that something was stored, or why nothing could be.
pub(crate) fn message() -> Option<Message> {
    let flash = use_page().flash?;
    let by_form = !flash.typed.form.is_empty();
    match flash.outcome {
        Outcome::Done { message, .. } if !message.is_empty() => {
            Some(Message { text: message, bad: false, by_form: false })
        }
        Outcome::Invalid(errors) => {
            let error = errors.into_iter().find(|it| it.field.is_empty())?;
            Some(Message { text: error.message, bad: true, by_form })
        }
        _ => None,
    }
}
