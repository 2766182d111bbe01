//! Right plans, wrong plans with their places, and what holds for any bytes.

use std::fmt::Write as _;

use proptest::prelude::*;
use scenario::{BodySource, Step};
use schedule::{Process, Rate};

use super::*;
use crate::PlanError;

pub(super) mod wrong;

const S: u64 = 1_000_000_000;

/// A world of a few variables and files.
struct Fake;

impl World for Fake {
    fn variable(&self, name: &str) -> Result<Option<String>, String> {
        Ok(match name {
            "TPS" => Some("250".into()),
            "BAD" => Some("10x".into()),
            "EMPTY" => Some(String::new()),
            "SHOP_PASSWORD" | "PLAINLY" => Some("hunter2".into()),
            "BINARY" => return Err("is not UTF-8".into()),
            _ => None,
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            "token.txt" => Ok(b"hunter3\n".to_vec()),
            "empty.txt" => Ok(b"\n".to_vec()),
            "ca.pem" => Ok(b"-----BEGIN CERTIFICATE-----".to_vec()),
            _ => Err("there is no such file".into()),
        }
    }

    fn look(&self, path: &str) -> Result<(), String> {
        match path {
            "users.csv" | "rows.jsonl" | "data.txt" | "cat.jpg" => Ok(()),
            _ => Err("there is no such file".into()),
        }
    }

    fn check_threshold(&self, text: &str) -> Result<(), PlanError> {
        if text.starts_with(['p', 'e', 'c']) {
            return Ok(());
        }
        Err(PlanError::new(format!("{} is no threshold", crate::quoted(text)), "e.g. p99<50ms"))
    }
}

pub(super) fn parse(text: &str) -> PlanFile {
    PlanFile::parse("plan.yaml", text.as_bytes(), &Fake).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn wrong(text: &str) -> FileError {
    match PlanFile::parse("plan.yaml", text.as_bytes(), &Fake) {
        Ok(_) => panic!("this plan is accepted:\n{text}"),
        Err(error) => error,
    }
}

pub(super) const WHOLE: &str = include_str!("tests/whole.yaml");

#[test]
fn a_plan_that_uses_everything_is_read() {
    let plan = parse(WHOLE);
    assert_eq!(plan.name.as_ref().map(crate::RunId::as_str), Some("checkout"));
    assert_eq!(
        plan.secrets.iter().map(|(_, secret)| secret.reveal()).collect::<Vec<_>>(),
        ["hunter2", "hunter3"]
    );
    assert!(!format!("{plan:?}").contains("hunter"), "secrets are not shown");
    let names: Vec<&str> = plan.workloads.iter().map(|workload| workload.name.as_str()).collect();
    assert_eq!(
        names,
        ["warm", "browse", "waves", "burst", "levels", "people", "crowd", "all-at-once", "evenly"]
    );
    let starts: Vec<u64> = plan.workloads.iter().map(|workload| workload.start_ns / S).collect();
    assert_eq!(starts, [0, 10, 0, 0, 0, 5, 0, 0, 40]);
    let iterations: Vec<Option<u64>> =
        plan.workloads.iter().map(|workload| workload.load.iterations()).collect();
    let expected = [
        Some(2_500),
        Some(6_000),
        Some(6_000),
        Some(19_500),
        Some(45_000),
        None,
        None,
        Some(10),
        Some(1_000),
    ];
    assert_eq!(iterations, expected);
    assert_eq!(plan.duration_ns(), 150 * S);
    assert_eq!(plan.most_users(), 110);
    assert_eq!(plan.scenarios.len(), 4);
    assert_eq!((plan.limits.body_bytes, plan.limits.names), (2 << 20, 50));
    let WorkloadLoad::Open { process, .. } = &plan.workloads[1].load else { panic!("an open workload") };
    assert_eq!(*process, Process::Poisson { seed: 42 });
}

#[test]
fn defaults_stand_in_for_what_steps_leave_out() {
    let plan = parse(WHOLE);
    let Step::Request(login) = &plan.scenarios[0].steps[0] else { panic!("a request") };
    assert_eq!(login.name, "login");
    assert_eq!(login.target.as_ref().map(|(name, _)| name.as_str()), Some("shop"));
    assert_eq!((login.timeout_ns, login.redirects), (Some(2 * S), 5));
    let names: Vec<&str> = login.headers.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["Accept", "X-Trace"]);
    assert!(matches!(plan.scenarios[0].steps[1], Step::Think(_)), "the default think time");
    let Step::Request(order) = &plan.scenarios[0].steps[2] else { panic!("a request") };
    assert_eq!(order.name, "POST /orders");
    assert!(matches!(order.body, BodySource::Json(_)));
    let names: Vec<&str> = order.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "status 200,201",
            "json $.ok is true",
            "json $.items[*] count 3",
            "header Content-Type contains json",
            "quick"
        ]
    );
}

#[test]
fn variables_are_put_in_after_the_file_was_read() {
    let plan = |value: &str| {
        format!(
            "schema: openloop.plan/1\ntargets: {{a: http://h}}\nworkloads: {{a: {{tps: 5, request: /}}}}\nvariables: {{v: {value}}}\n"
        )
    };
    let held = |value: &str| parse(&plan(value)).variables.remove(0).1;
    for (value, expected) in [
        ("\"${TPS}\"", "250"),
        ("\"a${TPS}b${TPS}\"", "a250b250"),
        ("\"${NOT:-x y}\"", "x y"),
        ("\"${EMPTY:-x}\"", "x"),
        ("\"${EMPTY}\"", ""),
        ("\"${NOT:-}\"", ""),
        ("\"$${TPS}\"", "${TPS}"),
        ("\"$TPS $\"", "$TPS $"),
        ("\"${NOT:-a: [b}\"", "a: [b"),
    ] {
        assert_eq!(held(value), expected, "{value}");
    }
    let tps = parse(&plan("x").replace("tps: 5", "tps: \"${TPS}\""));
    assert_eq!(tps.highest_rate(), Rate::per_second(250));
}

