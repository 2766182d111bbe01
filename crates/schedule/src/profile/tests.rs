//! Profiles: the inverse, the counts, rests at zero, and changes of the rate.

use proptest::prelude::*;

use super::*;
use crate::proptest_config::cases;

const SECOND_NS: u64 = 1_000_000_000;
const WEEK_NS: u64 = 7 * 86_400 * SECOND_NS;

fn ramp(duration_ns: u64, from: u64, to: u64) -> Phase {
    Phase { duration_ns, from: Rate::per_second(from), to: Rate::per_second(to) }
}

/// The true integral up to `at_ns`, in arrivals; good to some fifteen digits.
fn integral(profile: &Profile, at_ns: u64) -> f64 {
    let (mut sum, mut start_ns) = (0.0, 0);
    for phase in profile.phases() {
        let elapsed = at_ns.saturating_sub(start_ns).min(phase.duration_ns) as f64;
        let slope =
            (phase.to.per_second_f64() - phase.from.per_second_f64()) / (phase.duration_ns.max(1)) as f64;
        sum += (phase.from.per_second_f64() * elapsed + slope * elapsed * elapsed / 2.0) / 1e9;
        start_ns += phase.duration_ns;
    }
    sum
}

fn phases() -> impl Strategy<Value = Phase> {
    let rate = || {
        prop_oneof![Just(0_u64), 1..1_000_u64, 1..10_000_000_000_u64, 1..=10_000_000_000_000_u64]
            .prop_map(Rate::from_micro)
    };
    let duration = prop_oneof![0..3_u64, 1..1_000_u64, 1..60 * SECOND_NS, 1..4 * WEEK_NS];
    let steady = (duration.clone(), rate()).prop_map(|(duration_ns, rate)| (duration_ns, rate, rate));
    let line = (duration, rate(), rate());
    prop_oneof![steady, line].prop_map(|(duration_ns, from, to)| Phase { duration_ns, from, to })
}

fn profiles() -> impl Strategy<Value = Profile> {
    prop::collection::vec(phases(), 1..6).prop_filter_map("lasts", |phases| Profile::new(phases).ok())
}

