//! Whole iterations: scenarios are compiled, their requests read, answers given, until they end.

mod answers;
mod digest;
mod harness;
mod properties;
mod requests;
mod steps;
