//! The shard on simulated sockets in simulated time. Every failure prints the seed that replays it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use clock::{NANOS_PER_SECOND, Timestamp};
use measure::{DropReason, ErrorClass, Latency, Shape, Snapshot, Totals};
use schedule::{Arrivals, Cells, Process, Profile, Rate};

use super::link::{Command, Control, Report, pair};
use super::pacing::{CatchUp, Pacing};
use super::workload::{Task, Users, Workload};
use super::{FailStatus, Phase, RequestSettings, Settings, Shard, TargetSettings};
use crate::io::sim::{DelayLaw, HttpServer, Listener, LocalRefusal, Network, Quirk, SimIo, Truth};
use crate::io::{Errno, Io};

mod apart;
mod ending;
mod hand_over;
mod ids;
mod iterations;
mod lateness;
mod own;
mod pressure;
mod seconds;
mod tls_ends;

const MS: u64 = 1_000_000;
const SECOND: u64 = NANOS_PER_SECOND;
/// When the simulated clock starts, and how long after it the plan does.
const BOOT: u64 = SECOND;
const LEAD: u64 = 30 * MS;

/// One simulated run: a shard, a server, a network.
#[derive(Clone)]
struct Lab {
    network: Network,
    server: HttpServer,
    listens: bool,
    settings: Settings,
    rate: u64,
    duration_ns: u64,
    /// What each arrival begins.
    task: Task,
    users: Option<Users2>,
    /// How many arrivals the plan has at most.
    limit: Option<u64>,
    /// What the shard is told before its start, if it has a tenure.
    before: Vec<Command>,
    /// How long before the usual instant the plan began.
    began_before_ns: u64,
    /// What happens from outside, and when: offsets from the start, rising.
    acts: Vec<(u64, Act)>,
}

/// Something that happens to a shard from outside.
#[derive(Clone)]
enum Act {
    /// The control thread says so.
    Tell(Command),
    /// The process does not run for so long.
    Freeze(u64),
    /// The control thread gives no emptied snapshot back for so long.
    Withhold(u64),
    /// The lease is renewed until so long after now.
    Renew(u64),
    /// The lease begins anew, until so long after now.
    Anew(u64),
}

#[derive(Copy, Clone)]
struct Users2 {
    count: usize,
    think_ns: u64,
    requests: Option<u64>,
}

struct Outcome {
    totals: Totals,
    /// Each sealed snapshot: from, until, and what was scheduled in it.
    sealed: Vec<(u64, u64, u64)>,
    /// From when on nothing more was due.
    sending_ended: Option<Timestamp>,
    /// Hands that were answered: epoch, and whether it was in time.
    handed: Vec<(u32, bool)>,
    /// From when on nothing was the shard's, each time that its lease ran out.
    gave_up: Vec<u64>,
    first_sent: Option<Timestamp>,
    truth: Truth,
    start: Timestamp,
    asked: u64,
    profile: Option<Profile>,
    task: Task,
    /// How long the list of connection attempts was at most.
    opening_most: usize,
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 80))
}

impl Lab {
    fn new(rate: u64, duration_ns: u64) -> Self {
        let request = b"GET / HTTP/1.1\r\nHost: sim\r\n\r\n";
        Self {
            network: Network::default(),
            server: HttpServer::new(DelayLaw::Fixed(200_000)),
            listens: true,
            settings: Settings {
                node: 0,
                shard: 0,
                shape: Shape::requests(1),
                targets: vec![TargetSettings {
                    routes: [address().into()].into(),
                    first_route: 0,
                    authority: String::new(),
                    tls: None,
                    connections: 64,
                    warm_connections: 0,
                    close_after: None,
                    waiting_capacity: 100_000,
                    connect_timeout_ns: 10 * SECOND,
                }],
                requests: vec![RequestSettings {
                    name: 0,
                    target: 0,
                    message: Some(request.to_vec().into()),
                    needs: scenario::Needs::default(),
                    last_message: None,
                    is_head: false,
                    fail_status: FailStatus::new(|code| code >= 400),
                    timeout_ns: 10 * SECOND,
                }],
                protocol: None,
                response_limits: http1::Limits::default(),
                discard_from: 65_536,
                scenarios: Vec::new(),
                kept_body_bytes: 1 << 20,
                unix_offset_ns: 0,
                grace_ns: 10 * SECOND,
                warmup_ns: 0,
                duration_ns,
                ends_by_count: false,
                catch_up: CatchUp::Burst,
                pacing: Pacing::Sleep,
                tenure: None,
                live: None,
                cpu_clock: || 0,
                core_wait_clock: || None,
            },
            rate,
            duration_ns,
            task: Task::Request(0),
            users: None,
            limit: None,
            before: Vec::new(),
            began_before_ns: 0,
            acts: Vec::new(),
        }
    }

