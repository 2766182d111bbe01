//! Hands the fuzzer's inputs to [`fuzz::wire_message`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::wire_message(input));
