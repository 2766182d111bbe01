//! Hands the fuzzer's inputs to [`fuzz::plan_texts`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::plan_texts(input));
