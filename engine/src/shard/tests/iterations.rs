//! Iterations of scenarios on the simulated shard: what they send, when, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use measure::{FailReason, IterationCounters};
use scenario::{
    Assignment, Barrier as BarrierStep, Check, Choice, Choose, Extraction, Group, JsonPath, Key, Origin,
    Program, Repeat, RequestStep, Scenario, Scope, Source, Step, Subject, Target, Template, Test, Think,
};

use super::*;
use crate::io::sim::{Answer, Peer, Random, Turn};
use crate::shard::scenarios::{Barrier, ScenarioSettings, World};

const DELAY_NS: u64 = 3 * MS;
const ON_THE_WAY_NS: u64 = 2 * 20_000;

/// A shop: `/login` gives out tokens, `/item` wants one, `/away` leads to `/item` of another host.
#[derive(Debug)]
struct Shop(Arc<Mutex<Vec<String>>>);

impl Peer for Shop {
    fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert!(text.ends_with("\r\n\r\n"), "one request at a time, whole: {text:?}");
        turn.request();
        let mut seen = self.0.lock().expect("no thread panics");
        let number = seen.len();
        let target = text.split(' ').nth(1).expect("a request line").to_owned();
        let answer = if target.starts_with("/login") {
            let body = format!("{{\"user\": {{\"token\": \"t{number}\"}}}}");
            let (first, rest) = body.split_at(number % body.len());
            // Whatever the framing, the body is the same.
            if number.is_multiple_of(2) {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            } else {
                let chunk = |text: &str| {
                    if text.is_empty() { String::new() } else { format!("{:x}\r\n{text}\r\n", text.len()) }
                };
                let chunks = [chunk(first), chunk(rest)].concat();
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
            }
        } else if target.starts_with("/away") {
            let host = target.trim_start_matches("/away/");
            format!("HTTP/1.1 302 Found\r\nLocation: http://{host}/item/t0\r\nContent-Length: 0\r\n\r\n")
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned()
        };
        seen.push(text);
        turn.answer(DELAY_NS, answer.into_bytes());
    }
}

fn template(text: &str) -> Template {
    Template::parse(text, Origin::default()).expect("a valid template")
}

fn get(url: &str) -> RequestStep {
    RequestStep { name: url.to_owned(), url: template(url), ..RequestStep::default() }
}

fn step(request: RequestStep) -> Step {
    Step::Request(Box::new(request))
}

fn login() -> Step {
    let path = JsonPath::parse("$.user.token", Origin::default()).expect("a valid path");
    let extraction = Extraction {
        variable: "token".to_owned(),
        origin: Origin::default(),
        source: Source::Json(path),
        default: None,
    };
    step(RequestStep { extractions: vec![extraction], ..get("/login") })
}

impl Lab {
    /// Every arrival runs these steps.
    fn scenario(mut self, steps: Vec<Step>) -> Self {
        let scenario = Scenario { name: "shop".to_owned(), data: Vec::new(), cookies: false, steps };
        let target = Target { is_secure: false, authority: "shop".to_owned(), base_path: String::new() };
        let scope = Scope { targets: vec!["shop".to_owned()], ..Scope::default() };
        let program = Program::compile(&scenario, &scope, &[target]).expect("a valid scenario");
        let base = self.settings.requests[0].clone();
        let (mut requests, mut first_checks, mut checks) = (Vec::new(), Vec::new(), 0);
        for (name, request) in program.requests().iter().enumerate() {
            requests.push(RequestSettings {
                name: u32::try_from(name).expect("few"),
                message: None,
                needs: request.needs,
                ..base.clone()
            });
            first_checks.push(checks);
            checks += u32::try_from(request.check_names().len()).expect("few");
        }
        self.settings.shape = Shape {
            names: requests.len(),
            workloads: 1,
            groups: program.groups().len(),
            checks: checks as usize,
        };
        self.settings.requests = requests;
        self.target().authority = "shop".to_owned();
        let barriers = program.barriers().iter().map(|barrier| Arc::new(Barrier::new(barrier.users)));
        self.settings.scenarios = vec![ScenarioSettings {
            workload: 0,
            first_request: 0,
            bare_requests: (0..program.requests().len())
                .map(|step| u16::try_from(step).expect("few"))
                .collect(),
            first_group: 0,
            first_checks,
            barriers: barriers.collect(),
            feeders: Vec::new(),
            columns: Vec::new(),
            key: Key::new(7, 0),
            most: 10_000,
            variables_bytes: 1_024,
            world: Arc::new(World::default()),
            tokens: Vec::new(),
            program,
        }];
        self.task = Task::Scenario(0);
        self
    }

    /// Runs it against the shop; yields the requests that the shop saw, too.
    fn at_the_shop(self, case: &str) -> (Outcome, Vec<String>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        let outcome = self.run_against(move |_: Timestamp, _: u64, _: &mut Random| {
            Answer::Accept(Box::new(Shop(Arc::clone(&shared))))
        });
        outcome.check(case);
        let seen = seen.lock().expect("no thread panics").clone();
        assert_eq!(outcome.totals.counters.sent, seen.len() as u64, "{case}");
        (outcome, seen)
    }
}

