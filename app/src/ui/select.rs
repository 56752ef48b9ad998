//! A labelled list to choose from.

use super::form::Form;
use leptos::prelude::*;

/// One entry: what is sent, and what is read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub label: String,
}

impl Choice {
    /// An entry.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into() }
    }
}

/// A `<select>` inside a form.
#[component]
pub fn Select(
    /// The name it is sent under.
    #[prop(into)]
    name: String,
    /// The words above it.
    #[prop(into)]
    label: String,
    /// What there is to choose from.
    choices: Vec<Choice>,
    /// What is chosen first.
    #[prop(optional, into)]
    value: String,
    /// A quiet line below it.
    #[prop(optional, into)]
    hint: String,
    /// Whether it may not be changed.
    #[prop(optional)]
    disabled: bool,
) -> impl IntoView {
    let form = expect_context::<Form>();
    let id = form.id(&name);
    let (hint_id, message_id) = (format!("{id}-hint"), format!("{id}-message"));
    let described = if hint.is_empty() { message_id.clone() } else { format!("{hint_id} {message_id}") };
    let chosen = form.typed(&name).unwrap_or(value);
    let message = form.error(&name);
    let invalid = message.is_some().then_some("true");
    let label_for = id.clone();
    let options: Vec<_> = choices
        .into_iter()
        .map(|it| {
            let selected = it.value == chosen;
            view! { <option value=it.value selected=selected>{it.label}</option> }
        })
        .collect();
    view! {
        <div class="field">
            <label for=label_for>{label}</label>
            <select id=id name=name disabled=disabled aria-describedby=described aria-invalid=invalid>{options}</select>
            {(!hint.is_empty()).then(|| view! { <small id=hint_id>{hint}</small> })}
            <small id=message_id class="message" aria-live="polite">{message}</small>
        </div>
    }
}
