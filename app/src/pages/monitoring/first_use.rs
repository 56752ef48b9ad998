//! Nothing was ever called: the way to the first call, and the first call as it comes.

use crate::{
    api::monitoring::{FIRST_KEY, FirstUseView},
    components::page::{refused, use_page},
    paths,
    ui::{ActForm, CopyButton, Icon, Submit},
};
use domain::{Action, WorkspaceId};
use leptos::prelude::*;

/// Four steps, of which those that are done say so. The key's secret is shown by the page that follows its making, once.
#[component]
pub(super) fn FirstUse(view: FirstUseView, stopped: String) -> impl IntoView {
    let may_configure = refused(Action::Configure);
    let provider = match (view.providers, &may_configure) {
        (0, None) => {
            let to = paths::with_query(paths::PROVIDERS, &[("create", "1")]);
            view! { <a class="button" href=to>"Connect a provider"</a> }.into_any()
        }
        (0, Some(reason)) => view! { <small>{reason.clone()}</small> }.into_any(),
        (n, _) => view! { <a href=paths::PROVIDERS>{counted(n, "provider")}</a> }.into_any(),
    };
    let models = match (view.providers, view.models, &may_configure) {
        (0, ..) => ().into_any(),
        (_, 0, None) => view! {
            <a class="button" href=paths::IMPORT>"Import models"</a>
            <a class="button quiet" href=paths::with_query(paths::MODELS, &[("create", "1")])>"Add one by hand"</a>
        }
        .into_any(),
        (_, 0, Some(reason)) => view! { <small>{reason.clone()}</small> }.into_any(),
        (_, n, _) => view! { <a href=paths::MODELS>{counted(n, "model")}</a> }.into_any(),
    };
    let once = use_page().once;
    let done = [view.providers > 0, view.models > 0, view.keys > 0];
    let own = WorkspaceId::new(view.workspace.as_str());
    let may_make = refused(Action::ManageKeys(&own));
    let ready = view.model.is_some();
    let make = ready.then(|| {
        let label = if view.keys == 0 { "Make a key" } else { "Make another key" };
        let class = if view.keys == 0 { "" } else { "quiet" };
        view! {
            <ActForm name=FIRST_KEY action="/api/keys/first">
                <input type="hidden" name="workspace" value=view.workspace.clone()/>
                <Submit label=label class=class refused=may_make/>
            </ActForm>
        }
    });
    let keys = (view.keys > 0).then(|| view! { <a href=paths::KEYS>{counted(view.keys, "key")}</a> });
    let have_secret = once.is_some();
    let command = view.model.as_ref().map(|model| {
        let key = once.clone().unwrap_or_else(|| "$SLUICE_API_KEY".to_owned());
        let command = command(&use_page().gateway_url, &key, model);
        let words = if have_secret {
            "This holds your new key, which is shown only now. Paste it into a terminal."
        } else {
            "Put a key in SLUICE_API_KEY, or make one above to have it filled in. Then paste this into a terminal."
        };
        view! {
            <p class="soft">{words}</p>
            <pre tabindex="0">{command.clone()}</pre>
            <CopyButton text=command label="the command"/>
        }
    });
    view! {
        <section class="first panel padded" aria-labelledby="first">
            <h2 id="first">"No call has come through yet"</h2>
            <p class="soft">"Four steps to the first one. It appears here by itself."</p>
            <ol class="steps">
                <Step done=done[0] title="Connect a provider" words="Where calls are passed on to, and the credential for it."><div class="row">{provider}</div></Step>
                <Step done=done[1] title="Import models" words="Their names, and the account's limits for each."><div class="row">{models}</div></Step>
                <Step done=done[2] title="Make a key" words="What clients send instead of the provider's own."><div class="row">{make}{keys}</div></Step>
                <Step done=false title="Make the first call" words="Any OpenAI-compatible client works with this base URL and a key.">{command}</Step>
            </ol>
            {ready.then(|| view! {
                <p class="waiting-call needs-script" role="status"><span class="pulse" aria-hidden="true"></span>"Waiting for the first call…"</p>
                <p class="without-script"><a href=paths::MONITORING>"Look whether it has come"</a></p>
            })}
            <p class="soft" data-live="stopped">{stopped}</p>
        </section>
    }
}

#[component]
fn Step(done: bool, title: &'static str, words: &'static str, children: Children) -> impl IntoView {
    let mark = done.then(|| view! { <Icon name="check"/><span class="unseen">"Done: "</span> });
    view! {
        <li class:done=done>
            <h3>{mark}{title}</h3>
            <p class="soft">{words}</p>
            {children()}
        </li>
    }
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn command(gateway_url: &str, key: &str, model: &str) -> String {
    format!(
        "curl {}/v1/chat/completions \\\n  -H \"Authorization: Bearer {key}\" \\\n  -H 'Content-Type: application/json' \\\n  \
         -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Who are you?\"}}]}}'",
        gateway_url.trim_end_matches('/')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_ready_to_paste() {
        let text = command("http://127.0.0.1:8080/", "sk-x", "qwen-plus");
        assert!(text.starts_with("curl http://127.0.0.1:8080/v1/chat/completions \\\n"), "{text}");
        assert!(text.contains("Bearer sk-x\"") && text.contains("{\"model\": \"qwen-plus\""), "{text}");
    }
}