impl Outcome {
    fn iterations(&self) -> &IterationCounters {
        &self.totals.workloads[0].iterations
    }

    fn failed_iterations(&self, reason: FailReason) -> u64 {
        self.iterations().failed[reason.index()]
    }
}

/// The first word of a path, and what follows it.
fn parts(request: &str) -> (&str, &str) {
    let target = request.split(' ').nth(1).expect("a request line");
    target[1..].split_once('/').unwrap_or((&target[1..], ""))
}

#[test]
fn each_iteration_uses_what_its_own_answers_held() {
    let think = Step::Think(Think::Constant { ns: 50 * MS });
    let lab = Lab::new(200, 2 * SECOND).scenario(vec![
        login(),
        think,
        step(get("/item/{{token}}?n={{iteration}}")),
        step(get("/out/{{token}}")),
    ]);
    let (outcome, seen) = lab.at_the_shop("three steps");
    let iterations = outcome.iterations();
    assert_eq!((iterations.scheduled, iterations.completed, iterations.failed_total()), (400, 400, 0));
    let counters = &outcome.totals.counters;
    assert_eq!((counters.scheduled, counters.sent, counters.ok), (1_200, 1_200, 1_200));
    // Every token was used by exactly one item and one out, and every slot once.
    let mut uses: BTreeMap<String, u32> = BTreeMap::new();
    let mut slots = BTreeSet::new();
    for request in &seen {
        let (what, rest) = parts(request);
        let (token, slot) = rest.split_once("?n=").unwrap_or((rest, ""));
        if what != "login" {
            *uses.entry(token.to_owned()).or_default() += 1;
        }
        if what == "item" {
            assert!(slots.insert(slot.parse::<u64>().expect("a slot")));
        }
    }
    assert_eq!(uses.len(), 400);
    assert!(uses.values().all(|count| *count == 2), "{uses:?}");
    assert_eq!(slots, (0..400).collect());
    // To the nanosecond, but for the connections of the first arrivals: three answers and a think time.
    let exact = 3 * (DELAY_NS + ON_THE_WAY_NS) + 50 * MS;
    let durations = &outcome.totals.workloads[0].completed;
    assert!(durations.min_ns() >= exact && durations.min_ns() < exact + MS, "{}", durations.min_ns());
    assert_eq!(outcome.totals.names.iter().map(|name| name.sent).collect::<Vec<_>>(), [400, 400, 400]);
    // A later step counts from its own due moment: neither the steps before it nor its think time are in it.
    let item = &outcome.totals.names[1].ok;
    assert!(item.value_at_quantile(0.99) < DELAY_NS + ON_THE_WAY_NS + MS, "{}", item.max_ns());
}

#[test]
fn groups_are_timed_with_and_without_thinking() {
    let group = Group {
        name: "pay".to_owned(),
        origin: Origin::default(),
        steps: vec![step(get("/item")), Step::Think(Think::Constant { ns: 40 * MS }), step(get("/out"))],
    };
    let (outcome, _) = Lab::new(50, SECOND).scenario(vec![login(), Step::Group(group)]).at_the_shop("group");
    let group = &outcome.totals.groups[0];
    assert_eq!((group.ok, group.failed), (50, 0));
    let busy = 2 * (DELAY_NS + ON_THE_WAY_NS);
    let near = |ns: u64, expected: u64| ns >= expected && ns < expected + MS;
    assert!(near(group.busy.value_at_quantile(0.5), busy), "{}", group.busy.value_at_quantile(0.5));
    assert!(near(group.duration.value_at_quantile(0.5), busy + 40 * MS));
}

#[test]
fn checks_count_and_may_end_the_iteration() {
    let check = |stops: bool, set: &str| Check {
        name: set.to_owned(),
        origin: Origin::default(),
        subject: Subject::Status(scenario::StatusSet::parse(set, Origin::default()).expect("a valid set")),
        tests: Vec::<Test>::new(),
        stops,
    };
    let checked = |checks: Vec<Check>| step(RequestStep { checks, ..get("/item") });
    let lab = Lab::new(100, SECOND).scenario(vec![
        checked(vec![check(false, "200"), check(false, "404")]),
        checked(vec![check(true, "500")]),
        step(get("/never")),
    ]);
    let (outcome, seen) = lab.at_the_shop("checks");
    assert_eq!(seen.len(), 200, "the third step is never reached");
    assert_eq!(outcome.failed_iterations(FailReason::Check), 100);
    let checks: Vec<_> = outcome.totals.checks.iter().map(|check| (check.passed, check.failed)).collect();
    assert_eq!(checks, [(100, 0), (0, 100), (0, 100)]);
}

#[test]
fn what_cannot_be_extracted_fails_the_iteration_and_not_the_request() {
    let Step::Request(mut request) = login() else { unreachable!("a login is a request") };
    request.url = template("/item");
    let lab = Lab::new(100, SECOND).scenario(vec![Step::Request(request), step(get("/never/{{token}}"))]);
    let (outcome, seen) = lab.at_the_shop("extract");
    assert_eq!((seen.len(), outcome.totals.counters.ok), (100, 100));
    assert_eq!(outcome.failed_iterations(FailReason::Extract), 100);
}

