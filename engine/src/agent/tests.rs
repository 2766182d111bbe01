//! Tests of the agent: each drives it by hand through time and looks at what it wants done.

use std::collections::BTreeMap;

use clock::Timestamp;
use measure::{Counters, Gauges, Totals};
use schedule::Cells;
use verdict::ExitCode;
use wire::{Beat, Description, Fencing, FromNode, Measured, Refusal, Spec, ToNode, Welcome};

use super::*;
use crate::part::Order;

const RUN: u128 = 77;
const SECOND_NS: u64 = 1_000_000_000;
const LEASE_NS: u64 = 3 * SECOND_NS;
const BEAT_NS: u64 = SECOND_NS / 2;

/// A node in the hands of a test.
struct Node {
    agent: Agent,
    now_ns: u64,
    actions: Vec<Action>,
}

impl Node {
    fn new(left: Vec<LeftBehind>) -> Self {
        let identity = Identity {
            node: "a".to_owned(),
            incarnation: 5,
            boot_id: "b".to_owned(),
            host: "h".to_owned(),
            pid: 1,
            version: "1.0.0".to_owned(),
            cores: 2,
            capacity: None,
            zone: None,
            labels: BTreeMap::new(),
        };
        Self { agent: Agent::new(identity, left), now_ns: 100 * SECOND_NS, actions: Vec::new() }
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        // The boot-time clock stands elsewhere than the monotonic one.
        let now = Now { monotonic: Timestamp::from_nanos(self.now_ns), boot_ns: self.now_ns + 7, unix_ns: 0 };
        self.agent.handle(now, event, &mut self.actions);
        let mut actions = std::mem::take(&mut self.actions);
        // What is said to people, here and in the log, is no part of these tests.
        actions.retain(|action| match action {
            Action::Send(message) => !matches!(**message, FromNode::Log(_)),
            other => !matches!(other, Action::Note(_)),
        });
        actions
    }

    fn told(&mut self, message: ToNode) -> Vec<Action> {
        let received = Timestamp::from_nanos(self.now_ns);
        self.handle(Event::Told { received, message: Box::new(message) })
    }

    fn part(&mut self, happened: Happened) -> Vec<Action> {
        self.handle(Event::Part { run: RUN, happened })
    }

    fn attend(&mut self, term: u64, resume: bool) -> Vec<Action> {
        let mut actions = self.handle(Event::Connected);
        actions.extend(self.told(ToNode::Welcome(welcome(term, resume))));
        actions
    }

    /// Lets time pass, and the agent wake as it asks to.
    fn pass(&mut self, ns: u64) -> Vec<Action> {
        let end_ns = self.now_ns + ns;
        let mut actions = Vec::new();
        while let Some(deadline) = self.agent.deadline().filter(|at| at.as_nanos() <= end_ns) {
            self.now_ns = self.now_ns.max(deadline.as_nanos());
            actions.extend(self.handle(Event::Wake));
        }
        self.now_ns = end_ns;
        actions
    }

    fn grant(&mut self, beat: u64) -> Vec<Action> {
        self.told(ToNode::Grant { beat, lease_ns: LEASE_NS })
    }

    fn armed(&mut self, epoch: u32) {
        self.attend(1, false);
        self.grant(0);
        self.told(prepare());
        self.part(Happened::Prepared(Ok(Box::new(description()))));
        let asked = self.told(arm(epoch));
        assert!(matches!(orders(&asked)[..], [Order::Arm { .. }]), "{asked:?}");
        self.part(Happened::Armed { epoch });
    }

    fn second(&mut self, second: u64) -> Vec<Action> {
        let mut totals = Totals::default();
        totals.counters.sent = second + 1;
        let (measured, gauges) = (Measured::pack(&totals), Gauges::default());
        self.part(Happened::Second { second, until_ns: (second + 1) * SECOND_NS, measured, gauges })
    }
}

fn welcome(term: u64, resume: bool) -> Welcome {
    let version = "1.0.0".to_owned();
    Welcome { term, session: 1, version, lease_ns: LEASE_NS, beat_ns: BEAT_NS, resume }
}

fn fencing(epoch: u32) -> Fencing {
    Fencing { term: 1, epoch }
}

fn spec() -> Spec {
    Spec { version: "1.0.0".to_owned(), ..Spec::default() }
}

fn prepare() -> ToNode {
    ToNode::Prepare { run: RUN, fencing: fencing(0), spec: Box::new(spec()) }
}

fn description() -> Description {
    Description { names: measure::Names::default(), summary: "{}".to_owned() }
}