    /// The plan's one target.
    fn target(&mut self) -> &mut TargetSettings {
        &mut self.settings.targets[0]
    }

    /// How long anything is waited for.
    fn timeout(&mut self, ns: u64) {
        self.settings.requests.iter_mut().for_each(|request| request.timeout_ns = ns);
        self.target().connect_timeout_ns = ns;
    }

    fn quirk(mut self, quirk: Quirk) -> Self {
        self.server.quirk = quirk;
        self
    }

    fn run(self) -> Outcome {
        let server = self.server.clone();
        match (self.listens, &self.settings.targets[0].tls) {
            (false, _) => self.run_with(|_| ()),
            (true, None) => self.run_against(server),
            (true, Some(_)) => self.run_against(tls_ends::server()),
        }
    }

    fn run_against(self, listener: impl Listener + 'static) -> Outcome {
        self.run_with(|io| io.listen(address(), listener))
    }

    fn run_with(self, listen: impl FnOnce(&mut SimIo)) -> Outcome {
        let limits = self.settings.driver_limits();
        let mut io = SimIo::new(limits, self.network.clone());
        listen(&mut io);
        let profile = (self.users.is_none()).then(|| {
            Profile::constant(Rate::per_second(self.rate), self.duration_ns).expect("a valid profile")
        });
        let workload = if let Some(users) = self.users {
            Workload::closed(Users::new(vec![0; users.count], users.think_ns, users.requests), self.task)
        } else {
            let profile = Arc::new(profile.clone().expect("the open model has a profile"));
            let cells = if self.settings.tenure.is_some() { Cells::none() } else { Cells::all() };
            let arrivals = Arrivals::new(profile, Process::Deterministic, &cells);
            let arrivals = match self.limit {
                Some(count) => arrivals.with_limit(count),
                None => arrivals,
            };
            Workload::open(arrivals, self.task)
        };
        let (link, mut control) = pair();
        let start = Timestamp::from_nanos(BOOT + LEAD - self.began_before_ns);
        let mut shard = Shard::new(io, self.settings.clone(), &[workload], link);
        let mut heard = Heard { totals: Totals::new(self.settings.shape), ..Heard::default() };
        match self.settings.tenure {
            None => shard.open_warm(),
            Some(_) => assert!(control.tell(Command::Open)),
        }
        assert!(self.before.into_iter().all(|command| control.tell(command)));
        assert!(control.tell(Command::Start { at: start }));
        let mut acts = self.acts.into_iter().peekable();
        let mut withheld_until = Timestamp::ZERO;
        let mut opening_most = 0;
        while shard.phase != Phase::Done {
            shard.turn().expect("the simulated driver does not break");
            opening_most = opening_most.max(shard.targets[0].opening.len());
            while let Some((_, act)) = acts.next_if(|(at, _)| shard.now >= start.plus_nanos(*at)) {
                match act {
                    Act::Tell(command) => assert!(control.tell(command)),
                    Act::Freeze(ns) => shard.io.freeze(ns),
                    Act::Withhold(ns) => withheld_until = shard.now.plus_nanos(ns),
                    Act::Renew(ns) => {
                        assert!(tenure(&shard).renew(shard.now.as_nanos(), shard.now.as_nanos() + ns));
                    }
                    Act::Anew(ns) => tenure(&shard).begin_anew(shard.now.as_nanos() + ns),
                }
            }
            heard.drain(&mut control, shard.now < withheld_until);
        }
        heard.drain(&mut control, false);
        assert_eq!(shard.io.open_count(), 0, "connections left open");
        let truth = shard.io.finish();
        let Heard { totals, sealed, sending_ended, handed, gave_up, first_sent, .. } = heard;
        let asked = profile.as_ref().map_or(0, Profile::arrival_count);
        let task = self.task;
        Outcome {
            totals,
            sealed,
            sending_ended,
            handed,
            gave_up,
            first_sent,
            truth,
            start,
            asked,
            profile,
            task,
            opening_most,
        }
    }
}

