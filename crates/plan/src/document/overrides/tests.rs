use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::tests::parse;
use super::*;
use crate::document::UserStage;
use crate::{Place, Url, parse_rate, parse_stages};

const S: u64 = 1_000_000_000;

const PLAN: &str = "\
schema: openloop.plan/1
seed: 5
targets: {shop: http://127.0.0.1:8080}
workloads:
  browse: {tps: 100, for: 30s, request: /a}
  buy: {stages: [{for: 10s, tps: 50}, {for: 20s, tps: 50}], arrivals: poisson, after: browse, request: /b}
  wave: {sine: {mean: 30, amplitude: 10, period: 10s}, for: 20s, request: /c}
  people: {users: 30, for: 30s, request: /d}
  crowd: {stages: [{for: 10s, users: 10}, {for: 10s, users: 0}], request: /e}
";

/// A plan with flags, and what was said of it.
fn overridden(text: &str, fill: impl FnOnce(&mut Overrides)) -> Result<(PlanFile, Vec<String>), PlanError> {
    let mut overrides = Overrides::none();
    fill(&mut overrides);
    let written = parse(text);
    let read = PlanFile::parse_lasting("plan.yaml", text.as_bytes(), &Nothing, overrides.draft.duration_ns);
    let mut plan = read.unwrap_or_else(|error| panic!("{error}"));
    let told = plan.override_with(&written, &overrides)?;
    Ok((plan, told))
}

/// A world without variables and files.
struct Nothing;

impl crate::document::World for Nothing {
    fn variable(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("there is no such file".into())
    }
    fn look(&self, _: &str) -> Result<(), String> {
        Err("there is no such file".into())
    }
    fn check_threshold(&self, _: &str) -> Result<(), PlanError> {
        Ok(())
    }
}

fn profile<'a>(plan: &'a PlanFile, name: &str) -> &'a Profile {
    match &plan.workloads.iter().find(|workload| workload.name == name).expect("it is there").load {
        WorkloadLoad::Open { profile, .. } => profile,
        WorkloadLoad::Closed { .. } => panic!("{name} has users"),
    }
}

#[test]
fn a_rate_is_what_the_workloads_reach_together_and_their_shapes_stay() {
    // The wave and browse together: 140 at most.
    let (plan, told) =
        overridden(PLAN, |given| given.draft.rate = Some(Rate::per_second(1_400))).expect("it fits");
    assert_eq!(plan.highest_rate(), Rate::per_second(1_400));
    assert_eq!(profile(&plan, "browse").max_rate(), Rate::per_second(1_000));
    assert_eq!(profile(&plan, "buy").max_rate(), Rate::per_second(500));
    assert_eq!(profile(&plan, "wave").rate_at(0), Rate::per_second(300));
    assert_eq!(plan.most_users(), 40, "users have no rate");
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("--tps: browse 1000/s for 100/s, buy 500/s for 50/s"), "{told:?}");
    let one =
        "schema: openloop.plan/1\ntargets: {a: http://h}\nworkloads: {w: {tps: 3, for: 1s, request: /}}";
    let (plan, _) = overridden(one, |given| given.draft.rate = Some(Rate::from_micro(7))).expect("it fits");
    assert_eq!(profile(&plan, "w").max_rate(), Rate::from_micro(7));
}

#[test]
fn a_duration_is_that_of_every_workload() {
    let (plan, told) = overridden(PLAN, |given| given.draft.duration_ns = Some(6 * S)).expect("it fits");
    assert!(plan.workloads.iter().all(|workload| workload.load.duration_ns() == 6 * S), "{plan:?}");
    let buy = &plan.workloads[1];
    assert_eq!((buy.start_ns, plan.duration_ns()), (6 * S, 12 * S), "what comes after moves along");
    let lengths: Vec<u64> = profile(&plan, "buy").phases().iter().map(|phase| phase.duration_ns).collect();
    assert_eq!(lengths, [2 * S, 4 * S], "stages keep their proportions");
    let WorkloadLoad::Closed { stages, .. } = &plan.workloads[4].load else { panic!("users") };
    assert_eq!(
        stages[..],
        [UserStage { duration_ns: 3 * S, users: 10 }, UserStage { duration_ns: 3 * S, users: 0 }]
    );
    // A period is a period: the wave is cut, not drawn together.
    assert_eq!(profile(&plan, "wave").rate_at(2_500_000_000), Rate::per_second(40));
    assert!(
        told[0].ends_with("in place of browse 30s, buy 30s, wave 20s, people 30s, crowd 20s"),
        "{told:?}"
    );
    let ramp = "schema: openloop.plan/1\ntargets: {a: http://h}\nworkloads: {w: {ramp: {arrivals: 100, over: 10s}, request: /}}";
    let (plan, _) = overridden(ramp, |given| given.draft.duration_ns = Some(3 * S)).expect("it fits");
    assert_eq!((profile(&plan, "w").arrival_count(), plan.duration_ns()), (100, 3 * S));
}

