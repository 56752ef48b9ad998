//! Monitoring › Rate Limit: every model's limits, the dialog that raises one for a while, and what became of earlier ones.

use crate::{
    api::rate_limit::{INCREASE, IncreaseView, LimitView, RateLimitView, RunningView, rate_limit},
    components::{
        frame::PageHead,
        increase::{IncreaseModel, Offer},
        live::LiveBar,
        page::{flash_for, refused},
        tabs::MonitoringTabs,
    },
    format::{NOTHING, whole},
    outcome::Outcome,
    paths,
    read::content,
    ui::{ActForm, Dialog, Empty, Field, Icon, Meter, Moment, Submit},
};
use domain::Action;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The button that opens the dialog names it.
const DIALOG: &str = "increase-dialog";

/// The page.
#[component]
pub(crate) fn RateLimit() -> impl IntoView {
    view! {
        <PageHead title="Rate Limit"/>
        <MonitoringTabs current=paths::RATE_LIMIT/>
        {content(rate_limit(), |view| view! { <Content view=view/> })}
    }
}

#[component]
fn Content(view: RateLimitView) -> impl IntoView {
    let refused = refused(Action::Configure);
    let verify = refused.clone();
    let allowed = refused.is_none();
    let none_has_room = !view.models.iter().any(LimitView::has_room);
    let reason = refused.or_else(|| none_has_room.then(|| "no model has room below its upper limit".to_owned()));
    let with_room: Vec<LimitView> =
        view.models.iter().filter(|it| it.has_room() || it.increase.is_some()).cloned().collect();
    let rows: Vec<_> = view.models.into_iter().map(|it| view! { <LimitRow limit=it allowed=allowed/> }).collect();
    let history: Vec<_> = view.history.into_iter().map(|it| view! { <HistoryRow increase=it/> }).collect();
    view! {
        <section class="panel" aria-labelledby="limits">
            <div class="panel-head">
                <h2 id="limits">"Limits of the account"</h2>
                {view.of_workspace.then(|| view! { <small>"Use is that of your workspace, against its own limits where it has some."</small> })}
                <LiveBar page=paths::RATE_LIMIT.to_owned() empty=false/>
                <button type="button" class="button" command="show-modal" commandfor=DIALOG disabled=reason.is_some() title=reason>
                    <Icon name="up"/>"Increase Rate Limit Temporarily"
                </button>
            </div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="limits">
                <table class="pinned">
                    <thead>
                        <tr>
                            <th scope="col">"Model"</th>
                            <th scope="col" class="number">"RPM"<small>"requests / min"</small></th>
                            <th scope="col" class="number">"TPM, default"<small>"tokens / min"</small></th>
                            <th scope="col" class="number">"TPM, effective"<small>"tokens / min"</small></th>
                            <th scope="col" class="number">"Upper limit"<small>"tokens / min"</small></th>
                            <th scope="col" class="number">"Requests now"<small>"last 60 s"</small></th>
                            <th scope="col" class="number">"Tokens now"<small>"last 60 s"</small></th>
                            <th scope="col" class="number">"Headroom"<small>"tokens"</small></th>
                            <th scope="col"><span class="unseen">"Actions"</span></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
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
        </section>
        <IncreaseDialog models=with_room valid_days=view.valid_days until_ms=view.until_ms/>
    }
}

