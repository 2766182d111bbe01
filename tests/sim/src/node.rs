//! A simulated node: the rules of an agent, without its code.
//!
//! What it is: sessions, leases, beats, answers and a spool, as docs/fleet.md has them, written a second time. What it is not:
//! the engine's agent; where the two differ, one of them is wrong.
//!
//! It lives by its own clock, which is `ahead` of the true one, and may stand still.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use clock::Timestamp;
use measure::{Counters, Gauges, Names, Totals};
use schedule::{Profile, Rate};
use wire::{
    Beat, Delta, Description, Fencing, Finished, FromNode, Hello, Measured, Prepared, Resume, RunKey, ToNode,
};

use crate::shards::Shards;
use crate::{MS, S};

/// A summary in which nothing was measured.
static EMPTY: LazyLock<String> = LazyLock::new(|| {
    let facts = report::RunFacts::default();
    let passed = verdict::Verdict::passed();
    report::Summary::new(&facts, &Totals::default(), Vec::new(), &passed).to_json()
});

/// A node, over all its lives.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a state of its own: process, session, mapping, order"
)]
pub(crate) struct Node {
    pub(crate) name: String,
    zone: String,
    /// Its clock minus the true one.
    pub(crate) ahead: u64,
    pub(crate) incarnation: u64,
    pub(crate) alive: bool,
    /// It stands still until then.
    pub(crate) frozen_until: u64,
    pub(crate) session: Option<u64>,
    welcome: bool,
    term: u64,
    lease_end: u64,
    beats: BTreeMap<u64, u64>,
    next_beat: u64,
    beat: u64,
    heard: u64,
    lease_ns: u64,
    pub(crate) work: Option<Work>,
    /// Survives the process.
    pub(crate) spool: BTreeMap<(RunKey, u64), Spool>,
    /// What earlier and present lives sent: life → requests.
    pub(crate) sent: BTreeMap<u64, u64>,
    profile: Arc<Profile>,
    description: Description,
    digest: [u8; 32],
    /// What it counted in an interval that its death cut short is saved.
    saves: bool,
    /// It was told to go.
    pub(crate) retired: bool,
}

/// What one life measured for one run.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    pub(crate) deltas: BTreeMap<u64, Delta>,
    pub(crate) next: u64,
    /// Requests in all deltas up to and with each.
    pub(crate) sums: Vec<u64>,
    pub(crate) acknowledged: u64,
    finished: Option<Finished>,
}

/// A run on this node.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) run: RunKey,
    epoch: u32,
    obeyed: u32,
    shards: Option<Shards>,
    answer: Option<FromNode>,
    fenced_at_ns: Option<u64>,
    over: bool,
}

/// What a change is about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Asked {
    Arm,
    Cells,
    Rate,
}

/// What comes of a step.
#[derive(Debug, Default)]
pub(crate) struct Did {
    pub(crate) said: Vec<FromNode>,
    pub(crate) slots: Vec<u64>,
    pub(crate) leaves: bool,
}

impl Node {
    pub(crate) fn new(
        index: usize,
        ahead: u64,
        saves: bool,
        profile: Arc<Profile>,
        digest: [u8; 32],
    ) -> Self {
        Self {
            name: format!("n{index}"),
            zone: if index.is_multiple_of(2) { "east".to_owned() } else { "west".to_owned() },
            ahead,
            incarnation: 1,
            alive: true,
            frozen_until: 0,
            session: None,
            welcome: false,
            term: 0,
            lease_end: 0,
            beats: BTreeMap::new(),
            next_beat: 0,
            beat: 0,
            heard: 0,
            lease_ns: 3 * S,
            work: None,
            spool: BTreeMap::new(),
            sent: BTreeMap::new(),
            profile,
            description: Description { names: Names::requests(["all".to_owned()]), summary: EMPTY.clone() },
            digest,
            saves,
            retired: false,
        }
    }

    /// The process is killed.
    pub(crate) fn kill(&mut self) {
        self.alive = false;
        self.session = None;
        let Some(work) = self.work.take() else { return };
        let Some(shards) = work.shards.filter(|_| !work.over && self.saves) else { return };
        // The mapping outlives the process: the next life finds what was counted.
        let until_ns = shards.sealed_ns + S / 2;
        self.seal(work.run, work.obeyed, shards.counts, until_ns, true);
    }

