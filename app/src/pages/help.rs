//! How limits work, with this account's own models, limits and address filled in. Refusals link to it.

mod errors;
mod practices;

use crate::{
    api::{
        models::{ModelView, models},
        rate_limit::{LimitView, RateLimitQuery, RateLimitView, rate_limit},
    },
    components::{frame::PageHead, page::use_page},
    error::ApiError,
    format::{NOTHING, whole},
    paths,
    read::content,
};
use domain::ceil60;
use errors::Errors;
use leptos::prelude::*;
use practices::Practices;

/// The page.
#[component]
pub(crate) fn Help() -> impl IntoView {
    let reading = async {
        let limits = rate_limit(RateLimitQuery::default()).await?;
        Ok::<_, ApiError>((limits, models().await?.models))
    };
    view! {
        <PageHead title="How limits work"/>
        {content(reading, |(limits, models)| view! { <Content limits=limits models=models/> })}
    }
}

#[component]
fn Content(limits: RateLimitView, models: Vec<ModelView>) -> impl IntoView {
    let gateway = use_page().gateway_url;
    let of_workspace = limits.of_workspace;
    // What the workspace may not call is no help to who calls from it.
    let mut rows: Vec<LimitView> = limits.models.into_iter().filter(|it| it.granted).collect();
    let models: Vec<ModelView> = models.into_iter().filter(|it| rows.iter().any(|row| row.model == it.code)).collect();
    rows.sort_by(|a, b| a.model.cmp(&b.model));
    let example = rows.iter().find(|it| it.tpm.is_some()).or(rows.first()).cloned();
    view! {
        <nav class="jump" aria-label="On this page">
            <a href="#two">"How rate limits work"</a>
            <a href="#limits">"Your limits"</a>
            <a href="#errors">"Rate limit errors"</a>
            <a href="#practices">"Best practices"</a>
            <a href="#client">"Pointing a client here"</a>
        </nav>
        <section class="prose" aria-labelledby="two">
            <h2 id="two">"How rate limits work"</h2>
            <p>
                "Each model has an "<strong>"RPM"</strong>" (requests per minute) and a "<strong>"TPM"</strong>" (tokens per minute). They belong to the
                account: every workspace and every API key draws on them. A workspace may have lower ones of its own, and then both hold."
            </p>
            <p>
                "Both are also watched over each second, at a sixtieth: a burst can be refused although the minute has room. Windows slide;
                there is no full minute to wait for, and a refusal says to the instant when the call would pass. What was used more than a
                minute ago no longer counts."
            </p>
            <p>
                "A call holds the tokens of its prompt and of the most it may answer until it has ended; then what it really used counts. A call
                that states no maximum holds what such calls were seen to use. So a low "<code>"max_tokens"</code>" leaves room for more calls at once."
            </p>
        </section>
        <Limits rows=rows of_workspace=of_workspace/>
        <Errors/>
        <Practices example=example models=models/>
        <Client gateway=gateway/>
    }
}

/// Every model's limits, by the minute and by the second.
#[component]
fn Limits(rows: Vec<LimitView>, of_workspace: bool) -> impl IntoView {
    let title = if of_workspace { "Limits of your workspace" } else { "Limits of this account" };
    let number = |it: Option<u64>| it.map_or_else(|| NOTHING.to_owned(), whole);
    let rows: Vec<_> = rows
        .into_iter()
        .map(|it| {
            let rpm = if of_workspace { it.most_requests } else { it.rpm };
            let tpm = if of_workspace { it.most_tokens } else { it.tpm };
            view! {
                <tr>
                    <th scope="row" class="model">{it.model}</th>
                    <td class="number">{whole(rpm)}</td>
                    <td class="number">{whole(ceil60(rpm))}</td>
                    <td class="number">{number(tpm)}</td>
                    <td class="number">{number(tpm.map(ceil60))}</td>
                </tr>
            }
        })
        .collect();
    let list = if rows.is_empty() {
        let words =
            if of_workspace { "Your workspace may call no model yet." } else { "This account has no model yet." };
        view! { <p class="padded soft">{words}</p> }.into_any()
    } else {
        view! {
            <div class="scroll" tabindex="0" role="group" aria-labelledby="limits">
                <table class="pinned">
                    <thead>
                        <tr>
                            <th scope="col">"Model"</th>
                            <th scope="col" class="number">"RPM"<small>"requests / min"</small></th>
                            <th scope="col" class="number">"RPS"<small>"requests / s"</small></th>
                            <th scope="col" class="number">"TPM"<small>"tokens / min"</small></th>
                            <th scope="col" class="number">"TPS"<small>"tokens / s"</small></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <section class="panel" aria-labelledby="limits">
            <div class="panel-head"><h2 id="limits">{title}</h2><small>"in force now · "<a href=paths::RATE_LIMIT>"with their use"</a></small></div>
            {list}
        </section>
    }
}

/// What a client has to be told.
#[component]
fn Client(gateway: String) -> impl IntoView {
    let gateway = gateway.trim_end_matches('/').to_owned();
    let rows: Vec<_> = [
        ("OpenAI SDKs", "/compatible-mode/v1", "or /v1"),
        ("DashScope SDK", "/api/v1", "dashscope.base_http_api_url"),
        ("Anthropic SDKs", "/apps/anthropic", "or no path at all"),
    ]
    .into_iter()
    .map(|(client, path, more)| {
        view! { <tr><th scope="row">{client}</th><td><code>{format!("{gateway}{path}")}</code></td><td class="soft">{more}</td></tr> }
    })
    .collect();
    view! {
        <section class="panel" aria-labelledby="client">
            <div class="panel-head"><h2 id="client">"Pointing a client here"</h2><small>"base URL, and a key from "<a href=paths::KEYS>"API keys"</a></small></div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="client">
                <table><tbody>{rows}</tbody></table>
            </div>
        </section>
    }
}
