//! What is asked for, and what is told to the director.

use std::collections::BTreeMap;

use plan::Rate;
use schedule::Process;

use super::*;
use crate::director::Weights;
use crate::files::hex;
use crate::handle::{NodeChoice, OnNodeLoss};

const PLAN: &str = "schema: openloop.plan/1\n\
    options: {warmup: 2s}\n\
    targets: {shop: http://10.0.0.7/}\n\
    data: {rows: {file: rows.csv}}\n\
    workloads:\n  browse: {tps: 200, for: 5s, scenario: rowed}\n  later: {tps: 10, arrivals: poisson, start: 1s, for: 3s, request: /}\n  people: {users: 5, for: 2s, request: /}\n\
    scenarios: {rowed: {data: rows, steps: [{get: \"/{{rows.id}}\"}]}}\n";

fn request(words: &[&str]) -> StartRequest {
    StartRequest { words: words.iter().map(|word| (*word).to_owned()).collect(), ..StartRequest::default() }
}

fn read(request: &StartRequest, rails: &Rails) -> Result<Submitted, Refused> {
    let state = tempfile::tempdir().expect("a folder");
    let repository = Repository::open(state.path()).expect("a repository");
    of_request(request, 1, 2, &repository, rails)
}

#[test]
fn flags_become_one_workload() {
    let words = [
        "--url=http://h/a?token=hunter2",
        "--tps=50",
        "--warmup=2s",
        "--duration=10s",
        "--threshold=p99<50ms",
        "--header=A: hunter2",
        "--tag=a=b",
    ];
    let asked = StartRequest {
        nodes: NodeChoice { expect: Some(3), wait_s: Some(1.5), ..NodeChoice::default() },
        on_node_loss: OnNodeLoss::Abort,
        start_at: Some("2027-01-31T23:59:00Z".into()),
        ..request(&words)
    };
    let Submitted { submission, shown, .. } = read(&asked, &Rails::default()).expect("valid");
    assert_eq!(submission.load.len(), 1);
    let load = &submission.load[0];
    assert_eq!((load.name.as_deref(), load.counted, load.begins_ns, load.limit), (None, None, 0, None));
    assert_eq!((load.profile.arrival_count(), load.process), (600, Process::Deterministic));
    assert_eq!((submission.warmup_ns, submission.duration_ns), (2_000_000_000, Some(12_000_000_000)));
    assert_eq!(submission.thresholds.len(), 1);
    let terms = &submission.terms;
    assert_eq!(
        (terms.nodes_least, terms.wait_ns, terms.on_loss),
        (3, Some(1_500_000_000), OnNodeLoss::Abort)
    );
    assert_eq!((terms.start_at_unix_ns, &*terms.project), (Some(1_801_439_940_000_000_000), "default"));
    assert_eq!(shown.target, "h");
    assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
    assert_eq!(shown.tags, BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    assert_eq!(submission.digest, submission.spec.digest());
}

#[test]
fn plan_files_become_their_workloads() {
    let state = tempfile::tempdir().expect("a folder");
    let repository = Repository::open(state.path()).expect("a repository");
    let rows = repository.keep(b"id\n1\n").expect("kept");
    let asked = StartRequest {
        texts: BTreeMap::from([("plans/p.yaml".into(), PLAN.into())]),
        files: BTreeMap::from([("plans/rows.csv".into(), hex(&rows.sha256))]),
        ..request(&["plans/p.yaml"])
    };
    let first = of_request(&asked, 1, 2, &repository, &Rails::default()).expect("valid");
    let load = &first.submission.load;
    let seen: Vec<_> = load
        .iter()
        .map(|load| (load.name.as_deref(), load.counted, load.begins_ns, load.profile.arrival_count()))
        .collect();
    // The warm-up of 2 s lies in front of what begins at once, and moves what begins later.
    assert_eq!(seen, [(Some("browse"), Some(0), 0, 1_400), (Some("later"), Some(1), 3_000_000_000, 30)]);
    assert!(matches!(load[1].process, Process::Poisson { .. }));
    assert_eq!(first.submission.duration_ns, Some(7_000_000_000));
    let spec = spec_of(&first.spec_text).expect("its text");
    assert_eq!(spec, first.submission.spec);
    let again =
        of_spec(spec, first.submission.terms.clone(), 1, 2, &repository, &Rails::default()).expect("valid");
    assert_eq!(again.submission.digest, first.submission.digest);
    assert_eq!(again.spec_text, first.spec_text);
}

#[test]
fn what_cannot_be_is_refused_before_any_node_hears_of_it() {
    use RefusedKind::{Forbidden, Invalid, Missing};
    let missing =
        StartRequest { files: BTreeMap::from([("a".into(), "0".repeat(64))]), ..request(&["--tps=1"]) };
    let upwards = StartRequest {
        files: BTreeMap::from([("a".into(), "../../secret.key".into())]),
        ..request(&["--tps=1"])
    };
    let run = |more: &[&str]| request(&[&["--url=http://10.0.0.7/", "--tps=5"], more].concat());
    let of_nodes = |nodes| StartRequest { nodes, ..run(&[]) };
    let zones = |zones: &[(&str, f64)]| {
        let zones = zones.iter().map(|(zone, percent)| ((*zone).to_owned(), *percent)).collect();
        of_nodes(NodeChoice { zones, ..NodeChoice::default() })
    };
    let rails = rails_of_one();
    for (request, kind, fragment) in [
        (request(&[]), Invalid, "nothing says what to run"),
        (request(&["--tps=5"]), Invalid, "nothing says whom to load → a URL"),
        (request(&["--tsp=5"]), Invalid, "--tsp: no such flag → did you mean --tps?"),
        (request(&["plan.yaml"]), Invalid, "cannot read \"plan.yaml\": there is no such file"),
        (run(&["--share=1/2"]), Invalid, "--share: the coordinator deals the shares"),
        (request(&["--url=http://10.0.0.7/", "--gbit=1"]), Invalid, "--gbit: what an exchange weighs"),
        (run(&["--json=-"]), Invalid, "ask for the run's report"),
        (run(&["--body-file=/etc/hostname"]), Invalid, "there is no such file"),
        (run(&["--rate-guard=1"]), Forbidden, "above the guard of 1/s"),
        (
            request(&["--url=http://10.0.0.8/", "--tps=5"]),
            Forbidden,
            "10.0.0.8 is not among the hosts that may be loaded",
        ),
        (request(&["--url=http://10.0.0.7/", "--tps=101"]), Forbidden, "this coordinator's guard of 100/s"),
        (missing, Missing, "there is no file \"0000"),
        (upwards, Missing, "there is no file"),
        (zones(&[("eu", 60.0), ("us", 30.0)]), Invalid, "the shares come to 90 %, not 100"),
        (zones(&[("eu", f64::NAN)]), Invalid, "is no share"),
        (zones(&[("eu", -1.0), ("us", 101.0)]), Invalid, "is no share"),
        (
            of_nodes(NodeChoice { expect: Some(3), at_most: Some(2), ..NodeChoice::default() }),
            Invalid,
            "at_most: it is less",
        ),
        (of_nodes(NodeChoice { at_most: Some(0), ..NodeChoice::default() }), Invalid, "at_most: no node"),
        (
            of_nodes(NodeChoice { wait_s: Some(-1.0), ..NodeChoice::default() }),
            Invalid,
            "wait_s: -1 is no number",
        ),
        (
            of_nodes(NodeChoice { weights: handle_given(), ..NodeChoice::default() }),
            Invalid,
            "weights: no node has one",
        ),
        (of_nodes(weighed(Some(2), None)), Invalid, "3 for 2 nodes"),
        (of_nodes(weighed(Some(4), None)), Invalid, "3 for 4 nodes"),
        (of_nodes(weighed(None, Some(2))), Invalid, "3 for 2 nodes"),
        (
            StartRequest { start_at: Some("tomorrow".into()), ..run(&[]) },
            Invalid,
            "start_at: \"tomorrow\" is no instant",
        ),
    ] {
        let refused = read(&request, &rails).expect_err(fragment);
        assert_eq!(refused.kind, kind, "{refused}");
        assert!(refused.message.contains(fragment), "{fragment}: {refused}");
        assert!(refused.message.contains(" → "), "{refused}");
    }
}

/// Nodes with the weights 5, 3 and 1.
fn weighed(expect: Option<u32>, at_most: Option<u32>) -> NodeChoice {
    let given = [("1", 5), ("2", 3), ("3", 1)].map(|(place, weight)| (place.to_owned(), weight)).into();
    NodeChoice { expect, at_most, weights: handle_given(), given, ..NodeChoice::default() }
}

/// One host, and a guard.
fn rails_of_one() -> Rails {
    let allowed = vec![plan::Allowed::parse("10.0.0.7").expect("a host")];
    let fence = Some(plan::Fence { allowed, own: Vec::new() });
    Rails { fence, own: Vec::new(), rate_guard: Some(Rate::per_second(100)) }
}

fn handle_given() -> crate::handle::Weights {
    crate::handle::Weights::Given
}

#[test]
fn weights_are_by_name_or_in_the_order_of_names() {
    let of = |given: &[(&str, u64)]| {
        let given = given.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        let nodes = NodeChoice { weights: handle_given(), given, ..NodeChoice::default() };
        let asked = StartRequest { nodes, ..request(&["--url=http://h/", "--tps=5"]) };
        read(&asked, &Rails::default()).expect("valid").submission.terms.weights
    };
    assert_eq!(of(&[("1", 5), ("2", 3), ("3", 1)]), Weights::InOrder(vec![5, 3, 1]));
    assert_eq!(of(&[("a", 5), ("2", 3)]), Weights::ByName([("a".to_owned(), 5), ("2".to_owned(), 3)].into()));
}