#[test]
fn a_plan_may_be_json() {
    let text = "{\"schema\": \"openloop.plan/1\",\n\t\"targets\": {\"a\": \"http://h\"},\n\t\"workloads\": {\"a\": {\"tps\": 5, \"for\": \"10s\", \"request\": \"/\"}}}";
    assert_eq!(parse(text).arrivals(), 50);
    let error = wrong(&text.replace("\"tps\": 5", "\"tps\": \"5x\""));
    assert_eq!((error.faults[0].line, error.faults[0].column), (3, 30), "{error}");
}

#[test]
fn several_faults_are_told_at_once_and_at_most_ten() {
    let mut text = String::from(
        "schema: openloop.plan/1\ntargets: {a: http://h}\nworkloads: {a: {tps: 5, request: /}}\nvariables:\n",
    );
    for index in 0..25 {
        let _ = writeln!(text, "  v{index}: ${{NOT{index}}}");
    }
    let error = wrong(&text);
    assert_eq!((error.faults.len(), error.more), (10, 15));
    let lines: Vec<usize> = error.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, (5..15).collect::<Vec<_>>(), "in the order of the file");
    assert!(error.to_string().ends_with("and 15 more"), "{error}");
}

#[test]
fn no_message_shows_a_secret() {
    let plan = |body: &str| format!("schema: openloop.plan/1\ntargets: {{a: http://h}}\n{body}\n");
    for body in [
        "secrets: {pin: hunter2}",
        "secrets: {p: {env: PLAINLY}}\nworkloads: {a: {tps: \"${PLAINLY}\", request: /}}",
        "workloads: {a: {tps: \"${SHOP_PASSWORD}\", request: /}}",
        "workloads: {a: {tps: 1, request: {get: /, auth: {basic: {user: u, password: hunter2}}, nme: x}}}",
        "workloads: {a: {tps: 1, request: {get: /, headers: {Authorization: Bearer hunter2}, timeout: 5}}}",
        "workloads: {a: {tps: 1, request: {get: \"/${SHOP_PASSWORD}{{x}}\"}}}",
        "targets: {b: http://me:hunter2@host/}",
        "workloads: {a: {tps: 1, request: {get: /, auth: {bearer: \"hunter2{{\"}}}}",
    ] {
        let error = wrong(&plan(body));
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_guard_refuses_as_the_flag_does() {
    let text = "schema: openloop.plan/1\ntargets: {a: http://h}\noptions: {rate-guard: 7}\nworkloads: {a: {tps: 5, request: /}, b: {tps: 5, request: /}}\n";
    assert!(wrong(text).is_refusal());
    assert!(!wrong(&text.replace("rate-guard: 7", "rate-guard: x")).is_refusal());
    assert_eq!(parse(&text.replace("7}", "10}")).highest_rate(), Rate::per_second(10));
}

#[test]
fn a_file_that_is_no_text_is_refused_where_it_ceases_to_be() {
    let error = PlanFile::parse("plan.yaml", b"schema: x\nname: \xff\xfe", &Fake).expect_err("no text");
    assert_eq!((error.faults[0].line, error.faults[0].column), (2, 7), "{error}");
}

/// Whatever the bytes are, reading them ends, and every fault lies inside the file.
fn check(bytes: &[u8]) {
    if let Err(error) = PlanFile::parse("plan.yaml", bytes, &Fake) {
        assert!(!error.faults.is_empty());
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.split('\n').collect();
        for fault in &error.faults {
            assert!(fault.line <= lines.len(), "{error}");
            assert!(fault.column <= lines[fault.line - 1].chars().count() + 1, "{error}");
        }
        assert!(!error.to_string().contains(|character: char| character.is_control() && character != '\n'));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn no_text_made_of_its_words_makes_it_panic(words in proptest::collection::vec(
        prop_oneof![
            Just("schema: openloop.plan/1\n"), Just("targets:"), Just("workloads:"), Just("\n  "), Just("\n    "), Just(": "),
            Just("- "), Just("{"), Just("}"), Just("["), Just("]"), Just(", "), Just("tps: 5"), Just("sine: "), Just("\"${TPS:-"), Just("{{"),
            Just("}}"), Just("\""), Just("&a "), Just("*a"), Just("|\n"), Just("# x\n"), Just("request: /"), Just("ä€😀"), Just("\t"),
            Just("scenario: "), Just("get: /"), Just("check:"), Just("for: 1s"), Just("--- "), Just("!!str "), Just("? "), Just("\r\n"), Just("'"),
        ], 0..40)) {
        check(words.concat().as_bytes());
    }

    #[test]
    fn a_whole_plan_with_one_byte_changed_does_not_make_it_panic(at in 0..WHOLE.len(), byte in any::<u8>()) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes[at] = byte;
        check(&bytes);
    }

    #[test]
    fn a_whole_plan_cut_anywhere_does_not_make_it_panic(at in 0..WHOLE.len()) {
        check(&WHOLE.as_bytes()[..at]);
    }
}
