//! Monitoring › Rate Limit: every model's limits, the dialog that raises one for a while, and what became of earlier ones.

use crate::{
    api::rate_limit::{IncreaseView, LimitView, RateLimitQuery, RateLimitView, RunningView, rate_limit},
    components::{
        frame::PageHead,
        increase::{DIALOG, IncreaseDialog},
        live::LiveBar,
        page::refused,
        tabs::MonitoringTabs,
    },
    format::{NOTHING, whole},
    paths,
    read::content,
    ui::{ActForm, Empty, Icon, Meter, Moment, Submit},
};
use domain::{Action, ceil60};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The page.
#[component]
pub(crate) fn RateLimit() -> impl IntoView {
    let get = |name: &str| use_query_map().with_untracked(|query| query.get(name)).unwrap_or_default();
    let query = RateLimitQuery { increase: get("increase"), before: get("before") };
    let asked = query.clone();
    view! {
        <PageHead title="Rate Limit"/>
        <MonitoringTabs current=paths::RATE_LIMIT/>
        {content(rate_limit(query), |view| view! { <Content view=view query=asked/> })}
    }
}

#[component]
fn Content(view: RateLimitView, query: RateLimitQuery) -> impl IntoView {
    let refused = refused(Action::Configure);
    let verify = refused.clone();
    let allowed = refused.is_none();
    let none_has_room = !view.models.iter().any(LimitView::has_room);
    let reason = refused.or_else(|| none_has_room.then(|| "no model has room below its upper limit".to_owned()));
    let title = reason.clone();
    let spoken = reason.clone().map(|it| view! { <span class="unseen">{format!(" ({it})")}</span> });
    let none = view.models.is_empty();
    let rows: Vec<_> = view.models.into_iter().map(|it| view! { <LimitRow limit=it allowed=allowed/> }).collect();
    let newest = query.before.is_empty();
    let history: Vec<_> = view.history.into_iter().map(|it| view! { <HistoryRow increase=it/> }).collect();
    let asked = Some(query.increase).filter(|it| !it.is_empty());
    let table = if none {
        let to =
            if allowed { view! { <p><a href=paths::MODELS>"Add models"</a></p> }.into_any() } else { ().into_any() };
        view! { <div class="padded"><Empty title="This account has no model yet">{to}</Empty></div> }.into_any()
    } else {
        view! { <Limits rows=rows.into_any()/> }.into_any()
    };
    view! {
        <section class="panel" aria-labelledby="limits">
            <div class="panel-head">
                <h2 id="limits">"Limits of the account"</h2>
                {view.of_workspace.then(|| view! { <small>"Use is that of your workspace, against its own limits where it has some."</small> })}
                <span class="row">
                    <LiveBar page=paths::RATE_LIMIT.to_owned() rows=view.rows/>
                    <button type="button" class="button" command="show-modal" commandfor=DIALOG disabled=reason.is_some() title=title>
                        <Icon name="up"/>"Increase Rate Limit Temporarily"{spoken}
                    </button>
                </span>
            </div>
            {table}
        </section>
        <section class="panel" aria-labelledby="history">
            <div class="panel-head">
                <h2 id="history">"History of temporary increases"</h2>
                <ActForm name="verify-limits" action="/api/limits/verify" class="inline">
                    <Submit label="Verify limits" class="quiet small" refused=verify/>
                </ActForm>
            </div>
            {if history.is_empty() {
                view! { <div class="padded"><Empty title="No increase was requested yet"><p>"Requests appear here, the newest first, and stay."</p></Empty></div> }.into_any()
            } else {
                view! { <History rows=history.into_any()/> }.into_any()
            }}
            <Pages newest=newest older=view.older/>
        </section>
        <IncreaseDialog models=view.offers asked=asked valid_days=view.valid_days until_ms=view.until_ms/>
    }
}