fn arm(epoch: u32) -> ToNode {
    let (start, cells) = (Timestamp::from_nanos(200 * SECOND_NS), Cells::all());
    ToNode::Arm { run: RUN, fencing: fencing(epoch), start, from_ns: 0, cells, rates: Vec::new() }
}

fn assign(epoch: u32) -> ToNode {
    ToNode::Assign { run: RUN, fencing: fencing(epoch), from_ns: 9, cells: Cells::none() }
}

fn finished() -> Happened {
    let counters = Box::new(Counters { sent: 3, ..Counters::default() });
    Happened::Finished { counters, first_sent_ns: Some(1), summary: "{}".to_owned() }
}

fn said(actions: &[Action]) -> Vec<&FromNode> {
    fn one(action: &Action) -> Option<&FromNode> {
        if let Action::Send(message) = action { Some(message) } else { None }
    }
    actions.iter().filter_map(one).collect()
}

fn orders(actions: &[Action]) -> Vec<&Order> {
    actions
        .iter()
        .filter_map(|action| if let Action::Order(order) = action { Some(order) } else { None })
        .collect()
}

fn beats(actions: &[Action]) -> Vec<&Beat> {
    fn beat(message: &FromNode) -> Option<&Beat> {
        if let FromNode::Beat(beat) = message { Some(beat) } else { None }
    }
    said(actions).into_iter().filter_map(beat).collect()
}

fn delivered(actions: &[Action]) -> Vec<(u64, u64)> {
    let one = |action: &Action| match action {
        Action::Deliver { incarnation, sequence, .. } => Some((*incarnation, *sequence)),
        _ => None,
    };
    actions.iter().filter_map(one).collect()
}

