//! Hands the fuzzer's inputs to [`fuzz::scenario_cookies`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::scenario_cookies(input));
