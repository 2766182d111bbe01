//! Whole-system measurement beside peers and baselines.

fn main() {}
