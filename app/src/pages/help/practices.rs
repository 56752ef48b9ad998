//! How to stay within the limits, in numbers of one of the account's own models.

use crate::{
    api::{models::ModelView, rate_limit::LimitView},
    components::page::use_page,
    format::{millis, whole},
    paths,
    ui::CopyButton,
};
use leptos::prelude::*;

/// What helps, with `limit` as the example.
#[component]
pub(super) fn Practices(limit: LimitView, models: Vec<ModelView>) -> impl IntoView {
    let model = limit.model.clone();
    let requests = if limit.most_requests > 0 { limit.most_requests } else { limit.rpm };
    let pace = if requests == 0 {
        "none may be sent".to_owned()
    } else {
        format!("one every {}", millis(60_000.0 / requests as f64))
    };
    let backup = backup(&model, &models);
    let highest = models.iter().filter_map(|it| Some((it.tpm?, it.code.clone()))).max();
    let smooth = format!(
        "Send at an even pace: for {model} with its {} requests a minute that is {pace}. After a refusal wait as long as it says, \
         and longer after each further one.",
        whole(requests)
    );
    let own = match models.iter().find(|it| it.code == model).and_then(|it| it.backup.clone()) {
        Some(backup) => format!("{model} names {backup} as its backup."),
        None => format!("{model} names none yet."),
    };
    let split = match limit.most_tokens.or(limit.tpm) {
        Some(tpm) => format!(
            "A conversation is sent whole at each turn, so that long ones cost more with each. {model} has {} tokens a minute: ten tasks of \
             {} each fill it. Shorter parts, at different times, stay within it.",
            whole(tpm),
            whole(tpm / 10)
        ),
        None => "A large task in parts, at different times, stays within the limits.".to_owned(),
    };
    let higher = highest
        .map(|(tpm, code)| format!(" Of this account's models {code} has the most tokens a minute: {}.", whole(tpm)));
    let sample = sample(&use_page().gateway_url, &model, &backup);
    view! {
        <section class="prose" aria-labelledby="practices">
            <h2 id="practices">"What helps"</h2>
            <dl>
                <dt>"Smooth your request rate"</dt>
                <dd>{smooth}</dd>
                <dt>"Use a backup model"</dt>
                <dd>
                    "When one model is limited, call another; each has limits of its own. A client can do that, as below, or the gateway, where the
                    model names a backup under "<a href=paths::MODELS>"Models"</a>". "{own}" A client may also ask for it with the header "
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

/// What stands in for `model` in the example: its own backup, else another model of the account.
fn backup(model: &str, models: &[ModelView]) -> String {
    let own = models.iter().find(|it| it.code == model).and_then(|it| it.backup.clone());
    let other = || models.iter().find(|it| it.code != model).map(|it| it.code.clone());
    own.or_else(other).unwrap_or_else(|| model.to_owned())
}

fn sample(gateway: &str, model: &str, backup: &str) -> String {
    format!(
        r#"import os
from openai import OpenAI, RateLimitError

client = OpenAI(
    api_key=os.environ["SLUICE_KEY"],
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
