//! The words that answers are made of: one long text, cut into tokens beforehand, of which each answer takes a part.

use std::sync::OnceLock;

use crate::chance::Chance;

/// A multiple of every event size, so that no piece crosses the end.
const TOKENS: u64 = 8192;

/// Tokens, each with its trailing space; some outside ASCII, as real answers have. None needs escaping in JSON.
const WORDS: [&str; 48] = [
    "the ",
    "model ",
    "answers ",
    "in ",
    "a ",
    "steady ",
    "voice ",
    "and ",
    "counts ",
    "its ",
    "words ",
    "while ",
    "water ",
    "runs ",
    "through ",
    "gate ",
    "by ",
    "gate. ",
    "Each ",
    "one ",
    "opens ",
    "as ",
    "far ",
    "as ",
    "it ",
    "may, ",
    "no ",
    "further; ",
    "what ",
    "was ",
    "asked ",
    "is ",
    "weighed ",
    "once ",
    "more ",
    "before ",
    "it ",
    "passes. ",
    "A ",
    "café ",
    "on ",
    "quay ",
    "keeps ",
    "模型",
    "计数",
    "slow ",
    "hours — ",
    "truly. ",
];

/// The text and where its tokens end.
pub(crate) struct Corpus {
    text: String,
    ends: Vec<usize>,
}

/// The corpus, built at first use.
pub(crate) fn corpus() -> &'static Corpus {
    static CORPUS: OnceLock<Corpus> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let mut chance = Chance::new(42);
        let mut it = Corpus { text: String::new(), ends: vec![0] };
        for _ in 0..TOKENS {
            let word = chance.below(WORDS.len() as u64);
            it.text.push_str(WORDS[usize::try_from(word).expect("below 48")]);
            it.ends.push(it.text.len());
        }
        it
    })
}

impl Corpus {
    /// Tokens `start..start + count`; neither may cross a multiple of 8, the largest event.
    pub(crate) fn piece(&self, start: u64, count: u64) -> &str {
        let at = usize::try_from(start % TOKENS).expect("below 8192");
        let end = at + usize::try_from(count).expect("an event is small");
        &self.text[self.ends[at]..self.ends[end.min(self.ends.len() - 1)]]
    }

    /// The same for any count, written in one go.
    pub(crate) fn write(&self, start: u64, mut count: u64, out: &mut String) {
        let mut at = start % TOKENS;
        while count > 0 {
            let now = count.min(TOKENS - at);
            out.push_str(self.piece(at, now));
            count -= now;
            at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_sum_of_its_pieces() {
        let mut whole = String::new();
        corpus().write(8184, 20, &mut whole);
        let pieces: String = (0..5).map(|n| corpus().piece(8184 + 4 * n, 4)).collect();
        assert_eq!(whole, pieces);
        assert_eq!(serde_json::to_string(&whole).unwrap(), format!("\"{whole}\""));
    }
}
