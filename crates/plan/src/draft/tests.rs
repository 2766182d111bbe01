//! Plans from drafts: defaults, and parts that contradict each other.

use super::*;
use crate::{parse_duration, parse_rate, parse_stages};

fn rate(text: &str) -> Option<Rate> {
    parse_rate(text).ok()
}

fn ns(text: &str) -> Option<u64> {
    parse_duration(text).ok()
}

fn at(text: &str) -> Draft {
    Draft { rate: rate(text), ..Draft::default() }
}

#[test]
fn defaults_are_the_documented_ones() {
    let plan = at("1000").into_plan().expect("a plan");
    assert_eq!(plan.duration_ns, 10_000_000_000);
    assert_eq!((plan.timeout_ns, plan.grace_ns), (10_000_000_000, 10_000_000_000));
    assert_eq!((plan.warmup_ns, plan.count, plan.url.is_none()), (0, None, true));
    assert_eq!(plan.request.method.as_str(), "GET");
    assert!(plan.fail_status.contains(404) && !plan.fail_status.contains(302));
    assert_eq!(plan.cells().count(), schedule::CELL_COUNT);
    let Load::Open { profile, process, catch_up } = plan.load else { panic!("the open model") };
    assert_eq!(profile.arrival_count(), 10_000);
    assert_eq!((process, catch_up), (Process::Deterministic, CatchUp::Burst));
}

#[test]
fn grace_follows_the_timeout_and_a_body_makes_it_a_post() {
    let plan = Draft { timeout_ns: ns("2s"), body: Some(Body::Given(b"x".to_vec())), ..at("1") }
        .into_plan()
        .expect("a plan");
    assert_eq!(plan.grace_ns, 2_000_000_000);
    assert_eq!(plan.request.method.as_str(), "POST");
}

#[test]
fn a_count_without_a_duration_decides_how_long_the_run_is() {
    for (per_second, count) in [("1000", 1), ("1000", 2_500), ("3", 10), ("100/m", 7), ("7M", 1_000_001)] {
        let plan = Draft { count: Some(count), ..at(per_second) }.into_plan().expect("a plan");
        let Load::Open { profile, .. } = &plan.load else { panic!("the open model") };
        assert_eq!(profile.arrival_count(), count, "{count} at {per_second}");
    }
    let poisson = Draft { count: Some(10_000), process: Some(ProcessKind::Poisson), ..at("1000") };
    assert_eq!(poisson.into_plan().expect("a plan").duration_ns, 11_020_000_000);
    let users = Draft { users: Some(1), count: Some(5), ..Draft::default() }.into_plan().expect("a plan");
    assert_eq!(users.duration_ns, LONGEST_DURATION_NS);
}

#[test]
fn a_ramp_rises_from_nothing_to_the_rate() {
    let plan = Draft { pattern: Some(Pattern::Ramp), duration_ns: ns("10s"), ..at("1000") }
        .into_plan()
        .expect("a plan");
    let Load::Open { profile, .. } = plan.load else { panic!("the open model") };
    assert_eq!((profile.rate_at(0), profile.arrival_count()), (Rate::ZERO, 5_000));
}

#[test]
fn a_warm_up_comes_in_front_and_leaves_the_results_whole() {
    let plan = Draft { warmup_ns: ns("2s"), ..at("1000") }.into_plan().expect("a plan");
    let Load::Open { profile, .. } = &plan.load else { panic!("the open model") };
    assert_eq!((plan.duration_ns, plan.run_ns()), (10_000_000_000, 12_000_000_000));
    assert_eq!(profile.arrival_count() - profile.arrivals_before(plan.warmup_ns), 10_000);
}

#[test]
fn users_are_divided_among_shares() {
    let here = |index| {
        let share = Share::new(index, 3).expect("a share");
        Draft { users: Some(10), share, ..Draft::default() }.into_plan().expect("a plan").users_here()
    };
    assert_eq!([here(1), here(2), here(3)], [3, 3, 4]);
}

#[test]
fn secrets_do_not_show() {
    let draft = Draft {
        headers: vec![Header::parse("Authorization: hunter2").expect("a header")],
        body: Some(Body::Given(b"hunter2".to_vec())),
        cert_pem: Some(b"cert".to_vec()),
        key_pem: Some(b"hunter2".to_vec()),
        url: Url::parse("https://h/?token=hunter2").ok(),
        ..at("1")
    };
    let shown = format!("{:?}", draft.into_plan().expect("a plan"));
    assert!(!shown.contains("hunter2") && !shown.contains("104, 117, 110"), "{shown}");
}

