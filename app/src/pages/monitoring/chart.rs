//! A drawing with its legend and the table that says the same.

use crate::api::monitoring::ChartView;
use leptos::prelude::*;

/// A drawing. `browser::charts` adds the crosshair, the legend's choice, and the zoom, whose address begins with `zoom`.
#[component]
pub(super) fn Chart(chart: ChartView, zoom: String) -> impl IntoView {
    let patterned = chart.key == "refusals";
    let legend: Vec<_> = chart
        .legend
        .into_iter()
        .map(|it| {
            let swatch = if patterned {
                let fill = format!("url(#pattern-{})", it.class);
                view! { <svg viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" fill=fill></rect></svg> }.into_any()
            } else {
                let class = format!("line {}", it.class);
                view! { <svg class="stretch" viewBox="0 0 24 12" aria-hidden="true"><path class=class d="M0 6H24"></path></svg> }.into_any()
            };
            view! { <button type="button" disabled aria-pressed="false" data-series=it.class>{swatch}{it.words}</button> }
        })
        .collect();
    let legend = (!legend.is_empty()).then(|| view! { <span class="legend">{legend}</span> });
    let columns: Vec<_> = chart.columns.into_iter().map(|it| view! { <th scope="col">{it}</th> }).collect();
    let region = format!("{} as a table", chart.title);
    let key = format!("chart/{}", chart.key);
    view! {
        <figure class="chart panel">
            <figcaption><h2>{chart.title}</h2><small data-live=format!("{key}/note")>{chart.note}</small>{legend}</figcaption>
            <div class="drawing" data-zoom=chart.zooms.then_some(zoom)>
                <div class="canvas" data-drawing=key.clone() inner_html=chart.svg></div>
                <div class="tip" aria-hidden="true" hidden></div>
            </div>
            <details>
                <summary>"As a table"</summary>
                <div class="scroll" tabindex="0" role="group" aria-label=region>
                    <table><thead><tr>{columns}</tr></thead><tbody data-drawing=format!("{key}/rows") inner_html=chart.rows></tbody></table>
                </div>
            </details>
        </figure>
    }
}