    /// Another life begins.
    pub(crate) fn revive(&mut self) {
        self.incarnation += 1;
        (self.alive, self.welcome, self.retired) = (true, false, false);
        (self.frozen_until, self.lease_end, self.beat) = (0, 0, 0);
        self.beats.clear();
    }

    /// A connection stands.
    pub(crate) fn connected(&mut self, now: u64, session: u64) -> FromNode {
        self.session = Some(session);
        (self.welcome, self.heard) = (false, now);
        let resume = self.work.as_ref().map(|work| Resume {
            run: work.run,
            fencing: Fencing { term: self.term, epoch: work.epoch },
            start: work.shards.as_ref().map(|shards| Timestamp::from_nanos(shards.start)),
            next_sequence: 0,
            fenced_at_ns: work.fenced_at_ns,
        });
        let current = self.work.as_ref().map(|work| work.run);
        let owed = self.spool.iter().filter(|((run, life), spool)| {
            !spool.deltas.is_empty() && (Some(*run) != current || *life != self.incarnation)
        });
        let mut left_behind: Vec<RunKey> = owed.map(|((run, _), _)| *run).collect();
        left_behind.dedup();
        FromNode::Hello(Hello {
            node: self.name.clone(),
            incarnation: self.incarnation,
            boot_id: "boot".to_owned(),
            host: self.name.clone(),
            pid: 1,
            version: "1".to_owned(),
            cores: 1,
            capacity: None,
            zone: Some(self.zone.clone()),
            labels: BTreeMap::new(),
            resume,
            left_behind,
        })
    }

    pub(crate) fn disconnected(&mut self) {
        (self.session, self.welcome) = (None, false);
    }

    /// Time has passed; `now` is by the node's clock.
    pub(crate) fn step(&mut self, now: u64) -> Did {
        let mut did = Did::default();
        self.run_shards(now, &mut did);
        if self.welcome && now >= self.next_beat {
            did.said.push(self.next_beat(now));
        }
        // A coordinator that is silent for two leases is gone.
        did.leaves = self.session.is_some() && now.saturating_sub(self.heard) > 2 * self.lease_ns;
        did
    }

    fn run_shards(&mut self, now: u64, did: &mut Did) {
        let lease_end = self.lease_end;
        let Some(work) = self.work.as_mut().filter(|work| !work.over) else { return };
        let Some(shards) = &mut work.shards else { return };
        let (run, epoch) = (work.run, work.obeyed);
        let (mut sealed, mut over) = (Vec::new(), false);
        // Seconds are sealed as they pass, also after a standstill.
        loop {
            let next_ns = shards.sealed_ns + S;
            let by = now.min(shards.start + next_ns - 1);
            let (slots, lapsed) = shards.release(by, now, lease_end);
            *self.sent.entry(self.incarnation).or_default() += slots.len() as u64;
            did.slots.extend(slots);
            if let Some(at_ns) = lapsed {
                work.fenced_at_ns = Some(at_ns);
            }
            if now < shards.start + next_ns {
                break;
            }
            sealed.push((std::mem::take(&mut shards.counts), next_ns));
            shards.sealed_ns = next_ns;
            if next_ns >= shards.duration_ns() {
                over = true;
                break;
            }
        }
        for (counts, until_ns) in sealed {
            did.said.extend(self.seal(run, epoch, counts, until_ns, false));
        }
        if over {
            did.said.extend(self.finish());
        }
    }

    /// A delta is kept, and told where there is somebody to tell.
    fn seal(
        &mut self,
        run: RunKey,
        epoch: u32,
        counts: [u64; 3],
        until_ns: u64,
        recovered: bool,
    ) -> Option<FromNode> {
        let mut totals = Totals::new(self.description.names.shape());
        let [scheduled, sent, dropped] = counts;
        totals.counters = Counters { scheduled, sent, ok: sent, ..Counters::default() };
        totals.counters.dropped[measure::DropReason::Late.index()] = dropped;
        (totals.names[0].sent, totals.names[0].ok_count) = (sent, sent);
        totals.names[0].ok.record_many(MS, sent);
        let life = self.incarnation;
        let spool = self.spool.entry((run, life)).or_default();
        let delta = Delta {
            run,
            incarnation: life,
            sequence: spool.next,
            epoch,
            second: until_ns.saturating_sub(1) / S,
            until_ns,
            measured: Measured::pack(&totals),
            gauges: Gauges::default(),
            recovered,
        };
        spool.sums.push(spool.sums.last().copied().unwrap_or(0) + sent);
        spool.next += 1;
        spool.deltas.insert(delta.sequence, delta.clone());
        self.welcome.then(|| FromNode::Delta(Box::new(delta)))
    }

