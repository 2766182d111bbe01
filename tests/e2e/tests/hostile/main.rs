//! Hostile targets: what each does to a request, held against one table, over both drivers.
//!
//! Shortened in ci; whole with the feature `long` (`cargo xtask long`).

mod check;
mod table;

mod short;