#[test]
fn users_and_how_fast_they_start_are_divided_in_proportion() {
    let (plan, told) = overridden(PLAN, |given| given.draft.users = Some(101)).expect("it fits");
    assert_eq!(plan.most_users(), 101);
    assert_eq!(told, ["--users: people 76 for 30, crowd 25 for 10"]);
    let two = PLAN.replace(
        "crowd: {stages: [{for: 10s, users: 10}, {for: 10s, users: 0}]",
        "crowd: {users: 10, for: 5s",
    );
    let (plan, _) =
        overridden(&two, |given| given.draft.spawn_rate = Some(Rate::per_second(4))).expect("it fits");
    let spawns: Vec<Option<Rate>> = plan
        .workloads
        .iter()
        .filter_map(|workload| match &workload.load {
            WorkloadLoad::Closed { spawn_rate, .. } => Some(*spawn_rate),
            WorkloadLoad::Open { .. } => None,
        })
        .collect();
    assert_eq!(spawns, [Some(Rate::per_second(3)), Some(Rate::per_second(1))]);
}

#[test]
fn one_workload_can_be_picked_and_then_given_what_only_one_can_have() {
    let pick = |name: &str| {
        let name = name.to_owned();
        move |given: &mut Overrides| given.workload = Some(name)
    };
    let (plan, told) = overridden(PLAN, |given| {
        pick("buy")(given);
        given.draft.stages = parse_stages("5s:=10,5s:=20").ok();
        given.draft.count = Some(7);
        given.draft.seed = Some(9);
    })
    .expect("it fits");
    let [buy] = plan.workloads.as_slice() else { panic!("{:?}", plan.workloads) };
    assert_eq!((buy.start_ns, buy.load.iterations(), plan.duration_ns()), (0, Some(7), 10 * S));
    let WorkloadLoad::Open { process, .. } = &buy.load else { panic!("arrivals") };
    assert_eq!((*process, plan.seed), (Process::Poisson { seed: 9 }, Some(9)));
    assert!(told[0].contains("from the start, without browse, wave, people, crowd"), "{told:?}");
    let (plan, _) = overridden(PLAN, |given| {
        pick("people")(given);
        given.draft.count = Some(7);
    })
    .expect("it fits");
    assert_eq!(plan.workloads[0].load.iterations(), Some(7));
    let (plan, _) =
        overridden(PLAN, |given| given.draft.process = Some(ProcessKind::Constant)).expect("it fits");
    let open = plan.workloads.iter().filter_map(|workload| match &workload.load {
        WorkloadLoad::Open { process, .. } => Some(*process),
        WorkloadLoad::Closed { .. } => None,
    });
    assert!(open.into_iter().all(|process| process == Process::Deterministic));
}

