//! Answers that are no stream, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::invariants::answer(data));
