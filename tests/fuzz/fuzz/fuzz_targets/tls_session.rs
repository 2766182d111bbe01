//! Hands the fuzzer's inputs to [`fuzz::tls_session`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tls_session(input));