#[component]
fn Limits(rows: AnyView) -> impl IntoView {
    view! {
        <div class="scroll" tabindex="0" role="group" aria-labelledby="limits">
            <table class="pinned limits">
                <thead>
                    <tr>
                        <th scope="col">"Model"</th>
                        <th scope="col" class="number">"RPM"<small>"requests / min"</small></th>
                        <th scope="col" class="number">"TPM, default"<small>"tokens / min"</small></th>
                        <th scope="col" class="number">"TPM, effective"<small>"tokens / min"</small></th>
                        <th scope="col" class="number">"Upper limit"<small>"tokens / min"</small></th>
                        <th scope="col" class="number">"Requests now"<small>"last 60 s"</small></th>
                        <th scope="col" class="number">"Tokens now"<small>"last 60 s"</small></th>
                        <th scope="col" class="number">"Headroom"<small>"tokens · requests"</small></th>
                        <th scope="col"><span class="unseen">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

#[component]
fn LimitRow(limit: LimitView, allowed: bool) -> impl IntoView {
    let key = |what: &str| format!("{}/{what}", limit.model);
    let raised = limit.increase.is_some();
    let running =
        limit.increase.clone().map(|it| view! { <Running running=it model=limit.model.clone() allowed=allowed/> });
    let word = match (allowed, limit.has_room(), raised) {
        (true, true, _) => Some("Increase"),
        (true, false, true) => Some("Renew"),
        _ => None,
    };
    let raise = word.map(|word| {
        view! {
            <a class="button quiet small" href=paths::with_query(paths::RATE_LIMIT, &[("increase", &limit.model)])>
                {word}<span class="unseen">{format!(" {}", limit.model)}</span>
            </a>
        }
    });
    let used = |now: u64, most: Option<u64>, what: &str| match most {
        Some(most) => view! {
            <span class="withmeter">
                <span data-live=key(what)>{whole(now)}</span>
                <Meter used=now limit=Some(most) live=key(&format!("{what}-bar"))/>
            </span>
        }
        .into_any(),
        None => NOTHING.into_any(),
    };
    let tokens_left = number(limit.most_tokens.map(|most| most.saturating_sub(limit.tokens_now)));
    let requests_left = whole(limit.most_requests.saturating_sub(limit.requests_now));
    let per_second = |limit: Option<u64>| limit.map(|it| format!("{} a second", whole(ceil60(it))));
    view! {
        <tr>
            <th scope="row" class="model">{limit.model.clone()}</th>
            <td class="number" title=per_second(Some(limit.rpm))>{whole(limit.rpm)}</td>
            <td class="number">{number(limit.default_tpm)}</td>
            <td class="number" title=per_second(limit.tpm)><strong class:raised=raised>{number(limit.tpm)}</strong></td>
            <td class="number">{number(limit.upper_tpm)}</td>
            <td class="number">{used(limit.requests_now, Some(limit.most_requests), "requests")}</td>
            <td class="number">{used(limit.tokens_now, limit.most_tokens, "tokens")}</td>
            <td class="number">
                <span data-live=key("tokens-left")>{tokens_left}</span>" · "<span data-live=key("requests-left")>{requests_left}</span>
            </td>
            <td class="number">{raise}</td>
        </tr>
        {running}
    }
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), whole)
}

/// A running increase, in a row of its own under its model: how long it holds, and what can be done about it.
#[component]
fn Running(running: RunningView, model: String, allowed: bool) -> impl IntoView {
    let act = |verb: &str, action: &'static str, label: &'static str| {
        let id = running.id.clone();
        let of = format!(" {model}");
        view! {
            <ActForm name=format!("{verb}-{id}") action=action class="inline">
                <input type="hidden" name="id" value=id/>
                <button type="submit" class="button quiet small">{label}<span class="unseen">{of}</span></button>
            </ActForm>
        }
    };
    let end = allowed.then(|| act("end", "/api/increases/end", "End now"));
    let keep = (allowed && running.keep).then(|| act("keep", "/api/increases/keep", "Keep"));
    let peak = running.peak.map(|it| view! { <span class="soft">"peak used "{whole(it)}</span> });
    view! {
        <tr class="under">
            <td colspan="9">
                <div class="row">
                    <span class="badge good">"increased · "<span data-live=format!("{model}/left")>{running.left}</span>" left"</span>
                    <span class="soft">"until "<Moment ms=running.until_ms/></span>
                    {peak}
                    {running.notice.map(|text| view! { <span class="near-text">{text}</span> })}
                    {keep}
                    {end}
                </div>
            </td>
        </tr>
    }
}

#[component]
fn History(rows: AnyView) -> impl IntoView {
    view! {
        <div class="scroll" tabindex="0" role="group" aria-labelledby="history">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Application Time"</th>
                        <th scope="col">"Model Code"</th>
                        <th scope="col" class="number">"Account TPM Limit"</th>
                        <th scope="col" class="number">"Before"</th>
                        <th scope="col">"Asked by"</th>
                        <th scope="col">"Valid until"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="number">"Peak used"<small>"tokens / 60 s"</small></th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

#[component]
fn HistoryRow(increase: IncreaseView) -> impl IntoView {
    let ended = (!increase.ended.is_empty()).then_some(increase.ended);
    view! {
        <tr>
            <td class="nowrap"><Moment ms=increase.at_ms/></td>
            <td class="model">{increase.model}</td>
            <td class="number">{whole(increase.tpm)}</td>
            <td class="number">{whole(increase.before)}</td>
            <td>{increase.by}</td>
            <td class="nowrap"><Moment ms=increase.until_ms/></td>
            <td title=ended><span class=if increase.active { "badge good" } else { "badge" }>{increase.state}</span></td>
            <td class="number">{increase.peak.map_or_else(|| NOTHING.to_owned(), whole)}</td>
        </tr>
    }
}

#[component]
fn Pages(newest: bool, older: String) -> impl IntoView {
    let first = (!newest).then(|| view! { <a class="button quiet small" href=paths::RATE_LIMIT>"Newest"</a> });
    let older = (!older.is_empty()).then(|| {
        view! { <a class="button quiet small" href=paths::with_query(paths::RATE_LIMIT, &[("before", &older)])>"Older"</a> }
    });
    (first.is_some() || older.is_some())
        .then(|| view! { <nav class="row pages" aria-label="Pages of the history">{first}{older}</nav> })
}
