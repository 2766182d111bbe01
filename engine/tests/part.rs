//! Parts of one run, each as in a process of its own, against one target that counts for itself: whatever changes hands in
//! the middle, together they send the plan.
//!
//! What it is: the door of a part ([`engine::part`]) from outside, real shards, real sockets, real time. What it is not: a
//! coordinator; the tests say what one would.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clock::{Clock, OsClock, Timestamp};
use engine::args::{Command, Process as Surroundings, parse};
use engine::part::{Circumstances, Ended, Event, Order, Part, pair, take_part};
use engine::shard::lease::Lease;
use measure::{Counters, Totals};
use schedule::{Arrivals, Cells, Process, Profile, Rate};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// One node.
struct Node {
    part: Part,
    thread: JoinHandle<()>,
    lease: Arc<Lease>,
    /// What its seconds add up to.
    seconds: Totals,
    ended: Option<Ended>,
    lapsed_ns: Option<u64>,
}

impl Node {
    /// One that has read its plan and stands ready.
    fn ready(words: &[String]) -> Self {
        let lease = Arc::new(Lease::endless());
        let circumstances =
            Circumstances { run_id: "parts".to_owned(), lease: Arc::clone(&lease), live: None };
        let (part, door) = pair(circumstances);
        let command = parse(words.iter().map(Into::into), &Surroundings).expect("valid words");
        let Command::Run(run) = command else { panic!("words of a run") };
        let thread = thread::spawn(move || take_part(*run, door));
        let seconds = Totals::default();
        let mut node = Self { part, thread, lease, seconds, ended: None, lapsed_ns: None };
        let prepared = node.until(|event| matches!(event, Event::Prepared(_)));
        let Event::Prepared(description) = prepared else { panic!("{prepared:?}") };
        assert!(description.summary.contains("openloop.summary/1") && !description.names.requests.is_empty());
        node
    }

    /// The next event that is meant; the others are noted.
    fn until(&mut self, is_meant: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.part.events.blocking_recv().expect("the last event was not meant");
            let is_last = matches!(event, Event::Finished(_) | Event::Refused(_));
            let found = is_meant(&event);
            assert!(found || !is_last, "it ended: {event:?}");
            match event {
                Event::Second(second) => {
                    self.seconds.merge(&second.totals);
                    self.part.recycle(*second);
                }
                Event::Lapsed { at_ns } => self.lapsed_ns = Some(at_ns),
                event if found => return event,
                _ => {}
            }
            if found {
                return Event::Note(String::new());
            }
        }
    }

    fn order(&self, order: Order) {
        self.part.orders.send(order).expect("the part is there");
    }

    /// Asks for something, and says whether it was granted.
    fn ask(&mut self, order: Order) -> Result<u32, String> {
        self.order(order);
        let is_answer = |event: &Event| {
            matches!(event, Event::Armed { .. } | Event::Obeyed { .. } | Event::Declined { .. })
        };
        match self.until(is_answer) {
            Event::Armed { epoch } | Event::Obeyed { epoch } => Ok(epoch),
            Event::Declined { reason, .. } => Err(reason),
            event => panic!("{event:?}"),
        }
    }

    fn arm(&mut self, start: Timestamp, from_ns: u64, cells: &Cells) {
        let order = Order::Arm { epoch: 1, start, from_ns, cells: cells.clone(), rates: Vec::new() };
        assert_eq!(self.ask(order), Ok(1));
    }

    fn assign(&mut self, epoch: u32, from_ns: u64, cells: &Cells) {
        assert_eq!(self.ask(Order::Assign { epoch, from_ns, cells: cells.clone() }), Ok(epoch));
    }

    /// Waits for its end; what it counted is what its seconds add up to.
    fn finish(mut self) -> Counters {
        let Event::Finished(ended) = self.until(|event| matches!(event, Event::Finished(_))) else {
            panic!("it was refused")
        };
        self.thread.join().expect("it does not panic");
        assert_eq!(self.seconds.counters, ended.counters);
        assert!(ended.counters.balanced(), "{:?}", ended.counters.audit());
        assert!(self.ended.is_none());
        ended.counters
    }
}

