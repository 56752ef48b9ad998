//! How limits work, with this account's own models, limits and address filled in. Refusals link to it.

use crate::{
    api::rate_limit::{LimitView, RateLimitView, rate_limit},
    components::{frame::PageHead, page::use_page},
    format::whole,
    paths,
    read::content,
};
use leptos::prelude::*;

/// Messages of a refusal, which limit they mean, and what helps.
const ERRORS: [(&str, &str, &str, &str); 3] = [
    (
        "Requests rate limit exceeded",
        "You exceeded your current requests list",
        "The RPM, or the RPS that follows from it",
        "Spread the calls: a constant rate, or a queue. Wait as long as Retry-After says.",
    ),
    (
        "Allocated quota exceeded",
        "You exceeded your current quota",
        "The TPM, or the TPS that follows from it",
        "Send less at once, ask for shorter answers, or have the limit raised for a while.",
    ),
    (
        "Request rate increased too quickly",
        "",
        "Protection against a sudden surge, even below RPM and TPM",
        "Let the rate grow over a minute instead of starting with everything.",
    ),
];

/// The page.
#[component]
pub(crate) fn Help() -> impl IntoView {
    view! {
        <PageHead title="How limits work"/>
        {content(rate_limit(), |view| view! { <Content view=view/> })}
    }
}

#[component]
fn Content(view: RateLimitView) -> impl IntoView {
    let example = view.models.iter().find(|it| it.tpm.is_some()).or(view.models.first()).cloned();
    let rows: Vec<_> = ERRORS
        .iter()
        .map(|(first, second, cause, remedy)| {
            let second = (!second.is_empty()).then(|| view! { <br/><code>{*second}</code> });
            view! { <tr><td><code>{*first}</code>{second}</td><td>{*cause}</td><td>{*remedy}</td></tr> }
        })
        .collect();
    view! {
        <section class="prose" aria-labelledby="two">
            <h2 id="two">"Two limits, two windows"</h2>
            <p>
                "Each model has an "<strong>"RPM"</strong>" (requests per minute) and a "<strong>"TPM"</strong>" (tokens per minute). They belong to the
                account: every workspace and every API key draws on them. A workspace may have lower ones of its own, and then both hold."
            </p>
            <p>
                "Both are also watched over each second, at a sixtieth: a burst can be refused although the minute has room. Windows slide;
                there is no full minute to wait for, and a refusal says to the instant when the call would pass."
            </p>
            {example.map(|it| view! { <Example limit=it/> })}
        </section>
        <section class="panel" aria-labelledby="errors">
            <div class="panel-head"><h2 id="errors">"What a refusal says"</h2><small>"HTTP status 429"</small></div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="errors">
                <table>
                    <thead><tr><th scope="col">"Error message"</th><th scope="col">"Cause"</th><th scope="col">"What to do"</th></tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
        <section class="prose" aria-labelledby="practices">
            <h2 id="practices">"What helps"</h2>
            <dl>
                <dt>"Smooth your request rate"</dt>
                <dd>"Send at an even pace. After a refusal wait as long as it says, and longer after each further one."</dd>
                <dt>"Use a backup model"</dt>
                <dd>"When one model is limited, call another; each has limits of its own. A client can do that, or the gateway, where the model names a backup."</dd>
                <dt>"Split large tasks"</dt>
                <dd>"A long conversation is sent whole at each turn. Shorter ones, at different times, stay within the TPM."</dd>
                <dt>"Choose higher-limit models"</dt>
                <dd>"Compare them on "<a href=paths::RATE_LIMIT>"Rate Limit"</a>"; current versions mostly have more than dated ones."</dd>
                <dt>"Use batch inference"</dt>
                <dd>"What can wait goes through the Batch API, which these limits do not touch."</dd>
            </dl>
        </section>
        <section class="prose" aria-labelledby="client">
            <h2 id="client">"Pointing a client here"</h2>
            <p>"Change the base URL and the key, and nothing else:"</p>
            <pre tabindex="0">{format!("base_url = \"{}/compatible-mode/v1\"\napi_key  = a key from Settings › API keys", use_page().gateway_url)}</pre>
        </section>
    }
}

#[component]
fn Example(limit: LimitView) -> impl IntoView {
    let tokens = match (limit.tpm, limit.tps) {
        (Some(tpm), Some(tps)) => format!(" and {} tokens in any 60 seconds, {} in any second", whole(tpm), whole(tps)),
        _ => String::new(),
    };
    let requests =
        format!("{} requests in any 60 seconds, {} in any second,", whole(limit.rpm), whole(domain::ceil60(limit.rpm)));
    view! { <p class="notice"><strong>{limit.model}</strong>" may take "{requests}{tokens}"."</p> }
}
