//! Windows and aborts, second by second.

use measure::{Named, Shape};

use super::*;

const MS: u64 = 1_000_000;
const SHAPE: Shape = Shape { names: 2, workloads: 1, groups: 1, checks: 1 };

fn names() -> Names {
    let named = |name: &str| Named::from(name.to_owned());
    let pay = Named { tags: [("kind".to_owned(), "write".to_owned())].into(), ..named("pay") };
    Names {
        requests: vec![named("login"), pay],
        workloads: vec![named("shop")],
        groups: vec![named("checkout")],
        checks: vec![named("status")],
        ..Names::default()
    }
}

/// A second in which `login` took this long ten times and `pay` 1 ms.
fn second(login_ms: u64) -> Totals {
    let mut totals = Totals::new(SHAPE);
    for (name, ms) in [(0, login_ms), (1, 1)] {
        totals.names[name].sent = 10;
        totals.names[name].ok_count = 10;
        totals.names[name].ok.record_many(ms * MS, 10);
    }
    (totals.counters.scheduled, totals.counters.sent, totals.counters.ok) = (20, 20, 20);
    totals
}

fn watch(text: &str) -> Watch {
    Watch::new(&[Threshold::parse(text).expect(text)])
}

/// Runs through seconds of these login times; the second that ended the run, and what was found.
fn run(text: &str, login_ms: &[u64]) -> (Option<u64>, Vec<ThresholdResult>) {
    let mut watch = watch(text);
    let ended = (0..)
        .zip(login_ms)
        .find_map(|(index, ms)| watch.second(index, true, &names(), &second(*ms)).map(|_| index + 1));
    (ended, watch.results())
}

#[test]
fn a_breach_in_any_window_stays() {
    let times = [5, 5, 90, 5, 5, 5, 5, 5, 5];
    // The threshold, whether it passes, what it shows.
    for (text, passed, shown) in [
        ("login: max<50ms over 2s", false, "90ms at 3 s"),
        ("login: max<50ms over 2s grace 3s", true, "5ms at 5 s"),
        ("login: p50<50ms over 3s", true, "5.001ms at 3 s"),
        ("pay: max<50ms over 2s", true, "1ms at 2 s"),
        ("tag kind=write: max<50ms over 2s", true, "1ms at 2 s"),
        ("max<50ms over 2s", false, "90ms at 3 s"),
        ("login: sent_tps>=10 over 2s", true, "10 at 2 s"),
        ("sent_tps>20 over 2s", false, "20 at 2 s"),
        ("login: max<50ms over 1m", false, "90ms"),
        ("login: max<100ms over 1m", true, "90ms"),
    ] {
        let (ended, found) = run(text, &times);
        assert_eq!((ended, found[0].passed), (None, passed), "{text}");
        assert_eq!(found[0].measured_text(), shown, "{text}");
    }
}

#[test]
fn an_abort_ends_the_run_at_the_first_breach_behind_the_grace() {
    for (text, ended_at) in [
        ("login: max<50ms over 1s abort", Some(2)),
        ("login: max<50ms over 1s grace 2s abort", Some(4)),
        ("login: max<50ms over 3s abort", Some(3)),
        ("login: max<50ms abort", Some(2)),
        ("login: max<50ms grace 3s abort", Some(4)),
        ("login: p50<50ms abort", None),
        ("pay: max<50ms abort", None),
    ] {
        let (ended, found) = run(text, &[5, 90, 5, 91, 5, 5, 5]);
        assert_eq!(ended, ended_at, "{text}");
        if ended.is_some() {
            assert!(found[0].aborted && !found[0].passed, "{text}");
            assert!(found[0].measured_text().ends_with("which ended the run"), "{text}");
        }
    }
}

#[test]
fn the_end_of_sending_breaks_no_lower_limit_and_silence_breaks_nothing() {
    let mut lower = watch("sent_tps>=20 over 1s");
    let mut upper = watch("login: p99<50ms over 1s");
    for watch in [&mut lower, &mut upper] {
        watch.second(0, true, &names(), &second(5));
        watch.second(1, false, &names(), &Totals::new(SHAPE));
    }
    assert_eq!((lower.results()[0].passed, upper.results()[0].passed), (true, true));
    upper.second(2, false, &names(), &second(60));
    assert!(!upper.results()[0].passed, "late responses are judged all the same");
    assert!(!watch("p99<1s over 5s").results()[0].passed, "nothing was measured");
    assert!(watch("p99<1s abort").results().is_empty(), "without a breach the whole run is judged");
}

#[test]
fn checks_groups_and_iterations_are_judged_by_their_own_names() {
    let mut totals = second(5);
    (totals.checks[0].passed, totals.checks[0].failed) = (989, 11);
    totals.groups[0].duration.record_many(40 * MS, 3);
    let iterations = &mut totals.workloads[0].iterations;
    (iterations.scheduled, iterations.begun, iterations.completed) = (11, 10, 8);
    iterations.failed[measure::FailReason::Extract.index()] = 2;
    iterations.dropped[measure::DropReason::QueueFull.index()] = 1;
    totals.workloads[0].completed.record_many(70 * MS, 8);
    for (text, passed, shown) in [
        ("checks>99%", false, "98.9%"),
        ("status: checks>98%", true, "98.9%"),
        ("checkout: group_max<50ms", true, "40ms"),
        ("iteration_error_rate<=20%", true, "20%"),
        ("shop: iterations_failed<2", false, "2"),
        ("iterations>=10", true, "10"),
        ("iterations_dropped<1", false, "1"),
        ("iteration_p50<80ms", true, "70ms"),
        ("iteration_p99<80ms", false, "no response"),
    ] {
        let threshold = Threshold::parse(text).expect(text);
        assert_eq!(threshold.check_names(&names()), Ok(()), "{text}");
        let (measured, holds) = Sample::new(&threshold, &names(), &totals).judge(&threshold, 0);
        let result = ThresholdResult { threshold, measured, passed: holds, at_s: None, aborted: false };
        assert_eq!((result.passed, result.measured_text().as_str()), (passed, shown), "{text}");
    }
    for (text, fragment) in [
        ("log: p99<1s", "is about no request of the plan → login, pay"),
        ("tag kind=read: p99<1s", "is about no request"),
        ("pay: checks>1%", "is about no check of the plan → status"),
        ("shop: group_p99<1s", "is about no group"),
    ] {
        let threshold = Threshold::parse(text).expect(text);
        let message = threshold.check_names(&names()).expect_err(text).to_string();
        assert!(message.contains(fragment), "{text}: {message}");
    }
    let plain = Names::requests(["GET /".to_owned()]);
    let message =
        Threshold::parse("checks>99%").expect("well formed").check_names(&plain).expect_err("no checks");
    assert!(message.to_string().contains("the plan has no check"), "{message}");
}
