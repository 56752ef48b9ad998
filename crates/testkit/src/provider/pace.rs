//! How fast the stand-in's models are and how much they say. Numbers are of the order that large hosted models show.

/// The models it says it has; others are answered too.
pub(crate) const MODELS: [&str; 12] = [
    "qwen3-max",
    "qwen3.5-plus",
    "qwen-plus",
    "qwen-plus-2025-07-28",
    "qwen-plus-2025-07-14",
    "qwen3.5-flash",
    "qwen-flash",
    "qwen-turbo",
    "qwq-plus",
    "qwen3-vl-plus",
    "qwen3-vl-flash",
    "text-embedding-v4",
];

/// One model's speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Mean time to the first token.
    pub(crate) first_token_ms: f64,
    /// Output a second.
    pub(crate) tokens_per_s: f64,
    /// Mean output of a call that sets no maximum.
    pub(crate) output: f64,
    /// Tokens in one event of a stream: 1, 2, 4 or 8.
    pub(crate) tokens_per_event: u64,
}

/// The pace of a model, by the family its name begins with; anything unknown is of middle speed.
pub(crate) fn pace_of(model: &str) -> Pace {
    let (first_token_ms, tokens_per_s, output, tokens_per_event) = match model {
        it if it.starts_with("qwen3-max") => (620.0, 55.0, 320.0, 4),
        it if it.starts_with("qwq") => (900.0, 70.0, 900.0, 8),
        it if it.starts_with("qwen3.5-plus") => (430.0, 85.0, 260.0, 4),
        it if it.starts_with("qwen3-vl-plus") => (780.0, 60.0, 180.0, 4),
        it if it.starts_with("qwen3-vl-flash") => (410.0, 120.0, 120.0, 8),
        it if it.contains("flash") => (190.0, 160.0, 140.0, 8),
        it if it.contains("turbo") => (240.0, 130.0, 160.0, 8),
        _ => (380.0, 75.0, 220.0, 4),
    };
    Pace { first_token_ms, tokens_per_s, output, tokens_per_event }
}
