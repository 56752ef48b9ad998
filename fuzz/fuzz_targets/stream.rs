//! Event streams of providers, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::invariants::stream(data));
