//! Why was this refused: which limit, how much of it was used and by whom, when the call would have passed, and the
//! ways out. Every 429's `x-request-id` leads here.

use crate::{
    api::refusals::{
        BrokenView, CallerView, CallersView, FoundView, GaugeView, OfProviderView, RefusalView, WayView, refusal,
    },
    components::frame::PageHead,
    format::whole,
    paths,
    read::content,
    ui::{CopyButton, Empty, Instant},
};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// The page.
#[component]
pub(crate) fn Refusal() -> impl IntoView {
    let id = use_params_map().with_untracked(|params| params.get("id")).unwrap_or_default();
    view! {
        <p class="crumbs"><a href=paths::REFUSALS>"Refusals"</a></p>
        <PageHead title="Why was this refused?"/>
        {content(refusal(id), |view| match view {
            RefusalView::Found(it) => view! { <Found view=*it/> }.into_any(),
            RefusalView::OfProvider(it) => view! { <OfProvider view=*it/> }.into_any(),
            RefusalView::Missing(why) => view! { <Missing why=why/> }.into_any(),
        })}
    }
}

#[component]
fn Missing(why: String) -> impl IntoView {
    view! {
        <Empty title="There is no such refusal here">
            <p>{why}</p>
            <a class="button" href=paths::REFUSALS>"See recent refusals"</a>
        </Empty>
    }
}

/// The provider's 429: no limit of Sluice's was in its way, so there is nothing to draw.
#[component]
fn OfProvider(view: OfProviderView) -> impl IntoView {
    view! {
        <section class="panel padded stack" aria-label="What happened">
            <p class="lead">{view.sentence}</p>
            <dl class="details">
                <div><dt>"When"</dt><dd><Instant ms=view.at_ms/></dd></div>
                <div><dt>"Model"</dt><dd>{view.model}</dd></div>
                <div><dt>"Workspace"</dt><dd>{view.workspace}</dd></div>
                <div><dt>"Key"</dt><dd>{view.key}</dd></div>
                {tried(view.retries)}
                {request_id(view.id)}
            </dl>
        </section>
        <Ways ways=view.ways/>
    }
}

fn tried(retries: u64) -> Option<AnyView> {
    let times = format!("{} times, says the client", whole(retries));
    (retries > 0).then(|| view! { <div><dt>"Tried before"</dt><dd>{times}</dd></div> }.into_any())
}

fn request_id(id: String) -> AnyView {
    view! {
        <div class="long"><dt>"Request id"</dt><dd class="row"><code class="id">{id.clone()}</code><CopyButton text=id label="the request id"/></dd></div>
    }
    .into_any()
}

#[component]
fn Found(view: FoundView) -> impl IntoView {
    let FoundView { row, sentence, gauge, passes_at_ms, retries, limits, callers, ways } = view;
    let passes = match passes_at_ms {
        Some(ms) => {
            view! { <Instant ms=ms/><small>" "{row.passes_after}" later, had nothing else happened"</small> }.into_any()
        }
        None => "Never, as it was".into_any(),
    };
    let several = limits.len() > 1;
    let own = row.limit.clone();
    view! {
        <section class="panel padded stack" aria-label="What happened">
            <p class="lead">{sentence}</p>
            <Gauge gauge=gauge limit=row.limit.clone()/>
            <dl class="details">
                <div><dt>"When"</dt><dd><Instant ms=row.at_ms/></dd></div>
                <div><dt>"Would have passed"</dt><dd>{passes}</dd></div>
                <div><dt>"Model"</dt><dd>{row.model}</dd></div>
                <div><dt>"Workspace"</dt><dd>{row.workspace}</dd></div>
                <div><dt>"Key"</dt><dd>{row.key}</dd></div>
                {tried(retries)}
                {request_id(row.id)}
            </dl>
        </section>
        {several.then(|| view! { <Broken limits=limits/> })}
        {callers.map(|it| view! { <Callers callers=it limit=own gauge=gauge/> })}
        <Ways ways=ways/>
    }
}

/// Width of the drawing in its own units.
const WIDTH: u64 = 1_000;

/// What was used, what the call would have added, and the limit, to one scale.
#[component]
fn Gauge(gauge: GaugeView, limit: String) -> impl IntoView {
    let GaugeView { used, needed, limit: of, tokens, window_s } = gauge;
    let [used_to, needed_to, limit_at] = marks(gauge);
    let what = if tokens { "tokens" } else { "requests" };
    view! {
        <figure class="gauge">
            <svg viewBox="0 0 1000 28" preserveAspectRatio="none" aria-hidden="true">
                <rect class="track" y="4" width=WIDTH.to_string() height="20"></rect>
                <rect class="used" y="4" width=used_to.to_string() height="20"></rect>
                <rect class="needed" x=used_to.to_string() y="4" width=(needed_to - used_to).to_string() height="20"></rect>
                <rect class="limit" x=limit_at.saturating_sub(2).to_string() width="3" height="28"></rect>
            </svg>
            <figcaption class="row">
                <span class="used"><strong>{whole(used)}</strong>" used in the "{window_s.to_string()}" s before"</span>
                <span class="needed"><strong>{whole(needed)}</strong>" needed by this call"</span>
                <span class="limit"><strong>{whole(of)}</strong>" "{what}" is the limit: "{limit}</span>
            </figcaption>
        </figure>
    }
}

