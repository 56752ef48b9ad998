//! *Model Permission*: which models a workspace may call, within which limits. What is typed is a draft until
//! *Save Changes*. Lies inside the editor's form; without script its buttons send the draft and get it back.

mod field;
mod picker;

pub use picker::Picking;

use crate::{
    api::workspaces::GrantView,
    browser,
    draft::{Change, Draft},
    outcome::FieldError,
    ui::{Empty, Submit},
};
use domain::Cause;
use field::limit_field;
use leptos::{either::Either, ev::MouseEvent, prelude::*};
use picker::picker;
use web_sys::Element;

/// Where *Apply*, *Add models* and *Remove* lead without script.
const DRAFT: &str = "/api/workspaces/limits/draft";
/// Where *What would this do?* leads, with script and without.
const FORESEE: &str = "/api/workspaces/limits/foresee";

/// Everything the parts of the editor share.
#[derive(Clone, Copy)]
struct Editor {
    models: StoredValue<Vec<GrantView>>,
    draft: RwSignal<Draft>,
    changes: Memo<Vec<Change>>,
    errors: StoredValue<Vec<FieldError>>,
    refused: StoredValue<Option<String>>,
    address: StoredValue<String>,
}

impl Editor {
    fn is_unchanged(&self) -> bool {
        self.changes.with(Vec::is_empty)
    }

    fn refused(&self) -> Option<String> {
        self.refused.get_value()
    }
}

/// The editor of one workspace's grants.
#[island]
pub fn Permission(
    /// Every model of the account.
    models: Vec<GrantView>,
    /// What stands in the fields first.
    first: Draft,
    /// What is wrong with it.
    errors: Vec<FieldError>,
    /// What the picker was left with.
    picking: Picking,
    /// Whether someone else saved meanwhile.
    conflict: bool,
    /// What the limits would have done, as markup; empty until it is asked for.
    shown: String,
    /// Why the viewer may not change anything.
    refused: Option<String>,
    /// The page without anything typed.
    address: String,
) -> impl IntoView {
    let models = StoredValue::new(models);
    let draft = RwSignal::new(first);
    let changes = Memo::new(move |_| models.with_value(|models| draft.with(|it| it.changes(models))));
    let refused_title = refused.clone();
    let disabled = refused.is_some();
    let (errors, refused, address) = (StoredValue::new(errors), StoredValue::new(refused), StoredValue::new(address));
    let editor = Editor { models, draft, changes, errors, refused, address };
    // What was worked out is of the limits that were asked about.
    Effect::new(move |before: Option<()>| {
        changes.track();
        if before.is_some() {
            browser::outdate();
        }
    });
    view! {
        // Whoever ends a line with the Enter key presses the form's first button: it must store nothing.
        {apply(editor, true)}
        <div class="row apart">
            <h2 id="permission">"Model Permission"</h2>
            <button type="button" class="button quiet" command="show-modal" commandfor="picker" disabled=disabled title=refused_title>"All Models"</button>
        </div>
        {conflict.then(|| both_versions(editor))}
        {grants(editor)}
        <div class="actions">
            <button type="submit" class="button quiet" formaction=FORESEE disabled=disabled>"What would this do?"</button>
            {apply(editor, false)}
        </div>
        <p class="notice near" role="status" data-outdated="" hidden>"The limits were changed since this was worked out. "<em>"What would this do?"</em>" does it anew."</p>
        <div data-shown="" tabindex="-1" role="status" inner_html=shown></div>
        {unsaved(editor)}
        {picker(editor, picking)}
    }
}

fn grants(editor: Editor) -> impl IntoView {
    let granted = Memo::new(move |_| editor.draft.with(|it| it.grant.clone()));
    move || {
        let granted = granted.get();
        let rows: Vec<_> = editor.models.with_value(|models| {
            let found = granted.iter().filter_map(|code| models.iter().find(|it| it.model == *code));
            found.map(|it| grant(editor, it.clone())).collect()
        });
        if rows.is_empty() {
            let words = view! { <p>"Calls with this workspace's keys are refused until "<em>"All Models"</em>" grants some."</p> };
            Either::Left(view! { <Empty title="No model is granted yet">{words}</Empty> })
        } else {
            Either::Right(view! { <div class="grants">{rows}</div> })
        }
    }
}

