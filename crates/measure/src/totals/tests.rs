//! Tests of the totals: merge laws, and that splitting work over shards and intervals changes nothing.

use proptest::prelude::*;

use super::*;
use crate::{DropReason, FailReason, IterationEnd, Recorder};

const SHAPE: Shape = Shape { names: 3, workloads: 2, groups: 2, checks: 2 };

/// One thing that a shard may record.
#[derive(Clone, Debug)]
enum Event {
    Ok { name: u32, response_ns: u64 },
    Failed { name: u32, class: ErrorClass, response_ns: u64 },
    Dropped { reason: DropReason },
    CutOff { name: u32 },
    Connect { ns: u64 },
    Iteration { workload: u32, end: Option<IterationEnd>, ns: u64 },
    Group { group: u32, ok: bool, ns: u64 },
    Check { check: u32, passed: bool },
}

fn any_event() -> impl Strategy<Value = Event> {
    let ns = 0_u64..50_000_000;
    let class = (0..ErrorClass::COUNT).prop_map(|index| ErrorClass::ALL[index]);
    let reason = (0..DropReason::COUNT).prop_map(|index| DropReason::ALL[index]);
    prop_oneof![
        (0_u32..3, ns.clone()).prop_map(|(name, response_ns)| Event::Ok { name, response_ns }),
        (0_u32..3, class, ns.clone()).prop_map(|(name, class, response_ns)| Event::Failed {
            name,
            class,
            response_ns
        }),
        reason.prop_map(|reason| Event::Dropped { reason }),
        (0_u32..3).prop_map(|name| Event::CutOff { name }),
        ns.clone().prop_map(|ns| Event::Connect { ns }),
        (0_u32..2, any_end(), ns.clone()).prop_map(|(workload, end, ns)| Event::Iteration {
            workload,
            end,
            ns
        }),
        (0_u32..2, any::<bool>(), ns).prop_map(|(group, ok, ns)| Event::Group { group, ok, ns }),
        (0_u32..2, any::<bool>()).prop_map(|(check, passed)| Event::Check { check, passed }),
    ]
}

/// `None` for an arrival that was dropped.
fn any_end() -> impl Strategy<Value = Option<IterationEnd>> {
    let reason = (0..FailReason::COUNT).prop_map(|index| FailReason::ALL[index]);
    prop_oneof![
        Just(None),
        Just(Some(IterationEnd::Completed)),
        Just(Some(IterationEnd::CutOff)),
        reason.prop_map(|reason| Some(IterationEnd::Failed(reason))),
    ]
}

fn play(recorder: &mut Recorder, event: &Event) {
    match event {
        Event::Ok { name, response_ns } => {
            recorder.scheduled(1);
            recorder.lag(*response_ns / 100);
            recorder.sent(*name);
            recorder.first_byte(*response_ns / 2);
            recorder.ok(*name, *response_ns, *response_ns / 2, 200);
        }
        Event::Failed { name, class, response_ns } => {
            recorder.scheduled(1);
            recorder.sent(*name);
            recorder.failed(*name, *class, *response_ns, Some(*response_ns));
        }
        Event::Dropped { reason } => {
            recorder.scheduled(1);
            recorder.dropped(0, *reason);
        }
        Event::CutOff { name } => {
            recorder.scheduled(1);
            recorder.sent(*name);
            recorder.cut_off(*name);
        }
        Event::Connect { ns } => recorder.connect(*ns),
        Event::Iteration { workload, end, ns } => {
            recorder.iteration_scheduled(*workload);
            if let Some(end) = end {
                recorder.iteration_begun(*workload);
                recorder.iteration_ended(*workload, *end, *ns);
            } else {
                recorder.iteration_dropped(*workload, DropReason::Expired);
            }
        }
        Event::Group { group, ok, ns } => recorder.group_ended(*group, *ok, *ns, *ns / 4),
        Event::Check { check, passed } => recorder.check(*check, *passed),
    }
}

/// Totals of `events`, all recorded by one shard in one interval.
fn totals_of(shard: u32, events: &[Event]) -> Totals {
    let mut recorder = Recorder::new(1, shard, SHAPE);
    for event in events {
        play(&mut recorder, event);
    }
    let mut totals = Totals::new(SHAPE);
    let mut sealed = recorder.seal(Box::new(Snapshot::new(SHAPE)), 0, 1);
    sealed.cpu_ns = events.len() as u64;
    totals.absorb(&sealed);
    totals
}

