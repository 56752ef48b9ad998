//! Use of this moment against each limit: a row a model, changing in place.

use crate::{
    api::monitoring::NowView,
    format::{NOTHING, compact, whole},
    paths,
    ui::Meter,
};
use domain::ceil60;
use leptos::prelude::*;

/// The last 60 seconds and the last second of the models that stand first. `more` models are there in all.
#[component]
pub(super) fn InUseNow(models: Vec<NowView>, workspace: bool, more: usize) -> impl IntoView {
    let whose = if workspace { "against what is in force for this workspace" } else { "against the limits in force" };
    let rest = more.saturating_sub(models.len());
    let rest = (rest > 0).then(|| {
        let words = format!("{} more under Rate Limit", whole(rest as u64));
        view! { <a href=paths::RATE_LIMIT>{words}</a> }
    });
    let rows: Vec<_> = models.into_iter().map(|it| view! { <Row now=it/> }).collect();
    view! {
        <section class="panel" aria-labelledby="now">
            <div class="panel-head"><h2 id="now">"In use now "<small>{whose}</small></h2>{rest}</div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="now">
                <table class="pinned now">
                    <thead>
                        <tr>
                            <th scope="col">"Model"</th>
                            <th scope="col">"Tokens"<small>"last 60 s / TPM"</small></th>
                            <th scope="col">"Requests"<small>"last 60 s / RPM"</small></th>
                            <th scope="col">"Tokens"<small>"last second / TPS"</small></th>
                            <th scope="col">"Requests"<small>"last second / RPS"</small></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

#[component]
fn Row(now: NowView) -> impl IntoView {
    let key = |what: &str| format!("{}/now/{what}", now.model);
    let cell = |used: u64, limit: Option<u64>, what: &str| {
        match limit {
        Some(limit) => view! {
            <td>
                <span class="share"><span data-live=key(what)>{compact(used)}</span><small title=whole(limit)>" / "{compact(limit)}</small></span>
                <Meter used=used limit=Some(limit) live=key(&format!("{what}-bar"))/>
            </td>
        }
        .into_any(),
        None => view! { <td>{NOTHING}</td> }.into_any(),
    }
    };
    view! {
        <tr>
            <th scope="row" class="model">{now.model.clone()}</th>
            {cell(now.tokens, now.tpm, "tokens")}
            {cell(now.requests, now.rpm, "requests")}
            {cell(now.tokens_second, now.tpm.map(ceil60), "tokens-second")}
            {cell(now.requests_second, now.rpm.map(ceil60), "requests-second")}
        </tr>
    }
}
