//! What can be wrong with a profile or a split.

/// Why a profile or a split was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The profile has no phase.
    #[error("the rate profile has no phase; give it at least one, with a duration and a rate")]
    NoPhase,
    /// Every phase lasts 0 ns.
    #[error("the rate profile lasts 0 ns; give at least one phase a duration above zero")]
    NoDuration,
    /// The durations add up to more than a 64-bit count of nanoseconds holds.
    #[error("the phases together last more than {} years; shorten them", u64::MAX / (1_000_000_000 * 31_557_600))]
    DurationTooLong,
    /// The plan holds more arrivals than [`ARRIVALS_MAX`](crate::ARRIVALS_MAX).
    #[error(
        "the rate profile asks for more than {} arrivals; lower its rates or shorten its phases",
        crate::ARRIVALS_MAX
    )]
    TooManyArrivals,
    /// A share outside `1..=of`, or of more parts than there are cells.
    #[error(
        "there is no share {index}/{of}; write i/n with n from 1 to {} and i from 1 to n",
        crate::CELL_COUNT
    )]
    NoSuchShare {
        /// The part asked for, counted from 1.
        index: u32,
        /// How many parts there are.
        of: u32,
    },
    /// No owner, or owners that all weigh nothing.
    #[error("cells cannot be dealt: none of the {owner_count} owners has a weight above zero")]
    NoWeight {
        /// How many owners were named.
        owner_count: usize,
    },
}