fn grant(editor: Editor, view: GrantView) -> impl IntoView {
    let (code, provider) = (view.model.clone(), view.provider.clone());
    let metered = view.account_tpm.is_some();
    let model = StoredValue::new(view);
    let name_id = format!("grant-{code}");
    let labelled_by = name_id.clone();
    let gone = code.clone();
    let remove = move |event: MouseEvent| {
        event.prevent_default();
        editor.draft.update(|it| it.grant.retain(|it| *it != gone));
    };
    let tokens = if metered {
        Either::Left(limit_field(editor, model, Cause::Tokens))
    } else {
        Either::Right(view! { <p class="soft">"Not metered in tokens"</p> })
    };
    view! {
        <div class="grant" role="group" aria-labelledby=labelled_by>
            <input type="hidden" name="grant[]" value=code.clone()/>
            <div class="named"><span class="model" id=name_id>{code.clone()}</span><small>{provider}</small></div>
            {limit_field(editor, model, Cause::Requests)}
            {tokens}
            <button type="submit" class="bare" formaction=DRAFT name="act" value=format!("remove:{code}") disabled=editor.refused().is_some()
                on:click=remove>"Remove"<span class="unseen">{format!(" {code}")}</span></button>
        </div>
    }
}

/// Takes the values into the form: checks each, writes it the way numbers are written, stores nothing.
fn apply(editor: Editor, unseen: bool) -> impl IntoView {
    let press = move |event: MouseEvent| {
        event.prevent_default();
        let errors = editor.models.with_value(|models| {
            editor.draft.update(|it| it.tidy(models));
            editor.draft.with_untracked(|it| it.errors(models))
        });
        show(&event, errors);
    };
    let refused = editor.refused();
    view! {
        <button type="submit" class=if unseen { "unseen" } else { "button quiet" } formaction=DRAFT name="act" value="apply"
            disabled=refused.is_some() title=refused tabindex=unseen.then_some("-1") aria-hidden=unseen.then_some("true") on:click=press>"Apply"</button>
    }
}

/// Shows what is wrong with the form around the button that was pressed.
fn show(event: &MouseEvent, errors: Vec<FieldError>) {
    if let Ok(Some(form)) = event_target::<Element>(event).closest("form") {
        browser::show_errors(&form, &errors);
    }
}

/// Back to what is stored.
fn discard(editor: Editor, label: &'static str, class: &'static str) -> impl IntoView {
    let press = move |event: MouseEvent| {
        event.prevent_default();
        editor.draft.set(editor.models.with_value(|it| Draft::stored(it.as_slice())));
        show(&event, Vec::new());
    };
    view! { <a class=class href=editor.address.get_value() on:click=press>{label}</a> }
}

/// What is not stored yet, by name, and *Save Changes*.
fn unsaved(editor: Editor) -> impl IntoView {
    let changes = editor.changes;
    let count = move || match changes.with(Vec::len) {
        0 => "No unsaved changes".to_owned(),
        1 => "1 unsaved change".to_owned(),
        n => format!("{n} unsaved changes"),
    };
    let line = |it: Change| {
        let words = format!(" {}: {} → {}", it.what, it.stored, it.typed);
        view! { <li><span class="model">{it.model}</span>{words}</li> }
    };
    let none = move || editor.is_unchanged();
    // Whoever leaves the page while this mark is on it is asked first.
    let mark = move || (!none()).then_some("");
    view! {
        <div class="unsaved" data-unsaved=mark>
            <div>
                <p role="status">{count}</p>
                <ul hidden=none>{move || changes.get().into_iter().map(line).collect::<Vec<_>>()}</ul>
            </div>
            <div class="actions">
                <span hidden=none>{discard(editor, "Discard", "button quiet")}</span>
                <Submit label="Save Changes" refused=editor.refused()/>
            </div>
        </div>
    }
}

/// Someone else saved meanwhile: what is stored now, beside what is typed here.
fn both_versions(editor: Editor) -> impl IntoView {
    let line = |it: Change| view! { <tr><th scope="row" class="model">{it.model}</th><td>{it.what}</td><td>{it.stored}</td><td>{it.typed}</td></tr> };
    let rows = move || editor.changes.get().into_iter().map(line).collect::<Vec<_>>();
    view! {
        <div class="notice near stack">
            <p>
                <strong>"Someone else saved this workspace meanwhile."</strong>
                " Nothing of yours was stored. The fields hold what you typed; "<em>"Save Changes"</em>" puts it in the place of what is stored now."
            </p>
            <div class="scroll" tabindex="0" role="group" aria-label="Both versions">
                <table>
                    <thead><tr><th scope="col">"Model"</th><th scope="col">"What"</th><th scope="col">"Stored now"</th><th scope="col">"Yours"</th></tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <p>{discard(editor, "Take what is stored", "")}</p>
        </div>
    }
}