#[test]
fn what_could_mean_several_things_is_refused_with_its_place() {
    type Fill = fn(&mut Overrides);
    let rows: &[(Fill, &str)] = &[
        (|given| given.draft.count = Some(1), "--count: the plan has several workloads to end: browse, buy"),
        (
            |given| given.draft.stages = parse_stages("5s:10").ok(),
            "several workloads with arrivals: browse, buy, wave → --workload NAME",
        ),
        (
            |given| given.draft.spawn_rate = Some(Rate::per_second(1)),
            "the stages of crowd already say how users",
        ),
        (|given| given.draft.users = Some(1), "workload crowd would have no user left → more users"),
        (|given| given.draft.users = Some(0), "0 users send nothing"),
        (|given| given.draft.rate = Some(Rate::from_micro(1)), "workload buy would have no rate left"),
        (|given| given.draft.rate = Some(Rate::ZERO), "at rate 0 nothing would be sent"),
        (
            |given| given.workload = Some("by".into()),
            "--workload: there is no workload \"by\" → one of browse, buy",
        ),
        (
            |given| {
                given.workload = Some("people".into());
                given.draft.rate = Some(Rate::per_second(1));
            },
            "--tps: no workload of the plan has arrivals → leave it out, or use --users",
        ),
        (
            |given| {
                given.workload = Some("people".into());
                given.draft.stages = parse_stages("5s:10").ok();
            },
            "--stages: no workload of the plan has arrivals",
        ),
        (
            |given| {
                given.workload = Some("browse".into());
                given.draft.users = Some(3);
            },
            "--users: no workload of the plan has users → leave it out, or use --tps",
        ),
        (
            |given| {
                given.draft.rate = parse_rate("5").ok();
                given.draft.stages = parse_stages("5s:10").ok();
            },
            "--tps and --stages both say the rate",
        ),
        (|given| given.draft.pattern = Some(Pattern::Ramp), "a plan file has shapes of its own"),
        (
            |given| {
                given.draft.count = Some(0);
                given.given.insert("--count", (Place::Variable("ENGINE_COUNT"), "0".into()));
            },
            "variable ENGINE_COUNT: a run of 0 iterations sends nothing",
        ),
        (|given| given.draft.connections = Some(0), "nothing can be sent over 0 connections"),
    ];
    for (fill, said) in rows {
        let error = overridden(PLAN, fill).expect_err(said);
        assert!(error.to_string().contains(said), "{error}\nexpected: {said}");
    }
    let once =
        "schema: openloop.plan/1\ntargets: {a: http://h}\nworkloads: {w: {once: {users: 3}, request: /}}";
    let error = overridden(once, |given| given.draft.count = Some(5)).expect_err("each has one");
    assert!(error.to_string().contains("workload w is once"), "{error}");
    let two = "schema: openloop.plan/1\ntargets: {a: http://h, b: http://i}\ndefaults: {target: a}\nworkloads: {w: {tps: 1, request: /}}";
    let error = overridden(two, |given| given.draft.url = Url::parse("http://j/").ok()).expect_err("which");
    assert!(error.to_string().contains("--url: the plan has several targets: a, b"), "{error}");
}

#[test]
fn flags_about_connections_hold_for_every_target_and_leave_the_rest() {
    let text = "schema: openloop.plan/1\ntargets: {a: {url: http://h, connections: 9, close-after: 3}, b: http://i}\ndefaults: {target: a}\nworkloads: {w: {tps: 1, request: /}}";
    let (plan, told) = overridden(text, |given| {
        given.draft.connections = Some(4);
        given.draft.insecure = true;
        given.given.insert("--connections", (Place::Flag("--connections"), "4".into()));
        given.given.insert("--insecure", (Place::Flag("--insecure"), String::new()));
    })
    .expect("it fits");
    assert!(plan.targets.iter().all(|target| target.connections.cap.map(u32::from) == Some(4)));
    assert!(plan.targets.iter().all(|target| target.tls.trust == Trust::Insecure));
    assert_eq!(plan.targets[0].connections.close_after.map(u64::from), Some(3));
    assert_eq!(told, ["--connections 4 for every target", "--insecure for every target"]);
    let one = text.replace(", b: http://i", "");
    let (plan, _) =
        overridden(&one, |given| given.draft.url = Url::parse("http://j:9/").ok()).expect("it fits");
    assert_eq!(plan.targets[0].url.to_string(), "http://j:9/");
}

proptest! {
    /// Constant rates at one time come to what was asked for, to the millionth; so do users.
    #[test]
    fn sums_are_exact(rates in prop::collection::vec(1..1_000_u64, 1..8), users in prop::collection::vec(1..100_u32, 1..8), tps in 1_000..1_000_000_u64, crowd in 1_000..100_000_u32) {
        let mut text = "schema: openloop.plan/1\ntargets: {a: http://h}\nworkloads:\n".to_owned();
        for (place, rate) in rates.iter().enumerate() {
            let _ = writeln!(text, "  r{place}: {{tps: {rate}, for: 1s, request: /}}");
        }
        for (place, users) in users.iter().enumerate() {
            let _ = writeln!(text, "  u{place}: {{users: {users}, for: 1s, request: /}}");
        }
        let (plan, _) = overridden(&text, |given| {
            given.draft.rate = Some(Rate::from_micro(tps));
            given.draft.users = Some(crowd);
        }).expect("it fits");
        prop_assert_eq!(plan.highest_rate(), Rate::from_micro(tps));
        prop_assert_eq!(plan.most_users(), u64::from(crowd));
        let part = |sum: u64, whole: u64, of: u64| u128::from(sum) * u128::from(whole) / u128::from(of);
        let all: u64 = rates.iter().sum();
        for (place, rate) in rates.iter().enumerate() {
            let now = profile(&plan, &format!("r{place}")).max_rate().as_micro();
            let exact = part(*rate, tps, all);
            prop_assert!(u128::from(now) == exact || u128::from(now) == exact + 1, "{} {}", now, exact);
        }
    }
}