    /// The part is over.
    fn finish(&mut self) -> Vec<FromNode> {
        let mut said = Vec::new();
        let Some(work) = self.work.as_mut().filter(|work| !work.over) else { return said };
        work.over = true;
        let (run, epoch) = (work.run, work.obeyed);
        let shards = work.shards.take();
        if let Some(shards) = shards.as_ref().filter(|shards| shards.counts != [0; 3]) {
            let until_ns = shards.sealed_ns + S / 2;
            said.extend(self.seal(run, epoch, shards.counts, until_ns, false));
        }
        let life = self.incarnation;
        let spool = self.spool.entry((run, life)).or_default();
        let sent = spool.sums.last().copied().unwrap_or(0);
        let counters = Counters { sent, ok: sent, ..Counters::default() };
        let finished = Finished {
            run,
            incarnation: life,
            deltas: spool.next,
            counters,
            first_sent_ns: shards.and_then(|shards| shards.first_sent_ns),
            summary: String::new(),
        };
        spool.finished = Some(finished.clone());
        if self.welcome {
            said.push(FromNode::Finished(Box::new(finished)));
        }
        said
    }

    fn next_beat(&mut self, now: u64) -> FromNode {
        let number = self.beat;
        self.beat += 1;
        self.next_beat = now + S / 2;
        self.beats.insert(number, now);
        while self.beats.len() > 64 {
            self.beats.pop_first();
        }
        let work = self.work.as_ref().filter(|work| !work.over);
        FromNode::Beat(Beat {
            number,
            sent_at: Timestamp::from_nanos(now),
            run: work.map(|work| work.run),
            epoch: work.map_or(0, |work| work.obeyed),
            fenced_at_ns: work.and_then(|work| work.fenced_at_ns),
            ..Beat::default()
        })
    }

    /// The coordinator said something; `now` is by the node's clock.
    pub(crate) fn told(&mut self, now: u64, message: ToNode) -> Did {
        // Whatever was due before this came is dealt with first.
        let mut did = Did::default();
        self.run_shards(now, &mut did);
        self.heard = now;
        match message {
            ToNode::Welcome(welcome) => self.welcomed(now, &welcome, &mut did),
            ToNode::Refused { .. } => did.leaves = true,
            ToNode::TimeProbe { probe } => {
                let at = Timestamp::from_nanos(now);
                did.said.push(FromNode::TimeReply { probe, received: at, replied: at });
            }
            ToNode::Grant { beat, lease_ns } => self.granted(now, beat, lease_ns),
            ToNode::Prepare { run, fencing, .. } => self.prepare(run, fencing, &mut did),
            ToNode::Arm { run, fencing, start, from_ns, cells, rates } => {
                self.ask(now, run, fencing, &mut did, Asked::Arm, |shards, profile| {
                    let mut fresh = Shards::new(Arc::clone(profile), start.as_nanos(), now);
                    for (_, from_ns, rate) in &rates {
                        fresh.set_rate_before(*from_ns, *rate);
                    }
                    let takes = fresh.assign(from_ns.max(fresh.run_ns(now)), cells.clone());
                    *shards = Some(fresh);
                    takes
                });
            }
            ToNode::Assign { run, fencing, from_ns, cells } => {
                self.ask(now, run, fencing, &mut did, Asked::Cells, |shards, _| {
                    shards.as_mut().is_some_and(|shards| shards.assign(from_ns, cells.clone()))
                });
            }
            ToNode::SetRate { run, fencing, from_ns, rate, .. } => {
                self.set_rate(now, run, fencing, from_ns, rate, &mut did);
            }
            ToNode::Acknowledged { run, incarnation, through } => {
                if let Some(spool) = self.spool.get_mut(&(run, incarnation)) {
                    spool.acknowledged = spool.acknowledged.max(through + 1);
                    spool.deltas.retain(|sequence, _| *sequence > through);
                }
            }
            ToNode::Stop { run, .. } | ToNode::Abort { run, .. } => {
                if self.work.as_ref().is_some_and(|work| work.run == run) {
                    did.said.extend(self.finish());
                }
            }
            ToNode::Release { run } => {
                if self.work.as_ref().is_some_and(|work| work.run == run) {
                    self.work = None;
                }
                for ((of, _), spool) in &mut self.spool {
                    if *of == run {
                        spool.deltas.clear();
                        spool.finished = None;
                    }
                }
            }
            ToNode::Retire { .. } => self.retired = true,
        }
        did
    }

