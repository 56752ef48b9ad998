//! What one call is answered: how many tokens of which words, when, and with which counts reported.
//! Knows no dialect; `wire` writes it down.

use std::time::Duration;

use super::{
    Behaviour, ProviderSettings, Speed,
    corpus::corpus,
    pace::{Pace, pace_of},
    request::{Asked, Text},
};
use crate::chance::Chance;

/// An instant in November 2026; answers count on from it, so that a run can be repeated to the byte.
pub(crate) const FIRST_CREATED: u64 = 1_795_305_600;

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    /// The model's name as a JSON string, quotes included.
    pub(crate) model: String,
    pub(crate) created: u64,
    pub(crate) prompt: u64,
    /// Tokens of each choice.
    pub(crate) output: u64,
    /// Tokens of output in the counts, all choices together; `None` leaves the counts out.
    pub(crate) reported: Option<u64>,
    pub(crate) choices: u64,
    /// Whether the maximum of the call cut it.
    pub(crate) cut: bool,
    pub(crate) tokens_per_event: u64,
    pub(crate) first_byte: Duration,
    pub(crate) gap: Duration,
    start: u64,
}

impl Answer {
    pub(crate) fn plan(settings: &ProviderSettings, number: u64, asked: &Asked<'_>, behaviour: &Behaviour) -> Self {
        let mut chance = Chance::nth(settings.seed, number);
        let pace = pace_of(&asked.model);
        let wanted = match (behaviour.output, settings.speed) {
            (Some(output), _) | (None, Speed::Instant { output }) => output,
            (None, Speed::Real) => whole(pace.output * chance.between(0.2, 1.8)).max(1),
        };
        let output = wanted.min(asked.max_output.unwrap_or(u64::MAX));
        let sent = output * asked.choices;
        let (first_byte, gap) = match settings.speed {
            Speed::Instant { .. } => (Duration::ZERO, Duration::ZERO),
            Speed::Real => real_time(pace, output, asked.stream, &mut chance),
        };
        Self {
            number,
            model: serde_json::to_string(&asked.model).expect("a string is always JSON"),
            created: FIRST_CREATED + number,
            prompt: behaviour.prompt.unwrap_or_else(|| prompt_tokens(settings.speed, asked.text)),
            output,
            reported: (!behaviour.no_usage).then_some(behaviour.reports.unwrap_or(sent)),
            choices: asked.choices,
            cut: output < wanted,
            tokens_per_event: pace.tokens_per_event,
            first_byte: behaviour.delay.unwrap_or(first_byte),
            gap: behaviour.gap.unwrap_or(gap),
            // A multiple of the largest event, as the corpus wants it.
            start: chance.below(1024) * 8,
        }
    }

    /// An id made of the number, of the usual shape.
    pub(crate) fn id(&self) -> String {
        id_of(self.number)
    }

    /// `stop`, or `length` when a maximum cut the answer.
    pub(crate) fn finish(&self) -> &'static str {
        if self.cut { "length" } else { "stop" }
    }

    /// The whole text of one choice.
    pub(crate) fn write_text(&self, out: &mut String) {
        corpus().write(self.start, self.output, out);
    }

    /// How many events with text one choice has.
    pub(crate) fn pieces(&self) -> u64 {
        self.output.div_ceil(self.tokens_per_event)
    }

    /// The text of event `n` of a choice.
    pub(crate) fn piece(&self, n: u64) -> &'static str {
        let at = n * self.tokens_per_event;
        corpus().piece(self.start + at, self.tokens_per_event.min(self.output - at))
    }

    /// Tokens of output sent by the end of event `n` of every choice.
    pub(crate) fn output_by(&self, n: u64) -> u64 {
        ((n + 1) * self.tokens_per_event).min(self.output) * self.choices
    }
}

/// An id of the shape that providers use, made of a number.
pub(crate) fn id_of(number: u64) -> String {
    let mut chance = Chance::nth(3, number);
    let (a, b) = (chance.bits(), chance.bits());
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

/// Real providers wrap messages in a template; tests want the plain count.
fn prompt_tokens(speed: Speed, text: Text) -> u64 {
    match speed {
        Speed::Instant { .. } => text.tokens(),
        Speed::Real => text.tokens() + 9,
    }
}

fn real_time(pace: Pace, output: u64, stream: bool, chance: &mut Chance) -> (Duration, Duration) {
    let first_token = pace.first_token_ms / 1000.0 * chance.between(0.65, 1.6);
    let token = 1.0 / (pace.tokens_per_s * chance.between(0.8, 1.15));
    if stream {
        let gap = token * pace.tokens_per_event as f64;
        return (Duration::from_secs_f64(first_token), Duration::from_secs_f64(gap));
    }
    (Duration::from_secs_f64(first_token + token * output as f64), Duration::ZERO)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lengths are small and positive")]
fn whole(length: f64) -> u64 {
    length.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(speed: Speed, asked: &Asked<'_>, number: u64) -> Answer {
        Answer::plan(&ProviderSettings { speed, ..ProviderSettings::instant() }, number, asked, &Behaviour::default())
    }

    #[test]
    fn pieces_make_the_text() {
        let asked = Asked { model: "qwen-plus".into(), choices: 1, max_output: Some(33), ..Asked::default() };
        let answer = plan(Speed::Instant { output: 50 }, &asked, 5);
        let mut text = String::new();
        answer.write_text(&mut text);
        let pieces: String = (0..answer.pieces()).map(|n| answer.piece(n)).collect();
        assert_eq!(pieces, text);
        assert_eq!((answer.output, answer.finish(), answer.reported), (33, "length", Some(33)));
        assert_eq!(answer.output_by(answer.pieces() - 1), 33);
    }

    #[test]
    fn the_same_call_number_gives_the_same_answer() {
        let asked = Asked { model: "qwen3-max".into(), choices: 1, ..Asked::default() };
        let lengths: Vec<u64> = (0..50).map(|n| plan(Speed::Real, &asked, n).output).collect();
        assert_eq!(lengths, (0..50).map(|n| plan(Speed::Real, &asked, n).output).collect::<Vec<_>>());
        assert!(lengths.iter().max() > lengths.iter().min());
    }

    #[test]
    fn models_have_their_own_pace_and_streams_begin_earlier() {
        let asked = |model, stream| Asked { model, stream, choices: 1, ..Asked::default() };
        for number in 0..50 {
            let flash = plan(Speed::Real, &asked("qwen-flash".into(), true), number);
            let thinking = plan(Speed::Real, &asked("qwq-plus".into(), true), number);
            let at_once = plan(Speed::Real, &asked("qwen-flash".into(), false), number);
            assert!(flash.first_byte < thinking.first_byte && flash.first_byte < at_once.first_byte);
        }
    }
}
