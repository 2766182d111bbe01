//! Hands the fuzzer's inputs to [`fuzz::feeder_jsonl`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::feeder_jsonl(input));
