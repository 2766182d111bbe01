//! The agent: sessions, leases, beats, and what is asked of a run.
//!
//! What it is: a machine without clock, connection or file of its own. What it is not: the driver, which connects again after
//! [`Action::Close`] and stamps what comes.
//!
//! Invariant: a lease is counted from the instant at which its beat was handed out to be sent, less a share and a margin, and
//! never begins anew while shards may own something under the one before.

use std::collections::VecDeque;

use clock::Timestamp;
use verdict::ExitCode;
use wire::{
    Beat, Delta, Fencing, Finished, FromNode, Hello, LogLine, Prepared, Refusal, RunKey, Spec, ToNode,
    Welcome,
};

use super::event::{Action, Event, Happened, Identity, LeftBehind, Now};
use super::outbox::Outbox;
use super::work::Work;
use crate::part::{Order, Standing};

/// By how many thousandths clocks may run apart.
pub const LEASE_RHO_PER_MILLE: u64 = 1;
/// What a lease is shorter for besides, on the node's side.
pub const LEASE_MARGIN_NS: u64 = 10_000_000;

/// How long a coordinator may take to answer a Hello.
const GREETING_NS: u64 = 10_000_000_000;
/// A coordinator that says nothing for so many leases is gone.
const SILENT_LEASES: u64 = 2;
/// How long a node that is to end goes on, until its coordinator has given its cells to others.
const HANDING_NS: u64 = 15_000_000_000;
/// How long the end of the process waits for a part to end, and then for its deltas to be acknowledged.
const LEAVING_NS: u64 = 60_000_000_000;
const SETTLING_NS: u64 = 3_000_000_000;
/// Beats whose send time is remembered.
const BEATS_KEPT: usize = 256;
/// Seconds of which nobody was told before they are put together, two and two: a quarter of an hour.
const UNTOLD_MOST: u64 = 900;
/// Lines of the log that wait for a connection.
const LINES_KEPT: usize = 1_024;

/// Where the conversation stands.
#[derive(Debug)]
enum Link {
    /// There is no connection.
    Alone,
    /// Hello was said.
    Greeting { since: Timestamp },
    /// The node is one of the fleet.
    Attending { lease_ns: u64, beat_ns: u64, heard: Timestamp, next_beat: Timestamp },
}

/// The process is to end.
#[derive(Debug)]
struct Leaving {
    reason: String,
    code: ExitCode,
    by: Timestamp,
    /// Until when the part goes on, for others to take its cells over.
    hands_over_until: Option<Timestamp>,
    settling: bool,
}

/// A node of a fleet.
#[derive(Debug)]
pub struct Agent {
    me: Identity,
    /// The highest term that was heard of.
    term: u64,
    link: Link,
    work: Option<Work>,
    outbox: Outbox,
    untold_most: u64,
    beat: u64,
    /// Beats and the boot-time instants at which they left.
    beats: VecDeque<(u64, u64)>,
    lease_until_ns: u64,
    standing: Standing,
    cpu_milli: u32,
    line: u64,
    lines: VecDeque<LogLine>,
    /// Lines that nobody was shown yet.
    unshown: Vec<String>,
    retired: Option<bool>,
    leaving: Option<Leaving>,
}

impl Agent {
    /// A node that is alone, with what earlier lives of it left behind.
    pub fn new(me: Identity, left: Vec<LeftBehind>) -> Self {
        Self {
            me,
            term: 0,
            link: Link::Alone,
            work: None,
            outbox: Outbox::new(left),
            untold_most: UNTOLD_MOST,
            beat: 0,
            beats: VecDeque::new(),
            lease_until_ns: 0,
            standing: Standing::default(),
            cpu_milli: 0,
            line: 0,
            lines: VecDeque::new(),
            unshown: Vec::new(),
            retired: None,
            leaving: None,
        }
    }

    /// The same, keeping at most so many seconds apart of which it could tell nobody.
    #[must_use]
    pub fn with_untold_most(self, seconds: u64) -> Self {
        Self { untold_most: seconds, ..self }
    }

    /// When [`Event::Wake`] is due; changes with every event.
    pub fn deadline(&self) -> Option<Timestamp> {
        let link = match &self.link {
            Link::Alone => None,
            Link::Greeting { since } => Some(since.plus_nanos(GREETING_NS)),
            Link::Attending { lease_ns, heard, next_beat, .. } => {
                Some((*next_beat).min(heard.plus_nanos(lease_ns.saturating_mul(SILENT_LEASES))))
            }
        };
        let leaving = self
            .leaving
            .as_ref()
            .map(|leaving| leaving.hands_over_until.map_or(leaving.by, |until| until.min(leaving.by)));
        link.into_iter().chain(leaving).min()
    }