/// A point `part` thousandths of the way through `whole`.
fn at_part(whole: u64, part: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(part) / 1_000).unwrap()
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn due_times_and_counts_are_inverse(profile in profiles(), part in 0_u64..=1_000, near in 0_u64..3) {
        let count = profile.arrival_count();
        let slot = at_part(count, part).saturating_sub(near);
        match profile.due_ns(slot) {
            Some(due_ns) => {
                prop_assert!(slot < count && due_ns < profile.duration_ns());
                prop_assert!(profile.arrivals_before(due_ns) <= slot);
                prop_assert!(profile.arrivals_before(due_ns + 1) > slot);
            }
            None => prop_assert!(slot >= count),
        }
        prop_assert_eq!(profile.due_ns(count), None);
    }

    #[test]
    fn due_times_never_decrease_and_are_never_early(profile in profiles(), part in 0_u64..=1_000) {
        let first = at_part(profile.arrival_count(), part).saturating_sub(20);
        let mut before_ns = 0;
        for slot in first..first + 40 {
            let Some(due_ns) = profile.due_ns(slot) else { break };
            prop_assert!(due_ns >= before_ns);
            before_ns = due_ns;
            let segment = profile.segment_at(due_ns);
            let reached = segment.quanta_before + segment.quanta_at(due_ns - segment.start_ns);
            prop_assert!(reached >= u128::from(slot) * QUANTA_PER_ARRIVAL);
        }
    }

    #[test]
    fn counts_are_within_one_of_the_integral(profile in profiles(), part in 0_u64..=1_000, near in 0_u64..3) {
        let at_ns = at_part(profile.duration_ns(), part).saturating_sub(near);
        let (count, true_count) = (profile.arrivals_before(at_ns) as f64, integral(&profile, at_ns));
        // The oracle is in floating point; the exact integral is proven in `segment`.
        prop_assert!((count - true_count).abs() <= 1.0 + true_count * 1e-12, "{} for {}", count, true_count);
    }

    #[test]
    fn a_changed_rate_leaves_the_past_alone(
        profile in profiles(),
        (cut, probe, later) in (0_u64..=1_000, 0_u64..=1_000, 0_u64..=1_000),
        micro in prop_oneof![Just(0), 1..10_000_000_000_u64],
    ) {
        let duration_ns = profile.duration_ns();
        let at_ns = at_part(duration_ns, cut);
        let rate = Rate::from_micro(micro);
        let changed = profile.with_rate_from(at_ns, rate).unwrap();
        prop_assert_eq!(changed.duration_ns(), duration_ns);
        let probe_ns = at_part(at_ns, probe);
        prop_assert_eq!(changed.arrivals_before(probe_ns), profile.arrivals_before(probe_ns));
        prop_assert_eq!(changed.arrivals_before(at_ns), profile.arrivals_before(at_ns));
        let past = profile.arrivals_before(at_ns);
        for slot in past.saturating_sub(3)..past {
            prop_assert_eq!(changed.due_ns(slot), profile.due_ns(slot));
        }
        prop_assert!(changed.due_ns(past).is_none_or(|due_ns| due_ns >= at_ns));
        if at_ns < duration_ns {
            let later_ns = at_ns + at_part(duration_ns - at_ns, later);
            let since = (changed.arrivals_before(later_ns) - past) as f64;
            let expected = rate.per_second_f64() * (later_ns - at_ns) as f64 / 1e9;
            prop_assert!((since - expected).abs() <= 1.0 + expected * 1e-12, "{} for {}", since, expected);
            prop_assert_eq!(changed.rate_at(at_ns), rate);
        }
        // Cutting again, in the past of the first cut, is cutting once.
        prop_assert_eq!(
            changed.with_rate_from(probe_ns, rate).unwrap().arrivals_before(at_ns),
            profile.with_rate_from(probe_ns, rate).unwrap().arrivals_before(at_ns)
        );
    }

    #[test]
    fn rates_follow_the_line(from in 0_u64..1_000_000, to in 0_u64..1_000_000, at in 0_u64..1_000) {
        let profile = Profile::new(vec![ramp(1_000, from, to), ramp(1_000, to, to)]).unwrap();
        let exact = from as f64 + (to as f64 - from as f64) * at as f64 / 1_000.0;
        prop_assert!((profile.rate_at(at).per_second_f64() - exact).abs() <= 1e-6);
        prop_assert_eq!(profile.rate_at(1_000 + at), Rate::per_second(to));
        prop_assert_eq!(profile.rate_at(2_000 + at), Rate::ZERO);
        prop_assert_eq!(profile.max_rate(), Rate::per_second(from.max(to)));
    }
}

#[test]
fn constant_rates_are_exact() {
    for (micro, slot, due_ns) in [
        (1_000_000, 0, 0),
        (1_000_000, 1, SECOND_NS),
        (3_000_000, 1, 333_333_334),
        (3_000_000, 3, SECOND_NS),
        (500_000, 1, 2 * SECOND_NS),
        (1, 1, 1_000_000 * SECOND_NS),
        // Ten million per second, after eight weeks, to the slot.
        (10_000_000_000_000, 48_384_000_000_000, 8 * WEEK_NS),
        (10_000_000_000_000, 48_384_000_000_001, 8 * WEEK_NS + 100),
        (9_999_999_999_999, 48_384_000_000_000, 8 * WEEK_NS + 484),
    ] {
        let profile = Profile::constant(Rate::from_micro(micro), 9 * WEEK_NS).unwrap();
        assert_eq!(profile.due_ns(slot), Some(due_ns), "slot {slot} at {micro}");
    }
}