/// The lease of a shard that has one.
fn tenure<I: Io>(shard: &Shard<I>) -> &super::lease::Lease {
    &shard.settings.tenure.as_ref().expect("there is a lease").lease
}

/// The control thread's side of a simulated run.
#[derive(Default)]
struct Heard {
    totals: Totals,
    sealed: Vec<(u64, u64, u64)>,
    sending_ended: Option<Timestamp>,
    handed: Vec<(u32, bool)>,
    gave_up: Vec<u64>,
    first_sent: Option<Timestamp>,
    kept: Vec<Box<Snapshot>>,
}

impl Heard {
    fn drain(&mut self, control: &mut Control, withhold: bool) {
        while let Some(report) = control.report() {
            if let Report::SendingEnded { at } = report {
                assert_eq!(self.sending_ended.replace(at), None, "sending ends once");
            } else if let Report::Handed { in_time, hand } = report {
                self.handed.push((hand.epoch, in_time));
            } else if let Report::GaveUp { at_ns } = report {
                self.gave_up.push(at_ns);
            } else if let Report::FirstSent { at } = report {
                assert_eq!(self.first_sent.replace(at), None, "a first request leaves once");
            } else if let Report::Sealed(mut snapshot) | Report::Warmup(mut snapshot) = report {
                self.totals.absorb(&snapshot);
                if !snapshot.warmup {
                    self.sealed.push((snapshot.from_ns, snapshot.until_ns, snapshot.counters.scheduled));
                }
                snapshot.clear();
                self.kept.push(snapshot);
            }
        }
        if !withhold {
            self.kept.drain(..).for_each(|empty| control.give_back(empty));
        }
    }
}

impl Outcome {
    /// What must hold after every run, whatever the target did.
    fn check(&self, case: &str) -> &Self {
        let counters = &self.totals.counters;
        assert!(counters.balanced(), "{case}: {:?}", counters.audit());
        assert!(self.totals.balanced(), "{case}: {:?}", self.totals.iterations_total());
        if self.profile.is_some() && !matches!(self.task, Task::Scenario(_)) {
            assert!(counters.scheduled <= self.asked, "{case}: scheduled more than asked");
            assert!(self.truth.requests.len() as u64 <= counters.sent, "{case}: more requests than sent");
            self.check_nothing_early(case);
        }
        let connects = self.truth.connections.len() as u64;
        assert_eq!(counters.connects, connects, "{case}: connects");
        self
    }

    fn check_nothing_early(&self, case: &str) {
        let profile = self.profile.as_ref().expect("asked for the open model only");
        let mut sent: Vec<Timestamp> = self.truth.requests.iter().map(|request| request.sent).collect();
        sent.sort_unstable();
        for (index, at) in sent.iter().enumerate() {
            let offset = at.nanos_since(self.start);
            // Arrivals due at or before `offset`.
            let due = profile.arrivals_before(offset.saturating_add(1));
            assert!((index as u64) < due, "{case}: request {index} left at {offset} ns, {due} were due");
        }
    }

    fn errors(&self, class: ErrorClass) -> u64 {
        self.totals.counters.errors_of(class)
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.totals.counters.dropped_for(reason)
    }
}

fn within(case: &str, measured_ns: u64, expected_ms: f64, tolerance_ms: f64) {
    let measured = measured_ns as f64 / MS as f64;
    assert!(
        (measured - expected_ms).abs() <= tolerance_ms,
        "{case}: {measured} ms, expected {expected_ms} ms"
    );
}

