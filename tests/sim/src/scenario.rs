//! What a seed means: the plans, the nodes, and which faults come when.

use std::sync::Arc;

use clock::NANOS_PER_SECOND;
use coordinator::director::{Broken, Order, Rated, Submission, Terms, Weights};
use coordinator::handle::OnNodeLoss;
use schedule::{Phase, Process, Profile, Rate};
use wire::Spec;

use crate::course::Course;
use crate::random::Random;
use crate::{MS, S};

/// The first run's key; others follow.
const RUN: u128 = 7;

/// A run of the world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) submission: Submission,
    /// What nodes do for it.
    pub(crate) course: Arc<Course>,
    /// The director knows of no rate: users decide what is due, here as regularly as arrivals.
    pub(crate) of_users: bool,
}

/// How runs stand to each other.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// There is one.
    Alone,
    /// Each has nodes of its own.
    SideBySide,
    /// Each wants all nodes.
    OneAfterAnother,
}

/// A fault, or something that people do.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A node is killed, and begins another life after a while; never, if that is `None`.
    Kill(usize, Option<u64>),
    /// A node is asked to end, and begins another life after a while; never, if that is `None`.
    Leave(usize, Option<u64>),
    /// A node stands still.
    Freeze(usize, u64),
    /// Nothing gets from a node to the coordinator, or the other way, or neither, for a while.
    Cut { node: usize, to_node: bool, from_node: bool, for_ns: u64 },
    /// A connection breaks.
    Reset(usize),
    /// The coordinator is killed, and begins anew after a while.
    KillCoordinator(u64),
    /// Somebody wants something of a run, by its place.
    Order(usize, Order),
    /// Somebody drains a node.
    Drain(usize),
    /// Somebody takes a node back.
    Admit(usize),
    /// A node that was not there comes.
    Arrive(usize),
}

/// Everything that is decided before the world begins.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where it came from.
    pub seed: u64,
    pub(crate) nodes: usize,
    pub(crate) plans: Vec<Plan>,
    pub(crate) company: Company,
    /// When, after the runs were submitted.
    pub(crate) happenings: Vec<(u64, Happening)>,
    /// A record is durable after so long at most.
    pub(crate) disk_ns: u64,
    /// One way takes at most so long.
    pub(crate) delay_ns: u64,
    /// Of a hundred messages of nodes, so many come twice.
    pub(crate) twice: u64,
    pub(crate) saves: bool,
    /// Nodes keep so many seconds apart of which they could tell nobody.
    pub(crate) untold_most: u64,
    /// After this nothing goes wrong any more.
    pub(crate) quiet_from: u64,
    /// A rule that is broken on purpose.
    pub broken: Option<Broken>,
}

impl Scenario {
    /// The scenario of a seed.
    ///
    /// # Panics
    /// Never: its figures are small.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let nodes = 2 + random.place(4);
        let seconds = random.between(16, 26);
        let company = match random.below(10) {
            0 | 1 if nodes >= 4 => Company::SideBySide,
            2 => Company::OneAfterAnother,
            _ => Company::Alone,
        };
        let count = if company == Company::Alone { 1 } else { 2 };
        let plans = (0..count).map(|place| plan(&mut random, place, nodes, company, seconds)).collect();
        let mut scenario = Self {
            seed,
            nodes,
            plans,
            company,
            happenings: Vec::new(),
            disk_ns: random.one([12 * MS, 12 * MS, 12 * MS, 150 * MS]),
            delay_ns: random.one([MS, 5 * MS, 40 * MS]),
            twice: if random.percent(30) { 20 } else { 0 },
            saves: random.percent(50),
            untold_most: random.one([2, 3, 900]),
            quiet_from: 0,
            broken: None,
        };
        scenario.add_happenings(&mut random, seconds);
        scenario
    }

    /// The same, with a rule broken.
    #[must_use]
    pub fn breaking(mut self, broken: Broken) -> Self {
        if broken == Broken::GiveBeforeObeyed {
            // A new coordinator would stop at facts that contradict each other, before anything could be seen.
            self.happenings.retain(|(_, one)| !matches!(one, Happening::KillCoordinator(_)));
        }
        if broken == Broken::AcknowledgeUnkept {
            // A disk so slow that a coordinator is likely to die between the two.
            self.disk_ns = 400 * MS;
        }
        Self { broken: Some(broken), ..self }
    }

    /// A quiet one: nothing goes wrong.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { happenings: Vec::new(), quiet_from: 0, ..self }
    }

    fn add_happenings(&mut self, random: &mut Random, seconds: u64) {
        // The last third is quiet, so that progress can be seen to resume.
        let last = seconds * NANOS_PER_SECOND * 2 / 3;
        let mut ends = 0;
        let mut left_for_good = 0;
        for _ in 0..random.below(7) {
            let at = random.between(S / 2, last);
            let node = random.place(self.nodes);
            let long = random.between(100 * MS, 7 * S);
            let (happening, for_ns) = match random.below(14) {
                0 | 1 if left_for_good + 1 < self.nodes && random.percent(50) => {
                    left_for_good += 1;
                    (Happening::Kill(node, None), 0)
                }
                0 | 1 => (Happening::Kill(node, Some(long)), long),
                2 | 3 => (Happening::Freeze(node, long), long),
                4 | 5 => {
                    let (to_node, from_node) = random.one([(true, true), (true, false), (false, true)]);
                    (Happening::Cut { node, to_node, from_node, for_ns: long }, long)
                }
                6 => (Happening::Reset(node), 0),
                7 | 8 => {
                    let down = random.between(50 * MS, 5 * S);
                    (Happening::KillCoordinator(down), down)
                }
                9 => {
                    let rate = Rate::per_second(random.between(10, 300));
                    let plan = random.place(self.plans.len());
                    (Happening::Order(plan, Order::SetRate { workload: None, rate }), 0)
                }
                10 if random.percent(40) => {
                    self.happenings.push((at, Happening::Drain(node)));
                    (Happening::Admit(node), long)
                }
                10 if left_for_good + 1 < self.nodes => {
                    left_for_good += 1;
                    (Happening::Drain(node), 0)
                }
                11 | 12 if left_for_good + 1 < self.nodes && random.percent(50) => {
                    left_for_good += 1;
                    (Happening::Leave(node, None), 0)
                }
                11 | 12 => (Happening::Leave(node, Some(long)), long),
                _ => (Happening::Arrive(self.nodes + node), 0),
            };
            ends = ends.max(at + for_ns);
            // A node is taken back after a while, not when it is drained.
            let at = if matches!(happening, Happening::Admit(_)) { at + for_ns } else { at };
            // Whatever is asked of a run or a node, the coordinator may die of it.
            let asks = matches!(happening, Happening::Order(..) | Happening::Drain(_) | Happening::Leave(..));
            if asks && random.percent(30) {
                let (soon, down) = (random.between(MS, 100 * MS), random.between(50 * MS, 4 * S));
                self.happenings.push((at + soon, Happening::KillCoordinator(down)));
                ends = ends.max(at + soon + down);
            }
            self.happenings.push((at, happening));
        }
        if random.percent(8) {
            let plan = random.place(self.plans.len());
            self.happenings.push((random.between(S, last), Happening::Order(plan, Order::Stop)));
        }
        self.quiet_from = ends;
    }
}

