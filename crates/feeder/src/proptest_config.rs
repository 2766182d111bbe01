//! How property tests of this crate draw their cases: from one fixed seed, so that a run is repeatable, unless
//! `PROPTEST_RNG_SEED` names another.

use proptest::test_runner::{Config, RngSeed};

/// `cases` cases per property.
pub(crate) fn cases(cases: u32) -> Config {
    let ambient = Config::default();
    let rng_seed = match ambient.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0x000d_a7a0_0b5e_ed01),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    Config { cases, rng_seed, ..ambient }
}
