//! A secret that is shown this once, with what to do with it.

use crate::{components::page::use_page, ui::CopyButton};
use leptos::prelude::*;

/// A new key: copy it, or a command that makes the first call with it.
#[component]
pub(super) fn NewKey(
    /// The secret.
    secret: String,
    /// A model it may call.
    model: Option<String>,
) -> impl IntoView {
    let base_url = format!("{}/v1", use_page().gateway_url.trim_end_matches('/'));
    let snippets = model.map(|model| {
        [("curl", curl(&base_url, &secret, &model)), ("Python", python(&base_url, &secret, &model))]
            .into_iter()
            .map(|(words, text)| {
                view! {
                    <div class="snippet">
                        <div class="row apart"><h3>{words}</h3><CopyButton text=text.clone() label=format!("the {words} example")/></div>
                        <pre tabindex="0">{text}</pre>
                    </div>
                }
            })
            .collect::<Vec<_>>()
    });
    let no_model = snippets.is_none();
    view! {
        <section class="notice stack" aria-labelledby="new-key">
            <h2 id="new-key">"Your new key"</h2>
            <p>"Copy it now: it is stored nowhere and never shown again."</p>
            <p class="row"><code class="secret">{secret.clone()}</code><CopyButton text=secret label="the new key"/></p>
            <p class="soft">"Base URL: "<code>{base_url}</code></p>
            {snippets}
            {no_model.then(|| view! { <p>"Its workspace may call no model yet. Grant some under Settings › Workspaces."</p> })}
        </section>
    }
}

fn curl(base_url: &str, secret: &str, model: &str) -> String {
    format!(
        "curl {base_url}/chat/completions \\\n  -H \"Authorization: Bearer {secret}\" \\\n  -H \"Content-Type: application/json\" \\\n  \
         -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Who are you?\"}}]}}'"
    )
}

fn python(base_url: &str, secret: &str, model: &str) -> String {
    format!(
        "from openai import OpenAI\n\nclient = OpenAI(api_key=\"{secret}\", base_url=\"{base_url}\")\nanswer = client.chat.completions.create(\n    \
         model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"Who are you?\"}}],\n)\nprint(answer.choices[0].message.content)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        assert_eq!(
            curl("http://127.0.0.1:8080/v1", "sk-x", "qwen-plus"),
            "curl http://127.0.0.1:8080/v1/chat/completions \\
  -H \"Authorization: Bearer sk-x\" \\
  -H \"Content-Type: application/json\" \\
  -d '{\"model\": \"qwen-plus\", \"messages\": [{\"role\": \"user\", \"content\": \"Who are you?\"}]}'"
        );
    }
}
