//! Forms that post to a server function: by the browser alone, or by script without leaving the page.

use crate::{
    components::page::{flash_for, typed_into},
    outcome::{FieldError, Outcome, SECRETS, Typed},
};
use leptos::prelude::*;

/// What a field knows of the form around it; found in context.
#[derive(Clone)]
pub struct Form {
    typed: Typed,
    errors: Vec<FieldError>,
    conflict: bool,
    /// Whether the form is told why nothing was stored.
    told: bool,
}

impl Form {
    fn new(name: String) -> Self {
        let flash = flash_for(&name);
        let (told, conflict) = match flash.as_ref().map(|it| &it.outcome) {
            Some(Outcome::Conflict(_)) => (true, true),
            Some(Outcome::Invalid(_)) => (true, false),
            _ => (false, false),
        };
        let errors = match flash.map(|it| it.outcome) {
            Some(Outcome::Invalid(errors)) => errors,
            Some(Outcome::Conflict(message)) => vec![FieldError::new("", message)],
            _ => Vec::new(),
        };
        let typed = typed_into(&name).unwrap_or_else(|| Typed { form: name, fields: Vec::new() });
        Self { typed, errors, conflict, told }
    }

    /// The id of the field with this name.
    pub fn id(&self, field: &str) -> String {
        field_id(&self.typed.form, field)
    }

    /// What was typed into a field before the page was loaded anew.
    pub fn typed(&self, field: &str) -> Option<String> {
        self.typed.get(field).filter(|_| !SECRETS.contains(&field)).map(str::to_owned)
    }

    /// Whether a box was ticked before the page was loaded anew; `None` when nothing was sent.
    pub fn ticked(&self, field: &str) -> Option<bool> {
        (!self.typed.fields.is_empty()).then(|| self.typed.get(field) == Some("on"))
    }

    /// What the form is to send as the revision that it changes. What was typed on top of an older one than is stored now
    /// keeps that one, so that it does not take the place of something its author never saw; after a conflict they did.
    pub fn revision(&self, stored: i64) -> String {
        let typed = self.typed.get("revision").filter(|_| !self.conflict);
        typed.map_or_else(|| stored.to_string(), str::to_owned)
    }

    /// The server's message at a field.
    pub fn error(&self, field: &str) -> Option<String> {
        let said = self.errors.iter().find(|it| it.field == field).map(|it| it.message.clone());
        let lost = SECRETS.contains(&field) && self.typed.get(field).is_some();
        said.or_else(|| lost.then(|| "type it again: it is not kept".to_owned()))
    }
}

/// The id of a field of a form.
pub fn field_id(form: &str, field: &str) -> String {
    let safe: String = field.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{form}-{safe}")
}

/// A form that is answered without leaving the page where script runs, and by a redirect where it does not.
/// `children` find [`Form`] in context.
#[component]
pub fn ActForm(
    /// Names the form in ids and in the session; unique on its page.
    #[prop(into)]
    name: String,
    /// The server function's address.
    #[prop(into)]
    action: String,
    /// Classes of the form.
    #[prop(optional, into)]
    class: String,
    children: Children,
) -> impl IntoView {
    let form = Form::new(name.clone());
    let summary = summary(&form);
    let told = form.told.then_some("");
    provide_context(form);
    view! {
        <form method="post" action=action class=class data-act="" data-told=told novalidate>
            <input type="hidden" name="form" value=name/>
            {summary}
            {children()}
        </form>
    }
}

/// A form that always loads a new page: signing in and out.
#[component]
pub fn PlainForm(
    /// Names the form in ids and in the session; unique on its page.
    #[prop(into)]
    name: String,
    /// The server function's address.
    #[prop(into)]
    action: String,
    /// Classes of the form.
    #[prop(optional, into)]
    class: String,
    children: Children,
) -> impl IntoView {
    let form = Form::new(name.clone());
    let summary = summary(&form);
    let told = form.told.then_some("");
    provide_context(form);
    view! {
        <form method="post" action=action class=class data-told=told>
            <input type="hidden" name="form" value=name/>
            {summary}
            {children()}
        </form>
    }
}

/// What is wrong with the form, with a link to each field. It is there from the beginning, so that it is announced when
/// it fills.
fn summary(form: &Form) -> impl IntoView + use<> {
    let items: Vec<_> = form
        .errors
        .iter()
        .map(|error| {
            let message = error.message.clone();
            let text = if error.field.is_empty() {
                message.into_any()
            } else {
                view! { <a href=format!("#{}", form.id(&error.field))>{message}</a> }.into_any()
            };
            view! { <li>{text}</li> }
        })
        .collect();
    view! {
        <div class="summary" role="alert" tabindex="-1" hidden=form.errors.is_empty()>
            <p>"Nothing was stored:"</p>
            <ul>{items}</ul>
        </div>
    }
}

/// The revision that the form around it changes.
#[component]
pub fn Revision(
    /// The one that is stored.
    of: i64,
) -> impl IntoView {
    let revision = expect_context::<Form>().revision(of);
    view! { <input type="hidden" name="revision" value=revision/> }
}

/// The button that sends the form around it.
#[component]
pub fn Submit(
    /// The words on it.
    #[prop(into)]
    label: String,
    /// Why it may not be pressed; shown as its title and to screen readers.
    #[prop(default = None)]
    refused: Option<String>,
    /// Classes beside `button`.
    #[prop(optional, into)]
    class: String,
) -> impl IntoView {
    let disabled = refused.is_some();
    let title = refused.clone();
    let spoken = refused.map(|reason| view! { <span class="unseen">{format!(" ({reason})")}</span> });
    view! { <button type="submit" class=format!("button {class}") disabled=disabled title=title>{label}{spoken}</button> }
}
