//! The built-in HTTP target with its truth log

#![forbid(unsafe_code)]
