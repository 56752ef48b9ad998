//! Settings › Models: where each is called, the account's limits, and what stands in for it.

use super::{Create, List, asked, gone, hint, row_link};
use crate::{
    api::models::{FORM, ModelView, ModelsView, models},
    components::{
        frame::PageHead,
        page::{failed, refused},
    },
    format::{NOTHING, whole},
    paths,
    read::content,
    ui::{ActForm, Choice, Dialog, Empty, Field, Form, Revision, Select, Submit},
};
use domain::Action;
use leptos::prelude::*;

const COLUMNS: [(&str, bool); 9] = [
    ("Model", false),
    ("Provider", false),
    ("Metering", false),
    ("RPM", true),
    ("TPM", true),
    ("Upper limit", true),
    ("Backup", false),
    ("Default output", true),
    ("", false),
];

/// The page.
#[component]
pub(crate) fn Models() -> impl IntoView {
    view! {
        <PageHead title="Models">
            <div class="row-actions">
                {refused(Action::Configure).is_none().then(|| view! { <a class="button quiet" href=paths::IMPORT>"Import models"</a> })}
                <Create label="New model" refused=refused(Action::Configure)/>
            </div>
        </PageHead>
        <p class="soft">"Limits of the account, per minute and model. All workspaces and keys share them."</p>
        {content(models(), |view| view! { <Content view=view/> })}
    }
}

#[component]
fn Content(view: ModelsView) -> impl IntoView {
    let allowed = refused(Action::Configure).is_none();
    let list = if view.models.is_empty() {
        view! { <Empty title="There is no model yet"><p>"A model needs a provider, which says where it is called."</p></Empty> }.into_any()
    } else {
        let rows = view.models.iter().map(|it| row(it, allowed)).collect();
        view! { <List label="Models" columns=&COLUMNS rows=rows/> }.into_any()
    };
    let edited = asked("edit").and_then(|code| view.models.iter().find(|it| it.code == code && allowed).cloned());
    let is_edited = edited.is_some();
    // One form at a time: both have the same name, so what was typed into one must not appear in the other.
    let dialog = match edited {
        Some(model) => view! {
            <Dialog id="edit-dialog" class="wide" title="Edit model" open=true back=paths::MODELS><ModelForm view=view model=Some(model)/></Dialog>
        }
        .into_any(),
        None => view! {
            <Dialog id="create-dialog" class="wide" title="New model" open=asked("create").is_some() || failed(FORM) back=paths::MODELS><ModelForm view=view model=None/></Dialog>
        }
        .into_any(),
    };
    let gone = gone(&["edit"], is_edited, "That model is gone, or is not yours to change.");
    view! { {gone}{list}{dialog} }
}

fn row(it: &ModelView, allowed: bool) -> AnyView {
    let number = |value: Option<u64>| value.map_or_else(|| NOTHING.to_owned(), whole);
    let increased = it
        .increased_tpm
        .map(|tpm| view! { " "<span class="badge good">{format!("increased to {}", whole(tpm))}</span> });
    let upstream = (it.upstream != it.code).then(|| view! { <small>{format!("there: {}", it.upstream)}</small> });
    let backup = it.backup.clone().unwrap_or_else(|| NOTHING.to_owned());
    let fallback = it.fallback.then(|| view! { " "<span class="badge">"every call may fall back"</span> });
    let address = paths::with_query(paths::MODELS, &[("edit", it.code.as_str())]);
    view! {
        <tr>
            <th scope="row" class="model">{it.code.clone()}</th>
            <td>{it.provider.clone()}" "{upstream}</td>
            <td>{it.metering.clone()}</td>
            <td class="number">{whole(it.rpm)}</td>
            <td class="number">{increased}" "{number(it.tpm)}</td>
            <td class="number">{number(it.tpm_upper_limit)}</td>
            <td>{backup}{fallback}</td>
            <td class="number">{whole(it.default_output_tokens)}</td>
            <td class="number">{allowed.then(|| row_link(address, "Edit", &it.code))}</td>
        </tr>
    }
    .into_any()
}

