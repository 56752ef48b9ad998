//! The model of an increase with its figures; they follow the choice.

use crate::{
    api::rate_limit::LimitView,
    format::{NOTHING, whole},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A model that can be raised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    model: String,
    current: Option<u64>,
    upper: Option<u64>,
    default: Option<u64>,
    peak: Option<u64>,
    tps: Option<u64>,
}

impl Offer {
    /// What the dialog shows of a model.
    pub fn of(limit: &LimitView) -> Self {
        Self {
            model: limit.model.clone(),
            current: limit.tpm,
            upper: limit.upper_tpm,
            default: limit.default_tpm,
            peak: limit.peak,
            tps: limit.tps,
        }
    }
}

/// The choice and what belongs to it. Without script the figures stand in the entries of the list.
#[island]
pub fn IncreaseModel(
    /// The models that can be raised.
    models: Vec<Offer>,
    /// Which of them is chosen first.
    chosen: String,
) -> impl IntoView {
    let selected = RwSignal::new(chosen.clone());
    let options: Vec<_> = models
        .iter()
        .map(|it| {
            let label = format!("{} ({} now, up to {})", it.model, number(it.current), number(it.upper));
            view! { <option value=it.model.clone() selected=it.model == chosen>{label}</option> }
        })
        .collect();
    let models = StoredValue::new(models);
    let fact = move |read: fn(&Offer) -> Option<u64>| {
        move || models.with_value(|models| number(models.iter().find(|it| it.model == selected.get()).and_then(read)))
    };
    view! {
        <div class="field">
            <label for="increase-model">"Model"</label>
            <select id="increase-model" name="model" aria-describedby="increase-model-message" on:change=move |event| selected.set(event_target_value(&event))>
                {options}
            </select>
            <small id="increase-model-message" class="message" aria-live="polite"></small>
        </div>
        <dl class="facts">
            <dt>"Current quota"</dt><dd>{fact(|it| it.current)}</dd>
            <dt>"Upper limit"</dt><dd>{fact(|it| it.upper)}</dd>
            <dt>"Default"</dt><dd>{fact(|it| it.default)}</dd>
            <dt>"Peak use, last 7 days"</dt><dd>{fact(|it| it.peak)}</dd>
            <dt>"Tokens per second now"</dt><dd>{fact(|it| it.tps)}</dd>
        </dl>
    }
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), whole)
}