fn plan(random: &mut Random, place: usize, nodes: usize, company: Company, seconds: u64) -> Plan {
    let profile = Arc::new(profile(random, seconds));
    let (of_users, process) = match random.below(10) {
        0 | 1 => (true, Process::Deterministic),
        2 | 3 => (false, Process::Poisson { seed: random.next() }),
        _ => (false, Process::Deterministic),
    };
    let rated = Rated {
        name: None,
        counted: None,
        begins_ns: 0,
        profile: Arc::clone(&profile),
        process,
        limit: None,
    };
    let spec = Spec { version: "1".to_owned(), words: vec![place.to_string()], ..Spec::default() };
    let submission = Submission {
        run: RUN + place as u128,
        digest: spec.digest(),
        spec,
        load: if of_users { Vec::new() } else { vec![rated] },
        warmup_ns: 0,
        duration_ns: Some(profile.duration_ns()),
        grace_ns: S,
        thresholds: Vec::new(),
        max_lag: plan::MaxLag { any_ns: 100 * MS, second_p99_ns: 10 * MS },
        rate_guard: None,
        terms: terms(random, place, nodes, company),
    };
    Plan { submission, course: Arc::new(Course::new(profile, process)), of_users }
}

fn terms(random: &mut Random, place: usize, nodes: usize, company: Company) -> Terms {
    let on_loss = if random.percent(80) { OnNodeLoss::Redistribute } else { OnNodeLoss::Continue };
    let weights = match random.below(3) {
        0 => Weights::InOrder(vec![5, 3, 1]),
        _ => Weights::Equal,
    };
    let zones = company == Company::Alone && random.percent(15);
    let count = |count: usize| u32::try_from(count).expect("a few nodes");
    let (least, most) = match company {
        Company::SideBySide if place == 0 => (nodes / 2, Some(count(nodes / 2))),
        Company::SideBySide => (nodes - nodes / 2, None),
        Company::Alone | Company::OneAfterAnother => (nodes, None),
    };
    Terms {
        nodes_least: count(least),
        nodes_most: most,
        // The second of two waits for its turn, which takes longer, and then for nodes that may never come.
        wait_ns: (company != Company::Alone).then_some(5 * S),
        fewer: company != Company::Alone,
        zones: if zones {
            [("east".to_owned(), 34), ("west".to_owned(), 66)].into()
        } else {
            Terms::default().zones
        },
        weights,
        on_loss,
        ..Terms::default()
    }
}

fn profile(random: &mut Random, seconds: u64) -> Profile {
    let rate = Rate::per_second(random.between(20, 250));
    if random.percent(30) {
        let half = seconds * S / 2;
        let up = Phase { duration_ns: half, from: Rate::ZERO, to: rate };
        let rest = Phase { duration_ns: seconds * S - half, from: rate, to: rate };
        return Profile::new(vec![up, rest]).expect("a valid profile");
    }
    Profile::constant(rate, seconds * S).expect("a valid profile")
}