    /// Until when the lease lasts, on the boot-time clock.
    pub fn lease_until_ns(&self) -> u64 {
        self.lease_until_ns
    }

    /// Whether the coordinator has taken the node.
    pub fn is_attending(&self) -> bool {
        matches!(self.link, Link::Attending { .. })
    }

    /// Something happened; what is to be done is added to `actions`.
    pub fn handle(&mut self, now: Now, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Connected => self.connected(now, actions),
            Event::Disconnected => self.link = Link::Alone,
            Event::Told { received, message } => self.told(now, received, *message, actions),
            Event::Part { run, happened } => self.happened(now, run, happened, actions),
            Event::Standing { standing, cpu_milli } => {
                self.standing = standing;
                self.cpu_milli = cpu_milli;
            }
            Event::Coalesced { run, incarnation, end } => {
                self.outbox.coalesced(run, incarnation, end);
                let text =
                    format!("seconds that nobody could be told of are put together: {end} deltas in all");
                self.note_of(now, Some(run), text);
            }
            Event::Note(text) => self.note(now, text),
            Event::Leave { reason, code } => self.leave(now, reason, code, actions),
            Event::Wake => self.wake(now, actions),
        }
        self.settle(now, actions);
    }

    fn connected(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.link = Link::Greeting { since: now.monotonic };
        self.outbox.rewind();
        let current = self.work.as_ref().map(|work| work.run);
        let next = current.map_or(0, |run| self.outbox.next_sequence(run, self.me.incarnation));
        let me = self.me.clone();
        let hello = Hello {
            node: me.node,
            incarnation: me.incarnation,
            boot_id: me.boot_id,
            host: me.host,
            pid: me.pid,
            version: me.version,
            cores: me.cores,
            capacity: me.capacity,
            zone: me.zone,
            labels: me.labels,
            resume: self.work.as_ref().and_then(|work| work.resume(next)),
            left_behind: self.outbox.runs_but(current),
        };
        actions.push(Action::Send(Box::new(FromNode::Hello(hello))));
    }

    fn told(&mut self, now: Now, received: Timestamp, message: ToNode, actions: &mut Vec<Action>) {
        match (&mut self.link, message) {
            (Link::Greeting { .. }, ToNode::Welcome(welcome)) => self.welcome(now, &welcome, actions),
            (Link::Greeting { .. }, ToNode::Refused { reason }) => self.refused(now, &reason, actions),
            (Link::Attending { heard, .. }, message) => {
                *heard = now.monotonic;
                self.told_as_one_of_the_fleet(now, received, message, actions);
            }
            // Clocks may be compared before anyone is welcome.
            (Link::Greeting { .. }, ToNode::TimeProbe { probe }) => {
                actions.push(Self::time_reply(now, received, probe));
            }
            (Link::Alone | Link::Greeting { .. }, _) => {}
        }
    }

    fn welcome(&mut self, now: Now, welcome: &Welcome, actions: &mut Vec<Action>) {
        if welcome.term < self.term {
            self.note(
                now,
                format!("a coordinator of term {} is not followed: {} was heard of", welcome.term, self.term),
            );
            self.link = Link::Alone;
            actions.push(Action::Close);
            return;
        }
        self.term = welcome.term;
        let beat_ns = welcome.beat_ns.max(1_000_000);
        self.link = Link::Attending {
            lease_ns: welcome.lease_ns.max(beat_ns),
            beat_ns,
            heard: now.monotonic,
            next_beat: now.monotonic,
        };
        if let Some(work) = &self.work {
            if welcome.resume {
                work.tell_again(actions);
            } else {
                work.abort("the coordinator does not go on with it".to_owned(), actions);
            }
        }
        self.send_beat(now, actions);
    }

    fn refused(&mut self, now: Now, reason: &str, actions: &mut Vec<Action>) {
        self.link = Link::Alone;
        actions.push(Action::Close);
        if let Some(work) = &self.work {
            work.abort(format!("the coordinator refuses this node: {reason}"), actions);
        }
        let reason = format!("the coordinator refuses this node: {reason}");
        let by = now.monotonic.plus_nanos(SETTLING_NS);
        let code = ExitCode::Refused;
        let hands_over_until = None;
        self.leaving.get_or_insert(Leaving { reason, code, by, hands_over_until, settling: true });
    }

    fn told_as_one_of_the_fleet(
        &mut self,
        now: Now,
        received: Timestamp,
        message: ToNode,
        actions: &mut Vec<Action>,
    ) {
        match message {
            ToNode::TimeProbe { probe } => actions.push(Self::time_reply(now, received, probe)),
            ToNode::Prepare { run, fencing, spec } => self.prepare(now, run, fencing, spec, actions),
            ToNode::Arm { run, fencing, start, from_ns, cells, rates } => {
                let epoch = fencing.epoch;
                let order = Order::Arm { epoch, start, from_ns, cells, rates };
                self.ask(now, run, fencing, order, actions);
            }
            ToNode::Assign { run, fencing, from_ns, cells } => {
                let order = Order::Assign { epoch: fencing.epoch, from_ns, cells };
                self.ask(now, run, fencing, order, actions);
            }
            ToNode::SetRate { run, fencing, workload, from_ns, rate } => {
                let order = Order::SetRate { epoch: fencing.epoch, workload, from_ns, rate };
                self.ask(now, run, fencing, order, actions);
            }
            ToNode::Grant { beat, lease_ns } => self.granted(now, beat, lease_ns, actions),
            ToNode::Acknowledged { run, incarnation, through } => {
                self.outbox.acknowledged(run, incarnation, through, actions);
            }
            ToNode::Stop { run, fencing } => {
                if let Some(work) = self.current(run, fencing) {
                    work.stop(actions);
                }
            }
            ToNode::Abort { run, fencing, reason } => {
                if let Some(work) = self.current(run, fencing) {
                    work.abort(reason, actions);
                }
            }
            ToNode::Release { run } => self.release(run, actions),
            ToNode::Retire { exit } => self.retired = Some(exit),
            // Said once, at the begin of a session.
            ToNode::Welcome(_) | ToNode::Refused { .. } => {}
        }
    }

    fn time_reply(now: Now, received: Timestamp, probe: u64) -> Action {
        let reply = FromNode::TimeReply { probe, received, replied: now.monotonic };
        Action::Send(Box::new(reply))
    }

    fn prepare(
        &mut self,
        now: Now,
        run: RunKey,
        fencing: Fencing,
        spec: Box<Spec>,
        actions: &mut Vec<Action>,
    ) {
        if fencing.term < self.term {
            return;
        }
        let digest = spec.digest();
        let mut refuse = |message: String| {
            let refusal = Refusal { exit_code: ExitCode::Environment.code(), message };
            let prepared = Prepared { run, spec: digest, outcome: Err(refusal) };
            actions.push(Action::Send(Box::new(FromNode::Prepared(Box::new(prepared)))));
        };
        match &self.work {
            Some(work) if work.run == run && work.is_of(&digest) => return work.tell_again(actions),
            Some(work) if !work.is_over() => {
                return refuse(format!("node {} works for another run", self.me.node));
            }
            _ => {}
        }
        // Whoever was drained without having to end may be taken back.
        if self.retired == Some(true) || self.leaving.is_some() {
            return refuse(format!("node {} takes part in no further run", self.me.node));
        }
        if spec.version != self.me.version {
            let (node, mine) = (&self.me.node, &self.me.version);
            return refuse(format!(
                "node {node} is of version {mine}, the plan of version {} → start the same version everywhere",
                spec.version
            ));
        }
        self.note_of(now, Some(run), "preparing".to_owned());
        self.work = Some(Work::new(run, fencing, digest));
        self.standing = Standing::default();
        actions.push(Action::Begin { run, spec });
    }

    fn ask(&mut self, now: Now, run: RunKey, fencing: Fencing, order: Order, actions: &mut Vec<Action>) {
        let leased = now.boot_ns < self.lease_until_ns;
        if let Some(work) = self.current(run, fencing)
            && work.admit(fencing, actions)
        {
            work.ask(order, leased, actions);
        }
    }

    /// The work for this run, if who speaks of it may.
    fn current(&mut self, run: RunKey, fencing: Fencing) -> Option<&mut Work> {
        let lower = fencing.term < self.term;
        self.work.as_mut().filter(|work| work.run == run && !lower)
    }

    fn granted(&mut self, now: Now, beat: u64, lease_ns: u64, actions: &mut Vec<Action>) {
        let Some(&(_, left_ns)) = self.beats.iter().find(|(number, _)| *number == beat) else { return };
        self.beats.retain(|(number, _)| *number > beat);
        let length_ns = lease_ns - lease_ns / 1_000 * LEASE_RHO_PER_MILLE;
        let until_ns = left_ns.saturating_add(length_ns.saturating_sub(LEASE_MARGIN_NS));
        if until_ns <= now.boot_ns {
            return;
        }
        if now.boot_ns < self.lease_until_ns {
            if until_ns > self.lease_until_ns {
                self.lease_until_ns = until_ns;
                actions.push(Action::RenewLease { until_ns });
            }
        } else if !self.work.as_ref().is_some_and(Work::may_own) {
            self.lease_until_ns = until_ns;
            actions.push(Action::BeginLease { until_ns });
        }
        // Else shards may still own what they owned under a lease that is over: they say so when they have let go.
    }

    fn happened(&mut self, now: Now, run: RunKey, happened: Happened, actions: &mut Vec<Action>) {
        let incarnation = self.me.incarnation;
        let epoch = self.standing.epoch;
        let Some(work) = self.work.as_mut().filter(|work| work.run == run) else { return };
        let mut said = Vec::new();
        match happened {
            Happened::Second { second, until_ns, measured, gauges } => {
                let sequence = self.outbox.add(run, incarnation);
                let epoch = epoch.min(work.epoch());
                let delta = Delta {
                    run,
                    incarnation,
                    sequence,
                    epoch,
                    second,
                    until_ns,
                    measured,
                    gauges,
                    recovered: false,
                };
                actions.push(Action::Keep(Box::new(delta)));
                // While a connection stands, deltas leave; without one there is nobody who might know their numbers.
                let crowded = self.outbox.crowded(run, incarnation, self.untold_most);
                if let Some(from) = crowded.filter(|_| matches!(self.link, Link::Alone)) {
                    actions.push(Action::Coalesce { run, incarnation, from });
                }
                return;
            }
            Happened::Lapsed { at_ns } => {
                work.happened(Happened::Lapsed { at_ns }, &mut said);
                self.lease_until_ns = 0;
                let text = format!("the lease ended: nothing is sent from {:.3} s on", at_ns as f64 / 1e9);
                self.note_of(now, Some(run), text);
                // Whoever redistributes should not wait for the next beat.
                if self.is_attending() {
                    self.send_beat(now, actions);
                }
            }
            Happened::Finished { counters, first_sent_ns, summary } => {
                let deltas = self.outbox.next_sequence(run, incarnation);
                let counters_kept = *counters.clone();
                work.happened(
                    Happened::Finished { counters, first_sent_ns, summary: String::new() },
                    &mut said,
                );
                let finished =
                    Finished { run, incarnation, deltas, counters: counters_kept, first_sent_ns, summary };
                self.outbox.finish(finished);
                self.note_of(now, Some(run), "its part is over".to_owned());
            }
            other => work.happened(other, &mut said),
        }
        // What is said into no connection is said again when one stands.
        if self.is_attending() {
            actions.append(&mut said);
        }
    }

    fn release(&mut self, run: RunKey, actions: &mut Vec<Action>) {
        if let Some(work) = self.work.as_mut().filter(|work| work.run == run) {
            if !work.is_over() {
                work.released = true;
                work.abort("the coordinator has released the run".to_owned(), actions);
                return;
            }
            self.work = None;
        }
        self.outbox.release(run);
        actions.push(Action::Discard { run });
    }

    fn leave(&mut self, now: Now, reason: String, code: ExitCode, actions: &mut Vec<Action>) {
        if let Some(leaving) = &self.leaving {
            let (code, reason) = (leaving.code, leaving.reason.clone());
            self.exit(code, reason, actions);
            return;
        }
        // While others take its cells over, it goes on: nothing is missing between.
        let hands_over = self.is_attending() && self.work.as_ref().is_some_and(Work::may_own);
        if let Some(work) = self.work.as_ref().filter(|_| !hands_over) {
            work.stop(actions);
        }
        let by = now.monotonic.plus_nanos(LEAVING_NS);
        let hands_over_until = hands_over.then(|| now.monotonic.plus_nanos(HANDING_NS));
        self.leaving = Some(Leaving { reason, code, by, hands_over_until, settling: false });
        if hands_over {
            self.send_beat(now, actions);
        }
    }

    fn wake(&mut self, now: Now, actions: &mut Vec<Action>) {
        match self.link {
            Link::Greeting { since } if now.monotonic.nanos_since(since) >= GREETING_NS => {
                self.note(now, "the coordinator does not answer".to_owned());
                self.link = Link::Alone;
                actions.push(Action::Close);
            }
            Link::Attending { lease_ns, heard, next_beat, .. } => {
                if now.monotonic.nanos_since(heard) >= lease_ns.saturating_mul(SILENT_LEASES) {
                    self.note(now, "the coordinator has fallen silent".to_owned());
                    self.link = Link::Alone;
                    actions.push(Action::Close);
                } else if now.monotonic >= next_beat {
                    self.send_beat(now, actions);
                }
            }
            Link::Alone | Link::Greeting { .. } => {}
        }
    }

    fn send_beat(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Link::Attending { beat_ns, next_beat, .. } = &mut self.link else { return };
        // After a standstill there is one beat, not one for each that was missed.
        *next_beat = now.monotonic.plus_nanos(*beat_ns);
        let working = self.work.as_ref().filter(|work| !work.is_over());
        let standing = if working.is_some() { self.standing } else { Standing::default() };
        let beat = Beat {
            number: self.beat,
            sent_at: now.monotonic,
            run: working.map(|work| work.run),
            epoch: standing.epoch,
            run_ns: standing.run_ns,
            fenced_at_ns: working.and_then(|work| work.fenced_at_ns),
            scheduled: standing.scheduled,
            sent: standing.sent,
            lag_p99_ns: standing.lag_p99_ns,
            unacknowledged: self.outbox.unacknowledged(),
            cpu_milli: self.cpu_milli,
            leaving: self.leaving.is_some(),
        };
        self.beats.push_back((self.beat, now.boot_ns));
        if self.beats.len() > BEATS_KEPT {
            self.beats.pop_front();
        }
        self.beat += 1;
        actions.push(Action::Send(Box::new(FromNode::Beat(beat))));
    }

    /// What follows from how things stand now.
    fn settle(&mut self, now: Now, actions: &mut Vec<Action>) {
        actions.extend(self.unshown.drain(..).map(Action::Note));
        if self.is_attending() {
            self.outbox.tell(actions);
            if !self.lines.is_empty() {
                let lines = self.lines.drain(..).collect();
                actions.push(Action::Send(Box::new(FromNode::Log(lines))));
            }
        }
        let idle = self.work.as_ref().is_none_or(Work::is_over);
        if let Some(run) = self.work.as_ref().filter(|work| work.released && idle).map(|work| work.run) {
            self.release(run, actions);
        }
        // Whoever leaves anyway ends as it was asked to.
        let retires = self.retired == Some(true) && self.leaving.is_none();
        if retires && idle && self.outbox.is_settled() && self.is_attending() {
            self.retired = None;
            self.exit(ExitCode::Passed, String::new(), actions);
        }
        let attending = self.is_attending();
        // Who is alone and has told everything has nobody to wait for; who has not waits for the coordinator as long as it may.
        let told = self.outbox.unacknowledged() == 0 && (attending || matches!(self.link, Link::Alone));
        let Some(leaving) = &mut self.leaving else { return };
        if leaving.hands_over_until.is_some_and(|until| now.monotonic >= until || !attending)
            && let Some(work) = &self.work
        {
            leaving.hands_over_until = None;
            work.stop(actions);
        }
        if idle && !leaving.settling {
            leaving.settling = true;
            leaving.by = leaving.by.min(now.monotonic.plus_nanos(SETTLING_NS));
        }
        if now.monotonic >= leaving.by || (idle && told) {
            let (code, reason) = (leaving.code, std::mem::take(&mut leaving.reason));
            self.leaving = None;
            self.exit(code, reason, actions);
        }
    }

    fn exit(&mut self, code: ExitCode, reason: String, actions: &mut Vec<Action>) {
        if self.is_attending() {
            actions.push(Action::Send(Box::new(FromNode::Bye { reason: reason.clone() })));
        }
        let reason = (code == ExitCode::Refused).then_some(reason);
        actions.push(Action::Exit { code, reason });
    }

    fn note(&mut self, now: Now, text: String) {
        let run = self.work.as_ref().map(|work| work.run);
        self.note_of(now, run, text);
    }

    fn note_of(&mut self, now: Now, run: Option<RunKey>, text: String) {
        if self.lines.len() >= LINES_KEPT {
            self.lines.pop_front();
        }
        self.unshown.push(text.clone());
        self.lines.push_back(LogLine { number: self.line, unix_ns: now.unix_ns, run, text });
        self.line += 1;
    }
}
