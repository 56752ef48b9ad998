//! Forms that stay on the page while they are answered: what is wrong appears at the fields, and nothing typed is lost.

use super::{all, document, target, window};
use crate::{
    error::ApiError,
    outcome::{FieldError, Outcome},
};
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Element, Event, FocusEvent, FormData, HtmlElement, HtmlFormElement, HtmlInputElement, HtmlSelectElement,
    SubmitEvent, UrlSearchParams,
};

/// Sends a `<form data-act>` without leaving the page; switches the theme at once.
pub(super) fn submit(event: &Event) {
    let Some(form) = target(event).and_then(|it| it.dyn_into::<HtmlFormElement>().ok()) else { return };
    let submitter = event.dyn_ref::<SubmitEvent>().and_then(SubmitEvent::submitter);
    if form.has_attribute("data-theme-switch") {
        event.prevent_default();
        if let Some(button) = submitter {
            switch_theme(&form, &button);
        }
        return;
    }
    if !form.has_attribute("data-act") {
        return;
    }
    event.prevent_default();
    if form.get_attribute("aria-busy").is_some() {
        return;
    }
    let Some((action, fields)) = request_of(&form, submitter.as_deref()) else { return };
    let sent = String::from(fields.to_string());
    if let Some(beside) = unsaved_beside(&form) {
        fields.append("beside", &beside);
    }
    let _ = form.set_attribute("aria-busy", "true");
    spawn_local(async move {
        let answer = send(&action, &fields).await;
        let _ = form.remove_attribute("aria-busy");
        let is_shown = matches!(answer, Ok(Outcome::Shown(_)));
        show(&form, answer, &action, &fields);
        if is_shown {
            // Whoever typed on while it was worked out sees what it was of.
            let now = request_of(&form, submitter.as_deref()).map(|(_, fields)| String::from(fields.to_string()));
            mark_outdated(now != Some(sent));
        }
    });
}

/// What is typed into another form of the page and not stored, as that form would send it: the next page shows it again.
fn unsaved_beside(form: &HtmlFormElement) -> Option<String> {
    let root = document()?.document_element()?;
    let others = all(&root, "form[data-act]").into_iter().filter(|it| it != form.as_ref());
    let other = others.filter(super::guard::is_unsaved).find_map(|it| it.dyn_into::<HtmlFormElement>().ok())?;
    request_of(&other, None).map(|(_, fields)| String::from(fields.to_string()))
}

/// The address and the fields, the pressed button's own included.
fn request_of(form: &HtmlFormElement, submitter: Option<&Element>) -> Option<(String, UrlSearchParams)> {
    let fields = FormData::new_with_form(form).ok()?;
    let attribute = |name: &str| submitter.and_then(|it| it.get_attribute(name));
    if let Some(name) = attribute("name") {
        fields.append_with_str(&name, &attribute("value").unwrap_or_default()).ok()?;
    }
    let action = attribute("formaction").or_else(|| form.get_attribute("action"))?;
    Some((action, UrlSearchParams::new_with_str_sequence_sequence(&fields).ok()?))
}

/// Sends fields to a server function.
pub(crate) async fn send(action: &str, fields: &UrlSearchParams) -> Result<Outcome, ApiError> {
    let failed = |_: JsValue| ApiError::Unreachable;
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_body(fields);
    let window = window().ok_or(ApiError::Unreachable)?;
    let response = JsFuture::from(window.fetch_with_str_and_init(action, &init)).await.map_err(failed)?;
    let response: web_sys::Response = response.dyn_into().map_err(failed)?;
    let text = JsFuture::from(response.text().map_err(failed)?).await.map_err(failed)?.as_string().unwrap_or_default();
    if response.ok() {
        serde_json::from_str(&text).map_err(|_| ApiError::Unreachable)
    } else {
        Err(serde_json::from_str(&text).unwrap_or(ApiError::Unreachable))
    }
}

/// Goes on where something was stored; otherwise says what is wrong, and where. `fields` are what was sent to `action`.
fn show(form: &HtmlFormElement, answer: Result<Outcome, ApiError>, action: &str, fields: &UrlSearchParams) {
    let errors = match answer {
        Ok(Outcome::Done { next, .. }) => {
            super::guard::let_go();
            if let Some(window) = window() {
                let here = window.location().href().unwrap_or_default();
                let _ = window.location().assign(&next.unwrap_or(here));
            }
            return;
        }
        Ok(Outcome::Invalid(errors)) => errors,
        Ok(Outcome::Shown(markup)) => {
            show_errors(form, &[]);
            let place = form.query_selector("[data-shown]").ok().flatten();
            if let Some(place) = place.and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
                place.set_inner_html(&markup);
                if let Some(root) = document().and_then(|it| it.document_element()) {
                    super::times::show_local(&root);
                }
                let _ = place.focus();
            }
            return;
        }
        Ok(Outcome::Conflict(_)) => {
            // The page that shows both versions is the one that is shown without script.
            super::guard::let_go();
            let _ = send_whole(action, fields);
            return;
        }
        Err(error) => vec![FieldError::new("", error)],
    };
    show_errors(form, &errors);
}

