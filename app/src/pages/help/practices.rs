//! How to stay within the limits, in numbers of one of the account's own models.

use crate::{
    api::{models::ModelView, rate_limit::LimitView},
    components::page::use_page,
    format::{millis, whole},
    paths,
    ui::CopyButton,
};
use leptos::prelude::*;

/// Stand in the sample while there is no model to name.
const NO_MODEL_YET: (&str, &str) = ("your-model", "its-backup");

/// The best practices, with one of `models` as the example; without numbers while there is none.
#[component]
pub(super) fn Practices(example: Option<LimitView>, models: Vec<ModelView>) -> impl IntoView {
    let highest = models.iter().filter_map(|it| Some((it.tpm?, it.code.clone()))).max();
    let smooth = smooth(example.as_ref());
    let own = example.as_ref().map(|it| own_backup(&it.model, &models));
    let split = split(example.as_ref());
    let higher =
        highest.map(|(tpm, code)| format!(" Of these models {code} has the most tokens a minute: {}.", whole(tpm)));
    let (model, backup) = match example {
        Some(it) => (it.model.clone(), backup(&it.model, &models)),
        None => (NO_MODEL_YET.0.to_owned(), NO_MODEL_YET.1.to_owned()),
    };
    let sample = sample(&use_page().gateway_url, &model, &backup);
    view! {
        <section class="prose" aria-labelledby="practices">
            <h2 id="practices">"Best practices"</h2>
            <dl>
                <dt>"Smooth your request rate"</dt>
                <dd>{smooth}</dd>
                <dt>"Use a backup model"</dt>
                <dd>
                    "When one model is limited, call another; each has limits of its own. A client can do that, as below, or the gateway, where the
                    model names a backup under "<a href=paths::MODELS>"Models"</a>". "{own}"A client may also ask for it with the header "
                    <code>"X-Sluice-Fallback: on"</code>"."
                </dd>
                <dt>"Split large tasks"</dt>
                <dd>{split}</dd>
                <dt>"Choose higher-limit models"</dt>
                <dd>"Compare them on "<a href=paths::RATE_LIMIT>"Rate Limit"</a>"; current versions mostly have more than dated ones."{higher}</dd>
                <dt>"Wait instead of being refused"</dt>
                <dd>"With "<code>"X-DashScope-Wait-Timeout: 10"</code>" a call waits up to ten seconds for its turn, first come, first served."</dd>
                <dt>"Use batch inference"</dt>
                <dd>"What can wait goes through the Batch API, which these limits do not touch."</dd>
            </dl>
            <div class="snippet">
                <div class="row apart"><h3>"A call that falls back"</h3><CopyButton text=sample.clone() label="the example"/></div>
                <pre tabindex="0">{sample}</pre>
            </div>
        </section>
    }
}

fn smooth(example: Option<&LimitView>) -> String {
    let pace = example.map(|it| {
        let requests = if it.most_requests > 0 { it.most_requests } else { it.rpm };
        let pace = match requests {
            0 => "none may be sent".to_owned(),
            n => format!("one every {}", millis(60_000.0 / n as f64)),
        };
        format!(": for {} with its {} requests a minute that is {pace}", it.model, whole(requests))
    });
    format!(
        "Send at an even pace{}. After a refusal wait as long as it says, and longer after each further one.",
        pace.unwrap_or_default()
    )
}

fn own_backup(model: &str, models: &[ModelView]) -> String {
    match models.iter().find(|it| it.code == model).and_then(|it| it.backup.clone()) {
        Some(backup) => format!("{model} names {backup} as its backup. "),
        None => format!("{model} names none yet. "),
    }
}

fn split(example: Option<&LimitView>) -> String {
    let tokens = example.and_then(|it| Some((it.model.as_str(), it.most_tokens.or(it.tpm)?)));
    match tokens {
        Some((model, tpm)) => format!(
            "A conversation is sent whole at each turn, so that long ones cost more with each. {model} has {} tokens a minute: ten tasks of \
             {} each fill it. Shorter parts, at different times, stay within it.",
            whole(tpm),
            whole(tpm / 10)
        ),
        None => "A large task in parts, at different times, stays within the limits.".to_owned(),
    }
}

/// What stands in for `model` in the example: its own backup if that can be called, else another one of `models`.
fn backup(model: &str, models: &[ModelView]) -> String {
    let own = models.iter().find(|it| it.code == model).and_then(|it| it.backup.clone());
    let own = own.filter(|it| models.iter().any(|other| other.code == *it));
    let other = || models.iter().find(|it| it.code != model).map(|it| it.code.clone());
    own.or_else(other).unwrap_or_else(|| model.to_owned())
}

fn sample(gateway: &str, model: &str, backup: &str) -> String {
    format!(
        r#"import os
from openai import OpenAI, RateLimitError

client = OpenAI(
    api_key=os.environ["SLUICE_API_KEY"],
    base_url="{}/compatible-mode/v1",
    max_retries=0,
)

def ask(question):
    for model in ("{model}", "{backup}"):
        try:
            return client.chat.completions.create(
                model=model,
                messages=[{{"role": "user", "content": question}}],
            )
        except RateLimitError as refused:
            print(f"{{model}}: {{refused.message}}")
    raise SystemExit("both models are limited; try again in a minute")

print(ask("Who are you?").choices[0].message.content)"#,
        gateway.trim_end_matches('/')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_falls_back_to_the_models_own_backup() {
        let model = |code: &str, backup: Option<&str>| ModelView {
            code: code.to_owned(),
            backup: backup.map(str::to_owned),
            ..ModelView::default()
        };
        let models = [model("a", None), model("b", Some("c")), model("c", None)];
        assert_eq!([backup("a", &models), backup("b", &models)], ["b", "c"]);
        assert_eq!(backup("alone", &[]), "alone");
        let text = sample("http://127.0.0.1:8080/", "a", "b");
        assert!(
            text.contains("base_url=\"http://127.0.0.1:8080/compatible-mode/v1\"") && text.contains("(\"a\", \"b\")")
        );
    }
}
