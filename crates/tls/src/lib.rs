//! Caller-buffered TLS client sessions

#![forbid(unsafe_code)]
