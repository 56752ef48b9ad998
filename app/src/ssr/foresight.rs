//! What new limits would have done, as the editor shows it: markup that stands in the page with and without script.

use super::{
    Caller, ConsoleState, outcome,
    settings::{at_field, command},
};
use crate::{
    draft::Draft,
    error::ApiError,
    format::{percent, whole},
    outcome::Outcome,
    ui::Moment,
};
use control::foresight::{DAYS, Effect, Foresight, ModelForesight, Source};
use leptos::prelude::*;

/// Works out what the draft would have refused.
pub(crate) async fn foresee(
    state: &ConsoleState,
    caller: &Caller,
    id: &str,
    draft: &Draft,
) -> Result<Outcome, ApiError> {
    let found = control::foresight::foresee(&state.control, &caller.actor, &command(id, 0, draft)).await;
    Ok(match outcome(found)? {
        Ok(foresight) => Outcome::Shown(panel(foresight).to_html()),
        Err(Outcome::Invalid(errors)) => Outcome::Invalid(errors.into_iter().map(at_field).collect()),
        Err(other) => other,
    })
}

fn panel(it: Foresight) -> AnyView {
    let title = format!("What these limits would have refused in the last {DAYS} days");
    if it.models.is_empty() {
        return view! {
            <div class="notice stack">
                <h3>{title}</h3>
                <p>"Nothing: no granted model has limits of its own, and nothing was changed."</p>
            </div>
        }
        .into_any();
    }
    let sources = sources(&it.models);
    let rows: Vec<_> = it.models.into_iter().map(row).collect();
    view! {
        <div class="notice stack">
            <h3>{title}</h3>
            <div class="scroll" tabindex="0" role="group" aria-label="What would be refused">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Model"</th>
                            <th scope="col" class="number">"Calls"</th>
                            <th scope="col" class="number">"Refused then"</th>
                            <th scope="col" class="number">"By what is stored"</th>
                            <th scope="col" class="number">"By these limits"</th>
                            <th scope="col">"Worst minute"</th>
                            <th scope="col">"Worked out from"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {sources.into_iter().map(|it| view! { <p class="soft">{it}</p> }).collect::<Vec<_>>()}
        </div>
    }
    .into_any()
}

fn row(it: ModelForesight) -> AnyView {
    let stored = it.stored.as_ref().map_or_else(|| "not granted".to_owned(), |effect| counted(effect, it.calls));
    let (proposed, causes) = match &it.proposed {
        Some(effect) => (counted(effect, it.calls), causes(effect)),
        None => (format!("{} (100.0%)", whole(it.calls)), "permission taken away".to_owned()),
    };
    let refused = it.proposed.as_ref().map_or(it.calls, |it| it.refused.total());
    let before = it.stored.as_ref().map_or(it.calls, |it| it.refused.total());
    let worst = it.proposed.as_ref().and_then(|it| it.worst).map(|(at, count)| {
        view! { <Moment ms=at/>{format!(": {} refused", whole(count))} }
    });
    let source = match (it.calls, it.source) {
        (0, _) => "no calls",
        (_, Source::Calls) => "the call log",
        (_, Source::Minutes) => "figures by the minute",
    };
    view! {
        <tr>
            <th scope="row" class="model">{it.model}</th>
            <td class="number">{whole(it.calls)}</td>
            <td class="number">{whole(it.refused_then)}</td>
            <td class="number">{stored}</td>
            <td class="number" class:worse=refused.gt(&before)>{proposed}<br/><small>{causes}</small></td>
            <td class="nowrap">{worst}</td>
            <td class="nowrap">{source}</td>
        </tr>
    }
    .into_any()
}

/// `1,234 (6.2%)`.
fn counted(effect: &Effect, calls: u64) -> String {
    let refused = effect.refused.total();
    if calls == 0 {
        return "0".to_owned();
    }
    format!("{} ({})", whole(refused), percent(refused as f64 / calls as f64))
}

/// What ran out, where anything did.
fn causes(effect: &Effect) -> String {
    let of = effect.refused;
    let all = [(of.requests, "by requests"), (of.tokens, "by tokens"), (of.surge, "by surge protection")];
    let words: Vec<_> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{} {words}", whole(*count))).collect();
    words.join(", ")
}

/// What is to be known of the sources that were used.
fn sources(models: &[ModelForesight]) -> Vec<&'static str> {
    let used = |source| models.iter().any(|it| it.source == source && it.calls > 0);
    let mut words = Vec::new();
    if used(Source::Calls) {
        words.push(
            "The call log holds every call: each was decided anew by the limiter, together with those of the other \
             workspaces. How much a call allowed itself is not logged, so each is taken for one without a maximum; one \
             that was refused then is taken for one of the mean size.",
        );
    }
    if used(Source::Minutes) {
        words.push(
            "The call log does not hold every call, so this is worked out from calls and tokens of each minute, as if they \
             were spread evenly. Bursts within a minute are not seen: it may be more.",
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::foresight::Refused;

    #[test]
    fn numbers_are_told_with_their_share_and_cause() {
        let effect = Effect { refused: Refused { requests: 1_200, tokens: 34, surge: 0 }, worst: None };
        assert_eq!(counted(&effect, 20_000), "1,234 (6.2%)");
        assert_eq!(causes(&effect), "1,200 by requests, 34 by tokens");
        assert_eq!((counted(&effect, 0), causes(&Effect::default())), ("0".to_owned(), String::new()));
    }
}
