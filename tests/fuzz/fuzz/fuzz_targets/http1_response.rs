//! Hands the fuzzer's inputs to [`fuzz::http1_response`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::http1_response(input));