#[test]
fn a_healthy_run_sends_every_arrival_once() {
    for (rate, seconds) in [(1, 3), (7, 2), (999, 2), (20_000, 1)] {
        let outcome = Lab::new(rate, seconds * SECOND).run();
        let counters = &outcome.check("healthy").totals.counters;
        assert_eq!(counters.sent, rate * seconds);
        assert_eq!(counters.ok, rate * seconds);
        assert_eq!(outcome.truth.requests.len() as u64, rate * seconds);
        let lag = outcome.totals.latency(Latency::Lag);
        assert!(lag.max_ns() <= super::COALESCE_NS, "lag {} ns at {rate}/s", lag.max_ns());
    }
}

/// The closed form: arrivals that fall into a stall of one second wait for its end, so a tenth of them have
/// response times spread evenly from nothing to a second.
#[test]
fn a_stalled_target_shows_in_full_with_many_and_with_few_connections() {
    for connections in [1_024, 10] {
        let mut lab = Lab::new(1_000, 30 * SECOND);
        lab.target().connections = connections;
        lab.server.delay = DelayLaw::Fixed(100_000);
        let begin = BOOT + LEAD;
        lab.server.stalls = (0..3)
            .map(|round| begin + round * 10 * SECOND + 9 * SECOND)
            .map(|at| Timestamp::from_nanos(at)..Timestamp::from_nanos(at + SECOND))
            .collect();
        let outcome = lab.run();
        let case = format!("{connections} connections");
        let counters = &outcome.check(&case).totals.counters;
        assert_eq!((counters.sent, counters.dropped_total()), (30_000, 0), "{case}");
        let response = outcome.totals.latency(Latency::Response);
        let mean_ns = response.sum_ns() / u128::from(response.count());
        within(&case, u64::try_from(mean_ns).unwrap_or(u64::MAX), 50.0, 3.0);
        within(&case, response.value_at_quantile(0.95), 500.0, 15.0);
        within(&case, response.value_at_quantile(0.99), 900.0, 10.0);
        within(&case, response.value_at_quantile(0.999), 990.0, 8.0);
        let lag = outcome.totals.latency(Latency::Lag);
        assert!(lag.max_ns() < MS, "{case}: a slow target must not look like a slow generator");
    }
}

#[test]
fn the_rate_cap_holds_whatever_the_target_does() {
    let garbage: Arc<[u8]> = Arc::from(&b"SSH-2.0-OpenSSH_9.2\r\n"[..]);
    let cases = [
        ("resets at connect", Quirk::ResetAtConnect),
        ("resets", Quirk::Reset { after_bytes: 0 }),
        ("resets in the middle", Quirk::Reset { after_bytes: 20 }),
        ("closes early", Quirk::CloseEarly { after_bytes: 30 }),
        ("half close", Quirk::HalfClose),
        ("garbage", Quirk::Garbage(Arc::clone(&garbage))),
        ("banner", Quirk::Banner(garbage)),
        ("extra", Quirk::Extra(Arc::from(&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..]))),
        ("closes after one", Quirk::CloseAfter { answers: 1 }),
        ("closes idle", Quirk::CloseIdle { after_ns: 5 * MS }),
        ("drips", Quirk::Drip { bytes: 7, every_ns: MS }),
        ("refuses", Quirk::RefuseDuring(vec![Timestamp::ZERO..Timestamp::MAX])),
    ];
    for (case, quirk) in cases {
        let outcome = Lab::new(500, 2 * SECOND).quirk(quirk).run();
        let counters = &outcome.check(case).totals.counters;
        assert_eq!(counters.scheduled, 1_000, "{case}");
        let connects = outcome.truth.connections.len() as u64;
        assert!(connects <= 1_000 + 64, "{case}: {connects} connects for 1,000 arrivals and a pool of 64");
        for second in 0..2 {
            let until = outcome.start.plus_nanos((second + 1) * SECOND);
            let begun = outcome.truth.connections.iter().filter(|seen| seen.begun < until).count() as u64;
            assert!(begun <= 500 * (second + 1) + 64, "{case}: {begun} connects by second {second}");
        }
    }
}

