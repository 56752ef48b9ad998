//! One limit of one model: checked against the account's by the same functions as on the server.

use super::Editor;
use crate::{
    api::{workspaces::GrantView, workspaces::LIMITS},
    draft::field_name,
    format::whole,
    ui::field_id,
};
use domain::{Cause, parse_limit};
use leptos::prelude::*;

/// A field for *Times / min* or *Token / min*; the account's limit stands in it while it is empty.
pub(super) fn limit_field(editor: Editor, model: StoredValue<GrantView>, of: Cause) -> impl IntoView {
    let code = model.with_value(|it| it.model.clone());
    let account = model.with_value(|it| it.account(of)).unwrap_or_default();
    let name = field_name(of, &code);
    let id = field_id(LIMITS, &name);
    let (hint_id, message_id) = (format!("{id}-hint"), format!("{id}-message"));
    let described = format!("{hint_id} {message_id}");
    let label = if of == Cause::Tokens { "Token / min" } else { "Times / min" };
    let message =
        editor.errors.with_value(|errors| errors.iter().find(|it| it.field == name).map(|it| it.message.clone()));
    let invalid = message.is_some().then_some("true");
    let unseen = format!(" of {code}");
    let text = {
        let code = code.clone();
        Memo::new(move |_| editor.draft.with(|it| it.text(of, &code).to_owned()))
    };
    let typed = move |event| editor.draft.update(|it| it.set(of, &code, event_target_value(&event)));
    let hint = move || model.with_value(|it| text.with(|text| hint(it, of, account, text)));
    let near = move || model.with_value(|it| text.with(|text| over(it, of, account, text)));
    let stored = model.with_value(|it| it.own(of)).map(|it| format!(":{it}")).unwrap_or_default();
    let check = format!("{}:{account}{stored}", of.as_str());
    let label_for = id.clone();
    view! {
        <div class="field">
            <label for=label_for>{label}<span class="unseen">{unseen}</span></label>
            <input id=id name=name type="text" inputmode="numeric" autocomplete="off" placeholder=whole(account)
                disabled=editor.refused().is_some() value=text.get_untracked() prop:value=text aria-describedby=described
                aria-invalid=invalid data-check=check on:input=typed/>
            <small id=hint_id class:near-text=near>{hint}</small>
            <small id=message_id class="message" aria-live="polite">{message}</small>
        </div>
    }
}

/// The workspaces' own limits together, when they could use more than the account has.
fn together(model: &GrantView, of: Cause, account: u64, text: &str) -> Option<u64> {
    let others = if of == Cause::Tokens { model.others_tpm } else { model.others_rpm }?;
    let own = parse_limit(text).ok().flatten()?;
    let sum = others.saturating_add(own);
    (others > 0 && sum > account).then_some(sum)
}

fn over(model: &GrantView, of: Cause, account: u64, text: &str) -> bool {
    model.own(of).is_some_and(|own| own > account) || together(model, of, account, text).is_some()
}

/// What stands under the field.
fn hint(model: &GrantView, of: Cause, account: u64, text: &str) -> String {
    let account_words = whole(account);
    if let Some(own) = model.own(of).filter(|own| *own > account) {
        return format!("{account_words} is in force: the account's limit is below the stored {}", whole(own));
    }
    match together(model, of, account, text) {
        Some(sum) => format!("Account: {account_words} · all workspaces together: {}", whole(sum)),
        None => format!("Account: {account_words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(own: Option<u64>, others: Option<u64>) -> GrantView {
        GrantView { rpm: own, others_rpm: others, account_rpm: 600, ..GrantView::default() }
    }

    fn words(model: &GrantView, text: &str) -> String {
        hint(model, Cause::Requests, 600, text)
    }

    #[test]
    fn the_lower_of_both_is_said_to_hold() {
        assert_eq!(words(&model(Some(100), None), "100"), "Account: 600");
        assert_eq!(
            words(&model(Some(900), None), "900"),
            "600 is in force: the account's limit is below the stored 900"
        );
    }

    #[test]
    fn overcommitment_shows_while_typing() {
        let model = model(Some(100), Some(400));
        assert_eq!(words(&model, "200"), "Account: 600");
        assert_eq!(words(&model, "201"), "Account: 600 · all workspaces together: 601");
        assert!(over(&model, Cause::Requests, 600, "201"));
        assert!(!over(&model, Cause::Requests, 600, ""));
    }
}
