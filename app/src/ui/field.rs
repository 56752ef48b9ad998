//! One labelled input with its hint and its message.

use super::form::Form;
use domain::{Cause, LimitError, check_changed_limit, parse_limit};
use leptos::prelude::*;

/// A text field inside a form: keeps what was typed before a redirect, and says what is wrong with it.
#[component]
pub fn Field(
    /// The name it is sent under.
    #[prop(into)]
    name: String,
    /// The words above it.
    #[prop(into)]
    label: String,
    /// What it holds first.
    #[prop(optional, into)]
    value: String,
    /// The type of the input.
    #[prop(default = "text")]
    kind: &'static str,
    /// A quiet line below it.
    #[prop(optional, into)]
    hint: String,
    /// Shown while it is empty.
    #[prop(optional, into)]
    placeholder: String,
    /// What the browser may fill in.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// `numeric` for numbers.
    #[prop(default = "")]
    inputmode: &'static str,
    /// Whether it must be filled in.
    #[prop(optional)]
    required: bool,
    /// Whether the keyboard begins here.
    #[prop(optional)]
    autofocus: bool,
    /// Whether it may not be changed.
    #[prop(optional)]
    disabled: bool,
    /// Whether leaving the page while it holds something else than `value` is to be asked about.
    #[prop(optional)]
    guarded: bool,
    /// Hides the label from sight where a table's header says the same.
    #[prop(optional)]
    compact: bool,
    /// A name that [`check`] knows: what the browser says before the server is asked.
    #[prop(optional, into)]
    checked: String,
) -> impl IntoView {
    let form = expect_context::<Form>();
    let id = form.id(&name);
    let (hint_id, message_id) = (format!("{id}-hint"), format!("{id}-message"));
    let described = if hint.is_empty() { message_id.clone() } else { format!("{hint_id} {message_id}") };
    let stored = guarded.then(|| value.clone());
    let value = form.typed(&name).unwrap_or(value);
    let message = form.error(&name);
    let invalid = message.is_some().then_some("true");
    let label_for = id.clone();
    let optional = |text: &'static str| (!text.is_empty()).then_some(text);
    view! {
        <div class="field">
            <label for=label_for class:unseen=compact>{label}</label>
            <input id=id name=name type=kind value=value placeholder=(!placeholder.is_empty()).then_some(placeholder)
                autocomplete=autocomplete inputmode=optional(inputmode) required=required autofocus=autofocus disabled=disabled
                aria-describedby=described aria-invalid=invalid data-check=(!checked.is_empty()).then_some(checked) data-stored=stored/>
            {(!hint.is_empty()).then(|| view! { <small id=hint_id>{hint}</small> })}
            <small id=message_id class="message" aria-live="polite">{message}</small>
        </div>
    }
}

/// What can be said of a typed value alone, by the name of the check; the server decides all the same.
pub fn check(name: &str, text: &str) -> Option<String> {
    match name {
        "workspace-name" => return domain::WorkspaceName::parse(text).err().map(|error| error.to_string()),
        "model-code" => return domain::ModelCode::parse(text).err().map(|error| error.to_string()),
        "timeout" => return domain::TimeoutSeconds::parse(text).err().map(|error| error.to_string()),
        _ => {}
    }
    // `count:3650`: a whole number from 1 on.
    if let Some(highest) = name.strip_prefix("count:").and_then(|it| it.parse().ok()) {
        return domain::parse_count(text, highest).err().map(|error| error.to_string());
    }
    match (name, parse_limit(text)) {
        (_, Err(error)) => Some(error),
        ("limit" | "account-limit", Ok(None)) => Some(LimitError::Missing),
        ("account-limit" | "account-limit-or-empty", Ok(Some(0))) => Some(LimitError::Zero),
        (name, Ok(given)) => {
            // `requests:600` and `tokens:1000000:5000`: a workspace's limit under that one of the account; the third part
            // is what is stored.
            let mut parts = name.split(':');
            let of = Cause::parse(parts.next()?)?;
            let account = parts.next()?.parse().ok();
            check_changed_limit(given, parts.next().and_then(|it| it.parse().ok()), account, of).err()
        }
    }
    .map(|error: LimitError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_browser_says_what_the_server_would() {
        assert_eq!(check("limit", "1e30"), Some("1e30 is not a whole number".into()));
        assert_eq!(check("limit", ""), Some("a limit is needed".into()));
        assert_eq!(check("limit-or-empty", ""), None);
        assert_eq!(check("limit", "1,000"), None);
        assert_eq!(check("account-limit", "0"), Some("an account's limit must be at least 1".into()));
        assert_eq!(check("account-limit-or-empty", ""), None);
        assert_eq!(
            check("requests:600", "900"),
            Some("900 is above the account limit of 600 requests per minute".into())
        );
        assert_eq!(check("requests:600:900", "900"), None);
        assert!(check("requests:600:900", "901").is_some());
        assert_eq!(check("tokens:600", "x"), Some("x is not a whole number".into()));
        assert_eq!(check("tokens:600", ""), None);
        assert_eq!(check("workspace-name", " "), Some("a name is needed".into()));
        assert_eq!(check("count:30", "31"), Some("31 is not between 1 and 30".into()));
        assert_eq!(check("count:30", ""), Some("a number is needed".into()));
        assert_eq!(check("timeout", ""), None);
        assert!(check("timeout", "0").is_some_and(|it| it.contains("from 1 to 86400")));
    }
}