/// Makes a model, or changes the one given.
#[component]
fn ModelForm(view: ModelsView, model: Option<ModelView>) -> impl IntoView {
    let new = model.is_none();
    let it = model.unwrap_or_else(|| ModelView { default_output_tokens: 1024, ..ModelView::default() });
    let backups = std::iter::once(Choice::new("", "None"))
        .chain(
            view.models
                .iter()
                .filter(|other| other.code != it.code)
                .map(|other| Choice::new(other.code.clone(), other.code.clone())),
        )
        .collect();
    let meterings = vec![Choice::new("tokens", "Requests and tokens"), Choice::new("calls", "Requests alone")];
    let hint = hint(FORM);
    let number = |value: Option<u64>| value.map(whole).unwrap_or_default();
    let seconds = |value: Option<u64>| value.map(|it| it.to_string()).unwrap_or_default();
    let rpm = if new { String::new() } else { whole(it.rpm) };
    view! {
        <ActForm name=FORM action="/api/models/set" class="stack">
            {if new {
                view! { <Field name="code" label="Model code" required=true autofocus=true hint="What clients call it." checked="model-code"/> }.into_any()
            } else {
                view! {
                    <p class="model">{it.code.clone()}</p>
                    <input type="hidden" name="code" value=it.code.clone()/>
                    <Revision of=it.revision/>
                }
                .into_any()
            }}
            <div class="pairs">
                <Select name="provider" label="Provider" choices=view.providers value=it.provider.clone()/>
                <Field name="upstream" label="Name at the provider" value=it.upstream.clone() hint=hint("Empty for the same.", &it.upstream)/>
                <Select name="metering" label="Metering" choices=meterings value=it.metering.clone()/>
                <Field name="rpm" label="RPM" inputmode="numeric" value=rpm.clone() required=true checked="account-limit" hint=hint("Requests per minute.", &rpm)/>
                <Field name="tpm" label="TPM" inputmode="numeric" value=number(it.tpm) checked="account-limit-or-empty"
                    hint=hint("Tokens per minute. Empty when metered in requests alone.", &number(it.tpm))/>
                <Field name="tpm_upper_limit" label="Upper limit" inputmode="numeric" value=number(it.tpm_upper_limit) checked="account-limit-or-empty"
                    hint=hint("The highest temporary increase. Empty for the TPM.", &number(it.tpm_upper_limit))/>
                <Select name="backup" label="Backup model" choices=backups value=it.backup.clone().unwrap_or_default()/>
                <Field name="default_output_tokens" label="Default output" inputmode="numeric" value=whole(it.default_output_tokens) checked="account-limit-or-empty"
                    hint=hint("Tokens assumed first for calls that set no maximum.", &whole(it.default_output_tokens))/>
                <Field name="first_byte_timeout_s" label="First byte within, in seconds" inputmode="numeric" value=seconds(it.first_byte_timeout_s) checked="timeout"
                    hint=hint("How long the provider may take to begin. Empty for the setting of this installation.", &seconds(it.first_byte_timeout_s))/>
                <Field name="stream_silence_s" label="Silence at most, in seconds" inputmode="numeric" value=seconds(it.stream_silence_s) checked="timeout"
                    hint=hint("How long a stream may pause. Empty for the setting of this installation.", &seconds(it.stream_silence_s))/>
            </div>
            <Fallback on=it.fallback/>
            <div class="actions">
                <a class="button quiet" href=paths::MODELS data-close="">"Cancel"</a>
                <Submit label=if new { "Create model" } else { "Save Changes" } refused=refused(Action::Configure)/>
            </div>
        </ActForm>
    }
}

#[component]
fn Fallback(on: bool) -> impl IntoView {
    let form = expect_context::<Form>();
    let on = form.ticked("fallback").unwrap_or(on);
    let message = form.error("fallback");
    let message_id = format!("{}-message", form.id("fallback"));
    view! {
        <div class="field">
            <label class="check">
                <input type="checkbox" id=form.id("fallback") name="fallback" checked=on aria-describedby=message_id.clone()/>
                "Run refused calls on the backup model, without being asked to"
            </label>
            <small id=message_id class="message" aria-live="polite">{message}</small>
        </div>
    }
}
