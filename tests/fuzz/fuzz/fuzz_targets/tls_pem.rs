//! Hands the fuzzer's inputs to [`fuzz::tls_pem`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tls_pem(input));
