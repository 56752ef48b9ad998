//! Monitoring: what was called in a range of time, what is in use now, and where calls were refused.

mod range;
mod table;

use crate::{
    api::monitoring::{ChartView, MonitoringQuery, MonitoringView, NowView, monitoring},
    components::{frame::PageHead, live::LiveBar, page::use_page, tabs::MonitoringTabs},
    format::{compact, whole},
    paths,
    read::content,
    ui::{CopyButton, Empty, Meter, Tile},
};
use leptos::prelude::*;
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use range::{Filters, RangePicker};
use table::ModelTable;

/// The page.
#[component]
pub(crate) fn Monitoring() -> impl IntoView {
    let query = use_query_map().with_untracked(read_query);
    let picked = query.clone();
    view! {
        <PageHead title="Monitoring"><RangePicker query=picked/></PageHead>
        <MonitoringTabs current=paths::MONITORING/>
        {content(monitoring(query), |view| view! { <Content view=view/> })}
    }
}

fn read_query(params: &ParamsMap) -> MonitoringQuery {
    let get = |name: &str| params.get(name).unwrap_or_default();
    MonitoringQuery {
        range: get("range"),
        from: get("from"),
        to: get("to"),
        offset: get("offset"),
        workspace: get("workspace"),
        model: get("model"),
        sort: get("sort"),
    }
}

#[component]
fn Content(view: MonitoringView) -> impl IntoView {
    let tiles: Vec<_> =
        view.tiles.into_iter().enumerate().map(|(i, it)| view! { <Tile view=it live=format!("tile/{i}")/> }).collect();
    let charts: Vec<_> = view.charts.into_iter().map(|it| view! { <Chart chart=it/> }).collect();
    let address = view.query.address(paths::MONITORING);
    let empty = view.groups.is_empty();
    let body = match (empty, view.untouched) {
        (true, true) => view! { <FirstCall/> }.into_any(),
        (true, false) => view! { <NoMatch query=view.query.clone()/> }.into_any(),
        _ => view! {
            <LivePanel models=view.now/>
            <div class="split">{charts}</div>
            <ModelTable query=view.query.clone() groups=view.groups stopped=view.stopped/>
        }
        .into_any(),
    };
    let live = view.range.live.then(|| view! { <LiveBar page=address empty=empty/> });
    view! {
        <Filters query=view.query range=view.range workspaces=view.workspaces models=view.models>{live}</Filters>
        <dl class="tiles panel">{tiles}</dl>
        {body}
    }
}

/// Use of the last 60 s of the models in the table, changing in place.
#[component]
fn LivePanel(models: Vec<NowView>) -> impl IntoView {
    let of = |limit: Option<u64>| limit.map_or_else(String::new, |it| format!(" / {}", compact(it)));
    let cells: Vec<_> = models
        .into_iter()
        .map(|it| {
            let key = |what: &str| format!("{}/now/{what}", it.model);
            let tokens = it.tpm.map(|tpm| {
                view! {
                    <span class="soft">"Tokens"</span>
                    <span><span data-live=key("tokens")>{compact(it.tokens)}</span>{of(Some(tpm))}</span>
                    <Meter used=it.tokens limit=Some(tpm) live=key("tokens-bar")/>
                }
            });
            view! {
                <div>
                    <span class="model">{it.model.clone()}</span>
                    {tokens}
                    <span class="soft">"Requests"</span>
                    <span><span data-live=key("requests")>{compact(it.requests)}</span>{of(it.rpm)}</span>
                    <Meter used=it.requests limit=it.rpm live=key("requests-bar")/>
                    <span class="soft">"Last second"</span>
                    <span class="soft">
                        <span data-live=key("requests-second")>{whole(it.requests_second)}</span>" requests, "
                        <span data-live=key("tokens-second")>{compact(it.tokens_second)}</span>" tokens"
                    </span>
                </div>
            }
        })
        .collect();
    view! {
        <section class="panel" aria-labelledby="now">
            <div class="panel-head"><h2 id="now">"In use now "<small>"the last 60 seconds against the account's limits"</small></h2></div>
            <div class="live">{cells}</div>
        </section>
    }
}

/// A drawing with its table.
#[component]
fn Chart(chart: ChartView) -> impl IntoView {
    let legend: Vec<_> = chart
        .legend
        .into_iter()
        .map(|(class, words)| {
            view! { <span><svg viewBox="0 0 10 10" aria-hidden="true"><rect class=class width="10" height="10"></rect></svg>{words}</span> }
        })
        .collect();
    let columns: Vec<_> = chart.columns.into_iter().map(|it| view! { <th scope="col">{it}</th> }).collect();
    let rows: Vec<_> = chart
        .rows
        .into_iter()
        .map(|row| view! { <tr>{row.into_iter().map(|it| view! { <td>{it}</td> }).collect::<Vec<_>>()}</tr> })
        .collect();
    let region = format!("{} as a table", chart.title);
    view! {
        <figure class="chart panel">
            <figcaption><h2>{chart.title}</h2><small>{chart.note}</small><span class="legend">{legend}</span></figcaption>
            <div inner_html=chart.svg></div>
            <details>
                <summary>"As a table"</summary>
                <div class="scroll" tabindex="0" role="group" aria-label=region>
                    <table><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>
                </div>
            </details>
        </figure>
    }
}

/// Nothing was ever called: how to make the first call.
#[component]
fn FirstCall() -> impl IntoView {
    let command = format!(
        "curl {}/v1/chat/completions \\\n  -H \"Authorization: Bearer $SLUICE_API_KEY\" \\\n  -H 'Content-Type: application/json' \\\n  \
         -d '{{\"model\": \"MODEL\", \"messages\": [{{\"role\": \"user\", \"content\": \"Who are you?\"}}]}}'",
        use_page().gateway_url
    );
    view! {
        <Empty title="No call has come through yet">
            <p>"Make a key under "<a href=paths::KEYS>"API keys"</a>", then point a client at this gateway. The first call appears here by itself."</p>
            <pre tabindex="0">{command.clone()}</pre>
            <CopyButton text=command label="the command"/>
        </Empty>
    }
}

#[component]
fn NoMatch(query: MonitoringQuery) -> impl IntoView {
    let filtered = !query.workspace.is_empty() || !query.model.is_empty();
    let cleared = MonitoringQuery { workspace: String::new(), model: String::new(), ..query.clone() };
    let longer = MonitoringQuery { range: "30d".into(), from: String::new(), to: String::new(), ..query };
    view! {
        <Empty title="No calls in this range">
            {filtered.then(|| view! { <p><a href=cleared.address(paths::MONITORING)>"Clear the filters"</a></p> })}
            <p><a href=longer.address(paths::MONITORING)>"Look at the last 30 days"</a></p>
        </Empty>
    }
}
