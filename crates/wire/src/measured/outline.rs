//! What packed sums claim, in counts alone.
//!
//! What it is: as much of them as shows whether they can be true, without room for all of it. What it is not: a sum; nothing
//! is added up over several tellers.

/// The claims of one teller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The most of one kind, over all names: requests sent, succeeded or failed, or values measured of a response or on the
    /// way to it.
    pub most: u64,
    /// Responses whose time was measured.
    pub responses: u64,
    /// By workload: iterations that were due, those of the warm-up among them.
    pub iterations: Vec<u64>,
}
