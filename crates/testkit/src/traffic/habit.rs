//! Who calls what how often. Together three to five calls a second, so that a laptop does not notice.

/// One program that calls a model again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habit {
    /// The model it asks for.
    pub model: &'static str,
    /// How often a minute it calls, on average.
    pub occasions_a_minute: f64,
    /// How many calls it sends each time, all at once.
    pub calls_at_once: u32,
    /// Share of calls that are streamed.
    pub streamed: f64,
    /// Words of the prompt, at least and at most.
    pub prompt_words: (u64, u64),
    /// The maximum of output it sets.
    pub max_tokens: Option<u64>,
    /// Share of streams given up by the reader.
    pub hang_ups: f64,
    /// Share of calls for which the stand-in provider is asked to fail.
    pub trouble: f64,
    /// Length in seconds of the shorter wave of its rate.
    pub wave_s: f64,
}

const CALM: Habit = Habit {
    model: "",
    occasions_a_minute: 1.0,
    calls_at_once: 1,
    streamed: 0.0,
    prompt_words: (20, 120),
    max_tokens: None,
    hang_ups: 0.0,
    trouble: 0.004,
    wave_s: 1500.0,
};

/// Short questions, answered while somebody types.
const SEARCH: &[Habit] = &[
    Habit { model: "qwen-plus", occasions_a_minute: 24.0, streamed: 0.7, hang_ups: 0.05, ..CALM },
    Habit {
        model: "qwen-flash",
        occasions_a_minute: 40.0,
        streamed: 0.3,
        prompt_words: (8, 60),
        max_tokens: Some(64),
        ..CALM
    },
    Habit {
        model: "qwen3.5-flash",
        occasions_a_minute: 30.0,
        prompt_words: (10, 40),
        max_tokens: Some(32),
        wave_s: 2100.0,
        ..CALM
    },
];

/// Long conversations with people, nearly all streamed.
const SUPPORT: &[Habit] = &[
    Habit {
        model: "qwen3-max",
        occasions_a_minute: 14.0,
        streamed: 0.95,
        prompt_words: (80, 900),
        hang_ups: 0.06,
        trouble: 0.015,
        wave_s: 1900.0,
        ..CALM
    },
    Habit {
        model: "qwen3.5-plus",
        occasions_a_minute: 20.0,
        streamed: 0.9,
        prompt_words: (60, 500),
        hang_ups: 0.04,
        ..CALM
    },
    Habit { model: "qwen3-vl-plus", occasions_a_minute: 6.0, streamed: 0.5, max_tokens: Some(256), ..CALM },
];

/// Scripts that know no patience.
const RESEARCH: &[Habit] = &[
    // Three at once against one a second, and more a minute than its twelve: refused for requests.
    Habit { model: "qwen-plus-2025-07-28", occasions_a_minute: 4.0, calls_at_once: 3, max_tokens: Some(200), ..CALM },
    // Each takes a large part of the minute's tokens: refused for tokens.
    Habit {
        model: "qwen-turbo",
        occasions_a_minute: 9.0,
        prompt_words: (400, 1500),
        max_tokens: Some(1500),
        wave_s: 900.0,
        ..CALM
    },
    Habit {
        model: "qwq-plus",
        occasions_a_minute: 3.0,
        streamed: 0.5,
        prompt_words: (100, 700),
        hang_ups: 0.2,
        ..CALM
    },
    // From idle to fourteen in an instant, though the minute has room for 1,200: refused as a surge.
    Habit {
        model: "qwen3-vl-flash",
        occasions_a_minute: 0.5,
        calls_at_once: 14,
        prompt_words: (20, 60),
        max_tokens: Some(64),
        ..CALM
    },
];

/// What the programs of a workspace do; nothing for a name that the demo does not have.
pub fn habits(workspace: &str) -> &'static [Habit] {
    match workspace {
        "search" => SEARCH,
        "support" => SUPPORT,
        "research" => RESEARCH,
        _ => &[],
    }
}
