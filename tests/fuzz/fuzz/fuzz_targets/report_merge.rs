//! Hands the fuzzer's inputs to [`fuzz::report_merge`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::report_merge(input));