#[component]
fn LimitRow(limit: LimitView, allowed: bool) -> impl IntoView {
    let can_raise = allowed && limit.has_room();
    let key = |what: &str| format!("{}/{what}", limit.model);
    let running = limit.increase.clone().map(|it| view! { <Running running=it allowed=allowed/> });
    let raise = can_raise.then(|| {
        view! {
            <a class="button quiet small" href=paths::with_query(paths::RATE_LIMIT, &[("increase", &limit.model)])>
                "Increase"<span class="unseen">{format!(" {}", limit.model)}</span>
            </a>
        }
    });
    let tokens = limit.most_tokens.map_or_else(
        || NOTHING.into_any(),
        |tpm| {
            view! {
                <span class="withmeter">
                    <span data-live=key("tokens")>{whole(limit.tokens_now)}</span>
                    <Meter used=limit.tokens_now limit=Some(tpm) live=key("tokens-bar")/>
                </span>
            }
            .into_any()
        },
    );
    view! {
        <tr>
            <th scope="row" class="model">{limit.model.clone()}{running}</th>
            <td class="number">{whole(limit.rpm)}</td>
            <td class="number">{number(limit.default_tpm)}</td>
            <td class="number"><strong>{number(limit.tpm)}</strong></td>
            <td class="number">{number(limit.upper_tpm)}</td>
            <td class="number">
                <span class="withmeter">
                    <span data-live=key("requests")>{whole(limit.requests_now)}</span>
                    <Meter used=limit.requests_now limit=Some(limit.most_requests) live=key("requests-bar")/>
                </span>
            </td>
            <td class="number">{tokens}</td>
            <td class="number" data-live=key("headroom")>{number(limit.most_tokens.map(|tpm| tpm.saturating_sub(limit.tokens_now)))}</td>
            <td class="number">{raise}</td>
        </tr>
    }
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), whole)
}

#[component]
fn Running(running: RunningView, allowed: bool) -> impl IntoView {
    let act = |verb: &str, action: &'static str, label: &'static str| {
        let id = running.id.clone();
        view! {
            <ActForm name=format!("{verb}-{id}") action=action class="inline">
                <input type="hidden" name="id" value=id/>
                <Submit label=label class="quiet small"/>
            </ActForm>
        }
    };
    let end = allowed.then(|| act("end", "/api/increases/end", "End now"));
    let keep = (allowed && running.keep).then(|| act("keep", "/api/increases/keep", "Keep"));
    view! {
        <div class="row">
            <span class="badge good">"increased · "{running.left}" left"</span>
            {end}
            {keep}
        </div>
        {running.notice.map(|text| view! { <small class="near-text">{text}</small> })}
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
    view! {
        <tr>
            <td class="nowrap"><Moment ms=increase.at_ms/></td>
            <td class="model">{increase.model}</td>
            <td class="number">{whole(increase.tpm)}</td>
            <td class="number">{whole(increase.before)}</td>
            <td>{increase.by}</td>
            <td class="nowrap"><Moment ms=increase.until_ms/></td>
            <td><span class=if increase.active { "badge good" } else { "badge" }>{increase.state}</span></td>
            <td class="number">{increase.peak.map_or_else(|| NOTHING.to_owned(), whole)}</td>
        </tr>
    }
}

#[component]
fn IncreaseDialog(models: Vec<LimitView>, valid_days: u32, until_ms: i64) -> impl IntoView {
    let asked = use_query_map().with_untracked(|query| query.get("increase"));
    let failed = flash_for(INCREASE).filter(|it| !matches!(it.outcome, Outcome::Done { .. }));
    let typed = failed
        .as_ref()
        .and_then(|it| it.typed.iter().find(|(name, _)| name == "model").map(|(_, value)| value.clone()));
    let chosen = typed.or_else(|| asked.clone()).filter(|code| models.iter().any(|it| it.model == *code));
    let chosen = chosen.or_else(|| models.first().map(|it| it.model.clone())).unwrap_or_default();
    let hint = format!(
        "Tokens per 60 seconds. The default returns after {valid_days} days, or earlier when nothing uses more than it."
    );
    view! {
        <Dialog id=DIALOG title="Increase Rate Limit Temporarily" open=asked.is_some() || failed.is_some() back=paths::RATE_LIMIT>
            <ActForm name=INCREASE action="/api/increases/create" class="stack">
                <IncreaseModel models=models.iter().map(Offer::of).collect() chosen=chosen/>
                <Field name="tpm" label="Token Rate Limit" inputmode="numeric" required=true autofocus=true checked="limit" hint=hint/>
                <p class="soft">"Holds until "<Moment ms=until_ms/>"."</p>
                <div class="actions">
                    <a class="button quiet" href=paths::RATE_LIMIT data-close="">"Cancel"</a>
                    <Submit label="Save Changes" refused=refused(Action::Configure)/>
                </div>
            </ActForm>
        </Dialog>
    }
}
