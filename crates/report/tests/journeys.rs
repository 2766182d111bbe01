//! Plans with scenarios: their documents validate, survive reading and writing, add up exactly, and read well.

mod runs;

use measure::{DropReason, FailReason, IterationEnd, Named, Names, Recorder, Shape, Snapshot, Totals};
use report::{Interval, IntervalFacts, RunFacts, Share, Style, Summary, merge, schema, terminal_summary};
use runs::{assert_golden, facts, judged};

const SHAPE: Shape = Shape { names: 3, workloads: 2, groups: 1, checks: 3 };
const SECONDS: u32 = 2;

fn names() -> Names {
    let named = |name: &str| Named::from(name.to_owned());
    let login = Named { tags: [("kind".to_owned(), "write".to_owned())].into(), ..named("login") };
    Names {
        requests: vec![login, named("GET /items/{{id}}"), named(measure::OTHER)],
        workloads: vec![named("browse"), named("checkout")],
        groups: vec![named("pay")],
        checks: vec![named("status is 200"), named("body holds a token"), named("never reached")],
        beyond: 4,
        ..Names::default()
    }
}

/// What one shard measured of the arrivals `from..until`: every tenth lacks what is extracted, every 25th fails at its
/// request, one is cut off and one dropped.
fn measured(from: u64, until: u64) -> Totals {
    let mut recorder = Recorder::new(0, 0, SHAPE);
    for arrival in from..until {
        let workload = u32::from(arrival % 3 == 0);
        recorder.iteration_scheduled(workload);
        recorder.scheduled(1);
        if arrival == 7 {
            recorder.iteration_dropped(workload, DropReason::QueueFull);
            recorder.dropped(0, DropReason::QueueFull);
            continue;
        }
        recorder.iteration_begun(workload);
        recorder.sent(workload);
        let ns = 1_000_000 + arrival * 10_000;
        let end = match arrival {
            8 => IterationEnd::CutOff,
            _ if arrival % 25 == 0 => IterationEnd::Failed(FailReason::Request),
            _ if arrival % 10 == 0 => IterationEnd::Failed(FailReason::Extract),
            _ => IterationEnd::Completed,
        };
        match end {
            IterationEnd::CutOff => recorder.cut_off(workload),
            IterationEnd::Failed(FailReason::Request) => {
                recorder.failed(workload, measure::ErrorClass::Reset, ns, Some(ns));
            }
            _ => {
                recorder.ok(workload, ns, ns / 2, 200);
                recorder.check(0, true);
                recorder.check(1, end == IterationEnd::Completed);
                recorder.group_ended(0, end == IterationEnd::Completed, 3 * ns, 2 * ns);
            }
        }
        recorder.iteration_ended(workload, end, 4 * ns);
    }
    let mut totals = Totals::new(SHAPE);
    totals.absorb(&recorder.seal(Box::new(Snapshot::new(SHAPE)), 0, 1_000_000_000));
    totals
}

fn run_facts(share: Option<Share>) -> RunFacts {
    RunFacts { names: names(), ..facts("journeys", share, SECONDS) }
}

fn summary_of(share: Option<Share>, totals: &Totals) -> Summary {
    assert!(totals.balanced(), "{:?}", totals.workloads);
    Summary::new(&run_facts(share), totals, Vec::new(), &judged(SECONDS, totals, &["p99<50ms"]))
}

