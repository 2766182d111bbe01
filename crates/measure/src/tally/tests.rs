use proptest::prelude::*;

use super::*;
use crate::{IterationEnd, Recorder};

const SHAPE: Shape = Shape { names: 3, workloads: 2, groups: 1, checks: 2 };

/// Something that a shard records; what it needs to have happened before is looked for first.
#[derive(Clone, Debug)]
enum Event {
    Scheduled,
    Sent(u32),
    Withheld(u32),
    Ok(u32, u16),
    Failed(u32, usize),
    Dropped(u32, usize),
    DroppedUnnamed(usize),
    Begun(u32),
    Ended(u32, Option<usize>),
    Passed(u32, bool),
    Group(bool),
    Bytes(u64),
    Seal,
}

fn event() -> impl Strategy<Value = Event> {
    let name = 0..3_u32;
    prop_oneof![
        4 => Just(Event::Scheduled),
        4 => name.clone().prop_map(Event::Sent),
        1 => name.clone().prop_map(Event::Withheld),
        3 => (name.clone(), 0..1_100_u16).prop_map(|(name, code)| Event::Ok(name, code)),
        2 => (name.clone(), 0..ErrorClass::COUNT).prop_map(|(name, class)| Event::Failed(name, class)),
        1 => (name, 0..DropReason::COUNT).prop_map(|(name, reason)| Event::Dropped(name, reason)),
        1 => (0..DropReason::COUNT).prop_map(Event::DroppedUnnamed),
        2 => (0..2_u32).prop_map(Event::Begun),
        2 => (0..2_u32, prop::option::of(0..FailReason::COUNT)).prop_map(|(at, why)| Event::Ended(at, why)),
        1 => (0..2_u32, any::<bool>()).prop_map(|(check, passed)| Event::Passed(check, passed)),
        1 => any::<bool>().prop_map(Event::Group),
        1 => (0..9_000_u64).prop_map(Event::Bytes),
        1 => Just(Event::Seal),
    ]
}

/// What waits, is under way by name, iterates, and was sent since the last seal by name.
#[derive(Default)]
struct Course {
    waiting: u64,
    under_way: [u64; 3],
    fresh: [u64; 3],
    iterating: [u64; 2],
}

/// Records an event if it can happen now.
fn play(recorder: &mut Recorder, course: &mut Course, event: &Event) {
    let at = |name: u32| name as usize;
    match *event {
        Event::Scheduled => {
            recorder.scheduled(1);
            course.waiting += 1;
        }
        Event::Sent(name) if course.waiting > 0 => {
            recorder.sent(name);
            course.waiting -= 1;
            course.under_way[at(name)] += 1;
            course.fresh[at(name)] += 1;
        }
        Event::Withheld(name) if course.fresh[at(name)] > 0 && course.under_way[at(name)] > 0 => {
            recorder.withheld(name, DropReason::Late);
            course.under_way[at(name)] -= 1;
            course.fresh[at(name)] -= 1;
        }
        Event::Ok(name, code) if course.under_way[at(name)] > 0 => {
            recorder.ok(name, 50, 40, code);
            course.under_way[at(name)] -= 1;
        }
        Event::Failed(name, class) if course.under_way[at(name)] > 0 => {
            recorder.failed(name, ErrorClass::ALL[class], 50, None);
            course.under_way[at(name)] -= 1;
        }
        Event::Dropped(name, reason) if course.waiting > 0 => {
            recorder.dropped(name, DropReason::ALL[reason]);
            course.waiting -= 1;
        }
        Event::DroppedUnnamed(reason) if course.waiting > 0 => {
            recorder.dropped_unnamed(DropReason::ALL[reason]);
            course.waiting -= 1;
        }
        Event::Begun(workload) => {
            recorder.iteration_scheduled(workload);
            recorder.iteration_begun(workload);
            course.iterating[at(workload)] += 1;
        }
        Event::Ended(workload, why) if course.iterating[at(workload)] > 0 => {
            let end = why.map_or(IterationEnd::Completed, |why| IterationEnd::Failed(FailReason::ALL[why]));
            recorder.iteration_ended(workload, end, 70);
            course.iterating[at(workload)] -= 1;
        }
        Event::Passed(check, passed) => recorder.check(check, passed),
        Event::Group(ok) => recorder.group_ended(0, ok, 9, 1),
        Event::Bytes(bytes) => recorder.bytes_received(bytes),
        _ => {}
    }
}

