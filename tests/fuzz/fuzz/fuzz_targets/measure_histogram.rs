//! Hands the fuzzer's inputs to [`fuzz::histogram`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::histogram(input));
