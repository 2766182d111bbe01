//! Hostile targets: what each does to a request, held against one table, over both drivers.
//!
//! Shortened in ci; whole with the feature `long` (`cargo xtask long hostile`).

mod check;
mod ids;
mod page;
mod table;

#[cfg(not(feature = "long"))]
mod short;
#[cfg(feature = "long")]
mod whole;
