//! The engine.
#![forbid(unsafe_code)]
fn main() {}
