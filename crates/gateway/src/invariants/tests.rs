//! Replays what the fuzzers keep, and looks that the invariants can be broken at all.

use std::{fs, path::Path};

use super::*;

fn replay(target: &str, holds: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "the corpus of {target} is in the tree");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        // The test's output names the file that it was at.
        println!("{}", file.display());
        holds(&bytes);
    }
}

#[test]
fn every_body_of_the_corpus_is_read_as_a_parser_reads_it() {
    replay("body", body);
}

#[test]
fn every_stream_of_the_corpus_passes_unchanged() {
    replay("stream", stream);
}

#[test]
fn every_answer_of_the_corpus_has_the_same_counts_however_it_comes() {
    replay("answer", answer);
}

#[test]
fn pieces_make_the_whole() {
    let bytes: Vec<u8> = (0..200).collect();
    for (most, seed) in [(1, 0), (7, 3), (200, 255)] {
        let cut: Vec<&[u8]> = pieces(&bytes, most, seed).collect();
        assert_eq!(cut.concat(), bytes);
        assert!(cut.iter().all(|it| (1..=most).contains(&it.len())));
    }
}