    fn welcomed(&mut self, now: u64, welcome: &wire::Welcome, did: &mut Did) {
        if welcome.term < self.term {
            did.leaves = true;
            return;
        }
        (self.term, self.lease_ns) = (welcome.term, welcome.lease_ns);
        (self.welcome, self.next_beat) = (true, now);
        if let Some(work) = &self.work {
            if welcome.resume {
                did.said.extend(work.answer.clone());
            } else {
                did.said.extend(self.finish());
            }
        }
        for spool in self.spool.values() {
            did.said.extend(spool.deltas.values().map(|delta| FromNode::Delta(Box::new(delta.clone()))));
            did.said.extend(spool.finished.clone().map(|finished| FromNode::Finished(Box::new(finished))));
        }
    }

    fn granted(&mut self, now: u64, beat: u64, lease_ns: u64) {
        let Some(sent_at) = self.beats.get(&beat) else { return };
        let until = sent_at + lease_ns - lease_ns / 1_000 - 10 * MS;
        let owns = self.work.as_ref().and_then(|work| work.shards.as_ref()).is_some_and(Shards::owns_any);
        // A lease that is over is not renewed while anything is owned under it.
        if until > now && (now < self.lease_end || !owns) {
            self.lease_end = self.lease_end.max(until);
        }
    }

    fn prepare(&mut self, run: RunKey, fencing: Fencing, did: &mut Did) {
        if fencing.term < self.term {
            return;
        }
        match &self.work {
            Some(work) if work.run == run && !work.over => {
                if let Some(answer) = &work.answer {
                    did.said.push(answer.clone());
                    return;
                }
            }
            _ => {
                self.work = Some(Work {
                    run,
                    epoch: fencing.epoch,
                    obeyed: 0,
                    shards: None,
                    answer: None,
                    fenced_at_ns: None,
                    over: false,
                });
            }
        }
        let outcome = Ok(self.description.clone());
        did.said.push(FromNode::Prepared(Box::new(Prepared { run, spec: self.digest, outcome })));
    }

    fn set_rate(&mut self, now: u64, run: RunKey, fencing: Fencing, from_ns: u64, rate: Rate, did: &mut Did) {
        self.ask(now, run, fencing, did, Asked::Rate, |shards, _| {
            shards.as_mut().is_some_and(|shards| shards.set_rate(from_ns, rate))
        });
    }

    /// Does what a later epoch asks for, and answers; answers again what it has done.
    fn ask(
        &mut self,
        now: u64,
        run: RunKey,
        fencing: Fencing,
        did: &mut Did,
        asked: Asked,
        change: impl FnOnce(&mut Option<Shards>, &Arc<Profile>) -> bool,
    ) {
        let leased = now < self.lease_end;
        let Some(work) = self.work.as_mut().filter(|work| work.run == run && !work.over) else { return };
        if fencing.term < self.term || fencing.epoch < work.epoch {
            return;
        }
        if fencing.epoch == work.epoch
            && let Some(answer) = &work.answer
        {
            did.said.push(answer.clone());
            return;
        }
        work.epoch = fencing.epoch;
        let epoch = fencing.epoch;
        let done = (leased || asked == Asked::Rate) && change(&mut work.shards, &self.profile);
        let answer = match (done, asked) {
            (false, _) => {
                FromNode::Declined { run, epoch, reason: "too late, or without a lease".to_owned() }
            }
            (true, Asked::Arm) => FromNode::Armed { run, epoch },
            (true, _) => FromNode::Obeyed { run, epoch },
        };
        if done {
            work.obeyed = epoch;
            if asked != Asked::Rate {
                work.fenced_at_ns = None;
            }
        }
        work.answer = Some(answer.clone());
        did.said.push(answer);
    }
}
