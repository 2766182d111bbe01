//! Hands the fuzzer's inputs to [`fuzz::redis_reply`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::redis_reply(input));