#[test]
fn counts_what_was_asked_for() {
    for (phases, count) in [
        (vec![ramp(10 * SECOND_NS, 20_000, 20_000)], 200_000),
        (vec![ramp(10 * SECOND_NS, 0, 1_000)], 5_000),
        (vec![ramp(10 * SECOND_NS, 1_000, 0)], 5_000),
        (vec![ramp(SECOND_NS, 1_000, 1_000), ramp(SECOND_NS, 50_000, 50_000)], 51_000),
        (vec![ramp(30 * SECOND_NS, 0, 1_000), ramp(60 * SECOND_NS, 1_000, 50_000)], 1_545_000),
        (vec![ramp(8 * WEEK_NS, 10_000_000, 10_000_000)], 48_384_000_000_000),
        (vec![ramp(8 * WEEK_NS, 0, 10_000_000)], 24_192_000_000_000),
        // A rest neither adds the slot that it begins with, nor loses it.
        (vec![ramp(SECOND_NS, 1_000, 1_000), ramp(SECOND_NS, 0, 0)], 1_000),
        (vec![ramp(SECOND_NS, 0, 0), ramp(SECOND_NS, 1_000, 1_000)], 1_000),
        (vec![ramp(SECOND_NS, 5, 5), ramp(SECOND_NS, 0, 0), ramp(0, 9, 9), ramp(SECOND_NS, 5, 5)], 10),
        (vec![ramp(SECOND_NS, 0, 0)], 0),
    ] {
        assert_eq!(Profile::new(phases.clone()).unwrap().arrival_count(), count, "{phases:?}");
    }
}

#[test]
fn nothing_is_due_while_the_rate_rests() {
    let phases =
        vec![ramp(SECOND_NS, 0, 0), ramp(SECOND_NS, 2, 2), ramp(SECOND_NS, 0, 0), ramp(SECOND_NS, 1, 1)];
    let profile = Profile::new(phases).unwrap();
    let due: Vec<_> = (0..4).map(|slot| profile.due_ns(slot)).collect();
    assert_eq!(due, [Some(SECOND_NS), Some(3 * SECOND_NS / 2), Some(3 * SECOND_NS), None]);
    assert_eq!(profile.arrivals_before(3 * SECOND_NS), 2);
    assert_eq!(profile.arrivals_before(3 * SECOND_NS + 1), 3);
}

#[test]
fn a_change_inside_a_ramp_keeps_its_slope() {
    let profile = Profile::new(vec![ramp(10 * SECOND_NS, 0, 1_000)]).unwrap();
    let changed = profile.with_rate_from(5 * SECOND_NS, Rate::per_second(100)).unwrap();
    assert_eq!(
        changed.phases(),
        [ramp(5 * SECOND_NS, 0, 500), ramp(5 * SECOND_NS, 100, 100)],
        "as people read it"
    );
    assert_eq!(changed.arrival_count(), 1_250 + 500);
    assert_eq!(changed.max_rate(), Rate::per_second(500));
    // And stopping is a rate of zero.
    let stopped = changed.with_rate_from(6 * SECOND_NS, Rate::ZERO).unwrap();
    assert_eq!(stopped.arrival_count(), 1_250 + 100);
    assert_eq!(stopped.with_rate_from(10 * SECOND_NS, Rate::per_second(7)).unwrap(), stopped);
}

#[test]
fn refuses_what_is_no_profile() {
    let long = ramp(u64::MAX, 0, 0);
    for (phases, error) in [
        (vec![], ScheduleError::NoPhase),
        (vec![ramp(0, 1, 1), ramp(0, 2, 2)], ScheduleError::NoDuration),
        (vec![long, long], ScheduleError::DurationTooLong),
        (vec![ramp(u64::MAX, 10_000_000_000, 0)], ScheduleError::TooManyArrivals),
        (vec![ramp(u64::MAX, 18_000_000_000_000, 18_000_000_000_000)], ScheduleError::TooManyArrivals),
    ] {
        let refused = Profile::new(phases.clone());
        assert_eq!(refused, Err(error), "{phases:?}");
        assert!(!refused.unwrap_err().to_string().is_empty());
    }
    let ten = Profile::constant(Rate::per_second(1), u64::MAX).unwrap();
    assert_eq!(
        ten.with_rate_from(5, Rate::per_second(18_000_000_000_000)),
        Err(ScheduleError::TooManyArrivals)
    );
}