#[test]
fn contradictions_say_how_to_resolve_them() {
    let stages = || Some(parse_stages("30s:1000").expect("stages"));
    let header = |text: &str| Header::parse(text).expect("a header");
    let tag = |text: &str| Tag::parse(text).expect("a tag");
    for (draft, fragment) in vec![
        (Draft::default(), "nothing says how much load: there is no rate → --tps 1000"),
        (at("0"), "--tps: at rate 0 nothing would be sent"),
        (Draft { users: Some(1), ..at("1") }, "a run has one of them"),
        (Draft { users: Some(1), stages: stages(), ..Draft::default() }, "a run has one of them"),
        (Draft { users: Some(0), ..Draft::default() }, "0 users send nothing"),
        (
            Draft { users: Some(1), process: Some(ProcessKind::Poisson), ..Draft::default() },
            "--process: it says when",
        ),
        (
            Draft { users: Some(1), catch_up: Some(CatchUp::Skip), ..Draft::default() },
            "--catch-up: it says when",
        ),
        (Draft { users: Some(1), seed: Some(1), ..Draft::default() }, "--seed: it says when"),
        (Draft { users: Some(1), spawn_rate: Some(Rate::ZERO), ..Draft::default() }, "nobody starts"),
        (
            Draft { users: Some(2), share: Share::new(1, 3).expect("a share"), ..Draft::default() },
            "cannot be divided",
        ),
        (Draft { spawn_rate: rate("1"), ..at("1") }, "--spawn-rate: it is about users"),
        (Draft { think_ns: ns("1s"), ..at("1") }, "--think: it is about users"),
        (Draft { stages: stages(), ..at("1") }, "both say the rate"),
        (
            Draft { stages: stages(), duration_ns: ns("1s"), ..Draft::default() },
            "--duration: the stages already say",
        ),
        (
            Draft { stages: stages(), pattern: Some(Pattern::Ramp), ..Draft::default() },
            "--pattern: the stages",
        ),
        (Draft { stages: parse_stages("1s:0").ok(), ..Draft::default() }, "every stage leads to rate 0"),
        (Draft { seed: Some(1), ..at("1") }, "nothing is random"),
        (Draft { duration_ns: Some(0), ..at("1") }, "a run of 0s sends nothing"),
        (Draft { count: Some(0), ..at("1") }, "a run of 0 requests"),
        (Draft { count: Some(1_000_000_000), ..at("1") }, "more than 366 days"),
        (Draft { count: Some(5), pattern: Some(Pattern::Ramp), ..at("1") }, "a ramp needs to know"),
        (Draft { timeout_ns: Some(0), ..at("1") }, "gives up before it sends"),
        (Draft { warmup_ns: ns("1s"), count: Some(5), ..at("1") }, "do not go together"),
        (Draft { warmup_ns: ns("1s"), stages: stages(), ..Draft::default() }, "begins at rate 0"),
        (Draft { connections: Some(0), ..at("1") }, "over 0 connections"),
        (Draft { connections: Some(1 << 40), ..at("1") }, "more than a host has"),
        (Draft { connections: Some(4), warm_connections: Some(5), ..at("1") }, "--connections 5"),
        (Draft { warm_connections: Some(2_000), ..at("1") }, "at most 1024"),
        (Draft { close_after: Some(0), ..at("1") }, "at least one request"),
        (Draft { max_head: Some(10), ..at("1") }, "1KiB to 16MiB"),
        (Draft { insecure: true, ca_pem: Some(vec![]), ..at("1") }, "leave one out"),
        (Draft { cert_pem: Some(vec![]), ..at("1") }, "add --key FILE"),
        (Draft { key_pem: Some(vec![]), ..at("1") }, "add --cert FILE"),
        (
            Draft { tls_min: Some(TlsVersion::V1_3), tls_max: Some(TlsVersion::V1_2), ..at("1") },
            "newer than --tls-max",
        ),
        (Draft { tags: vec![tag("a=1"), tag("a=2")], ..at("1") }, "tag a is given twice"),
        (
            Draft { headers: vec![header("Host: a"), header("host: b")], ..at("1") },
            "header host is given twice",
        ),
    ] {
        let error = draft.into_plan().expect_err(fragment);
        assert!(error.to_string().contains(fragment), "{error}");
        assert!(!error.is_refusal());
    }
}

#[test]
fn the_rate_guard_refuses() {
    let rails = Rails { rate_guard: rate("100"), ..Rails::default() };
    let error = Draft { rails, ..at("101") }.into_plan().expect_err("too fast");
    assert!(error.is_refusal());
}

#[test]
fn patterns() {
    assert_eq!(Pattern::parse("static"), Ok(Pattern::Static));
    assert_eq!(Pattern::parse("ramp"), Ok(Pattern::Ramp));
    for (text, fragment) in
        [("spike", "draw it with --stages"), ("", "one of static, ramp"), ("Static", "one of static")]
    {
        assert!(Pattern::parse(text).expect_err(text).to_string().contains(fragment), "{text}");
    }
}
