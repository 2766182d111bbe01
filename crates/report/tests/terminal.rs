//! The terminal summary: golden texts, and limits that hold whatever the document contains.

mod runs;

use measure::ErrorClass;
use report::{Share, Style, Summary, merge, terminal_summary};
use runs::{Fate, assert_golden, good_outcomes, outcomes, summary};

const PLAIN: Style = Style { colour: false, utf8: true };

fn passed() -> Summary {
    summary("3f9c", None, &good_outcomes(10, 100), &["p99<50ms", "error_rate<1%"])
}

fn failed() -> Summary {
    summary("3f9c", None, &outcomes(10, 100), &["p99<5ms", "error_rate<50%", "sent_tps>=99"])
}

/// A summary in which every list is long and every text is hostile.
fn overflowing() -> Summary {
    let mut all = outcomes(2, 400);
    for (position, outcome) in all.iter_mut().enumerate() {
        if position % 3 == 0 {
            outcome.fate = Fate::Failed(ErrorClass::ALL[position % ErrorClass::COUNT]);
        }
    }
    let thresholds: Vec<String> = (1..30).map(|limit| format!("p{limit}<1us")).collect();
    let thresholds: Vec<&str> = thresholds.iter().map(String::as_str).collect();
    let mut summary = summary("x\x1b[2Jy", Some(Share { index: 1, of: 4 }), &all, &thresholds);
    let hostile = format!("\x1b]0;title\x07{}\r\n\u{202e}値", "very long ".repeat(30));
    summary.target.url.clone_from(&hostile);
    summary.target.insecure = true;
    summary.run.io.why.clone_from(&hostile);
    summary.environment.notes = vec![hostile.clone(); 20];
    summary.audit.errors.insert(hostile.clone(), u64::MAX / 3);
    summary.status.insert(hostile.clone(), 1);
    summary.verdict.reasons = vec![hostile.clone(); 50];
    let name = summary.names["home"].clone();
    for position in 0..40 {
        summary.names.insert(format!("{position}{hostile}"), name.clone());
    }
    summary.warmup = Some(report::Warmup { scheduled: 5, sent: 5, ok: 5, ..report::Warmup::default() });
    summary
}

fn columns(line: &str) -> usize {
    // Wide characters take two columns; only one occurs in these tests.
    line.chars().count() + line.matches('値').count()
}

#[test]
fn golden_texts() {
    let files = ["out.json".to_owned(), "out.ndjson".to_owned()];
    assert_golden("tests/golden/pass.txt", &terminal_summary(&passed(), &[], PLAIN));
    assert_golden("tests/golden/fail.txt", &terminal_summary(&failed(), &files, PLAIN));
    assert_golden("tests/golden/fail-ascii.txt", &terminal_summary(&failed(), &files, Style::default()));
    let coloured = Style { colour: true, utf8: true };
    assert_golden("tests/golden/fail-colour.txt", &terminal_summary(&failed(), &files, coloured));
    assert_golden("tests/golden/overflowing.txt", &terminal_summary(&overflowing(), &files, PLAIN));
    assert_golden("tests/golden/fleet.txt", &terminal_summary(&of_a_fleet(), &[], PLAIN));
    let parts = [1, 2].map(|index| {
        summary(&format!("r{index}"), Some(Share { index, of: 2 }), &good_outcomes(2, 50), &["p99<50ms"])
    });
    let merged = merge(&parts).expect("two parts");
    assert_golden("tests/golden/merged.txt", &terminal_summary(&merged, &[], PLAIN));
}

/// What a fleet of three did, one of which was lost and came back.
fn of_a_fleet() -> Summary {
    let mut summary = passed();
    let node = |zone: &str, cells, start_skew_ns| report::Node {
        host: "h".to_owned(),
        zone: Some(zone.to_owned()),
        lives: 1,
        cells,
        totals: report::PartTotals::new(
            &measure::Counters::default(),
            &measure::Histogram::new(),
            &measure::Histogram::new(),
        ),
        cpu_s: 0.5,
        start_skew_ns: Some(start_skew_ns),
        start_uncertainty_ns: Some(310_000),
        lost_at_s: None,
        recovered: None,
    };
    let lost =
        report::Node { lost_at_s: Some(3.25), lives: 2, recovered: Some(812), ..node("us", 18_480, -42_000) };
    let zone = |cells, nodes| report::Zone { nodes, cells, totals: lost.totals.clone() };
    summary.zones = [("eu".to_owned(), zone(36_960, 2)), ("us".to_owned(), zone(18_480, 1))].into();
    summary.nodes = [
        ("alpha".to_owned(), node("eu", 18_480, 12_400)),
        ("beta".to_owned(), node("eu", 18_480, 0)),
        ("a name \x1b[2J that is far too long for its column".to_owned(), lost),
    ]
    .into();
    summary.run.under_way = true;
    summary
}

#[test]
fn it_never_exceeds_40_lines_of_100_columns() {
    let files: Vec<String> = (0..30).map(|position| format!("report-{position}.json\x1b[31m")).collect();
    for summary in [passed(), failed(), overflowing(), of_a_fleet()] {
        for style in [PLAIN, Style::default()] {
            let text = terminal_summary(&summary, &files, style);
            assert!(text.lines().count() <= 40, "{text}");
            for line in text.lines() {
                assert!(columns(line) <= 100, "{line}");
                assert!(!line.contains(char::is_control), "{line:?}");
                assert!(style.utf8 || line.is_ascii(), "{line}");
            }
        }
    }
    assert_eq!(terminal_summary(&overflowing(), &files, PLAIN).lines().count(), 40, "no line is wasted");
}

#[test]
fn the_verdict_comes_first_and_the_sums_are_spelled_out() {
    let text = terminal_summary(&failed(), &[], PLAIN);
    let summary = failed();
    let audit = &summary.audit;
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with("FAIL (exit 15)")), "{text}");
    let scheduled = format!(
        "scheduled 1,000 = sent {} + dropped {} (expired {}) + unassigned 0",
        audit.sent,
        audit.dropped_total(),
        audit.dropped["expired"]
    );
    assert!(text.contains(&scheduled), "{text}");
    assert!(text.contains(&format!(
        "sent {} = ok {} + errors {} (",
        audit.sent,
        audit.ok,
        audit.errors_total()
    )));
    assert!(text.contains(&format!(") + cut off {}", audit.cut_off)));
}

#[test]
fn a_run_that_measured_nothing_still_prints() {
    let text = terminal_summary(&summary("empty", None, &[], &["p99<1s"]), &[], PLAIN);
    assert!(text.contains("scheduled 0 = sent 0 + dropped 0 + unassigned 0"), "{text}");
    assert!(text.contains("✗ p99<1s"), "{text}");
}

#[test]
fn colour_changes_no_text() {
    let coloured = terminal_summary(&failed(), &[], Style { colour: true, utf8: true });
    let mut plain = coloured;
    for code in ["\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, terminal_summary(&failed(), &[], PLAIN));
}
