//! Thresholds, judgement and exit codes

#![forbid(unsafe_code)]
