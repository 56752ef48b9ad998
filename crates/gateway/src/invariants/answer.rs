//! Answers that are no stream: counts are found at the top of a body and nowhere else, however it comes in.

use super::{
    pieces,
    tree::{Tree, depth},
};
use crate::{
    dialect::{Words, words_of_body},
    request::is_no_text,
    usage::{Finder, in_body},
};

/// Holds of any answer; the first byte says how it is cut.
///
/// # Panics
/// When counts depend on the cutting, or are not those that `serde_json` finds.
pub fn answer(bytes: &[u8]) {
    let Some((seed, body)) = bytes.split_first() else { return };
    let counts = |most: usize| {
        let mut finder = Finder::default();
        pieces(body, most, *seed).for_each(|it| finder.push(it));
        finder.counts()
    };
    let whole = counts(body.len().max(1));
    for most in [1, 2, 7, 64] {
        assert_eq!(counts(most), whole, "in pieces of up to {most}");
    }
    let words = words_of_body(body);
    if let Some(Tree::Object(fields)) = Tree::of(body) {
        let usages: Vec<&Tree> = fields.iter().filter(|(key, _)| key == "usage").map(|(_, it)| it).collect();
        // Two of them, or one written with escapes, come from no provider.
        if usages.len() <= 1 && !body.contains(&b'\\') && !usages.iter().any(|it| has_fractions(it)) {
            let told = usages.first().and_then(|it| total(it));
            assert_eq!(whole.map(|it| it.total_tokens()), told, "found in pieces");
            assert_eq!(in_body(body).map(|it| it.total_tokens()), told, "found in the whole");
        }
        let shown = fields.iter().filter(|(key, _)| matches!(key.as_str(), "choices" | "output" | "content"));
        assert_eq!(words, shown.map(|(_, it)| words_of(it)).fold(Words::default(), Words::and));
        if depth(body) < 100 {
            let cut = body.len() * usize::from(*seed) / 256;
            let so_far = words_of_body(&body[..cut]);
            assert!(sum(so_far) <= sum(words), "{cut} bytes have {so_far:?}, all have {words:?}");
        }
    }
}

fn sum(words: Words) -> u64 {
    words.ascii + words.other
}

/// Whether a number is written in a way that a parser does not tell from others: 12.0 is a count, 1.2e1 is none.
fn has_fractions(usage: &Tree) -> bool {
    matches!(usage, Tree::Object(fields) if fields.iter().any(|(_, it)| matches!(it, Tree::Number(_))))
}

/// All tokens that a `usage` tells of; `None` if it tells of none.
fn total(usage: &Tree) -> Option<u64> {
    let Tree::Object(fields) = usage else { return None };
    let highest = domain::units::HIGHEST_LIMIT;
    let counts = |names: &[&str]| {
        let named = fields.iter().filter(|(key, _)| names.contains(&key.as_str()));
        let counts = named.filter_map(|(_, value)| match value {
            Tree::Whole(count) => Some((*count).min(highest)),
            _ => None,
        });
        counts.collect::<Vec<u64>>()
    };
    let prompt = counts(&["prompt_tokens", "input_tokens"]);
    let output = counts(&["completion_tokens", "output_tokens"]);
    let cached = counts(&["cache_creation_input_tokens", "cache_read_input_tokens"]);
    let total = counts(&["total_tokens"]);
    let last = |counts: &[u64]| counts.last().copied();
    if prompt.is_empty() && output.is_empty() && cached.is_empty() && total.is_empty() {
        return None;
    }
    let prompt = last(&prompt).map_or(0, |it| it + cached.iter().sum::<u64>());
    Some(last(&total).unwrap_or_else(|| prompt + last(&output).unwrap_or(0)))
}

fn words_of(value: &Tree) -> Words {
    match value {
        Tree::Text(text) => {
            let (ascii, other) = Tree::bytes_of(text);
            Words { ascii, other }
        }
        Tree::Array(items) => items.iter().map(words_of).fold(Words::default(), Words::and),
        Tree::Object(fields) => {
            let shown = fields.iter().filter(|(key, _)| !is_no_text(key.as_bytes()));
            shown.map(|(_, it)| words_of(it)).fold(Words::default(), Words::and)
        }
        _ => Words::default(),
    }
}
