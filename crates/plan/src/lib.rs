//! The validated test plan

#![forbid(unsafe_code)]