#[test]
fn hello_comes_first_and_a_beat_follows_the_welcome() {
    let mut node = Node::new(Vec::new());
    assert_eq!(node.agent.deadline(), None);
    let hello = node.handle(Event::Connected);
    let [FromNode::Hello(hello)] = said(&hello)[..] else { panic!("{hello:?}") };
    assert_eq!((hello.node.as_str(), hello.incarnation, &hello.resume), ("a", 5, &None));
    // What comes before the welcome is nobody's order.
    assert!(node.told(prepare()).is_empty());
    let welcomed = node.told(ToNode::Welcome(welcome(1, false)));
    assert_eq!(beats(&welcomed)[0].number, 0);
    let later = node.pass(2 * BEAT_NS);
    assert_eq!(beats(&later).iter().map(|beat| beat.number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_lease_counts_from_when_its_beat_left() {
    let mut node = Node::new(Vec::new());
    node.attend(1, false);
    let beat_left_ns = node.now_ns + 7;
    node.pass(BEAT_NS / 2);
    let granted = node.grant(0);
    let until = beat_left_ns + LEASE_NS - LEASE_NS / 1_000 - LEASE_MARGIN_NS;
    assert!(matches!(granted[..], [Action::BeginLease { until_ns }] if until_ns == until), "{granted:?}");
    // An unknown beat, and one that was granted before, grant nothing.
    assert!(node.grant(9).is_empty() && node.grant(0).is_empty());
    node.pass(BEAT_NS);
    let renewed = node.grant(1);
    assert!(matches!(renewed[..], [Action::RenewLease { until_ns }] if until_ns == until + BEAT_NS));
    // A grant that took longer than the lease gives nothing.
    node.pass(BEAT_NS);
    node.now_ns += LEASE_NS;
    assert!(node.grant(2).is_empty());
}

#[test]
fn a_lease_that_ended_begins_anew_only_when_the_shards_have_let_go() {
    let mut node = Node::new(Vec::new());
    node.armed(1);
    node.now_ns += LEASE_NS;
    let woken = node.handle(Event::Wake);
    let number = beats(&woken)[0].number;
    assert!(node.grant(number).is_empty(), "shards may still own cells");
    let lapsed = node.part(Happened::Lapsed { at_ns: 3 });
    let beat = beats(&lapsed)[0];
    assert_eq!(beat.fenced_at_ns, Some(3));
    let number = beat.number;
    let begun = node.grant(number);
    assert!(matches!(begun[..], [Action::BeginLease { .. }]), "{begun:?}");
    // It says so until it obeys again.
    assert_eq!(beats(&node.pass(BEAT_NS))[0].fenced_at_ns, Some(3));
    assert!(matches!(orders(&node.told(assign(2)))[..], [Order::Assign { epoch: 2, .. }]));
    node.part(Happened::Obeyed { epoch: 2 });
    assert_eq!(beats(&node.pass(BEAT_NS))[0].fenced_at_ns, None);
}

#[test]
fn cells_are_declined_without_a_lease() {
    let mut node = Node::new(Vec::new());
    node.attend(1, false);
    node.told(prepare());
    node.part(Happened::Prepared(Ok(Box::new(description()))));
    let answer = node.told(arm(1));
    assert!(orders(&answer).is_empty());
    assert!(matches!(said(&answer)[..], [FromNode::Declined { epoch: 1, .. }]), "{answer:?}");
    // A later start finds a lease.
    node.grant(0);
    assert!(matches!(orders(&node.told(arm(2)))[..], [Order::Arm { epoch: 2, .. }]));
}

#[test]
fn what_is_told_twice_is_done_once_and_answered_twice() {
    let mut node = Node::new(Vec::new());
    node.armed(4);
    for _ in 0..2 {
        let again = node.told(arm(4));
        assert!(orders(&again).is_empty());
        assert!(matches!(said(&again)[..], [FromNode::Armed { epoch: 4, .. }]));
    }
    // Lower epochs and terms are not heard.
    assert!(node.told(assign(3)).is_empty());
    let old =
        ToNode::Assign { run: RUN, fencing: Fencing { term: 0, epoch: 9 }, from_ns: 0, cells: Cells::all() };
    assert!(node.told(old).is_empty());
    // Asked and not answered yet: asked once.
    assert_eq!(orders(&node.told(assign(5))).len(), 1);
    assert!(node.told(assign(5)).is_empty());
    // An answer about an epoch that was overtaken is not told.
    node.told(assign(6));
    assert!(said(&node.part(Happened::Obeyed { epoch: 5 })).is_empty());
    assert!(matches!(
        said(&node.part(Happened::Obeyed { epoch: 6 }))[..],
        [FromNode::Obeyed { epoch: 6, .. }]
    ));
}

#[test]
fn a_coordinator_of_a_lower_term_is_not_followed() {
    let mut node = Node::new(Vec::new());
    node.attend(3, false);
    node.handle(Event::Disconnected);
    let closed = node.attend(2, false);
    assert!(matches!(closed.last(), Some(Action::Close)), "{closed:?}");
    assert!(!node.agent.is_attending());
}

#[test]
fn another_version_is_refused_with_both_named() {
    let mut node = Node::new(Vec::new());
    node.attend(1, false);
    let other = Spec { version: "2.0.0".to_owned(), ..spec() };
    let answer = node.told(ToNode::Prepare { run: RUN, fencing: fencing(0), spec: Box::new(other) });
    let [FromNode::Prepared(prepared)] = said(&answer)[..] else { panic!("{answer:?}") };
    let refusal = prepared.outcome.as_ref().expect_err("another version");
    assert!(refusal.message.contains("1.0.0") && refusal.message.contains("2.0.0"), "{}", refusal.message);
}

#[test]
fn one_run_at_a_time() {
    let mut node = Node::new(Vec::new());
    node.armed(1);
    let other = ToNode::Prepare { run: RUN + 1, fencing: fencing(0), spec: Box::new(spec()) };
    let answer = node.told(other.clone());
    assert!(matches!(said(&answer)[..], [FromNode::Prepared(prepared)] if prepared.outcome.is_err()));
    node.part(finished());
    assert!(
        node.told(other).iter().any(|action| matches!(action, Action::Begin { run, .. } if *run == RUN + 1))
    );
}

#[test]
fn deltas_are_told_until_they_are_acknowledged() {
    let mut node = Node::new(Vec::new());
    node.armed(1);
    let first = node.second(0);
    assert!(matches!(&first[0], Action::Keep(delta) if delta.sequence == 0 && !delta.recovered));
    assert_eq!(delivered(&first), [(5, 0)]);
    node.handle(Event::Disconnected);
    let alone = node.second(1);
    assert!(matches!(&alone[..], [Action::Keep(_)]), "{alone:?}");
    let hello = node.handle(Event::Connected);
    let [FromNode::Hello(hello)] = said(&hello)[..] else { panic!("{hello:?}") };
    let resume = hello.resume.as_ref().expect("a run under way");
    assert_eq!((resume.run, resume.next_sequence, resume.start.is_some()), (RUN, 2, true));
    let again = node.told(ToNode::Welcome(welcome(1, true)));
    assert_eq!(delivered(&again), [(5, 0), (5, 1)]);
    assert!(said(&again).iter().any(|message| matches!(message, FromNode::Armed { epoch: 1, .. })));
    let through = |through| ToNode::Acknowledged { run: RUN, incarnation: 5, through };
    let kept = node.told(through(0));
    assert!(matches!(kept[..], [Action::Forget { incarnation: 5, through: 0, .. }]), "{kept:?}");
    // More than there is cannot be kept.
    assert!(matches!(node.told(through(40))[..], [Action::Forget { through: 1, .. }]));
    assert!(node.told(through(1)).is_empty());
}

#[test]
fn the_window_is_bounded_and_the_end_comes_last() {
    let mut node = Node::new(Vec::new());
    node.armed(1);
    node.handle(Event::Disconnected);
    (0..100).for_each(|second| drop(node.second(second)));
    assert!(said(&node.part(finished())).is_empty());
    let again = node.attend(1, true);
    assert_eq!(delivered(&again).len(), 64);
    let rest = node.told(ToNode::Acknowledged { run: RUN, incarnation: 5, through: 63 });
    assert_eq!(delivered(&rest).len(), 36);
    let [FromNode::Finished(finished)] = said(&rest)[..] else { panic!("{rest:?}") };
    assert_eq!((finished.deltas, finished.counters.sent), (100, 3));
    let released = node.told(ToNode::Release { run: RUN });
    assert!(matches!(released[..], [Action::Discard { run: RUN }]));
}

#[test]
fn what_an_earlier_life_left_is_delivered() {
    let left = LeftBehind { run: 9, incarnation: 4, first: 2, end: 4 };
    let mut node = Node::new(vec![left]);
    let actions = node.attend(1, false);
    let FromNode::Hello(hello) = said(&actions)[0] else { panic!("{actions:?}") };
    assert_eq!(hello.left_behind, [9]);
    assert_eq!(delivered(&actions), [(4, 2), (4, 3)]);
    let kept = node.told(ToNode::Acknowledged { run: 9, incarnation: 4, through: 3 });
    assert!(matches!(kept[..], [Action::Forget { run: 9, incarnation: 4, through: 3 }]));
    node.handle(Event::Disconnected);
    assert!(delivered(&node.attend(1, false)).is_empty());
}

#[test]
fn a_run_that_is_not_gone_on_with_is_left() {
    let mut node = Node::new(Vec::new());
    node.armed(1);
    node.handle(Event::Disconnected);
    let again = node.attend(2, false);
    assert!(matches!(orders(&again)[..], [Order::Abort { .. }]), "{again:?}");
}

#[test]
fn a_silent_coordinator_is_left() {
    let mut node = Node::new(Vec::new());
    node.attend(1, false);
    let actions = node.pass(2 * LEASE_NS);
    assert!(actions.iter().any(|action| matches!(action, Action::Close)));
    assert!(!node.agent.is_attending());
}

#[test]
fn clocks_are_compared_by_when_the_probe_came() {
    let mut node = Node::new(Vec::new());
    node.attend(1, false);
    let came = Timestamp::from_nanos(node.now_ns - 5);
    let reply =
        node.handle(Event::Told { received: came, message: Box::new(ToNode::TimeProbe { probe: 8 }) });
    let [FromNode::TimeReply { probe: 8, received, replied }] = said(&reply)[..] else { panic!("{reply:?}") };
    assert_eq!((*received, replied.nanos_since(*received)), (came, 5));
}

#[test]
fn a_stop_before_the_start_ends_the_part_at_once() {
    let mut node = Node::new(Vec::new());
    node.attend(1, false);
    node.told(prepare());
    let stop = ToNode::Stop { run: RUN, fencing: fencing(0) };
    assert!(matches!(orders(&node.told(stop.clone()))[..], [Order::Abort { .. }]));
    let refusal = Refusal { exit_code: 3, message: "stopped".to_owned() };
    node.part(Happened::Prepared(Err(refusal)));
    assert!(orders(&node.told(stop)).is_empty());
}

#[test]
fn whoever_is_asked_to_end_finishes_first_and_goes_at_once_the_second_time() {
    let mut node = Node::new(Vec::new());
    node.armed(1);
    let leave = || Event::Leave { reason: "SIGTERM".to_owned(), code: ExitCode::Terminated };
    // It asks for others to take its cells over, and goes on until they have.
    let asked = node.handle(leave());
    assert!(matches!(said(&asked)[..], [FromNode::Beat(beat)] if beat.leaving), "{asked:?}");
    assert!(orders(&asked).is_empty() && orders(&node.pass(SECOND_NS)).is_empty());
    let stopped = node.told(ToNode::Stop { run: RUN, fencing: fencing(1) });
    assert!(matches!(orders(&stopped)[..], [Order::Stop]), "{stopped:?}");
    node.second(0);
    assert!(!node.part(finished()).iter().any(|action| matches!(action, Action::Exit { .. })));
    let acknowledged = node.told(ToNode::Acknowledged { run: RUN, incarnation: 5, through: 0 });
    assert!(matches!(said(&acknowledged).last(), Some(FromNode::Bye { .. })), "{acknowledged:?}");
    assert!(matches!(acknowledged.last(), Some(Action::Exit { code: ExitCode::Terminated, .. })));

    // Where nobody takes them over in time, or can be asked, it stops by itself.
    let mut lonely = Node::new(Vec::new());
    lonely.armed(1);
    lonely.handle(leave());
    let passed = lonely.pass(16 * SECOND_NS);
    assert_eq!(orders(&passed).iter().filter(|order| matches!(order, Order::Stop)).count(), 1, "{passed:?}");
    for leaves_first in [false, true] {
        let mut cut_off = Node::new(Vec::new());
        cut_off.armed(1);
        let events =
            if leaves_first { [leave(), Event::Disconnected] } else { [Event::Disconnected, leave()] };
        let said: Vec<Action> = events.into_iter().flat_map(|event| cut_off.handle(event)).collect();
        assert!(matches!(orders(&said)[..], [Order::Stop]), "{said:?}");
    }

    // What it has not told keeps it for as long as it may wait for its coordinator to come back.
    let mut untold = Node::new(Vec::new());
    untold.armed(1);
    untold.handle(leave());
    untold.told(ToNode::Stop { run: RUN, fencing: fencing(1) });
    untold.second(0);
    let ended = |actions: Vec<Action>| actions.iter().any(|action| matches!(action, Action::Exit { .. }));
    assert!(!ended(untold.part(finished())));
    assert!(!ended(untold.handle(Event::Disconnected)) && !ended(untold.pass(SECOND_NS)));
    assert!(ended(untold.pass(3 * SECOND_NS)));

    let mut hasty = Node::new(Vec::new());
    hasty.armed(1);
    hasty.handle(leave());
    assert!(matches!(hasty.handle(leave()).last(), Some(Action::Exit { .. })));
}

#[test]
fn a_retired_node_prepares_nothing_and_ends_when_it_is_idle() {
    let mut node = Node::new(Vec::new());
    node.armed(1);
    assert!(node.told(ToNode::Retire { exit: true }).is_empty());
    node.part(finished());
    let other = ToNode::Prepare { run: RUN + 1, fencing: fencing(0), spec: Box::new(spec()) };
    assert!(
        matches!(said(&node.told(other))[..], [FromNode::Prepared(prepared)] if prepared.outcome.is_err())
    );
    let released = node.told(ToNode::Release { run: RUN });
    assert!(matches!(released.last(), Some(Action::Exit { code: ExitCode::Passed, .. })), "{released:?}");

    // Whoever was asked to end before ends as it was asked to then.
    let mut asked = Node::new(Vec::new());
    asked.armed(1);
    asked.handle(Event::Leave { reason: "SIGTERM".to_owned(), code: ExitCode::Terminated });
    asked.told(ToNode::Retire { exit: true });
    let over = asked.part(finished());
    let exits: Vec<_> = over.iter().filter(|action| matches!(action, Action::Exit { .. })).collect();
    assert!(matches!(exits[..], [Action::Exit { code: ExitCode::Terminated, .. }]), "{over:?}");
}

#[test]
fn a_drained_node_that_need_not_end_prepares_when_it_is_taken_back() {
    let mut node = Node::new(Vec::new());
    node.attend(1, false);
    node.told(ToNode::Retire { exit: false });
    let prepare = ToNode::Prepare { run: RUN, fencing: fencing(0), spec: Box::new(spec()) };
    let said = node.told(prepare);
    assert!(said.iter().any(|action| matches!(action, Action::Begin { run: RUN, .. })), "{said:?}");
}

#[test]
fn a_refused_node_leaves() {
    let mut node = Node::new(Vec::new());
    node.handle(Event::Connected);
    let refused = node.told(ToNode::Refused { reason: "no such name".to_owned() });
    let Some(Action::Exit { code, reason }) = refused.last() else { panic!("{refused:?}") };
    assert_eq!(*code, ExitCode::Refused);
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("no such name")));
}

#[test]
fn a_released_run_that_still_goes_is_ended_and_forgotten() {
    let mut node = Node::new(Vec::new());
    node.armed(1);
    let released = node.told(ToNode::Release { run: RUN });
    assert!(matches!(orders(&released)[..], [Order::Abort { .. }]));
    let over = node.part(finished());
    assert!(over.iter().any(|action| matches!(action, Action::Discard { run: RUN })), "{over:?}");
}
