//! Hands the fuzzer's inputs to [`fuzz::control_request`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::control_request(input));