fn target() -> target::Handle {
    let threads = target::Threads::Floating(NonZeroUsize::MIN);
    target::start(target::Config { threads, ..target::Config::default() }).expect("the target starts")
}

fn words(target: &target::Handle, more: &[&str]) -> Vec<String> {
    let url = format!("http://{}/", target.address());
    let base = ["engine", &url, "--io", "epoll", "--grace", "5s"];
    base.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

/// How many arrivals fall to these cells between two instants.
fn due(plan: &Arrivals, cells: &Cells, from_ns: u64, until_ns: u64) -> u64 {
    plan.of_owner(cells, from_ns).take_while(|arrival| arrival.due_ns < until_ns).count() as u64
}

fn plan(rate: u64, seconds: u64, process: Process) -> Arrivals {
    let profile = Profile::constant(Rate::per_second(rate), seconds * SECOND).expect("a profile");
    Arrivals::new(Arc::new(profile), process, &Cells::none())
}

fn soon() -> Timestamp {
    OsClock.now().plus_nanos(500 * MS)
}

#[expect(clippy::disallowed_methods, reason = "nothing else happens on this thread until then")]
fn wait_until(at: Timestamp) {
    thread::sleep(Duration::from_nanos(at.nanos_since(OsClock.now())));
}

#[test]
fn two_parts_send_exactly_the_plan_while_cells_move_between_them() {
    for (process, more) in [
        (Process::Deterministic, &["--process", "constant"][..]),
        (Process::Poisson { seed: 7 }, &["--process", "poisson", "--seed", "7"]),
    ] {
        let target = target();
        let words = words(&target, &[&["--tps", "1500", "-d", "3s", "--cores", "all"], more].concat());
        let (mut one, mut other) = (Node::ready(&words), Node::ready(&words));
        let parts = Cells::all().deal(&[2, 1]).expect("there are weights");
        let start = soon();
        one.arm(start, 0, &parts[0]);
        other.arm(start, 0, &parts[1]);
        // A third of the first one's cells goes over after a second, then all of the other's comes back: the loser first.
        let moved = parts[0].deal(&[2, 1]).expect("there are weights");
        let (first_ns, second_ns) = (SECOND + 123, 2 * SECOND + 456_789);
        one.assign(2, first_ns, &moved[0]);
        other.assign(2, first_ns, &parts[1].union(&moved[1]));
        wait_until(start.plus_nanos(1_300 * MS));
        other.assign(3, second_ns, &Cells::none());
        one.assign(3, second_ns, &Cells::all());
        let (one, other) = (one.finish(), other.finish());
        let plan = plan(1_500, 3, process);
        let of_other =
            due(&plan, &parts[1], 0, first_ns) + due(&plan, &parts[1].union(&moved[1]), first_ns, second_ns);
        assert_eq!(other.scheduled, of_other, "{process:?}");
        assert_eq!(one.scheduled + other.scheduled, due(&plan, &Cells::all(), 0, u64::MAX), "{process:?}");
        assert_eq!((one.dropped_total(), other.dropped_total()), (0, 0));
        assert_eq!(target.stop().requests, one.sent + other.sent);
    }
}

#[test]
fn a_part_that_loses_its_lease_stops_and_one_that_joins_takes_over() {
    let target = target();
    let words = words(&target, &["--tps", "1000", "-d", "4s", "--cores", "all"]);
    let (mut one, mut late) = (Node::ready(&words), Node::ready(&words));
    let start = soon();
    one.arm(start, 0, &Cells::all());
    // The second joins a run under way, with a part of the first one's cells.
    let halves = Cells::all().deal(&[1, 1]).expect("there are weights");
    wait_until(start.plus_nanos(300 * MS));
    one.assign(2, SECOND, &halves[0]);
    late.arm(start, SECOND, &halves[1]);
    wait_until(start.plus_nanos(1_500 * MS));
    one.lease.end(clock::boot_nanos());
    one.until(|event| matches!(event, Event::Lapsed { .. }));
    let lost_ns = one.lapsed_ns.expect("it was told");
    assert!((1_500 * MS..2_000 * MS).contains(&lost_ns), "{lost_ns}");
    // With no lease nothing is obeyed for long: whoever owns something again has a new one first.
    late.assign(3, 2_500 * MS, &Cells::all());
    one.lease.begin_anew(u64::MAX);
    late.assign(4, 3 * SECOND, &halves[1]);
    one.assign(4, 3 * SECOND, &halves[0]);
    let (one, late) = (one.finish(), late.finish());
    let plan = plan(1_000, 4, Process::Deterministic);
    let unassigned = due(&plan, &halves[0], lost_ns, 2_500 * MS);
    assert!(unassigned > 200, "{unassigned}");
    assert_eq!(one.scheduled + late.scheduled + unassigned, 4_000);
    assert_eq!(late.dropped_total(), 0);
    assert_eq!(target.stop().requests, one.sent + late.sent);
}

#[test]
fn rates_change_at_one_instant_and_what_comes_too_late_changes_nothing() {
    let target = target();
    let words = words(&target, &["--tps", "300", "-d", "3s", "--cores", "1"]);
    let (mut one, mut other) = (Node::ready(&words), Node::ready(&words));
    let halves = Cells::all().deal(&[1, 1]).expect("there are weights");
    // One is told another start before the first has come.
    let start = soon();
    let order =
        |epoch, start| Order::Arm { epoch, start, from_ns: 0, cells: Cells::all(), rates: Vec::new() };
    assert_eq!(one.ask(order(1, start.plus_nanos(3 * SECOND))), Ok(1));
    let start = soon();
    one.arm(start, 0, &halves[0]);
    other.arm(start, 0, &halves[1]);
    let rate = |epoch, from_ns, rate| Order::SetRate {
        epoch,
        workload: None,
        from_ns,
        rate: Rate::per_second(rate),
    };
    wait_until(start.plus_nanos(50 * MS));
    for node in [&mut one, &mut other] {
        assert_eq!(node.ask(rate(2, SECOND, 1_200)), Ok(2));
        let refused = node.ask(rate(3, 1, 2_000)).expect_err("it has passed");
        assert!(refused.contains("only from"), "{refused}");
        let late = Order::Assign { epoch: 4, from_ns: 1, cells: Cells::none() };
        assert!(node.ask(late).is_err());
        assert!(node.ask(order(5, soon())).is_err(), "it has begun, or is about to");
    }
    let (one, other) = (one.finish(), other.finish());
    let profile = Profile::constant(Rate::per_second(300), 3 * SECOND).expect("a profile");
    let changed = profile.with_rate_from(SECOND, Rate::per_second(1_200)).expect("a profile");
    assert_eq!(one.scheduled + other.scheduled, changed.arrival_count());
    assert_eq!(target.stop().requests, one.sent + other.sent);
}

#[test]
fn a_part_that_is_stopped_before_its_start_has_sent_nothing() {
    let target = target();
    let node = Node::ready(&words(&target, &["--tps", "300", "-d", "3s", "--cores", "1"]));
    node.order(Order::Stop);
    assert_eq!(node.finish(), Counters::default());
    assert_eq!(target.stop().requests, 0);
}

#[test]
fn users_and_counts_are_split_among_parts() {
    let target = target();
    let users = words(&target, &["-u", "10", "-n", "400", "--think", "5ms", "-d", "20s", "--cores", "1"]);
    let counted = words(&target, &["--tps", "500", "-n", "900", "--cores", "1"]);
    for (words, whole) in [(users, 400), (counted, 900)] {
        let (mut one, mut other) = (Node::ready(&words), Node::ready(&words));
        let parts = Cells::all().deal(&[3, 2]).expect("there are weights");
        let start = soon();
        one.arm(start, 0, &parts[0]);
        other.arm(start, 0, &parts[1]);
        let (one, other) = (one.finish(), other.finish());
        assert_eq!(one.scheduled + other.scheduled, whole);
        assert!(
            one.scheduled >= other.scheduled && other.scheduled > 0,
            "{} {}",
            one.scheduled,
            other.scheduled
        );
    }
    target.stop();
}