#[test]
fn failures_have_their_class() {
    let run = |quirk| {
        let outcome = Lab::new(100, SECOND).quirk(quirk).run();
        outcome.check("class");
        outcome
    };
    assert_eq!(run(Quirk::Reset { after_bytes: 0 }).errors(ErrorClass::Reset), 100);
    assert_eq!(run(Quirk::CloseEarly { after_bytes: 30 }).errors(ErrorClass::ClosedEarly), 100);
    assert_eq!(run(Quirk::Garbage(Arc::from(&b"nonsense\r\n\r\n"[..]))).errors(ErrorClass::Protocol), 100);
    let refused = run(Quirk::RefuseDuring(vec![Timestamp::ZERO..Timestamp::MAX]));
    assert_eq!(refused.errors(ErrorClass::ConnectRefused), 100);
    assert_eq!(refused.truth.requests.len(), 0);
    let mut nobody = Lab::new(100, SECOND);
    nobody.listens = false;
    assert_eq!(nobody.run().check("nobody").errors(ErrorClass::ConnectRefused), 100);
}

#[test]
fn a_mute_target_times_out_from_the_intended_time() {
    let mut lab = Lab::new(100, SECOND).quirk(Quirk::Mute);
    lab.timeout(300 * MS);
    lab.settings.grace_ns = 300 * MS;
    let outcome = lab.run();
    let counters = &outcome.check("mute").totals.counters;
    let timeouts = outcome.errors(ErrorClass::TimeoutFirstByte);
    assert_eq!(timeouts + counters.cut_off, 100);
    assert!(counters.cut_off <= 1, "the last may end with the grace: {}", counters.cut_off);
    let response = outcome.totals.latency(Latency::Response);
    within("mute", response.min_ns(), 300.0, 1.0);
    within("mute", response.max_ns(), 300.0, 1.0);
}

#[test]
fn an_unanswered_connect_takes_its_arrival_with_it() {
    let mut lab = Lab::new(10, SECOND).quirk(Quirk::NoHandshake);
    lab.timeout(200 * MS);
    lab.settings.grace_ns = 400 * MS;
    let outcome = lab.run();
    outcome.check("no handshake");
    assert_eq!(outcome.errors(ErrorClass::ConnectTimeout), 10);
}

#[test]
fn a_full_waiting_queue_drops_with_its_reason() {
    let mut lab = Lab::new(1_000, SECOND).quirk(Quirk::Mute);
    lab.target().connections = 1;
    lab.target().waiting_capacity = 9;
    lab.timeout(30 * SECOND);
    lab.settings.grace_ns = 100 * MS;
    let outcome = lab.run();
    let counters = &outcome.check("full").totals.counters;
    assert_eq!(outcome.dropped(DropReason::QueueFull), 1_000 - 1 - 9);
    assert_eq!(counters.cut_off, 1);
    assert_eq!(outcome.dropped(DropReason::Expired), 9);
}

#[test]
fn what_this_machine_refuses_is_never_the_targets_fault() {
    let mut lab = Lab::new(100, SECOND);
    let emfile = Errno(rustix::io::Errno::MFILE.raw_os_error());
    lab.network.refusals = vec![LocalRefusal {
        from: Timestamp::ZERO,
        until: Timestamp::from_nanos(BOOT + LEAD + SECOND / 2),
        errno: emfile,
    }];
    let outcome = lab.run();
    let counters = &outcome.check("local").totals.counters;
    assert_eq!(outcome.dropped(DropReason::LocalResource), 50);
    assert_eq!((counters.ok, counters.errors_total()), (50, 0));
}

#[test]
fn a_stop_sends_nothing_more_and_waits_for_what_is_in_flight() {
    let mut lab = Lab::new(1_000, 10 * SECOND);
    lab.server.delay = DelayLaw::Fixed(50 * MS);
    lab.acts = vec![(SECOND, Act::Tell(Command::Stop))];
    let outcome = lab.run();
    let counters = &outcome.check("stop").totals.counters;
    assert_eq!(counters.cut_off, 0);
    assert_eq!(counters.ok, counters.sent);
    let last = outcome.truth.requests.iter().map(|request| request.sent).max().expect("some were sent");
    assert!(last.nanos_since(outcome.start) <= SECOND + 100 * MS, "stop took too long");
}

