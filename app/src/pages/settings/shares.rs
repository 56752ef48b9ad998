//! One model across all workspaces: who may have how much of it, and whether that is more than the account has.

use super::asked;
use crate::{
    api::workspaces::SharesView,
    format::{percent, whole},
    paths,
    ui::{Empty, Meter},
};
use leptos::prelude::*;

/// The comparison, with the model to compare in the address; the most overcommitted one unless it says another.
#[component]
pub(super) fn Shares(models: Vec<SharesView>) -> impl IntoView {
    let wanted = asked("model").filter(|code| models.iter().any(|it| it.model == *code));
    let chosen = wanted.or_else(|| models.iter().max_by_key(|it| committed(it)).map(|it| it.model.clone()));
    let over = models.iter().filter(|it| it.overcommitted).count();
    let options: Vec<_> = models
        .iter()
        .map(|it| {
            let label = if it.overcommitted { format!("{} (overcommitted)", it.model) } else { it.model.clone() };
            let selected = chosen.as_deref() == Some(it.model.as_str());
            view! { <option value=it.model.clone() selected=selected>{label}</option> }
        })
        .collect();
    let words = match over {
        0 => "No model is overcommitted: the workspaces' own limits fit into the account's.".to_owned(),
        1 => "One model is overcommitted: its workspaces' own limits together are above the account's.".to_owned(),
        n => format!("{n} models are overcommitted: their workspaces' own limits together are above the account's."),
    };
    let shown = models.into_iter().find(|it| Some(&it.model) == chosen.as_ref());
    view! {
        <section class="stack" aria-labelledby="shares">
            <h2 id="shares">"One model, all workspaces"</h2>
            <p class="soft">{words}</p>
            <form class="filters" method="get" action=paths::WORKSPACES>
                <div class="field">
                    <label for="shares-model">"Model"</label>
                    <select id="shares-model" name="model" data-send="">{options}</select>
                </div>
                <button type="submit" class="button quiet without-script">"Compare"</button>
            </form>
            {shown.map(|it| view! { <Compared of=it/> })}
        </section>
    }
}

/// The higher of both sums, in thousandths of the account's limit.
fn committed(it: &SharesView) -> u64 {
    let part = |sum: u64, limit: u64| sum.saturating_mul(1_000) / limit.max(1);
    part(it.sum_rpm, it.rpm).max(it.tpm.map_or(0, |limit| part(it.sum_tpm, limit)))
}

#[component]
fn Compared(of: SharesView) -> impl IntoView {
    if of.shares.is_empty() {
        let title = format!("No workspace but the default one may call {}", of.model);
        return view! { <Empty title=title><p>"Grant it in a workspace's "<em>"Model Permission"</em>"."</p></Empty> }
            .into_any();
    }
    let (rpm, tpm) = (of.rpm, of.tpm);
    let metered = tpm.is_some();
    let rows: Vec<_> = of
        .shares
        .into_iter()
        .map(|(id, name, own_rpm, own_tpm)| {
            view! {
                <tr>
                    <th scope="row" class="model"><a href=paths::workspace(&id)>{name}</a></th>
                    <td class="number">{share(own_rpm, rpm)}</td>
                    {tpm.map(|limit| view! { <td class="number">{share(own_tpm, limit)}</td> })}
                </tr>
            }
        })
        .collect();
    view! {
        <div class="panel scroll" tabindex="0" role="group" aria-label=format!("Limits of {}", of.model)>
            <table class="pinned">
                <thead>
                    <tr>
                        <th scope="col">"Workspace"</th>
                        <th scope="col" class="number">"Times / min"</th>
                        {metered.then(|| view! { <th scope="col" class="number">"Token / min"</th> })}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
                <tfoot>
                    <tr>
                        <th scope="row">"Own limits together"</th>
                        <td class="number">{sum(of.sum_rpm, rpm)}</td>
                        {tpm.map(|limit| view! { <td class="number">{sum(of.sum_tpm, limit)}</td> })}
                    </tr>
                    <tr>
                        <th scope="row">"The account"</th>
                        <td class="number">{whole(rpm)}</td>
                        {tpm.map(|limit| view! { <td class="number">{whole(limit)}</td> })}
                    </tr>
                </tfoot>
            </table>
        </div>
    }
    .into_any()
}

/// A workspace's own limit beside the part it is of the account's.
fn share(own: Option<u64>, account: u64) -> AnyView {
    match own {
        Some(own) => {
            let words = percent(own as f64 / account.max(1) as f64);
            view! { <span class="withmeter">{whole(own)}<Meter used=own limit=Some(account) calm=true/></span>" "<small>{words}</small> }
                .into_any()
        }
        None => view! { <span class="soft">{format!("the account's {}", whole(account))}</span> }.into_any(),
    }
}

/// The sum, marked when it is above the account's limit.
fn sum(sum: u64, account: u64) -> AnyView {
    let words = percent(sum as f64 / account.max(1) as f64);
    let over = (sum > account).then(|| view! { " "<span class="badge near">"overcommitted"</span> });
    view! { {over}" "<strong>{whole(sum)}</strong>" "<small>{words}</small> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_overcommitted_model_is_the_one_that_is_shown() {
        let of = |sum_rpm, sum_tpm, tpm| SharesView { rpm: 600, tpm, sum_rpm, sum_tpm, ..SharesView::default() };
        assert_eq!(committed(&of(300, 0, None)), 500);
        assert_eq!(committed(&of(300, 2_000, Some(1_000))), 2_000);
        assert_eq!(committed(&of(u64::MAX, 0, None)), u64::MAX / 600);
    }
}
