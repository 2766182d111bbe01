//! Intervals: what was measured in a second is reported as of that second.

use super::*;

/// What was scheduled by the second in which each interval ended.
fn by_second(outcome: &Outcome) -> Vec<(u64, u64)> {
    outcome
        .sealed
        .iter()
        .map(|&(_, until, scheduled)| (until.saturating_sub(1) / SECOND, scheduled))
        .collect()
}

#[test]
fn a_frozen_generator_keeps_its_seconds_apart() {
    let mut lab = Lab::new(1_000, 6 * SECOND);
    lab.acts = vec![(SECOND + SECOND / 2, Act::Freeze(3 * SECOND))];
    let outcome = lab.run();
    outcome.check("frozen");
    let seconds = by_second(&outcome);
    assert_eq!(seconds[0], (0, 1_000));
    assert_eq!(seconds[1].0, 1, "{seconds:?}");
    assert!((500..=502).contains(&seconds[1].1), "{seconds:?}");
    assert_eq!(seconds[2].0, 4, "the arrivals of the stall were reached in the fifth second: {seconds:?}");
    assert!((3_498..=3_500).contains(&seconds[2].1), "{seconds:?}");
}

#[test]
fn an_interval_that_had_to_wait_for_memory_ends_with_a_second() {
    let mut lab = Lab::new(1_000, 8 * SECOND);
    lab.acts = vec![(0, Act::Withhold(4 * SECOND + SECOND / 2))];
    let outcome = lab.run();
    outcome.check("starved");
    let seconds = by_second(&outcome);
    assert_eq!(&seconds[..3], [(0, 1_000), (1, 1_000), (2, 1_000)], "{seconds:?}");
    assert_eq!(&seconds[3..6], [(4, 2_000), (5, 1_000), (6, 1_000)], "{seconds:?}");
}

#[test]
fn an_abort_after_a_long_turn_keeps_its_seconds_apart() {
    let mut lab = Lab::new(1_000, 6 * SECOND);
    lab.acts = vec![(SECOND - MS, Act::Tell(Command::Abort)), (SECOND - MS, Act::Freeze(100 * MS))];
    let outcome = lab.run();
    outcome.check("aborted");
    let seconds = by_second(&outcome);
    assert!(seconds[0].0 == 0 && seconds[0].1 >= 998, "{seconds:?}");
    assert!(seconds[1].0 == 1 && seconds[1].1 >= 99, "{seconds:?}");
}
