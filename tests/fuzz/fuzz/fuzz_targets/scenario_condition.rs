//! Hands the fuzzer's inputs to [`fuzz::scenario_condition`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::scenario_condition(input));
