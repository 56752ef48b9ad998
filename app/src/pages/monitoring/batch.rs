//! The batch lane, apart from everything that limits hold.

use crate::{api::monitoring::BatchView, format::NOTHING, ui::Number};
use leptos::prelude::*;

/// Calls that no limit holds; nothing where there were none.
#[component]
pub(super) fn BatchLane(rows: Vec<BatchView>) -> impl IntoView {
    if rows.is_empty() {
        return None;
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|it| {
            let model = if it.model.is_empty() { NOTHING.to_owned() } else { it.model };
            view! {
                <tr>
                    <th scope="row" class="model">{model}</th>
                    <td class="nowrap">{it.workspace}</td>
                    <td class="number"><Number text=it.calls.text exact=it.calls.exact/></td>
                    <td class="number"><Number text=it.failed.text exact=it.failed.exact/></td>
                    <td class="number"><Number text=it.tokens.text exact=it.tokens.exact/></td>
                    <td class="number"><Number text=it.latency.text exact=it.latency.exact/></td>
                </tr>
            }
        })
        .collect();
    Some(view! {
        <section class="panel" aria-labelledby="batch">
            <div class="panel-head"><h2 id="batch">"Batch lane "<small>"exempt from limits, and in no figure above"</small></h2></div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="batch">
                <table class="pinned">
                    <thead>
                        <tr>
                            <th scope="col">"Model"</th>
                            <th scope="col">"Workspace"</th>
                            <th scope="col" class="number">"Total Calls"</th>
                            <th scope="col" class="number">"Failed Calls"</th>
                            <th scope="col" class="number">"Tokens"</th>
                            <th scope="col" class="number">"Avg Latency"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    })
}
