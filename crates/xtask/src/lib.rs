//! Automation: tidy, ci, long

#![forbid(unsafe_code)]
