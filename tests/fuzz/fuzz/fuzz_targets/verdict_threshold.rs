//! Hands the fuzzer's inputs to [`fuzz::threshold`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::threshold(input));