fn words(recorder: &Recorder) -> Tallied {
    let words = recorder.words().iter().map(|word| word.load(Ordering::Relaxed)).collect();
    Tallied::from_words(SHAPE, words).expect("as many as the shape takes")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Killed after any event, what a shard counted balances; and less what was sealed it is what the open interval has.
    #[test]
    fn whenever_a_shard_dies_its_counts_add_up(events in prop::collection::vec(event(), 0..200)) {
        let mut recorder = Recorder::new(0, 0, SHAPE);
        let (mut sealed, mut course) = (Totals::new(SHAPE), Course::default());
        for event in &events {
            if matches!(event, Event::Seal) {
                sealed.absorb(&recorder.seal(Box::new(Snapshot::new(SHAPE)), 0, 1));
                course.fresh = [0; 3];
                prop_assert_eq!(&words(&recorder), &Tallied::of(&sealed));
            }
            play(&mut recorder, &mut course, event);
            let found = words(&recorder);
            let closed = found.clone().close().expect("nothing contradicts anything");
            prop_assert!(closed.counters().balanced(), "{:?}", closed.counters().audit());
            prop_assert_eq!(closed.counters().cut_off, course.under_way.iter().sum::<u64>());
            let interrupted = closed.counters().dropped_for(DropReason::Interrupted);
            prop_assert!(interrupted >= course.waiting);
        }
        let closed = words(&recorder).close().expect("nothing contradicts anything");
        let rest = closed.beyond(&Tallied::of(&sealed)).expect("sums that were sealed are in the words");
        // Sealed and saved sums together are all there is, each part once.
        sealed.merge(&rest.totals());
        prop_assert_eq!(&sealed.counters, &closed.counters());
        prop_assert!(sealed.balanced());
    }
}

#[test]
fn sums_and_words_say_the_same() {
    let mut recorder = Recorder::new(0, 0, SHAPE);
    recorder.scheduled(5);
    recorder.unassigned(1);
    recorder.sent(1);
    recorder.sent(2);
    recorder.ok(1, 10, 9, 204);
    recorder.failed(2, ErrorClass::Status, 10, None);
    recorder.status(2, 503);
    recorder.dropped(0, DropReason::Late);
    recorder.dropped_unnamed(DropReason::Expired);
    recorder.connect_started();
    recorder.iteration_scheduled(1);
    recorder.iteration_dropped(1, DropReason::QueueFull);
    recorder.check(1, false);
    recorder.group_ended(0, true, 5, 1);
    let found = words(&recorder);
    let mut totals = Totals::default();
    let snapshot = recorder.seal(Box::new(Snapshot::new(SHAPE)), 0, 1);
    totals.absorb(&snapshot);
    assert_eq!(found, Tallied::of(&totals));
    let again = found.totals();
    assert_eq!(again.counters, snapshot.counters);
    assert_eq!(again.counters.status.iter().collect::<Vec<_>>(), [(204, 1), (503, 1)]);
    assert_eq!((again.names[2].errors_total(), again.names[0].dropped[DropReason::Late.index()]), (1, 1));
    assert_eq!((again.checks[1].failed, again.groups[0].ok), (1, 1));
    let mut warmup = Totals::new(SHAPE);
    found.add_as_warmup(&mut warmup);
    assert_eq!((&warmup.warmup, warmup.counters.sent), (&snapshot.counters, 0));
    assert_eq!(warmup.workloads[1].warmup, snapshot.workloads[1].iterations);
}

#[test]
fn what_contradicts_itself_is_not_closed() {
    let tallied = |change: fn(&mut [u64])| {
        let mut words = vec![0; tally_words(SHAPE)];
        words[SCHEDULED] = 5;
        words[Places::name(0) + SENT] = 3;
        change(&mut words);
        Tallied::from_words(SHAPE, words).expect("as many as the shape takes").close()
    };
    let closed = tallied(|_| {}).expect("three under way, two waiting").counters();
    assert_eq!((closed.cut_off, closed.dropped_for(DropReason::Interrupted)), (3, 2));
    let changes: [fn(&mut [u64]); 5] = [
        |words| words[SCHEDULED] = 2,
        |words| words[Places::name(0) + OK] = 4,
        |words| words[Places::name(1) + ERRORS] = 1,
        |words| words[UNASSIGNED] = u64::MAX,
        |words| words[Places::of(SHAPE).workload(1) + COMPLETED] = 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(tallied(change).is_none(), "change {number}");
    }
    assert!(Tallied::from_words(SHAPE, vec![0; 7]).is_none());
}