#[test]
fn redirects_lead_to_the_plans_targets_and_nowhere_else() {
    for (host, requests, failed) in [("shop", 200, 0), ("elsewhere", 100, 100)] {
        let away = RequestStep { redirects: 3, ..get(&format!("/away/{host}")) };
        let (outcome, seen) = Lab::new(100, SECOND).scenario(vec![step(away)]).at_the_shop(host);
        assert_eq!(seen.len(), requests, "{host}");
        assert_eq!(outcome.failed_iterations(FailReason::Request), failed, "{host}");
        assert!(seen.iter().all(|request| parts(request).0 == "away" || parts(request).0 == "item"));
    }
}

#[test]
fn users_run_their_scenario_again_and_again() {
    let set = Step::Set(vec![Assignment {
        variable: "n".to_owned(),
        origin: Origin::default(),
        value: template("{{iteration}}-{{user}}"),
    }]);
    let mut lab = Lab::new(1, 2 * SECOND).scenario(vec![
        set,
        Step::Repeat(Repeat { count: template("2"), counter: None, steps: vec![step(get("/item/{{n}}"))] }),
    ]);
    lab.users = Some(Users2 { count: 10, think_ns: 10 * MS, requests: None });
    let (outcome, seen) = lab.at_the_shop("users");
    let iterations = outcome.iterations();
    assert_eq!(iterations.completed, iterations.scheduled);
    // Two requests and a rest take 16.08 ms.
    assert!((1_240..=1_250).contains(&iterations.completed), "{iterations:?}");
    let slots: BTreeSet<&str> = seen.iter().map(|request| parts(request).1).collect();
    assert_eq!(slots.len() as u64, iterations.completed, "every iteration has a number of its own");
}

#[test]
fn a_barrier_opens_for_so_many_together() {
    let barrier =
        BarrierStep { name: "all".to_owned(), origin: Origin::default(), users: 5, timeout_ns: 30 * SECOND };
    let lab = Lab::new(10, SECOND).scenario(vec![Step::Barrier(barrier), step(get("/item"))]);
    let (outcome, _) = lab.at_the_shop("barrier");
    let mut sent: Vec<u64> =
        outcome.truth.requests.iter().map(|request| request.sent.nanos_since(outcome.start)).collect();
    sent.sort_unstable();
    // Arrivals at 0, 100, … 900 ms: five go at 400 ms, five at 900 ms.
    for (index, at) in sent.iter().enumerate() {
        let expected = if index < 5 { 400 * MS } else { 900 * MS };
        assert!((expected..expected + 25 * MS).contains(at), "request {index} at {at} ns");
    }
    assert_eq!(outcome.iterations().completed, 10);
}

#[test]
fn a_stop_cuts_off_what_waits_for_no_answer() {
    let think = Step::Think(Think::Constant { ns: 300 * MS });
    let mut lab = Lab::new(100, 2 * SECOND).scenario(vec![step(get("/item")), think, step(get("/out"))]);
    lab.acts = vec![(SECOND, Act::Tell(Command::Stop))];
    let (outcome, _) = lab.at_the_shop("stop");
    let iterations = outcome.iterations();
    assert!((99..=102).contains(&iterations.scheduled), "{iterations:?}");
    assert!((28..=34).contains(&iterations.cut_off), "{iterations:?}");
    assert_eq!(outcome.totals.counters.cut_off, 0, "what is in flight is heard");
}

#[test]
fn whatever_the_target_does_iterations_are_counted() {
    let quirks = [
        Quirk::Mute,
        Quirk::Reset { after_bytes: 10 },
        Quirk::CloseEarly { after_bytes: 40 },
        Quirk::CloseAfter { answers: 3 },
        Quirk::ResetAtConnect,
        Quirk::NoHandshake,
        Quirk::Garbage(b"not http\r\n\r\n".as_slice().into()),
        Quirk::Drip { bytes: 5, every_ns: 100_000 },
    ];
    for (seed, quirk) in quirks.into_iter().enumerate() {
        let case = format!("{quirk:?}");
        let choose = Step::Choose(Choose {
            origin: Origin::default(),
            choices: vec![
                Choice { weight: 3, steps: vec![step(get("/item"))] },
                Choice {
                    weight: 1,
                    steps: vec![Step::Think(Think::Exponential { mean_ns: 20 * MS }), Step::Stop],
                },
            ],
        });
        let mut lab =
            Lab::new(300, SECOND).quirk(quirk).scenario(vec![step(get("/a")), choose, step(get("/b"))]);
        lab.timeout(100 * MS);
        for request in &mut lab.settings.requests {
            request.timeout_ns = 100 * MS;
        }
        lab.target().connections = if seed % 2 == 0 { 5 } else { 200 };
        lab.target().waiting_capacity = 50;
        let outcome = lab.run();
        outcome.check(&case);
        let iterations = outcome.iterations();
        assert_eq!(iterations.scheduled, 300, "{case}");
        assert!(iterations.balanced(), "{case}: {iterations:?}");
    }
}
