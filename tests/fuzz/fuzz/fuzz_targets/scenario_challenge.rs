//! Hands the fuzzer's inputs to [`fuzz::scenario_challenge`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::scenario_challenge(input));
