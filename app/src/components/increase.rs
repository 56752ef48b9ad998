//! The dialog that raises a model's tokens per minute for a while.

use super::page::{flash_for, refused};
use crate::{
    api::rate_limit::{INCREASE, LimitView},
    format::{NOTHING, whole},
    outcome::Flash,
    paths,
    ui::{ActForm, Dialog, Field, Form, Moment, Submit},
};
use domain::Action;
use leptos::prelude::*;

/// What the button that opens the dialog names.
pub const DIALOG: &str = "increase-dialog";

/// Characters of what the address asks for that are repeated.
const LONGEST_CODE: usize = 60;

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), whole)
}

/// The dialog. `asked` is the model of the address, which opens it; `models` are those that can be raised.
#[component]
pub fn IncreaseDialog(models: Vec<LimitView>, asked: Option<String>, valid_days: u32, until_ms: i64) -> impl IntoView {
    let failed = flash_for(INCREASE).filter(Flash::failed);
    let typed = |name: &str| failed.as_ref()?.typed.get(name).map(str::to_owned);
    let offered = |code: &String| models.iter().any(|it| it.model == *code);
    let wished = typed("model").or_else(|| asked.clone());
    let not_offered = wished.clone().filter(|it| !it.is_empty() && !offered(it)).map(|it| {
        let shown: String = it.chars().take(LONGEST_CODE).collect();
        let words = format!("{shown} cannot be raised: it stands at its upper limit, or there is no such model.");
        view! { <p class="notice near" role="status">{words}</p> }
    });
    let chosen = wished.filter(offered);
    let chosen = models.iter().find(|it| Some(&it.model) == chosen.as_ref()).or_else(|| models.first()).cloned();
    let chosen = chosen.unwrap_or_default();
    let wanted = typed("tpm").and_then(|it| domain::parse_limit(&it).ok().flatten());
    let per_second = wanted.or(chosen.tpm).map(domain::ceil60);
    let hint = format!(
        "Tokens per 60 seconds. The default returns after {valid_days} days, or earlier when nothing uses more than it."
    );
    let open = asked.is_some() || failed.is_some();
    view! {
        <Dialog id=DIALOG title="Increase Rate Limit Temporarily" open=open back=paths::RATE_LIMIT>
            <ActForm name=INCREASE action="/api/increases/create" class="stack">
                {not_offered}
                <ModelChoice models=models chosen=chosen.model.clone()/>
                <dl class="facts">
                    <dt>"Current quota"</dt><dd data-fact="current">{number(chosen.tpm)}</dd>
                    <dt>"Upper limit"</dt><dd data-fact="upper">{number(chosen.upper_tpm)}</dd>
                    <dt>"Default"</dt><dd data-fact="default">{number(chosen.default_tpm)}</dd>
                </dl>
                <div class="beside">
                    <Field name="tpm" label="Token Rate Limit" inputmode="numeric" required=true autofocus=true checked="limit" hint=hint/>
                    <dl class="aside">
                        <dt>"Peak use, last 7 days"</dt><dd data-fact="peak">{number(chosen.peak)}</dd>
                        <dt>"Tokens per second"</dt><dd data-per-second="increase-tpm">{number(per_second)}</dd>
                    </dl>
                </div>
                <p class="soft">"Holds until "<Moment ms=until_ms/>"."</p>
                <div class="actions">
                    <a class="button quiet" href=paths::RATE_LIMIT data-close="">"Cancel"</a>
                    <Submit label="Save Changes" refused=refused(Action::Configure)/>
                </div>
            </ActForm>
        </Dialog>
    }
}

/// The models. Each entry carries its figures: in its words without script, and for what stands below it with script.
#[component]
fn ModelChoice(models: Vec<LimitView>, chosen: String) -> impl IntoView {
    let form = expect_context::<Form>();
    let message = form.error("model");
    let invalid = message.is_some().then_some("true");
    let options: Vec<_> = models
        .into_iter()
        .map(|it| {
            let label = format!("{} ({} now, up to {})", it.model, number(it.tpm), number(it.upper_tpm));
            let selected = it.model == chosen;
            view! {
                <option value=it.model selected=selected data-current=number(it.tpm) data-upper=number(it.upper_tpm)
                    data-default=number(it.default_tpm) data-peak=number(it.peak)>{label}</option>
            }
        })
        .collect();
    view! {
        <div class="field">
            <label for="increase-model">"Model"</label>
            <select id="increase-model" name="model" aria-describedby="increase-model-message" aria-invalid=invalid data-facts="">{options}</select>
            <small id="increase-model-message" class="message" aria-live="polite">{message}</small>
        </div>
    }
}
