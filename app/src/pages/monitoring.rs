//! Monitoring: what was called in a range of time, what is in use now, and where calls were refused.

mod batch;
mod chart;
mod first_use;
mod now;
mod range;
mod table;

use crate::{
    api::monitoring::{MonitoringQuery, MonitoringView, monitoring},
    components::{frame::PageHead, live::LiveBar, tabs::MonitoringTabs},
    paths,
    read::content,
    ui::{Empty, Tile},
};
use batch::BatchLane;
use chart::Chart;
use first_use::FirstUse;
use leptos::prelude::*;
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use now::InUseNow;
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
        zoom: get("zoom"),
        workspace: get("workspace"),
        model: get("model"),
        sort: get("sort"),
        after: get("after"),
    }
}

#[component]
fn Content(view: MonitoringView) -> impl IntoView {
    let tiles: Vec<_> =
        view.tiles.into_iter().enumerate().map(|(i, it)| view! { <Tile view=it live=format!("tile/{i}")/> }).collect();
    let address = view.query.address(paths::MONITORING);
    let empty = view.groups.is_empty();
    let drawn = view.drawn.join("\n");
    let live = view.range.live.then(|| view! { <LiveBar page=address drawn=drawn rows=view.rows empty=empty/> });
    let zoom = view.range.zoom.clone();
    let draw =
        |charts: Vec<_>| charts.into_iter().map(|it| view! { <Chart chart=it zoom=zoom.clone()/> }).collect::<Vec<_>>();
    let stopped = view.stopped;
    let body = match (empty, view.first_use) {
        (true, Some(first_use)) => view! { <FirstUse view=first_use stopped=stopped/> }.into_any(),
        (true, None) => view! { <NoMatch query=view.query.clone() stopped=stopped/> }.into_any(),
        _ => {
            let now = view
                .range
                .live
                .then(|| view! { <InUseNow models=view.now workspace=!view.query.workspace.is_empty() more=view.pages.models/> });
            view! {
                {now}
                <div class="split">{draw(view.strips)}{draw(view.charts)}</div>
                <ModelTable query=view.query.clone() groups=view.groups pages=view.pages stopped=stopped/>
            }
            .into_any()
        }
    };
    let tiles = (!empty).then(|| view! { <dl class="tiles panel">{tiles}</dl> });
    view! {
        <Filters query=view.query range=view.range workspaces=view.workspaces models=view.models>{live}</Filters>
        {tiles}
        {body}
        <BatchLane rows=view.batch/>
    }
}

#[component]
fn NoMatch(query: MonitoringQuery, stopped: String) -> impl IntoView {
    let filtered = !query.workspace.is_empty() || !query.model.is_empty();
    let cleared = MonitoringQuery { workspace: String::new(), model: String::new(), ..query.clone() };
    let longer = query.over("30d");
    view! {
        <Empty title="No calls in this range">
            {filtered.then(|| view! { <p><a href=cleared.address(paths::MONITORING)>"Clear the filters"</a></p> })}
            <p><a href=longer.address(paths::MONITORING)>"Look at the last 30 days"</a></p>
            <p class="soft" data-live="stopped">{stopped}</p>
        </Empty>
    }
}