fn assert_valid(name: &str, text: &str) {
    let parse = |text: &str| serde_json::from_str(text).expect("JSON");
    let schema: serde_json::Value = parse(schema(name).expect("a known document"));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let document: serde_json::Value = parse(text);
    let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn what_was_counted_stands_in_the_documents() {
    let totals = measured(0, 200);
    let summary = summary_of(None, &totals);
    let checkout = &summary.workloads["checkout"];
    assert!(checkout.iterations.balanced && summary.audit.balanced);
    assert_eq!((checkout.iterations.scheduled, checkout.iterations.begun), (67, 67));
    assert_eq!(summary.workloads["browse"].iterations.dropped["queue_full"], 1);
    let begun: u64 = summary.workloads.values().map(|one| one.iterations.begun).sum();
    assert_eq!(begun, 199);
    let rate = summary.workloads["browse"].rate;
    assert!((rate.asked_tps - 66.5).abs() < 1e-9, "133 arrivals in 2 s: {rate:?}");
    let extract: u64 =
        summary.workloads.values().filter_map(|one| one.iterations.failed.get("extract")).sum();
    assert_eq!(extract, 16, "every tenth of 200 but those of the 25 s");
    assert_eq!(summary.checks["status is 200"].pass_rate, Some(1.0));
    assert_eq!(summary.checks["never reached"].pass_rate, None);
    let group = &summary.groups["pay"];
    assert_eq!(group.duration_ns.total.sum, group.duration_ns.busy.sum * 3);
    assert_eq!(summary.names["login"].tags["kind"], "write");
    assert!(summary.environment.notes[0].contains("4 request names beyond the limit of 2"));
    assert_valid("summary", &summary.to_json());
    assert_eq!(Summary::parse(&summary.to_json()), Ok(summary));
}

#[test]
fn an_interval_carries_them_too() {
    let names = names();
    let facts = IntervalFacts {
        run_id: "journeys",
        names: &names,
        second: 0,
        from_ns: 0,
        until_ns: 500_000_000,
        in_flight: 0,
        waiting: 0,
        connections: 1,
    };
    let interval = Interval::new(&facts, &measured(0, 30));
    assert_eq!(interval.workloads["checkout"].iterations.begun, 10);
    assert!((interval.workloads["checkout"].rate.begun_tps - 20.0).abs() < 1e-9, "10 in half a second");
    assert_valid("interval", &interval.to_line());
}

#[test]
fn shares_add_up_to_the_whole() {
    let share = |index| Some(Share { index, of: 3 });
    let parts = [(1, 0, 60), (2, 60, 61), (3, 61, 200)]
        .map(|(index, from, until)| summary_of(share(index), &measured(from, until)));
    let whole = summary_of(None, &measured(0, 200));
    let merged = merge(&parts).expect("parts of one run");
    assert_eq!(merged.workloads, whole.workloads);
    assert_eq!(merged.groups, whole.groups);
    assert_eq!(merged.checks, whole.checks);
    assert_eq!(merged.names, whole.names);
    let backwards = [&parts[2], &parts[0], &parts[1]].map(Clone::clone);
    assert_eq!(merge(&backwards).expect("parts of one run").workloads, merged.workloads);
}

#[test]
fn thresholds_by_name_are_judged_anew_on_the_merged_figures() {
    let texts = ["login: p99<50ms", "checks>99%", "checkout: iterations_failed<1", "pay: group_max<1s"];
    let share = |index| Some(Share { index, of: 2 });
    let mut parts = [(1, 0, 90), (2, 90, 200)]
        .map(|(index, from, until)| summary_of(share(index), &measured(from, until)));
    let stand_in = parts[0].thresholds[0].clone();
    parts[0].thresholds = texts
        .iter()
        .map(|text| report::Threshold { threshold: (*text).to_owned(), ..stand_in.clone() })
        .collect();
    parts[1].thresholds = vec![report::Threshold {
        threshold: "login: p99<1ms over 5s".to_owned(),
        passed: false,
        value: Some(3_000_000),
        at_s: Some(17),
        ..stand_in
    }];
    let merged = merge(&parts).expect("parts of one run");
    let found: Vec<_> = merged
        .thresholds
        .iter()
        .map(|one| (one.threshold.as_str(), one.passed, one.measured.as_str()))
        .collect();
    let expected = [
        ("checkout: iterations_failed<1", false, "8"),
        ("checks>99%", false, "95.7894736%"),
        ("login: p99<1ms over 5s", false, "3ms at 17 s"),
        ("login: p99<50ms", true, "2.99ms"),
        ("pay: group_max<1s", true, "8.97ms"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_terminal_shows_them_within_its_bounds() {
    let summary = summary_of(None, &measured(0, 200));
    let text = terminal_summary(&summary, &[], Style { utf8: true, colour: false });
    assert_golden("tests/golden/journeys.txt", &text);
    let mut many = summary;
    for index in 0..60 {
        many.names.insert(format!("name {index}"), many.names["login"].clone());
        many.checks.insert(format!("check {index}"), many.checks["status is 200"]);
        many.workloads.insert(format!("workload {index}"), many.workloads["browse"].clone());
    }
    let text = terminal_summary(&many, &[], Style { utf8: true, colour: false });
    assert!(text.lines().count() <= 40, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let failed = text.lines().position(|line| line.contains("body holds a token"));
    assert!(failed.is_some(), "what failed is shown first: {text}");
}