#[test]
fn an_abort_cuts_off_what_is_in_flight() {
    let mut lab = Lab::new(1_000, 10 * SECOND);
    lab.server.delay = DelayLaw::Fixed(5 * SECOND);
    lab.target().connections = 8;
    lab.acts = vec![(SECOND, Act::Tell(Command::Abort))];
    let outcome = lab.run();
    let counters = &outcome.check("abort").totals.counters;
    assert_eq!(counters.cut_off, 8);
    assert_eq!(outcome.dropped(DropReason::Interrupted), counters.scheduled - 8);
}

#[test]
fn users_wait_for_their_responses() {
    let mut lab = Lab::new(0, SECOND);
    lab.server.delay = DelayLaw::Fixed(9_960_000);
    lab.target().connections = 5;
    lab.users = Some(Users2 { count: 5, think_ns: 10 * MS, requests: None });
    let outcome = lab.run();
    let counters = &outcome.check("users").totals.counters;
    // A round takes 20 ms (network included), so five users make 250 requests a second.
    assert!((240..=255).contains(&counters.sent), "{}", counters.sent);
    assert_eq!(counters.ok, counters.sent);
}

#[test]
fn a_count_ends_the_closed_model_exactly() {
    let mut lab = Lab::new(0, u64::MAX / 4);
    lab.settings.ends_by_count = true;
    lab.users = Some(Users2 { count: 7, think_ns: 0, requests: Some(1_234) });
    let outcome = lab.run();
    assert_eq!(outcome.check("count").totals.counters.ok, 1_234);
}

#[test]
fn the_warmup_stays_out_of_the_results() {
    let mut lab = Lab::new(1_000, 3 * SECOND);
    lab.settings.warmup_ns = SECOND;
    let outcome = lab.run();
    assert_eq!(outcome.totals.counters.sent, 2_000);
    assert_eq!(outcome.totals.counters.ok, 2_000);
    assert_eq!(outcome.totals.warmup.sent, 1_000);
    assert_eq!(outcome.truth.requests.len(), 3_000);
    assert_eq!(outcome.totals.latency(Latency::Response).count(), 2_000);
}

#[test]
fn a_connection_is_closed_after_its_exchanges() {
    let mut lab = Lab::new(500, SECOND);
    lab.target().close_after = Some(10);
    let outcome = lab.run();
    let counters = &outcome.check("close after").totals.counters;
    assert_eq!(counters.ok, 500);
    assert!(outcome.truth.connections.len() >= 50);
}

/// Rough networks and every quirk, over many seeds: the audit balances, nothing is early, nothing leaks.
#[test]
fn whatever_happens_everything_is_counted() {
    let quirks = |choice: u64| match choice {
        0 => Quirk::None,
        1 => Quirk::Reset { after_bytes: 12 },
        2 => Quirk::CloseAfter { answers: 3 },
        3 => Quirk::CloseIdle { after_ns: MS },
        4 => Quirk::Drip { bytes: 3, every_ns: 200_000 },
        5 => Quirk::CloseEarly { after_bytes: 0 },
        6 => Quirk::Mute,
        _ => Quirk::Extra(Arc::from(&b"x"[..])),
    };
    for seed in 0..160 {
        let mut lab = Lab::new(2_000, SECOND / 2).quirk(quirks(seed % 8));
        lab.network = Network::rough(seed);
        lab.network.send_failure_per_million = if seed % 3 == 0 { 10_000 } else { 0 };
        lab.server.delay = DelayLaw::Tail { fast_ns: MS, slow_ns: 120 * MS, per_million: 20_000 };
        lab.target().connections = [3, 17, 200][(seed % 5 % 3) as usize];
        lab.target().waiting_capacity = 300;
        lab.timeout(100 * MS);
        lab.settings.grace_ns = 150 * MS;
        lab.settings.catch_up = [CatchUp::Burst, CatchUp::Smooth, CatchUp::Skip][(seed % 7 % 3) as usize];
        lab.settings.pacing = if seed % 11 == 0 { Pacing::Spin } else { Pacing::Sleep };
        let case = format!("seed {seed}");
        let outcome = lab.run();
        let counters = &outcome.check(&case).totals.counters;
        assert_eq!(counters.scheduled, 1_000, "{case}");
        assert_eq!(outcome.truth.refused_locally, 0, "{case}");
    }
}
