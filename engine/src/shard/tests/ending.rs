//! How runs end: stops, aborts, counts; nothing is sent after them and nothing is lost in them.

use super::*;

#[test]
fn a_start_that_comes_behind_a_stop_starts_nothing() {
    let (link, mut control) = pair();
    let lab = Lab::new(1_000, SECOND);
    let mut io = SimIo::new(lab.settings.driver_limits(), lab.network.clone());
    io.listen(address(), lab.server.clone());
    let profile = Profile::constant(Rate::per_second(1_000), SECOND).expect("a valid profile");
    let arrivals = Arrivals::new(Arc::new(profile), Process::Deterministic, &Cells::all());
    let mut shard = Shard::new(io, lab.settings.clone(), &[Workload::open(arrivals, Task::Request(0))], link);
    shard.turn().expect("the simulated driver does not break");
    assert_eq!(shard.phase, Phase::Armed);
    assert!(control.tell(Command::Stop));
    assert!(control.tell(Command::Start { at: Timestamp::from_nanos(BOOT + LEAD) }));
    shard.turn().expect("the simulated driver does not break");
    assert_eq!(shard.phase, Phase::Done);
    assert!(shard.io.finish().requests.is_empty());
}

#[test]
fn a_second_stop_does_not_prolong_the_grace() {
    let mut lab = Lab::new(100, SECOND).quirk(Quirk::Mute);
    lab.timeout(100 * SECOND);
    lab.settings.grace_ns = SECOND;
    lab.acts = [1_100, 1_500, 1_900].map(|at| (at * MS, Act::Tell(Command::Stop))).into();
    let outcome = lab.run();
    outcome.check("stops");
    let (_, until, _) = *outcome.sealed.last().expect("a last snapshot");
    assert!(until <= 2 * SECOND + 21 * MS, "the run lasted until {until} ns");
}

/// The shard was held up when the stop came: what was due by then counts, late as it is.
#[test]
fn what_is_due_when_a_stop_comes_is_counted() {
    for command in [Command::Stop, Command::Abort] {
        let case = format!("{command:?}");
        let mut lab = Lab::new(1_000, 10 * SECOND);
        lab.acts = vec![(SECOND, Act::Tell(command)), (SECOND, Act::Freeze(SECOND / 2))];
        let outcome = lab.run();
        let counters = &outcome.check(&case).totals.counters;
        assert!((1_500..=1_501).contains(&counters.scheduled), "{case}: {}", counters.scheduled);
        let interrupted = outcome.dropped(DropReason::Interrupted);
        assert!((498..=501).contains(&interrupted), "{case}: {interrupted}");
        let lag = outcome.totals.latency(Latency::Lag);
        assert_eq!(lag.count(), counters.scheduled, "{case}");
        within(&case, lag.max_ns(), 500.0, 2.0);
    }
}

#[test]
fn a_rate_of_zero_does_not_end_a_counted_run() {
    let mut lab = Lab::new(1_000, 4 * SECOND);
    lab.settings.ends_by_count = true;
    lab.limit = Some(2_000);
    let base = Profile::constant(Rate::per_second(1_000), 4 * SECOND).expect("a valid profile");
    let paused = base.with_rate_from(SECOND, Rate::ZERO).expect("a valid profile");
    let resumed = paused.with_rate_from(2 * SECOND, Rate::per_second(1_000)).expect("a valid profile");
    lab.acts = vec![
        (900 * MS, Act::Tell(Command::Profile { workload: 0, profile: Arc::new(paused) })),
        (1_900 * MS, Act::Tell(Command::Profile { workload: 0, profile: Arc::new(resumed) })),
    ];
    let outcome = lab.run();
    assert_eq!(outcome.totals.counters.ok, 2_000);
    assert!(outcome.totals.counters.balanced());
}

#[test]
fn sending_ends_when_nothing_more_is_due_however_long_answers_take() {
    let mut whole = Lab::new(1_000, SECOND);
    whole.server.delay = DelayLaw::Fixed(3 * SECOND);
    whole.target().connections = 2_000;
    let mut counted = whole.clone();
    counted.settings.ends_by_count = true;
    counted.limit = Some(501);
    let mut stopped = whole.clone();
    stopped.acts = vec![(300 * MS, Act::Tell(Command::Stop))];
    let mut aborted = whole.clone();
    aborted.acts = vec![(300 * MS, Act::Tell(Command::Abort))];
    let cases = [
        ("whole", whole, 1_000),
        ("counted", counted, 500),
        ("stopped", stopped, 300),
        ("aborted", aborted, 300),
    ];
    for (case, lab, expected_ms) in cases {
        let outcome = lab.run();
        let ended = outcome.check(case).sending_ended.expect("sending has ended");
        within(case, ended.nanos_since(outcome.start), f64::from(expected_ms), 2.0);
    }
}