/// Where in [`WIDTH`] the use ends, the call's need ends, and the limit lies.
fn marks(gauge: GaugeView) -> [u64; 3] {
    let GaugeView { used, needed, limit, .. } = gauge;
    let all = used.saturating_add(needed).max(limit).max(1);
    let at = |n: u64| u64::try_from(u128::from(n) * u128::from(WIDTH) / u128::from(all)).unwrap_or(WIDTH);
    [at(used), at(used.saturating_add(needed)).max((at(used) + 2).min(WIDTH)), at(limit)]
}

#[component]
fn Broken(limits: Vec<BrokenView>) -> impl IntoView {
    let rows: Vec<_> = limits
        .into_iter()
        .map(|it| {
            view! {
                <tr>
                    <th scope="row">{it.limit}</th>
                    <td class="number">{it.window}</td>
                    <td class="number">{whole(it.used)}</td>
                    <td class="number">{whole(it.of)}</td>
                    <td class="number">{whole(it.needed)}</td>
                    <td class="number">{it.holds_after}</td>
                </tr>
            }
        })
        .collect();
    view! {
        <section class="panel" aria-labelledby="broken">
            <div class="panel-head"><h2 id="broken">"Limits it would have broken "<small>"the one that stays longest is named first"</small></h2></div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="broken">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Limit"</th>
                            <th scope="col" class="number">"Window"</th>
                            <th scope="col" class="number">"Used"</th>
                            <th scope="col" class="number">"Of"</th>
                            <th scope="col" class="number">"Needed"</th>
                            <th scope="col" class="number">"Holds after"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

#[component]
fn Callers(callers: CallersView, limit: String, gauge: GaugeView) -> impl IntoView {
    let what = if gauge.tokens { "Tokens" } else { "Requests" };
    let note = (!callers.note.is_empty()).then(|| view! { <p class="padded soft">{callers.note}</p> });
    let about = format!("{} s before the call, of {limit}", gauge.window_s);
    let rows: Vec<_> = callers.rows.into_iter().map(caller).collect();
    let list = if rows.is_empty() {
        view! { <p class="padded soft">"The log holds no other call of this time."</p> }.into_any()
    } else {
        view! {
            <div class="scroll" tabindex="0" role="group" aria-labelledby="callers">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Workspace"</th>
                            <th scope="col">"Key"</th>
                            <th scope="col" class="number">{what}</th>
                            <th scope="col" class="number">"Share"</th>
                            <th scope="col" class="number">"Calls admitted"</th>
                            <th scope="col" class="number">"Calls refused"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <section class="panel" aria-labelledby="callers">
            <div class="panel-head"><h2 id="callers">"Who used it "<small>{about}</small></h2></div>
            {list}
            {note}
        </section>
    }
}

fn caller(it: CallerView) -> AnyView {
    view! {
        <tr>
            <td>{it.workspace}</td>
            <td>{it.key}{it.own.then(|| view! { " "<span class="badge good">"this call's"</span> })}</td>
            <td class="number">{whole(it.used)}</td>
            <td class="number">{it.share}</td>
            <td class="number">{whole(it.admitted)}</td>
            <td class="number">{whole(it.refused)}</td>
        </tr>
    }
    .into_any()
}

#[component]
fn Ways(ways: Vec<WayView>) -> impl IntoView {
    let items: Vec<_> = ways
        .into_iter()
        .map(|it| {
            let header = (!it.header.is_empty()).then(|| {
                view! { <p class="row"><code>{it.header.clone()}</code><CopyButton text=it.header label="the header"/></p> }
            });
            let link = it.link.map(|(href, words)| view! { <a class="button quiet small" href=href>{words}</a> });
            view! { <li><h3>{it.title}</h3><div><p>{it.text}</p>{header}</div>{link}</li> }
        })
        .collect();
    view! {
        <section aria-labelledby="ways">
            <h2 id="ways">"Ways out"</h2>
            <ul class="ways">{items}</ul>
            <p class="soft">"What each limit means is told under "<a href=paths::HELP>"How limits work"</a>"."</p>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauge_has_one_scale() {
        let check = |used, needed, limit, expected| {
            let gauge = GaugeView { used, needed, limit, tokens: true, window_s: 60 };
            assert_eq!(marks(gauge), expected, "{used} + {needed} of {limit}");
        };
        check(500, 1_500, 1_000, [250, 1_000, 500]);
        check(100, 1, 100, [990, 1_000, 990]);
        check(0, 1, 0, [0, 1_000, 0]);
        check(u64::MAX, u64::MAX, 1, [1_000, 1_000, 0]);
    }
}
