//! Settings › Models › Import: what a provider offers, and which of it to take, with which limits.

use super::asked;
use crate::{
    api::models::{IMPORT, OfferView, OfferedView, offered_models},
    components::{frame::PageHead, page::typed_into},
    paths,
    read::content,
    ui::{ActForm, Empty, Field, Submit},
};
use leptos::prelude::*;
use std::collections::BTreeSet;

/// The page.
#[component]
pub(crate) fn Import() -> impl IntoView {
    view! {
        <nav class="crumbs" aria-label="Where this is"><a href=paths::MODELS>"Models"</a></nav>
        <PageHead title="Import models"/>
        {content(offered_models(asked("provider").unwrap_or_default()), |view| view! { <Content view=view/> })}
    }
}

#[component]
fn Content(view: OfferView) -> impl IntoView {
    if view.provider.is_empty() {
        return view! {
            <Empty title="There is no provider yet"><p>"Models come from a provider: "<a href=paths::PROVIDERS>"add one"</a>" first."</p></Empty>
        }
        .into_any();
    }
    let address = paths::with_query(paths::IMPORT, &[("provider", &view.provider)]);
    let options: Vec<_> = view
        .providers
        .iter()
        .map(|it| {
            let selected = it.value == view.provider;
            view! { <option value=it.value.clone() selected=selected>{it.label.clone()}</option> }
        })
        .collect();
    let chooser = view! {
        <form class="filters" method="get" action=paths::IMPORT>
            <div class="field">
                <label for="import-from">"Provider"</label>
                <select id="import-from" name="provider" data-send="">{options}</select>
            </div>
            <button type="submit" class="button quiet without-script">"Ask it"</button>
        </form>
    };
    let list = match &view.problem {
        Some(problem) => view! {
            <div class="notice bad stack" role="alert">
                <p><strong>{sentence(problem)}</strong></p>
                <p><a href=address>"Ask again"</a>" · "<a href=paths::with_query(paths::PROVIDERS, &[("edit", &view.provider)])>"Edit the provider"</a></p>
            </div>
        }
        .into_any(),
        None if view.models.is_empty() => view! { <Empty title="The provider lists no models"><a href=address>"Ask again"</a></Empty> }.into_any(),
        None => view! { <Choose view=view/> }.into_any(),
    };
    view! { {chooser}{list} }.into_any()
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

#[component]
fn Choose(view: OfferView) -> impl IntoView {
    let known = view.models.iter().filter(|it| it.known).count();
    let words = format!("{} models, {} of them known already.", view.models.len(), known);
    let typed = typed_into(IMPORT).unwrap_or_default();
    let picked: BTreeSet<String> = typed.fields.into_iter().filter(|it| it.0 == "pick").map(|it| it.1).collect();
    let begin = if view.rpm.is_empty() { "" } else { "To begin with, the lowest limit of the models there are. " };
    view! {
        <ActForm name=IMPORT action="/api/models/import" class="stack">
            <input type="hidden" name="provider" value=view.provider/>
            <section class="panel padded stack" aria-labelledby="common">
                <h2 id="common">"Limits of the chosen models"</h2>
                <p class="soft">{begin}"A model's own fields below take precedence, and all of it can be changed later."</p>
                <div class="triples">
                    <Field name="common_rpm" label="RPM" inputmode="numeric" value=view.rpm checked="account-limit-or-empty" hint="Requests per minute."/>
                    <Field name="common_tpm" label="TPM" inputmode="numeric" value=view.tpm checked="account-limit-or-empty" hint="Tokens per minute. Empty: metered in requests alone."/>
                    <Field name="tpm_upper_limit" label="Upper limit" inputmode="numeric" checked="account-limit-or-empty" hint="The highest temporary increase. Empty for the TPM."/>
                </div>
            </section>
            <div class="filters needs-script">
                <div class="field">
                    <label for="import-search">"Search"</label>
                    <input id="import-search" type="search" autocomplete="off" data-narrow="#offered tbody tr"/>
                </div>
                <button type="button" class="button quiet" data-pick="#offered">"Select all results"</button>
            </div>
            <Offered models=view.models picked=picked/>
            <div class="actions">
                <span class="soft count">{words}</span>
                <a class="button quiet" href=paths::MODELS>"Cancel"</a>
                <Submit label="Import chosen models"/>
            </div>
        </ActForm>
    }
}

#[component]
fn Offered(models: Vec<OfferedView>, picked: BTreeSet<String>) -> impl IntoView {
    let rows: Vec<_> = models.into_iter().map(|it| row(it, &picked)).collect();
    view! {
        <div id="offered" class="panel scroll" tabindex="0" role="group" aria-label="What the provider offers">
            <table class="offered">
                <thead><tr><th scope="col">"Model"</th><th scope="col">"RPM"</th><th scope="col">"TPM"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(it: OfferedView, picked: &BTreeSet<String>) -> AnyView {
    let code = it.code;
    let field = |of: &'static str, label: &'static str| {
        view! {
            <Field name=format!("{of}[{code}]") label=format!("{label} of {code}") inputmode="numeric" compact=true placeholder="as above"
                checked="account-limit-or-empty"/>
        }
        .into_any()
    };
    let limits = if it.known {
        view! { <td colspan="2" class="soft">"known already"</td> }.into_any()
    } else {
        view! { <td>{field("rpm", "RPM")}</td><td>{field("tpm", "TPM")}</td> }.into_any()
    };
    let checked = !it.known && picked.contains(&code);
    view! {
        <tr data-words=code.clone()>
            <th scope="row">
                <label class="check"><input type="checkbox" name="pick[]" value=code.clone() checked=checked disabled=it.known/><span class="model">{code.clone()}</span></label>
            </th>
            {limits}
        </tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_problem_is_a_sentence() {
        assert_eq!(super::sentence("x did not answer"), "x did not answer.");
        assert_eq!(super::sentence("over."), "over.");
    }
}
