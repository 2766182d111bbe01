//! Rate profiles, arrival processes, cells and splitting

#![forbid(unsafe_code)]
