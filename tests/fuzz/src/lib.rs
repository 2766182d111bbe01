//! Fuzz entry points, one function a target, called by the fuzzer and by the corpus replay alike.

#![forbid(unsafe_code)]
