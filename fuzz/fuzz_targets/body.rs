//! Bodies of requests, in every dialect.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::invariants::body(data));
