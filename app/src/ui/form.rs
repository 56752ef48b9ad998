//! Forms that post to a server function: by the browser alone, or by script without leaving the page.

use crate::{
    components::page::flash_for,
    outcome::{FieldError, Outcome},
};
use leptos::prelude::*;

/// What a field knows of the form around it; found in context.
#[derive(Clone)]
pub struct Form {
    name: String,
    typed: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Form {
    fn new(name: String) -> Self {
        let Some(flash) = flash_for(&name) else { return Self { name, typed: Vec::new(), errors: Vec::new() } };
        let errors = match flash.outcome {
            Outcome::Invalid(errors) => errors,
            Outcome::Conflict(message) => vec![FieldError::new("", message)],
            Outcome::Done { .. } | Outcome::Shown(_) => Vec::new(),
        };
        Self { name, typed: flash.typed, errors }
    }

    /// The id of the field with this name.
    pub fn id(&self, field: &str) -> String {
        field_id(&self.name, field)
    }

    /// What was typed into a field before the page was loaded anew.
    pub fn typed(&self, field: &str) -> Option<String> {
        self.typed.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone())
    }

    /// The server's message at a field.
    pub fn error(&self, field: &str) -> Option<String> {
        self.errors.iter().find(|it| it.field == field).map(|it| it.message.clone())
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
    let form = Form::new(name);
    let summary = summary(&form);
    provide_context(form);
    view! { <form method="post" action=action class=class data-act="" novalidate>{summary}{children()}</form> }
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
    let form = Form::new(name);
    let summary = summary(&form);
    provide_context(form);
    view! { <form method="post" action=action class=class>{summary}{children()}</form> }
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