fn merged(left: &Totals, right: &Totals) -> Totals {
    let mut sum = left.clone();
    sum.merge(right);
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn merge_is_commutative_associative_and_has_an_identity(
        parts in proptest::collection::vec((0_u32..3, proptest::collection::vec(any_event(), 0..20)), 3),
    ) {
        let [a, b, c] = [0, 1, 2].map(|i: usize| totals_of(parts[i].0, &parts[i].1));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(&merged(&a, &Totals::default()), &a);
        prop_assert_eq!(&merged(&Totals::default(), &a), &a);
    }

    #[test]
    fn shards_and_intervals_change_no_result(
        events in proptest::collection::vec((any_event(), 0_u32..3), 0..80), seal_every in 1_usize..20,
    ) {
        let mut recorders: Vec<Recorder> = (0..3).map(|shard| Recorder::new(1, shard, SHAPE)).collect();
        let mut spare = Box::new(Snapshot::new(SHAPE));
        let mut split = Totals::new(SHAPE);
        for (position, (event, shard)) in events.iter().enumerate() {
            play(&mut recorders[*shard as usize], event);
            if position % seal_every == 0 {
                let mut sealed = recorders[*shard as usize].seal(spare, 0, 1);
                split.absorb(&sealed);
                sealed.clear();
                spare = sealed;
            }
        }
        for recorder in &mut recorders {
            split.absorb(&recorder.seal(Box::new(Snapshot::new(SHAPE)), 0, 1));
        }
        let plain: Vec<Event> = events.iter().map(|(event, _)| event.clone()).collect();
        let whole = totals_of(0, &plain);
        prop_assert!(split.balanced());
        prop_assert_eq!(&split.counters, &whole.counters);
        for latency in Latency::ALL {
            prop_assert_eq!(split.latency(*latency), whole.latency(*latency), "{}", latency.name());
        }
        prop_assert_eq!(split.names, whole.names);
        prop_assert_eq!(split.workloads, whole.workloads);
        prop_assert_eq!(split.groups, whole.groups);
        prop_assert_eq!(split.checks, whole.checks);
    }
}

#[test]
fn response_covers_failures_and_response_ok_does_not() {
    let events = [
        Event::Ok { name: 0, response_ns: 1_000 },
        Event::Ok { name: 1, response_ns: 3_000 },
        Event::Failed { name: 1, class: ErrorClass::Reset, response_ns: 9_000 },
    ];
    let totals = totals_of(0, &events);
    let response = totals.latency(Latency::Response);
    assert_eq!((response.count(), response.max_ns(), response.sum_ns()), (3, 9_000, 13_000));
    let response_ok = totals.latency(Latency::ResponseOk);
    assert_eq!((response_ok.count(), response_ok.max_ns()), (2, 3_000));
    assert_eq!(totals.names[1].response().count(), 2);
    assert_eq!(totals.names[1].errors_total(), 1);
    assert_eq!(totals.latency(Latency::Service).max_ns(), 9_000);
}

#[test]
fn the_warm_up_enters_no_result() {
    let mut recorder = Recorder::new(0, 0, SHAPE);
    recorder.set_warmup(true);
    play(&mut recorder, &Event::Ok { name: 0, response_ns: 5 });
    let completed = Some(IterationEnd::Completed);
    play(&mut recorder, &Event::Iteration { workload: 1, end: completed, ns: 9 });
    play(&mut recorder, &Event::Check { check: 0, passed: false });
    let mut sealed = recorder.seal(Box::new(Snapshot::new(SHAPE)), 0, 1);
    sealed.cpu_ns = 40;
    let mut totals = Totals::new(Shape::requests(1));
    totals.absorb(&sealed);
    assert_eq!(totals.counters, Counters::default());
    assert_eq!((totals.warmup.sent, totals.warmup.ok), (1, 1));
    assert_eq!((totals.iterations_total().begun, totals.workloads[1].warmup.completed), (0, 1));
    assert_eq!(totals.checks_total().total(), 0);
    assert!(totals.latency(Latency::Response).is_empty() && totals.lag.is_empty());
    assert_eq!(totals.cpu_ns(), 40, "processor time is spent all the same");
}

#[test]
fn a_cleared_total_counts_from_zero_again() {
    let events = [Event::Ok { name: 2, response_ns: 7 }, Event::Dropped { reason: DropReason::Late }];
    let mut totals = totals_of(4, &events);
    totals.clear();
    assert_eq!(totals.counters, Counters::default());
    assert_eq!(totals.shards.iter().map(|shard| (shard.node, shard.shard)).collect::<Vec<_>>(), [(1, 4)]);
    totals.merge(&totals_of(4, &events));
    assert_eq!(totals, totals_of(4, &events));
}

#[test]
fn shards_are_kept_apart_and_sorted() {
    let mut totals = Totals::new(Shape::requests(1));
    for (node, shard, sent) in [(2, 0, 5), (1, 1, 3), (1, 0, 2), (2, 0, 1)] {
        let mut snapshot = Snapshot::new(Shape::requests(1));
        snapshot.node = node;
        snapshot.shard = shard;
        snapshot.counters.sent = sent;
        snapshot.cpu_ns = 10;
        totals.absorb(&snapshot);
    }
    let seen: Vec<_> = totals.shards.iter().map(|s| (s.node, s.shard, s.sent, s.cpu_ns)).collect();
    assert_eq!(seen, [(1, 0, 2, 10), (1, 1, 3, 10), (2, 0, 6, 20)]);
}