/// Sends the same once more, the way a browser does by itself.
fn send_whole(action: &str, fields: &UrlSearchParams) -> Option<()> {
    let document = document()?;
    let form: HtmlFormElement = document.create_element("form").ok()?.dyn_into().ok()?;
    form.set_attribute("method", "post").ok()?;
    form.set_attribute("action", action).ok()?;
    for pair in js_sys::try_iter(fields).ok()??.flatten() {
        let pair = js_sys::Array::from(&pair);
        let input = document.create_element("input").ok()?;
        input.set_attribute("type", "hidden").ok()?;
        input.set_attribute("name", &pair.get(0).as_string()?).ok()?;
        input.set_attribute("value", &pair.get(1).as_string()?).ok()?;
        form.append_child(&input).ok()?;
    }
    document.body()?.append_child(&form).ok()?;
    form.submit().ok()
}

/// Says of what a form asked to see that it is of other values than the form holds now; if there is any.
pub(crate) fn outdate() {
    let shown = document().and_then(|it| it.query_selector("[data-shown]").ok().flatten());
    mark_outdated(shown.is_some_and(|it| it.has_child_nodes()));
}

fn mark_outdated(is_outdated: bool) {
    if let Some(words) = document().and_then(|it| it.query_selector("[data-outdated]").ok().flatten()) {
        let _ = words.toggle_attribute_with_force("hidden", !is_outdated);
    }
}

/// Says what is wrong, at the fields and above them; with nothing wrong, takes former messages away.
pub(crate) fn show_errors(form: &Element, errors: &[FieldError]) {
    for field in all(form, "input, select") {
        let name = field.get_attribute("name").unwrap_or_default();
        let message = errors.iter().find(|it| it.field == name).map(|it| it.message.as_str());
        say(&field, message);
    }
    summarise(form, errors);
}

/// Writes the message at a field, or takes it away.
fn say(field: &Element, message: Option<&str>) {
    let place = document().and_then(|it| it.get_element_by_id(&format!("{}-message", field.id())));
    let Some(place) = place else { return };
    place.set_text_content(message);
    let _ = match message {
        Some(_) => field.set_attribute("aria-invalid", "true"),
        None => field.remove_attribute("aria-invalid"),
    };
}

/// Lists the messages above the form, each with a link to its field, and takes the reader there.
fn summarise(form: &Element, errors: &[FieldError]) {
    let (Some(document), Some(summary)) = (document(), form.query_selector(".summary").ok().flatten()) else { return };
    let Some(list) = summary.query_selector("ul").ok().flatten() else { return };
    list.set_text_content(None);
    for error in errors {
        let Ok(item) = document.create_element("li") else { continue };
        let field = all(form, "input, select")
            .into_iter()
            .find(|it| it.get_attribute("name").is_some_and(|name| name == error.field && !name.is_empty()));
        match (field, document.create_element("a")) {
            (Some(field), Ok(link)) => {
                let _ = link.set_attribute("href", &format!("#{}", field.id()));
                link.set_text_content(Some(&error.message));
                let _ = item.append_child(&link);
            }
            _ => item.set_text_content(Some(&error.message)),
        }
        let _ = list.append_child(&item);
    }
    let _ = summary.toggle_attribute_with_force("hidden", errors.is_empty());
    if let Ok(summary) = summary.dyn_into::<HtmlElement>() {
        let _ = summary.focus();
    }
}

/// A field that was left is looked at; its message goes as soon as it is right.
pub(super) fn look_on_leaving(event: &Event) {
    // A message that appears while a button is pressed moves the button from under the pointer, and the press is lost.
    let to =
        event.dyn_ref::<FocusEvent>().and_then(FocusEvent::related_target).and_then(|it| it.dyn_into::<Element>().ok());
    if to.is_some_and(|it| it.matches("button, a").unwrap_or(false)) {
        return;
    }
    if let Some(field) = target(event) {
        look(&field);
    }
}

/// While typing, only what is marked wrong is looked at again.
pub(super) fn look_while_typing(event: &Event) {
    if let Some(field) = target(event).filter(|it| it.has_attribute("aria-invalid")) {
        look(&field);
    }
}

fn look(field: &Element) {
    let (Some(check), Some(input)) = (field.get_attribute("data-check"), field.dyn_ref::<HtmlInputElement>()) else {
        return;
    };
    let message = crate::ui::check(&check, &input.value());
    say(field, message.as_deref());
}

/// A filter is applied when it is chosen.
pub(super) fn send_filters(event: &Event) {
    if let Some(select) =
        target(event).filter(|it| it.has_attribute("data-send")).and_then(|it| it.dyn_into::<HtmlSelectElement>().ok())
        && let Some(form) = select.form()
    {
        let _ = form.request_submit();
    }
}

fn switch_theme(form: &HtmlFormElement, pressed: &HtmlElement) {
    let (Some(document), Some(chosen)) = (document(), pressed.get_attribute("value")) else { return };
    if let Some(root) = document.document_element() {
        let _ = root.set_attribute("data-theme", &chosen);
    }
    // The pressed button has gone; the one that leads back is in its place.
    let back = all(form, "button").into_iter().find(|it| it.get_attribute("value").as_ref() != Some(&chosen));
    if let Some(back) = back.and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
        let _ = back.focus();
    }
    if let Ok(document) = document.dyn_into::<web_sys::HtmlDocument>() {
        let _ = document.set_cookie(&format!("theme={chosen}; path=/; max-age=31536000; samesite=lax"));
    }
}
