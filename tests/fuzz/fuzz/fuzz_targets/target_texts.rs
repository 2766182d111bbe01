//! Hands the fuzzer's inputs to [`fuzz::target_texts`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::target_texts(input));
