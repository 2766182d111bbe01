//! Hands the fuzzer's inputs to [`fuzz::plan_document`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::plan_document(input));
